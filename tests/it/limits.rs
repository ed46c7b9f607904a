//! Limits: what one client, or too many, can cost, and how it is told.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use crate::support::binary::header;
use crate::support::memcached::Memcached;
use crate::support::quiescence::wait_until_replies_stop;
use crate::support::ringway::{Client, DEADLINE, Ringway, free_port, pool, wait_for};
use crate::support::scripted::{Act, Scripted, say};

fn listener(setting: &str) -> String {
    format!("listeners:\n  - {{bind: '127.0.0.1:PORT', {setting}}}\n")
}

#[test]
fn one_connection_too_many_is_told_so_and_closed_and_counted() {
    let node = Memcached::start();
    let yaml = listener("max_connections: 3") + &pool(&[node.address()], &[]);
    let ringway = Ringway::start(&yaml);
    let mut clients: Vec<Client> = (0..3).map(|_| ringway.client()).collect();
    for client in &mut clients {
        client.set("k", "v");
    }
    for _ in 0..5 {
        let mut refused = ringway.client();
        assert_eq!(refused.rest(), b"ERROR Too many open connections\r\n");
    }
    assert_eq!(ringway.metric("ringway_connections_refused_total", &[]), 5.0);
    assert_eq!(ringway.metric("ringway_sessions", &[]), 3.0);
    for client in &mut clients {
        assert_eq!(
            client.get("k").as_deref(),
            Some(&b"v"[..]),
            "those who are there stay"
        );
    }
    clients.pop();
    wait_for("a place to be free again", || {
        let mut client = ringway.client();
        let _refused_meanwhile = client.stream.write_all(b"get none\r\nquit\r\n");
        client.rest() == b"END\r\n"
    });
}

#[test]
fn past_max_in_flight_a_request_fails_at_once_and_nobody_else() {
    let node = Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("v")]);
    let settings = ["request_timeout: 15s", "max_in_flight: 4"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let mut client = ringway.client();
    client.send("get k0\r\nget k1\r\nget k2\r\nget k3\r\n");
    node.wait_seen(1);
    let mut late = ringway.client();
    assert_eq!(late.ask("get k4\r\n"), "END", "a read misses");
    assert_eq!(late.ask("set k4 0 0 1\r\nx\r\n"), "NOT_STORED");
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"busy\""]), 2.0);
    assert_eq!(ringway.metric("ringway_in_flight", &[]), 4.0);
    node.open("gate");
    for i in 0..4 {
        client.expect(format!("VALUE k{i} 0 1\r\nv\r\nEND\r\n"));
    }
    late.expects("get k5\r\n", "VALUE k5 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn a_session_that_says_nothing_for_too_long_is_closed_and_counted() {
    let node = Memcached::start();
    // Long enough that a machine with much to do does not make a silent client of the one that talks.
    let yaml = listener("idle_timeout: 2s") + &pool(&[node.address()], &[]);
    let ringway = Ringway::start(&yaml);
    let mut talker = ringway.client();
    let mut silent = ringway.client();
    silent.set("k", "v");
    let mut closed = Vec::new();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| closed = silent.rest());
        while !waiting.is_finished() {
            assert_eq!(talker.get("k").as_deref(), Some(&b"v"[..]), "who talks stays");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    assert_eq!(closed, b"");
    assert_eq!(ringway.metric("ringway_idle_closed_total", &[]), 1.0);
}

