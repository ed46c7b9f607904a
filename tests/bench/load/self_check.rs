//! The generator's checks of itself, run at every start: a benchmark that cannot see a wrong byte proves nothing.

use std::time::Duration;

use super::answers::Answers;
use super::calls;
use super::checker::{Checker, Outcome};
use super::contender;
use super::dataset::Dataset;
use super::latency::Latency;
use super::measure::{ProxySample, Sample};
use super::pace;
use super::plot;
use super::random::Random;
use super::ratios;
use super::readme;
use super::report::Samples;
use super::wire::Wire;
use super::workload::{Popularity, Sizes, WORKLOADS};

/// Panics when the generator would not see what it must see.
pub fn run() {
    right_replies_pass_however_they_are_cut();
    wrong_replies_are_seen();
    the_other_protocols_are_checked_as_well();
    the_values_of_a_mget_are_checked();
    the_responder_answers_as_a_node_however_requests_are_cut();
    batches_fall_due_as_often_as_was_asked();
    what_counts_system_calls_is_read();
    a_quantile_is_close_to_the_truth();
    keys_are_as_popular_and_values_as_long_as_the_workload_says();
    ratios_and_plot_say_what_was_measured();
    a_line_of_the_readme_says_who_took_what();
}

fn small() -> Dataset {
    let mut workload = WORKLOADS[0];
    workload.keys = 4;
    Dataset::new(&workload)
}

fn asking() -> Checker {
    let mut checker = Checker::new(Wire::Classic);
    checker.expect_values(&[0, 1, 2]);
    checker.expect_stored(3);
    checker.expect_values(&[3]);
    checker
}

fn replies(dataset: &Dataset) -> Vec<u8> {
    // Out of order, one missing, then an error.
    let blocks = [dataset.item(2).block(), dataset.item(0).block()].concat();
    [&blocks[..], b"END\r\nSTORED\r\nSERVER_ERROR no\r\n"].concat()
}

/// What `checker` says of right `bytes` that come in two pieces.
fn in_two_pieces(mut checker: Checker, bytes: &[u8], cut: usize, dataset: &Dataset) -> Outcome {
    let mut outcome = Outcome::default();
    let done = checker
        .check(&bytes[..cut], dataset, &mut outcome)
        .expect("right so far");
    checker
        .check(&bytes[done..], dataset, &mut outcome)
        .expect("right to the end");
    assert!(checker.is_idle());
    outcome
}

fn right_replies_pass_however_they_are_cut() {
    let dataset = small();
    let bytes = replies(&dataset);
    for cut in 0..bytes.len() {
        assert_eq!(
            in_two_pieces(asking(), &bytes, cut, &dataset),
            Outcome {
                replies: 3,
                hits: 2,
                misses: 1,
                errors: 1
            }
        );
    }
}

fn wrong_replies_are_seen() {
    let dataset = small();
    let right = replies(&dataset);
    // An error's text may be any; all before it may not.
    let checked = right.len() - " no\r\n".len();
    for at in 0..checked {
        let mut bytes = right.clone();
        bytes[at] ^= 1;
        let seen = asking().check(&bytes, &dataset, &mut Outcome::default());
        assert!(seen.is_err(), "byte {at} was wrong and passed");
    }
    let twice = [dataset.item(1).block(), dataset.item(1).block()].concat();
    assert!(asking().check(&twice, &dataset, &mut Outcome::default()).is_err());
    let unasked = [&right[..], b"END\r\n"].concat();
    assert!(
        asking()
            .check(&unasked, &dataset, &mut Outcome::default())
            .is_err()
    );
}

