//! What clients are answered when a node fails, by each fault, each command and each protocol: as if the key were not
//! there, or with the reason where the pool says so, and no session is closed.

use crate::support::binary::{packet, response};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, free_port, full, pool, wait_for};
use crate::support::scripted::{Act, Scripted, Seen, say};

/// Keeps a node from being marked down: each request is to meet the fault itself.
const STUBBORN: &str = "health: {down_after: 1000000}";

/// One way to fail.
struct Fault {
    name: &'static str,
    /// What is said to `version`; empty: as the script has it.
    version: &'static str,
    script: fn(&Seen) -> Vec<Act>,
    /// The `kind` of `ringway_errors_total` that counts it, or either of two; empty where the node's own error line is
    /// passed on.
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
/// Each write, and what it reads where failures are hidden.
const WRITES: &[(&str, &str)] = &[
    ("set K 0 0 1\r\nx", "NOT_STORED"),
    ("add K 0 0 1\r\nx", "NOT_STORED"),
    ("replace K 0 0 1\r\nx", "NOT_STORED"),
    ("append K 0 0 1\r\nx", "NOT_STORED"),
    ("prepend K 0 0 1\r\nx", "NOT_STORED"),
    ("cas K 0 0 1 7\r\nx", "EXISTS"),
    ("incr K 1", "NOT_FOUND"),
    ("decr K 1", "NOT_FOUND"),
    ("delete K", "NOT_FOUND"),
    ("touch K 0", "NOT_FOUND"),
    ("flush_all", "CLIENT_ERROR a node was not flushed"),
];

/// What a pool says of failures.
#[derive(Clone, Copy)]
struct Settings {
    on_read_error: &'static str,
    on_write_error: &'static str,
}

const HIDDEN: Settings = Settings {
    on_read_error: "miss",
    on_write_error: "not_stored",
};
const EACH: [Settings; 3] = [
    HIDDEN,
    Settings {
        on_read_error: "error",
        ..HIDDEN
    },
    Settings {
        on_write_error: "error",
        ..HIDDEN
    },
];

impl Settings {
    fn yaml(self) -> [String; 2] {
        [
            format!("on_read_error: {}", self.on_read_error),
            format!("on_write_error: {}", self.on_write_error),
        ]
    }
}

/// So many keys that go to the node with this address.
fn keys_on(ringway: &Ringway, address: &str, count: usize) -> Vec<String> {
    let goes_there = |key: &String| ringway.get(&format!("/explain?key={key}")).1.contains(address);
    let keys = (0..1000).map(|i| format!("key{i}")).filter(goes_there);
    let keys: Vec<String> = keys.take(count).collect();
    assert_eq!(keys.len(), count, "too few keys go to {address}");
    keys
}

/// A key that goes to the node with this address.
fn key_on(ringway: &Ringway, address: &str) -> String {
    keys_on(ringway, address, 1).remove(0)
}

/// `noreply` put behind the line of `request`.
fn quiet(request: &str) -> String {
    match request.split_once("\r\n") {
        Some((line, data)) => format!("{line} noreply\r\n{data}\r\n"),
        None => format!("{request} noreply\r\n"),
    }
}

/// Every command on a failing node, on one session, beside a node that works.
fn check(ringway: &Ringway, name: &str, good: &str, bad: &str, settings: Settings) {
    let (good, keys) = (
        key_on(ringway, good),
        keys_on(ringway, bad, READS.len() + 1 + WRITES.len()),
    );
    // A key of its own for each: one whose write failed fails for that reason from then on.
    let mut keys = keys.into_iter();
    let mut key = || keys.next().expect("one for each");
    let mut client = ringway.client();
    client.set(&good, "fine");
    let hit = format!("VALUE {good} 0 4\r\nfine\r\n");
    for read in READS {
        let line = client.ask(format!("{}\r\n", read.replace('K', &key())));
        match settings.on_read_error {
            "miss" => assert_eq!(line, "END", "{read} of a node that {name}"),
            _ => assert!(
                line.starts_with("SERVER_ERROR "),
                "{read} of a node that {name}: {line}"
            ),
        }
    }
    client.send(format!("get {good} {} {good}\r\n", key()));
    client.expect(hit.repeat(2));
    let end = client.line();
    match settings.on_read_error {
        "miss" => assert_eq!(end, "END", "multi-get of a node that {name}"),
        _ => assert!(
            end.starts_with("SERVER_ERROR "),
            "multi-get of a node that {name}: {end}"
        ),
    }
    // What the node says itself is passed on.
    let is_own = name == "has no memory left";
    for (write, hidden) in WRITES {
        let bad = key();
        let line = client.ask(format!("{}\r\n", write.replace('K', &bad)));
        if settings.on_write_error == "error" || is_own {
            assert!(
                line.starts_with("SERVER_ERROR "),
                "{write} on a node that {name}: {line}"
            );
            assert!(line.len() < 100, "a short reason: {line}");
        } else {
            assert_eq!(line, *hidden, "{write} on a node that {name}");
        }
        client.send(quiet(&write.replace('K', &bad)));
    }
    client.set(&good, "fine");
    client.expects(format!("get {good}\r\n"), hit + "END\r\n");
}

#[test]
fn each_fault_of_a_node_reads_as_its_pool_says_and_closes_no_session() {
    for fault in FAULTS {
        std::thread::scope(|all| {
            for settings in EACH {
                all.spawn(move || meet(fault, settings));
            }
        });
    }
}

fn meet(fault: &Fault, answers: Settings) {
    let good = Memcached::start();
    let bad = Scripted::start(fault.version, fault.script);
    let [read, write] = answers.yaml();
    let settings = [
        "request_timeout: 150ms",
        "connect_timeout: 1s",
        STUBBORN,
        &read,
        &write,
    ];
    let ringway = Ringway::start(&full(&pool(&[good.address(), bad.address()], &settings)));
    check(&ringway, fault.name, &good.address(), &bad.address(), answers);
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
fn a_node_that_is_not_there_reads_as_its_pool_says() {
    for answers in EACH {
        let good = Memcached::start();
        let bad = format!("127.0.0.1:{}", free_port());
        let [read, write] = answers.yaml();
        let settings = [STUBBORN, &read, &write];
        let ringway = Ringway::start(&full(&pool(&[good.address(), bad.clone()], &settings)));
        check(&ringway, "is not there", &good.address(), &bad, answers);
        let node = format!("node=\"{bad}\"");
        assert!(ringway.metric("ringway_errors_total", &["kind=\"connect\"", &node]) > 0.0);
    }
}

#[test]
fn in_binary_a_failed_write_is_answered_as_without_the_key_and_is_never_silent() {
    let stored = [0; 8];
    let counted = [0; 20];
    // With a cas id to compare, or none.
    let asked: [(u8, &[u8], u64, &str); 18] = [
        (0x01, &stored, 0, "01 2 :Data exists for key."),
        (0x11, &stored, 0, "11 2 :Data exists for key."),
        (0x01, &stored, 7, "01 2 :Data exists for key."),
        (0x11, &stored, 7, "11 2 :Data exists for key."),
        (0x02, &stored, 0, "02 2 :Data exists for key."),
        (0x12, &stored, 0, "12 2 :Data exists for key."),
        (0x03, &stored, 0, "03 1 :Not found"),
        (0x13, &stored, 7, "13 2 :Data exists for key."),
        (0x0e, &[], 0, "0e 5 :Not stored."),
        (0x1a, &[], 0, "1a 5 :Not stored."),
        (0x0f, &[], 7, "0f 5 :Not stored."),
        (0x04, &[], 0, "04 1 :Not found"),
        (0x14, &[], 7, "14 1 :Not found"),
        (0x05, &counted, 0, "05 1 :Not found"),
        (0x16, &counted, 0, "16 1 :Not found"),
        (0x1c, &[0; 4], 0, "1c 1 :Not found"),
        (0x1d, &[0; 4], 0, "1d 1 :Not found"),
        (0x0c, &[], 0, "0c 1 k17:"),
    ];
    let bad = format!("127.0.0.1:{}", free_port());
    for on_write_error in ["not_stored", "error"] {
        let setting = format!("on_write_error: {on_write_error}");
        let ringway = Ringway::start(&pool(std::slice::from_ref(&bad), &[STUBBORN, &setting]));
        let mut client = ringway.client();
        for (number, (opcode, extras, cas, hidden)) in asked.into_iter().enumerate() {
            // A key of its own for each: one whose write failed fails for that reason from then on.
            let key = format!("k{number}");
            let value: &[u8] = if extras.len() == 8 || matches!(opcode, 0x0e | 0x0f | 0x1a) {
                b"v"
            } else {
                b""
            };
            let mut bytes = packet(opcode, extras, &key, value);
            bytes[16..24].copy_from_slice(&u64::to_be_bytes(cas));
            client.send(bytes);
            let answer = response(&mut client);
            let is_read = matches!(opcode, 0x0c | 0x1d);
            if is_read || on_write_error == "not_stored" {
                assert_eq!(answer, hidden, "{opcode:#x} with cas {cas}");
            } else {
                let failed = format!("{opcode:02x} 86 :cannot connect to node");
                assert_eq!(answer, failed, "{opcode:#x} with cas {cas}");
            }
        }
        // A quiet miss is silent.
        client.send([packet(0x09, &[], "k", b""), packet(0x1e, &[0; 4], "k", b"")].concat());
        client.send(packet(0x0a, &[], "", b""));
        assert_eq!(response(&mut client), "0a 0 :");
    }
}

/// libmemcached shuts out a server for every other status.
#[test]
fn in_binary_what_is_refused_has_a_status_that_costs_no_other_key() {
    let refusing = Scripted::start("1.6.18", |_| say("SERVER_ERROR out of memory storing object\r\n"));
    let route = "routes: {default: {deny: {to: main, commands: [delete, flush_all]}}}\n";
    let ringway = Ringway::start(&(pool(&[refusing.address()], &[]) + route));
    let mut client = ringway.client();
    for (opcode, key, answer) in [
        (0x04, "k", "04 5 :delete not allowed"),
        (0x08, "", "08 5 :flush_all not allowed"),
        (0x0e, "k", "0e 5 :Not stored."),
        (0x0c, "k", "0c 1 k:"),
        // No line to a node can carry it.
        (0x0e, &" ".repeat(200), "0e 5 :Not stored."),
        (0x00, &" ".repeat(200), "00 1 :Not found"),
    ] {
        client.send(packet(opcode, &[], key, b""));
        assert_eq!(response(&mut client), answer, "{opcode:#x}");
    }
}

#[test]
fn behind_policies_a_failure_reads_as_the_pools_say_that_a_request_may_come_to() {
    let pool = |name: &str, settings: &str| {
        format!("  {name}: {{nodes: ['127.0.0.1:{}'], {settings}}}\n", free_port())
    };
    let pools = [
        pool("main", STUBBORN),
        pool("spare", STUBBORN),
        pool(
            "sessions",
            &format!("on_read_error: error, on_write_error: error, {STUBBORN}"),
        ),
    ];
    let route = "
routes:
  default:
    limit:
      in_flight: 100
      to:
        prefix:
          \"session:\": {failover: [sessions, spare]}
          \"order:\": {error: out of order}
        else: {replicate: [main, spare]}
";
    let ringway = Ringway::start(&format!("pools:\n{}{route}", pools.concat()));
    let mut client = ringway.client();
    // Each twice, so that the second waits for the first.
    for (asked, key, answer) in [
        ("get K", "k", "END"),
        ("set K 0 0 1\r\nx", "k", "NOT_STORED"),
        ("delete K", "k", "NOT_FOUND"),
        ("md K q O1", "k", "NF O1"),
        ("get K", "session:k", "SERVER_ERROR cannot connect to node"),
        (
            "set K 0 0 1\r\nx",
            "session:k",
            "SERVER_ERROR cannot connect to node",
        ),
        ("delete K", "session:k", "SERVER_ERROR cannot connect to node"),
        ("get K", "order:k", "SERVER_ERROR out of order"),
        ("incr K 1", "order:k", "SERVER_ERROR out of order"),
    ] {
        let asked = format!("{}\r\n", asked.replace('K', key));
        client.expects(asked.repeat(2), format!("{answer}\r\n").repeat(2));
    }
    client.expects("flush_all\r\n", "SERVER_ERROR cannot connect to node\r\n");
}

#[test]
fn a_node_that_is_marked_down_is_not_asked_and_fails_at_once() {
    let good = Memcached::start();
    let bad = format!("127.0.0.1:{}", free_port());
    let settings = ["health: {down_after: 1, probe_interval: 50ms}"];
    let ringway = Ringway::start(&full(&pool(&[good.address(), bad.clone()], &settings)));
    let node = format!("node=\"{bad}\"");
    wait_for("the node to be marked down", || {
        ringway.metric("ringway_node_up", &[&node]) == 0.0
    });
    check(&ringway, "is down", &good.address(), &bad, HIDDEN);
    assert!(ringway.metric("ringway_errors_total", &["kind=\"down\"", &node]) > 0.0);
    let key = key_on(&ringway, &bad);
    assert_eq!(ringway.client().ask(format!("delete {key}\r\n")), "NOT_FOUND");
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
        client.ask("set k 0 0 1\r\nx\r\n") == "NOT_STORED"
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