#[test]
fn an_idle_timeout_does_not_close_a_session_that_waits_for_its_node() {
    let node = Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("v")]);
    let yaml = listener("idle_timeout: 50ms") + &pool(&[node.address()], &["request_timeout: 15s"]);
    let ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    client.send("get k\r\n");
    node.wait_seen(1);
    // Another session is closed meanwhile, so the time is over.
    assert_eq!(ringway.client().rest(), b"");
    node.open("gate");
    client.expect("VALUE k 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn an_idle_client_is_closed_wherever_in_a_request_it_stopped() {
    let node = Memcached::start();
    let yaml = listener("idle_timeout: 300ms") + &pool(&[node.address()], &[]);
    let ringway = Ringway::start(&yaml);
    let too_large = "SERVER_ERROR object too large for cache\r\n";
    let cases: [(&[u8], &str); 10] = [
        (b"", ""),
        (b"get k", ""),
        (b"get k\r\nget ", "END\r\n"),
        (b"set k 0 0 10\r\n", ""),
        (b"set k 0 0 10\r\nhalf", ""),
        (b"ms k 100000 T0\r\nhalf", ""),
        (b"set k 0 0 2000000\r\nhalf of what is refused", too_large),
        (b"mn\r\n\x80", "MN\r\n"),
        (b"\x80\x00\x00\x01", ""),
        (&[&header(0x01, 1, 8, 100)[..], b"half"].concat(), ""),
    ];
    for (sent, read) in &cases {
        let mut client = ringway.client();
        client.send(sent);
        let answer = client.rest();
        assert_eq!(answer, read.as_bytes(), "after {}", sent.escape_ascii());
    }
    assert_eq!(
        ringway.metric("ringway_idle_closed_total", &[]),
        cases.len() as f64
    );
}

#[test]
fn a_client_whose_bytes_come_slowly_is_not_idle() {
    let node = Memcached::start();
    let yaml = listener("idle_timeout: 2s") + &pool(&[node.address()], &[]);
    let ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    // In all it takes longer than the timeout.
    for byte in b"set k 0 0 1\r\nv\r\n" {
        client.send([*byte]);
        thread::sleep(Duration::from_millis(200));
    }
    client.expect("STORED\r\n");
}

#[test]
fn a_client_that_has_not_read_its_replies_is_not_idle() {
    const SIZE: usize = 900_000;
    const ASKED: usize = 40;
    let node = Memcached::start();
    let yaml = listener("idle_timeout: 300ms") + &pool(&[node.address()], &["request_timeout: 15s"]);
    let ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    client.set("big", vec![b'x'; SIZE]);
    client.send("get big\r\n".repeat(ASKED));
    wait_until_replies_stop(&ringway);
    // Another session is closed meanwhile, so the time is over.
    assert_eq!(ringway.client().rest(), b"");
    for _ in 0..ASKED {
        client.expect(format!("VALUE big 0 {SIZE}\r\n"));
        client.exact(SIZE);
        client.expect("\r\nEND\r\n");
    }
}

