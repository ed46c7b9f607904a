//! `stampede` over real nodes: which client computes a value, what the others read, and that nothing else changes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::lazy_fill::{COMMANDS, replies};
use crate::support::binary::{packet, response};
use crate::support::diagnostics::diagnostics;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, wait_for};
use crate::support::routes::{event_count, with_route};

/// A Ringway with this policy over `node`.
fn start(node: &Memcached, options: &str) -> Ringway {
    let route = format!("{{stampede: {{to: b, {options}}}}}");
    Ringway::start(&with_route(&[node.address(), node.address()], &route))
}

#[test]
fn of_all_clients_of_two_ringways_one_computes_the_value_and_the_others_read_it() {
    let node = Memcached::start();
    let sidecars = [start(&node, "wait: 10s"), start(&node, "wait: 10s")];
    let computed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..40 {
            let (sidecar, computed) = (&sidecars[client % 2], &computed);
            scope.spawn(move || {
                let mut client = sidecar.client();
                if client.get("k").is_none() {
                    computed.fetch_add(1, SeqCst);
                    // Computing takes so long that many others come meanwhile.
                    thread::sleep(Duration::from_millis(200));
                    client.set("k", "value");
                    return;
                }
                assert_eq!(client.get("k").as_deref(), Some(&b"value"[..]));
            });
        }
    });
    assert_eq!(computed.load(SeqCst), 1);
    let count = |event| {
        sidecars
            .iter()
            .map(|sidecar| event_count(sidecar, event))
            .sum::<f64>()
    };
    assert_eq!(count("won"), 1.0);
    assert!(count("waited") > 0.0);
}

#[test]
fn with_stale_the_longest_lived_values_are_kept() {
    let node = Memcached::start();
    let ringway = start(&node, "wait: 10s, stale: 30s");
    let mut client = ringway.client();
    for expiry in [i32::MAX - 60, i32::MAX - 29, i32::MAX] {
        client.expects(format!("set k 0 {expiry} 1\r\nv\r\n"), "STORED\r\n");
        assert_eq!(client.get("k").as_deref(), Some(&b"v"[..]), "{expiry}");
        client.expects(format!("ms m 1 T{expiry}\r\nv\r\n"), "HD\r\n");
        assert_eq!(client.get("m").as_deref(), Some(&b"v"[..]), "{expiry}");
    }
}

/// The answer to a binary get of `k`: its status and its value.
fn binary_get(client: &mut Client) -> (u8, Vec<u8>) {
    client.send(packet(0x00, &[], "k", b""));
    let head = client.exact(24);
    let body = client.exact(u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize);
    match head[7] {
        0 => (0, body[4..].to_vec()),
        status => (status, Vec::new()),
    }
}

#[test]
fn clients_of_every_protocol_take_part() {
    let node = Memcached::start();
    let ringway = start(&node, "wait: 10s, early: 0s");
    let [mut classic, mut meta, mut binary] = [(); 3].map(|()| ringway.client());
    // Each wins once; the others wait, and then read what it has set.
    for winner in 0..3 {
        match winner {
            0 => classic.expects("get k\r\n", "END\r\n"),
            1 => meta.expects("mg k v f\r\n", "EN\r\n"),
            _ => assert_eq!(binary_get(&mut binary).0, 1),
        }
        let others = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (ringway, others) = (&ringway, &others);
            scope.spawn(move || {
                ringway
                    .client()
                    .expects("get k\r\n", "VALUE k 7 3\r\nnew\r\nEND\r\n");
                others.fetch_add(1, SeqCst);
            });
            scope.spawn(move || {
                ringway
                    .client()
                    .expects("mg k s v f k O1\r\n", "VA 3 s3 f7 kk O1\r\nnew\r\n");
                others.fetch_add(1, SeqCst);
            });
            scope.spawn(move || {
                assert_eq!(binary_get(&mut ringway.client()), (0, b"new".to_vec()));
                others.fetch_add(1, SeqCst);
            });
            wait_for("three readers", || {
                ringway.metric("ringway_route_requests_in_progress", &[]) >= 3.0
            });
            assert_eq!(others.load(SeqCst), 0, "nobody has set the value");
            match winner {
                0 => classic.expects("set k 7 0 3\r\nnew\r\n", "STORED\r\n"),
                1 => meta.expects("ms k 3 F7\r\nnew\r\n", "HD\r\n"),
                _ => {
                    binary.send(packet(0x01, &[0, 0, 0, 7, 0, 0, 0, 0], "k", b"new"));
                    assert_eq!(response(&mut binary), "01 0 :");
                }
            }
        });
        classic.expects("delete k\r\n", "DELETED\r\n");
    }
}

#[test]
fn a_winner_that_dies_costs_one_more_wait_and_makes_one_more_winner() {
    let node = Memcached::start();
    let sidecars = [start(&node, "wait: 300ms"), start(&node, "wait: 300ms")];
    assert_eq!(sidecars[0].client().get("k"), None, "it wins, and is gone");
    let computed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..20 {
            let (sidecar, computed) = (&sidecars[client % 2], &computed);
            scope.spawn(move || {
                let mut client = sidecar.client();
                if client.get("k").is_none() {
                    computed.fetch_add(1, SeqCst);
                    client.set("k", "value");
                }
            });
        }
    });
    let won: f64 = sidecars.iter().map(|sidecar| event_count(sidecar, "won")).sum();
    assert_eq!(won, 2.0, "the one that died, and one of the others");
    assert_eq!(computed.load(SeqCst), 1);
}