fn the_other_protocols_are_checked_as_well() {
    let dataset = small();
    let data = dataset.item(1).data();
    let key = dataset.item(1).key();
    let meta = [format!("VA 100 k{key}\r\n").as_bytes(), data, b"\r\nHD\r\nEN\r\n"].concat();
    // A get of number 1 with its flags, a set of number 1, each with a cas id, and a miss.
    let binary = [
        b"\x81\0\0\0\x04\0\0\0\0\0\0\x68\0\0\0\x01\0\0\0\0\0\0\0\x07\0\0\0\0",
        data,
        b"\x81\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x08",
        b"\x81\0\0\0\0\0\0\x01\0\0\0\x09\0\0\0\x01\0\0\0\0\0\0\0\0Not found",
    ]
    .concat();
    let resp = [b"$100\r\n", data, b"\r\n+OK\r\n$-1\r\n"].concat();
    for (wire, bytes) in [(Wire::Meta, meta), (Wire::Binary, binary), (Wire::Resp, resp)] {
        let asking = || {
            let mut checker = Checker::new(wire);
            checker.expect_values(&[1]);
            checker.expect_stored(1);
            checker.expect_values(&[1]);
            checker
        };
        for cut in 0..=bytes.len() {
            let outcome = in_two_pieces(asking(), &bytes, cut, &dataset);
            assert_eq!((outcome.replies, outcome.hits, outcome.misses), (3, 1, 1));
        }
        for at in 0..meta_value_end(&dataset) {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            let is_cas = wire == Wire::Binary && (16..24).contains(&at);
            let mut outcome = Outcome::default();
            let seen = asking().check(&wrong, &dataset, &mut outcome);
            let passed = matches!(seen, Ok(done) if done == wrong.len()) && outcome.hits == 1;
            assert!(is_cas || !passed, "byte {at} was wrong and passed");
        }
    }
}

fn the_values_of_a_mget_are_checked() {
    let dataset = small();
    let bytes = [
        b"*3\r\n$100\r\n",
        dataset.item(2).data(),
        b"\r\n$-1\r\n$100\r\n",
        dataset.item(3).data(),
        b"\r\n",
    ]
    .concat();
    let asking = || {
        let mut checker = Checker::new(Wire::Resp);
        checker.expect_values(&[2, 0, 3]);
        checker
    };
    for cut in 0..=bytes.len() {
        let outcome = in_two_pieces(asking(), &bytes, cut, &dataset);
        assert_eq!((outcome.replies, outcome.hits, outcome.misses), (1, 2, 1));
    }
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        let seen = asking().check(&wrong, &dataset, &mut Outcome::default());
        assert!(seen.is_err(), "byte {at} was wrong and passed");
    }
}

/// So many bytes at least belong to the hit at the front, in any of them.
fn meta_value_end(dataset: &Dataset) -> usize {
    dataset.item(1).data().len() + 4
}

fn the_responder_answers_as_a_node_however_requests_are_cut() {
    let dataset = small();
    let mut requests =
        b"version\r\nget ringway:bench:00000002 ringway:bench:00000009 ringway:bench:00000001\r\n".to_vec();
    Wire::Classic.write_set(dataset.item(3), 3, &mut requests);
    Wire::Meta.write_get(dataset.item(1), 1, &mut requests);
    Wire::Meta.write_set(dataset.item(2), 2, &mut requests);
    requests.extend_from_slice(b"mg ringway:bench:00000000 s k O7\r\nmg nothing v\r\nmn\r\n");
    let right = [
        b"VERSION 1.6.18\r\n",
        dataset.item(2).block(),
        dataset.item(1).block(),
        b"END\r\nSTORED\r\nVA 100 kringway:bench:00000001\r\n",
        dataset.item(1).line(),
        b"HD\r\nHD s100 kringway:bench:00000000 O7\r\nEN\r\nMN\r\n",
    ]
    .concat();
    for cut in 0..=requests.len() {
        let (mut answers, mut said) = (Answers::default(), Vec::new());
        let done = answers.answer(&requests[..cut], &dataset, &mut said);
        let rest = answers.answer(&requests[done..], &dataset, &mut said);
        assert_eq!(done + rest, requests.len());
        assert_eq!(said.escape_ascii().to_string(), right.escape_ascii().to_string());
    }
}

fn batches_fall_due_as_often_as_was_asked() {
    let micros = |number, gap| pace::due(number, Duration::from_micros(gap)).as_micros();
    assert_eq!(
        [0, 1, 3, 4, 5].map(|number| micros(number, 30)),
        [0, 100, 100, 200, 200]
    );
    assert_eq!(micros(1_000_000, 25), 25_000_000);
}

fn what_counts_system_calls_is_read() {
    let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                 ------ ----------- ----------- --------- --------- ----------------\n \
                 75.00    0.000300           3       100           writev\n \
                 25.00    0.000100           1        70        20 recvfrom\n\
                 ------ ----------- ----------- --------- --------- ----------------\n\
                 100.00    0.000400           2       170        20 total\n";
    let read = calls::parse_strace(table);
    assert_eq!(read, [("writev".to_owned(), 100), ("recvfrom".to_owned(), 70)]);
    let lines = "# started on some day\n\n\
                 180,,raw_syscalls:sys_enter,7,100.00,,\n\
                 <not counted>,,syscalls:sys_enter_read,0,100.00,,\n\
                 100,,syscalls:sys_enter_writev,7,100.00,,\n\
                 70,,syscalls:sys_enter_recvfrom,7,100.00,,\n";
    let read = calls::parse_perf(lines);
    let expected = [("writev", 100), ("recvfrom", 70), ("other", 10)];
    assert_eq!(read, expected.map(|(name, count)| (name.to_owned(), count)));
}