#[test]
fn a_client_that_stops_reading_costs_a_bounded_amount_and_delays_nobody() {
    const SIZE: usize = 900_000;
    const ASKED: usize = 1000;
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 15s"]));
    let mut other = ringway.client();
    other.set("big", vec![b'x'; SIZE]);
    other.set("small", "v");
    let before = ringway.resident();

    let mut greedy = ringway.client();
    greedy.send("get big\r\n".repeat(ASKED));
    wait_until_replies_stop(&ringway);
    for _ in 0..100 {
        assert_eq!(other.get("small").as_deref(), Some(&b"v"[..]));
    }
    let cost = ringway.resident().saturating_sub(before) >> 20;
    assert!(cost < 200, "{cost} MiB for a client that does not read");

    // When it reads, each request has one answer, in order.
    let mut values = 0;
    for i in 0..ASKED {
        let line = greedy.line();
        if line == "END" {
            continue;
        }
        assert_eq!(line, format!("VALUE big 0 {SIZE}"), "answer {i}");
        greedy.exact(SIZE);
        greedy.expect("\r\nEND\r\n");
        values += 1;
    }
    assert!(values > 0);
    let left_out = ringway.metric("ringway_values_dropped_total", &[]);
    assert_eq!(values + left_out as usize, ASKED, "each is there or counted");
    greedy.expects("get small\r\n", "VALUE small 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn a_client_that_stops_reading_is_bounded_and_answered_in_its_own_protocol() {
    const SIZE: usize = 900_000;
    const ASKED: usize = 1000;
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 15s"]));
    ringway.client().set("big", vec![b'x'; SIZE]);
    let head = |magic: u8, body: usize, status: u8| {
        let key = if magic == 0x80 { 3 } else { 0 };
        let body = (body as u32).to_be_bytes();
        [&[magic, 0, 0, key, 0, 0, 0, status][..], &body[..], &[0; 12][..]].concat()
    };
    let binary = [&head(0x80, 3, 0)[..], b"big"].concat();
    for (name, ask) in [("meta", b"mg big v\r\n".to_vec()), ("binary", binary)] {
        let before = ringway.resident();
        let mut greedy = ringway.client();
        greedy.send(ask.repeat(ASKED));
        wait_until_replies_stop(&ringway);
        let cost = ringway.resident().saturating_sub(before) >> 20;
        assert!(cost < 200, "{cost} MiB for a {name} client that does not read");
        for i in 0..ASKED {
            if name == "meta" {
                match greedy.line().as_str() {
                    "EN" => {}
                    line => {
                        assert_eq!(line, format!("VA {SIZE}"), "answer {i}");
                        greedy.exact(SIZE + 2);
                    }
                }
                continue;
            }
            let answer = greedy.exact(24);
            assert_eq!(answer[..2], [0x81, 0], "answer {i}");
            let body = u32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]) as usize;
            assert!(
                body == SIZE + 4 || (body, answer[7]) == (9, 1),
                "answer {i}: a hit or a miss"
            );
            greedy.exact(body);
        }
    }
    assert!(ringway.metric("ringway_values_dropped_total", &[]) > 0.0);
}

#[test]
fn large_values_that_wait_behind_a_slow_node_cost_a_bounded_amount() {
    const SIZE: usize = 900_000;
    let slow = Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("v")]);
    let fast = Memcached::start();
    let nodes = [slow.address(), fast.address()];
    let ringway = Ringway::start(&pool(&nodes, &["request_timeout: 15s"]));
    let key_on = |address: &str| {
        let mut keys = (0..1000).map(|i| format!("key{i}"));
        let is_there = |key: &String| ringway.get(&format!("/explain?key={key}")).1.contains(address);
        keys.find(is_there).expect("each node has some keys")
    };
    let (late, big) = (key_on(&nodes[0]), key_on(&nodes[1]));
    ringway.client().set(&big, vec![b'x'; SIZE]);
    let before = ringway.resident();
    let mut client = ringway.client();
    client.send(format!("get {late}\r\n{}", format!("get {big}\r\n").repeat(900)));
    wait_until_replies_stop(&ringway);
    let cost = ringway.resident().saturating_sub(before) >> 20;
    slow.open("gate");
    client.expect(format!("VALUE {late} 0 1\r\nv\r\nEND\r\n"));
    for _ in 0..900 {
        let line = client.line();
        if line.starts_with("VALUE ") {
            client.exact(SIZE + 7);
        }
    }
    assert!(cost < 200, "{cost} MiB for values that wait");
}

#[test]
fn values_for_a_node_that_does_not_take_them_cost_a_bounded_amount() {
    // The one never says its version, the other never reads what follows.
    for version in ["", "1.6.18"] {
        let node = Scripted::start(version, |_| vec![Act::Await("gate")]);
        let settings = ["request_timeout: 15s", "connect_timeout: 15s"];
        let ringway = Ringway::start(&pool(&[node.address()], &settings));
        let before = ringway.resident();
        let value = "x".repeat(900_000);
        let mut client = ringway.client();
        for i in 0..500 {
            client.send(format!("set k{i} 0 0 900000 noreply\r\n{value}\r\n"));
        }
        client.send("version\r\n");
        wait_for("all to be taken", || {
            ringway.metric("ringway_client_bytes_read_total", &[]) >= 500.0 * 900_000.0
        });
        let cost = ringway.resident().saturating_sub(before) >> 20;
        assert!(cost < 250, "{cost} MiB for a node that takes nothing");
        assert!(ringway.metric("ringway_errors_total", &["kind=\"busy\""]) > 0.0);
    }
}

