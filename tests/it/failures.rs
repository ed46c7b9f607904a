//! What clients are answered when a node fails, by each fault and each command: reads miss, writes say so,
//! and no session is closed.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, free_port, pool, wait_for};
use crate::support::scripted::{Act, Scripted, Seen, say};

/// Keeps a node from being marked down: each request is to meet the fault itself.
const STUBBORN: &str = "health: {down_after: 1000000}";

/// One way to fail.
struct Fault {
    name: &'static str,
    /// What is said to `version`; empty: as the script has it.
    version: &'static str,
    script: fn(&Seen) -> Vec<Act>,
    /// The `kind` of `ringway_errors_total` that counts it, or either of two; empty where the node's own error line is passed on.
    kind: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "says nothing",
        version: "1.6.18",
        script: |_| vec![],
        kind: "timeout",
    },
    Fault {
        name: "says not even its version",
        version: "",
        script: |_| vec![],
        kind: "timeout|connect",
    },
    Fault {
        name: "closes as soon as it is asked",
        version: "1.6.18",
        script: |_| vec![Act::Close],
        kind: "closed",
    },
    Fault {
        name: "closes in the middle of a reply",
        version: "1.6.18",
        script: |seen| {
            let half = format!("VA 100 k{} f0\r\nVALUE x 0 1\r\n", seen.word(1));
            vec![Act::Say(half.into_bytes()), Act::Close]
        },
        kind: "closed",
    },
    Fault {
        name: "answers garbage",
        version: "1.6.18",
        script: |_| say("\u{1}HTTP/1.1 200 OK\r\n\r\n"),
        kind: "desync",
    },
    Fault {
        name: "answers something else",
        version: "1.6.18",
        script: |_| say("VERSION 1.6.18\r\n"),
        kind: "desync",
    },
    Fault {
        name: "brings a value for another key",
        version: "1.6.18",
        script: |_| say("VA 5 kother f0\r\nwrong\r\n"),
        kind: "desync",
    },
    Fault {
        name: "brings a value for another key in classic text",
        version: "1.4.25",
        script: |_| say("VALUE other 0 5\r\nwrong\r\nEND\r\n"),
        kind: "desync",
    },
    Fault {
        name: "says done for another key",
        version: "1.6.18",
        script: |_| say("HD kother\r\n"),
        kind: "desync",
    },
    Fault {
        name: "says not found for another key",
        version: "1.6.18",
        script: |seen| {
            let word = if seen.word(0) == "mg" { "EN" } else { "NF" };
            say(format!("{word} kother\r\n"))
        },
        kind: "desync",
    },
    Fault {
        name: "has no memory left",
        version: "1.6.18",
        script: |_| say("SERVER_ERROR out of memory storing object\r\n"),
        kind: "",
    },
];

const READS: &[&str] = &["get K", "gets K", "gat 0 K", "gats 0 K"];
const WRITES: &[&str] = &[
    "set K 0 0 1\r\nx",
    "add K 0 0 1\r\nx",
    "replace K 0 0 1\r\nx",
    "append K 0 0 1\r\nx",
    "prepend K 0 0 1\r\nx",
    "cas K 0 0 1 7\r\nx",
    "incr K 1",
    "decr K 1",
    "delete K",
    "touch K 0",
    "flush_all",
];

/// A key that goes to the node with this address.
fn key_on(ringway: &Ringway, address: &str) -> String {
    (0..1000)
        .map(|i| format!("key{i}"))
        .find(|key| ringway.get(&format!("/explain?key={key}")).1.contains(address))
        .unwrap_or_else(|| panic!("no key goes to {address}"))
}

/// `noreply` put behind the line of `request`.
fn quiet(request: &str) -> String {
    match request.split_once("\r\n") {
        Some((line, data)) => format!("{line} noreply\r\n{data}\r\n"),
        None => format!("{request} noreply\r\n"),
    }
}

/// Every command on a failing node, on one session, beside a node that works.
fn check(ringway: &Ringway, name: &str, good: &str, bad: &str, on_read_error: &str) {
    let (good, bad) = (key_on(ringway, good), key_on(ringway, bad));
    let mut client = ringway.client();
    client.set(&good, "fine");
    let hit = format!("VALUE {good} 0 4\r\nfine\r\n");
    for read in READS {
        let line = client.ask(format!("{}\r\n", read.replace('K', &bad)));
        match on_read_error {
            "miss" => assert_eq!(line, "END", "{read} of a node that {name}"),
            _ => assert!(
                line.starts_with("SERVER_ERROR "),
                "{read} of a node that {name}: {line}"
            ),
        }
    }
    client.send(format!("get {good} {bad} {good}\r\n"));
    client.expect(hit.repeat(2));
    let end = client.line();
    match on_read_error {
        "miss" => assert_eq!(end, "END", "multi-get of a node that {name}"),
        _ => assert!(
            end.starts_with("SERVER_ERROR "),
            "multi-get of a node that {name}: {end}"
        ),
    }
    for write in WRITES {
        let line = client.ask(format!("{}\r\n", write.replace('K', &bad)));
        assert!(
            line.starts_with("SERVER_ERROR "),
            "{write} on a node that {name}: {line}"
        );
        assert!(line.len() < 100, "a short reason: {line}");
        client.send(quiet(&write.replace('K', &bad)));
    }
    client.set(&good, "fine");
    client.expects(format!("get {good}\r\n"), hit + "END\r\n");
}