fn a_quantile_is_close_to_the_truth() {
    for nanos in [0, 1, 63, 64, 65, 127, 128, 12_345, 999_999, 3_000_000_000] {
        let mut latency = Latency::default();
        latency.record(Duration::from_nanos(nanos), 99);
        latency.record(Duration::from_secs(60), 1);
        let (truth, told) = (nanos as f64 / 1e3, latency.quantile(0.99));
        assert!(
            truth <= told && told <= truth * 1.016,
            "{truth} µs was told as {told}"
        );
        assert!(latency.quantile(0.999) >= 60e6);
    }
}

fn keys_are_as_popular_and_values_as_long_as_the_workload_says() {
    let mut counts = [0_u32; 100];
    let mut random = Random::new(7);
    for _ in 0..100_000 {
        counts[random.place(Popularity::Zipf, 100)] += 1;
    }
    // Of 100 keys the first is asked for in ln(2) / ln(101) = 15 % of all cases, the last in 0.2 %.
    assert!((14_500..15_500).contains(&counts[0]), "{counts:?}");
    assert!((150..300).contains(&counts[99]), "{counts:?}");

    let mut workload = WORKLOADS[0];
    workload.keys = 500;
    workload.sizes = Sizes::Spread(10, 500_000);
    let dataset = Dataset::new(&workload);
    let length = |index| dataset.item(index).data().len();
    assert!((0..500).all(|index| (10..=500_000).contains(&length(index))));
    // Half of them lie below the geometric middle.
    let short = (0..500).filter(|index| length(*index) < 2236).count();
    assert!((200..300).contains(&short), "{short} of 500 are short");
}

fn ratios_and_plot_say_what_was_measured() {
    let contenders = contender::over_routes();
    let mut samples = Samples::new(&contenders);
    for (name, user_micros) in [("ringway", 1.0), ("ringway-failover", 4.0)] {
        samples.push(name, sample(user_micros));
    }
    samples.push_calls(
        "ringway",
        vec![("read".to_owned(), 0.5), ("writev".to_owned(), 0.75)],
    );
    let all = [(WORKLOADS[0], samples)];
    // (4 + 1) / (1 + 1), beside the bound.
    let table = ratios::routes(&all);
    let row = table
        .lines()
        .find(|line| line.starts_with("| failover"))
        .expect("measured");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert_eq!(cells[2..4], ["2.50", "1.30"]);
    let plot = plot::draw(&all);
    for figures in [
        "50000",
        "10.00 / 20.00 / 90.00",
        "1.00 / 2.00",
        "4.00 / 5.00",
        "7.00",
        "1.25",
    ] {
        assert!(
            plot.contains(&format!(">{figures}</text>")),
            "no {figures} in {plot}"
        );
    }
}

fn a_line_of_the_readme_says_who_took_what() {
    let contenders = contender::all();
    let mut samples = Samples::new(&contenders);
    for (name, user_micros) in [
        ("nutcracker", 72.6),
        ("memcached-proxy", 7.25),
        ("ringway", -0.25),
    ] {
        samples.push(name, sample(user_micros));
    }
    let line = readme::line(&WORKLOADS[0], &samples).expect("all were measured");
    let expected = "| 50 clients, one request at a time | 74 / 8.2 → 0.75 µs | 50 000 / 50 000 → 50 000 |\n";
    assert_eq!(line, expected);
}

fn sample(user_micros: f64) -> Sample {
    Sample {
        requests_per_second: 50_000.0,
        offered: None,
        hits_per_second: 45_000.0,
        p50_micros: 10.0,
        p99_micros: 20.0,
        p999_micros: 90.0,
        proxy: Some(ProxySample {
            user_micros,
            system_micros: 1.0,
            busy: 0.5,
            peak_mib: 7.0,
        }),
        nodes_micros: 2.0,
        misses: 0,
        errors: 0,
    }
}
