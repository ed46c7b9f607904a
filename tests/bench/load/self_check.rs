//! The generator's checks of itself, run at every start: a benchmark that cannot see a wrong byte proves nothing.

use std::time::Duration;

use super::checker::{Checker, Outcome};
use super::dataset::Dataset;
use super::latency::Latency;
use super::workload::WORKLOADS;

/// Panics when the generator would not see what it must see.
pub fn run() {
    right_replies_pass_however_they_are_cut();
    wrong_replies_are_seen();
    a_quantile_is_close_to_the_truth();
}

fn small() -> Dataset {
    let mut workload = WORKLOADS[0];
    workload.keys = 4;
    Dataset::new(&workload)
}

fn asking() -> Checker {
    let mut checker = Checker::default();
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

fn right_replies_pass_however_they_are_cut() {
    let dataset = small();
    let bytes = replies(&dataset);
    for cut in 0..bytes.len() {
        let (mut checker, mut outcome) = (asking(), Outcome::default());
        let done = checker
            .check(&bytes[..cut], &dataset, &mut outcome)
            .expect("right so far");
        checker
            .check(&bytes[done..], &dataset, &mut outcome)
            .expect("right to the end");
        assert!(checker.is_idle());
        assert_eq!(
            outcome,
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