#[test]
fn each_fault_of_a_node_makes_reads_miss_and_writes_fail_and_closes_no_session() {
    for fault in FAULTS {
        std::thread::scope(|both| {
            both.spawn(|| meet(fault, "miss"));
            both.spawn(|| meet(fault, "error"));
        });
    }
}

fn meet(fault: &Fault, on_read_error: &str) {
    let good = Memcached::start();
    let bad = Scripted::start(fault.version, fault.script);
    let setting = format!("on_read_error: {on_read_error}");
    let settings = [
        "request_timeout: 150ms",
        "connect_timeout: 1s",
        STUBBORN,
        &setting,
    ];
    let ringway = Ringway::start(&pool(&[good.address(), bad.address()], &settings));
    check(
        &ringway,
        fault.name,
        &good.address(),
        &bad.address(),
        on_read_error,
    );
    let node = format!("node=\"{}\"", bad.address());
    let counted = |kind: &str| ringway.metric("ringway_errors_total", &[&format!("kind=\"{kind}\""), &node]);
    let is_counted = fault.kind.is_empty() || fault.kind.split('|').any(|kind| counted(kind) > 0.0);
    assert!(
        is_counted,
        "a node that {} is not counted as {}",
        fault.name, fault.kind
    );
}

#[test]
fn a_node_that_is_not_there_makes_reads_miss_and_writes_fail() {
    for on_read_error in ["miss", "error"] {
        let good = Memcached::start();
        let bad = format!("127.0.0.1:{}", free_port());
        let setting = format!("on_read_error: {on_read_error}");
        let ringway = Ringway::start(&pool(&[good.address(), bad.clone()], &[STUBBORN, &setting]));
        check(&ringway, "is not there", &good.address(), &bad, on_read_error);
        let node = format!("node=\"{bad}\"");
        assert!(ringway.metric("ringway_errors_total", &["kind=\"connect\"", &node]) > 0.0);
    }
}

#[test]
fn a_node_that_is_marked_down_is_not_asked_and_fails_at_once() {
    let good = Memcached::start();
    let bad = format!("127.0.0.1:{}", free_port());
    let settings = ["health: {down_after: 1, probe_interval: 50ms}"];
    let ringway = Ringway::start(&pool(&[good.address(), bad.clone()], &settings));
    let node = format!("node=\"{bad}\"");
    wait_for("the node to be marked down", || {
        ringway.metric("ringway_node_up", &[&node]) == 0.0
    });
    check(&ringway, "is down", &good.address(), &bad, "miss");
    assert!(ringway.metric("ringway_errors_total", &["kind=\"down\"", &node]) > 0.0);
    let key = key_on(&ringway, &bad);
    assert_eq!(
        ringway.client().ask(format!("delete {key}\r\n")),
        "SERVER_ERROR node is down"
    );
    assert_eq!(
        ringway.get("/readyz").0,
        200,
        "one node down of two does not make it unready"
    );
}

#[test]
fn a_value_larger_than_the_pool_takes_is_passed_over_and_the_link_goes_on() {
    let node = Scripted::start("1.6.18", |seen| {
        vec![seen.hits_by(|key| "v".repeat(if key == "large" { 70_000 } else { 5 }))]
    });
    let settings = ["request_timeout: 10s", "max_value_size: 64KiB"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    ringway.client().expects(
        "get a large b\r\nget large\r\nget c\r\n",
        "VALUE a 0 5\r\nvvvvv\r\nVALUE b 0 5\r\nvvvvv\r\nEND\r\nEND\r\nVALUE c 0 5\r\nvvvvv\r\nEND\r\n",
    );
    assert_eq!(ringway.metric("ringway_link_connects_total", &[]), 1.0);
    assert_eq!(
        ringway.metric("ringway_errors_total", &["kind=\"too_large\""]),
        2.0
    );
}

#[test]
fn a_session_lives_through_the_death_and_the_return_of_its_node() {
    let node = Memcached::start();
    let port = node.port();
    let settings = ["health: {down_after: 2, up_after: 1, probe_interval: 50ms}"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let mut client = ringway.client();
    client.set("k", "before");
    drop(node);
    wait_for("writes to fail", || {
        client.ask("set k 0 0 1\r\nx\r\n").starts_with("SERVER_ERROR ")
    });
    assert_eq!(client.get("k"), None);
    wait_for("no node to be up", || {
        ringway.metric("ringway_node_up", &[]) == 0.0
    });

    let mut node = None;
    wait_for("the port to be free", || {
        node = Memcached::start_on(port);
        node.is_some()
    });
    wait_for("writes to succeed", || {
        client.ask("set k 0 0 5\r\nafter\r\n") == "STORED"
    });
    assert_eq!(client.get("k").as_deref(), Some(&b"after"[..]));
    wait_for("the node to be up", || {
        ringway.metric("ringway_node_up", &[]) == 1.0
    });
}