#[test]
fn a_megabyte_without_a_line_end_closes_only_its_own_session() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut other = ringway.client();
    other.set("k", "v");
    for start in ["", "set ", "get "] {
        let mut endless = ringway.client();
        endless
            .stream
            .set_write_timeout(Some(DEADLINE))
            .expect("a socket");
        let mut bytes = start.as_bytes().to_vec();
        bytes.resize((1 << 20) + 100, b'a');
        let _closed_meanwhile = endless.stream.write_all(&bytes);
        let answer = endless.rest();
        assert!(!answer.contains(&b'V'), "{}", answer.escape_ascii());
        assert_eq!(other.get("k").as_deref(), Some(&b"v"[..]));
    }
    assert_eq!(ringway.metric("ringway_bad_requests_total", &[]), 3.0);
    wait_for("the sessions to be gone", || {
        ringway.metric("ringway_sessions", &[]) == 1.0
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_value_stores_nothing() {
    let node = Scripted::start("1.6.18", |seen| say(format!("HD k{}\r\n", seen.word(1))));
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    for bytes in [
        "set k 0 0 10\r\nhalf",
        "set k 0 0 10\r\n0123456789",
        "set k 0 0 100000\r\nhalf",
    ] {
        let mut client = ringway.client();
        client.send(bytes);
        assert_eq!(client.finish(), b"");
    }
    let mut client = ringway.client();
    assert_eq!(client.ask("set whole 0 0 1\r\nx\r\n"), "STORED");
    let lines: Vec<String> = node.seen().into_iter().map(|seen| seen.line).collect();
    assert!(
        lines.iter().all(|line| line.starts_with("ms whole ")),
        "{lines:?}"
    );
}

#[test]
fn a_multi_get_of_any_length_is_answered_whole_and_costs_no_more_a_key_than_a_short_one() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let mut client = ringway.client();
    client.set("k", "v");
    // As many as a session may owe, one fewer and one more; then more than could be read again and again.
    for count in [1023, 1024, 1025, 2048, 2049, 300_000] {
        for (end, next) in [("\r\n", "gets"), (" \n", "get"), ("  \r\n", "gat 100")] {
            if count == 300_000 && next != "get" {
                continue;
            }
            client.send(format!(
                "{next}{} k{end}set k 0 0 1\r\nv\r\n",
                " a".repeat(count - 1)
            ));
            let line = client.line();
            assert!(line.starts_with("VALUE k 0 1"), "{count}: {line}");
            client.expect("v\r\nEND\r\nSTORED\r\n");
        }
    }
}

#[test]
fn clients_that_ask_an_embedded_node_without_pause_leave_the_others_their_turn() {
    let far = free_port();
    let node = Memcached::start();
    let ringway = Ringway::start(&format!(
        "pools:\n  local: {{nodes: [{{name: local, embedded: 8MiB}}]}}\n  \
         far: {{nodes: ['{}'], request_timeout: 10s}}\n\
         listeners:\n  - {{bind: '127.0.0.1:PORT', route: local}}\n  - {{bind: '127.0.0.1:{far}', route: far}}\n",
        node.address()
    ));
    // They end with the program.
    for _ in 0..4 {
        let mut writing = ringway.client().stream;
        let mut reading = writing.try_clone().expect("a socket");
        thread::spawn(move || while reading.read(&mut [0; 1 << 16]).is_ok_and(|n| n > 0) {});
        let flood = "get k\r\n".repeat(20_000);
        thread::spawn(move || while writing.write_all(flood.as_bytes()).is_ok() {});
    }
    let mut patient = Client::connect(far);
    for _ in 0..20 {
        patient.set("k", "v");
        assert_eq!(patient.get("k").as_deref(), Some(&b"v"[..]));
    }
}