#[test]
fn shortly_before_the_expiry_one_client_computes_and_the_others_read_on() {
    let node = Memcached::start();
    let sidecars = [start(&node, "early: 1h"), start(&node, "early: 1h")];
    let mut client = sidecars[0].client();
    client.expects("set k 0 1000 1\r\nv\r\n", "STORED\r\n");
    assert_eq!(client.get("k"), None);
    for sidecar in &sidecars {
        assert_eq!(sidecar.client().get("k").as_deref(), Some(&b"v"[..]));
    }
    assert_eq!(event_count(&sidecars[0], "refreshed"), 1.0);
    client.expects("set k 0 0 1\r\nw\r\n", "STORED\r\n");
    assert_eq!(client.get("k").as_deref(), Some(&b"w"[..]), "it never expires");
}

#[test]
fn an_old_value_is_read_by_all_but_one_until_it_is_set_anew() {
    let node = Memcached::start();
    let sidecars = [
        start(&node, "early: 0s, stale: 30s"),
        start(&node, "early: 0s, stale: 30s"),
    ];
    let mut client = sidecars[0].client();
    let mut other = sidecars[1].client();
    let reads_old = |other: &mut Client| {
        assert_eq!(other.get("k").as_deref(), Some(&b"old"[..]));
    };
    // Deleted.
    client.expects("set k 0 100 3\r\nold\r\n", "STORED\r\n");
    reads_old(&mut other);
    client.expects("delete k\r\n", "DELETED\r\n");
    client.expects("delete k\r\n", "NOT_FOUND\r\n");
    assert_eq!(client.get("k"), None, "it computes");
    reads_old(&mut other);
    client.expects("incr k 1\r\n", "NOT_FOUND\r\n");
    client.expects("append k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
    client.expects("touch k 100\r\n", "NOT_FOUND\r\n");
    reads_old(&mut other);
    client.expects("add k 0 100 3\r\nnew\r\n", "STORED\r\n");
    assert_eq!(other.get("k").as_deref(), Some(&b"new"[..]));
    // Expired: to the node it has 30 seconds more.
    client.expects("set k 0 100 3\r\nold\r\n", "STORED\r\n");
    let seconds = node.client().ask("mg k t\r\n");
    assert!(
        ["HD t130", "HD t129", "HD t128"].contains(&&seconds[..]),
        "{seconds}"
    );
    node.client().expects("touch k 20\r\n", "TOUCHED\r\n");
    assert_eq!(other.get("k"), None, "it computes");
    client.expects("get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    client.expects("replace k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
    let stale: f64 = sidecars.iter().map(|sidecar| event_count(sidecar, "stale")).sum();
    assert_eq!(stale, 3.0);
    let explained = sidecars[0].get("/explain?key=k").1;
    assert!(explained.contains("30s"), "{explained}");
}

#[test]
fn every_command_finds_no_placeholder() {
    let node = Memcached::start();
    let plain = Memcached::start();
    let ringway = start(&node, "wait: 1ms, early: 0s");
    let (mut client, mut reference) = (ringway.client(), plain.client());
    // To a client that sends them, leases and stale items are what they are.
    let compared = COMMANDS
        .iter()
        .filter(|command| !command.contains(" N30") && !command.contains(" I "));
    for (number, command) in compared.enumerate() {
        for is_there in [false, true] {
            let key = format!("k{number}{is_there}");
            if is_there {
                let set = format!("set {key} 7 0 2\r\n10\r\n");
                client.expects(&set, "STORED\r\n");
                reference.expects(&set, "STORED\r\n");
            } else {
                assert_eq!(client.get(&key), None, "it wins");
                let placeholder = node.client().ask(format!("mg {key} s\r\n"));
                assert!(placeholder.starts_with("HD s0 Z"), "{placeholder}");
            }
            assert_eq!(
                replies(&mut client, command, &key),
                replies(&mut reference, command, &key),
                "{command} of {key}"
            );
        }
    }
}

#[test]
fn nodes_that_speak_classic_text_only_are_refused() {
    let text = "pools: {b: {nodes: [\"h:1\"], protocol: classic}}\nroutes:\n  r: {stampede: {to: b}}\n";
    let told = diagnostics(text);
    assert!(
        told.contains("routes.r.stampede.to: the pool \"b\" speaks classic text only"),
        "{told}"
    );
    for (options, expected) in [
        (
            "wait: 0s",
            "wait: \"0s\" is out of range, the range is 1ms to 10s",
        ),
        (
            "stale: 2h",
            "stale: \"2h\" is out of range, the range is 0s to 1h",
        ),
        ("copies: 3", "unknown key"),
    ] {
        let text =
            format!("pools: {{b: {{nodes: [\"h:1\"]}}}}\nroutes:\n  r: {{stampede: {{to: b, {options}}}}}\n");
        let told = diagnostics(&text);
        assert!(told.contains(expected), "{told}");
    }
}
