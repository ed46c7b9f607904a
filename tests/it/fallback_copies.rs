//! What is written to other nodes while a node is out of the ring is not read there once it is old: over real nodes
//! that are drained and come back, and embedded ones.

use std::path::Path;

use tempfile::TempDir;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, wait_for};

const QUICK: &str = "health: {down_after: 3, up_after: 1, probe_interval: 100ms, probe_timeout: 500ms, \
                     max_probe_interval: 100ms}";

/// Nodes behind one Ringway.
struct Bench {
    nodes: Vec<Memcached>,
    text: String,
    ringway: Option<Ringway>,
}

impl Bench {
    fn start(count: usize, settings: &[&str]) -> Bench {
        Bench::begin(count, "", settings)
    }

    /// `first`: lines of the configuration before the pools.
    fn begin(count: usize, first: &str, settings: &[&str]) -> Bench {
        let nodes: Vec<Memcached> = (0..count).map(|_| Memcached::start()).collect();
        let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
        let settings = [&["request_timeout: 2s", QUICK], settings].concat();
        let text = format!("{first}{}", pool(&addresses, &settings));
        Bench {
            ringway: Some(Ringway::start(&text)),
            nodes,
            text,
        }
    }

    fn ringway(&self) -> &Ringway {
        self.ringway.as_ref().expect("it runs")
    }

    /// Kills Ringway and starts it again.
    fn restart(&mut self) {
        self.ringway = None;
        self.ringway = Some(Ringway::start(&self.text));
    }

    fn act(&self, node: usize, action: &str) {
        let name = self.nodes[node].address();
        let (status, body) = self.ringway().post(&format!("/nodes/{name}/{action}"));
        assert_eq!(status, 200, "{body}");
    }

    fn wait_in_ring(&self, node: usize) {
        let label = format!("node=\"{}\"", self.nodes[node].address());
        wait_for("the node to be in the ring", || {
            self.ringway().metric("ringway_node_in_ring", &[&label]) == 1.0
        });
    }

    fn undrain(&self, node: usize) {
        self.act(node, "undrain");
        self.wait_in_ring(node);
    }

    /// Keys that belong to the node with this index.
    fn keys_of(&self, node: usize, count: usize) -> Vec<String> {
        keys_of(self.ringway(), &self.nodes[node].address(), count)
    }

    fn sum(&self, metric: &str) -> f64 {
        self.ringway().metric(metric, &[])
    }

    fn wait_until_deleted(&self) {
        wait_for("all that was missed to be deleted", || {
            self.sum("ringway_missed_writes") == 0.0 && self.sum("ringway_missed_all") == 0.0
        });
    }
}

fn keys_of(ringway: &Ringway, address: &str, count: usize) -> Vec<String> {
    let keys = (0..).map(|number| format!("key-{number}"));
    keys.filter(|key| explained(ringway, key)["address"] == address)
        .take(count)
        .collect()
}

fn explained(ringway: &Ringway, key: &str) -> serde_json::Value {
    let (status, body) = ringway.get(&format!("/explain?key={key}"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// A binary set of `key`, one byte.
fn binary_set(key: &str, value: u8) -> Vec<u8> {
    let length = u8::try_from(key.len()).expect("a short key");
    let mut packet = vec![0x80, 1, 0, length, 8, 0, 0, 0, 0, 0, 0, 9 + length];
    packet.extend_from_slice(&[0; 12 + 8]);
    packet.extend_from_slice(key.as_bytes());
    packet.push(value);
    packet
}

/// Writes to `key` in each way that leaves an item; `number` chooses.
fn write(bench: &Bench, client: &mut Client, number: usize, key: &str) {
    match number {
        0 => client.expects(format!("set {key} 0 0 1\r\n2\r\n"), "STORED\r\n"),
        1 => client.expects(format!("add {key} 0 0 1\r\n2\r\n"), "STORED\r\n"),
        2 => client.expects(format!("ms {key} 1\r\n2\r\n"), "HD\r\n"),
        3 => client.expects(format!("ma {key} N0 J2\r\n"), "HD\r\n"),
        4 => client.expects(format!("mg {key} N0 s\r\n"), "HD s0 W\r\n"),
        5 => client.expects(
            format!("set {key} 0 0 1 noreply\r\n2\r\nget {key}\r\n"),
            format!("VALUE {key} 0 1\r\n2\r\nEND\r\n"),
        ),
        _ => {
            let mut binary = bench.ringway().client();
            binary.send(binary_set(key, b'2'));
            assert_eq!(binary.exact(24)[6..8], [0, 0], "it is stored");
        }
    }
}

const WAYS: usize = 7;

#[test]
fn what_was_written_in_place_of_a_drained_node_is_not_read_when_it_is_drained_again() {
    let bench = Bench::start(3, &[]);
    let mut client = bench.ringway().client();
    let keys = bench.keys_of(0, WAYS);
    keys.iter().for_each(|key| client.set(key, "1"));
    bench.act(0, "drain");
    for (number, key) in keys.iter().enumerate() {
        write(&bench, &mut client, number, key);
    }
    assert_eq!(bench.sum("ringway_fallback_copies"), WAYS as f64);
    bench.undrain(0);
    for key in &keys {
        client.set(key, "3");
        client.expects(format!("delete {key}\r\n"), "DELETED\r\n");
    }
    bench.act(0, "drain");
    for key in &keys {
        client.expects(format!("mg {key} s\r\n"), "EN\r\n");
    }
    bench.wait_until_deleted();
    assert_eq!(bench.sum("ringway_fallback_copies"), 0.0);
    for node in &bench.nodes[1..] {
        let mut direct = node.client();
        for key in &keys {
            direct.expects(format!("mg {key} s\r\n"), "EN\r\n");
        }
    }
}

#[test]
fn a_copy_is_read_as_long_as_its_node_is_out_and_none_is_made_while_all_are_in() {
    let bench = Bench::start(3, &[]);
    let mut client = bench.ringway().client();
    let keys = bench.keys_of(0, 3);
    // Once node 0 is out, some of its keys are node 1's too.
    let others = bench.keys_of(1, 2);
    keys.iter().for_each(|key| client.set(key, "1"));
    assert_eq!(bench.sum("ringway_fallback_copies"), 0.0);
    bench.act(0, "drain");
    keys.iter().for_each(|key| client.set(key, "2"));
    others.iter().for_each(|key| client.set(key, "2"));
    assert_eq!(
        bench.sum("ringway_fallback_copies"),
        3.0,
        "a node's own keys are none"
    );
    // A ring that changes elsewhere leaves them where they are, unless their own fallback node left.
    bench.act(2, "drain");
    let copies = keys.iter().filter(|key| client.get(key).is_some()).count();
    assert_eq!(bench.sum("ringway_fallback_copies"), copies as f64);
    others.iter().for_each(|key| assert!(client.get(key).is_some()));
}

#[test]
fn what_is_written_to_a_fallback_node_lives_no_longer_than_fallback_expiry() {
    for (setting, set, touched) in [
        ("fallback_expiry: 90s", ["t90", "t89"], ["t90", "t89"]),
        ("fallback_expiry: 'off'", ["t-1", "t-1"], ["t-1", "t-1"]),
    ] {
        let bench = Bench::start(2, &[setting]);
        let mut client = bench.ringway().client();
        let key = bench.keys_of(0, 1).remove(0);
        bench.act(0, "drain");
        let mut time = |request: String, answer: &str, expected: [&str; 2]| {
            client.expects(request, answer);
            let line = client.ask(format!("mg {key} t\r\n"));
            assert!(
                expected.iter().any(|time| line == format!("HD {time}")),
                "{setting}: {line}"
            );
        };
        time(format!("set {key} 0 0 1\r\n2\r\n"), "STORED\r\n", set);
        time(format!("touch {key} 0\r\n"), "TOUCHED\r\n", touched);
        time(format!("set {key} 0 20 1\r\n2\r\n"), "STORED\r\n", ["t20", "t19"]);
        time(
            format!("gat 0 {key}\r\n"),
            &format!("VALUE {key} 0 1\r\n2\r\nEND\r\n"),
            touched,
        );
        time(format!("mg {key} T0\r\n"), "HD\r\n", touched);
    }
}

#[test]
fn copies_that_there_is_no_room_to_remember_are_counted_and_logged() {
    let bench = Bench::begin(2, "missed_writes: {max: 2}\n", &["fallback_expiry: 1s"]);
    let mut client = bench.ringway().client();
    let keys = bench.keys_of(0, 5);
    bench.act(0, "drain");
    keys.iter().for_each(|key| client.set(key, "2"));
    assert_eq!(bench.sum("ringway_fallback_copies"), 2.0);
    assert_eq!(bench.sum("ringway_fallback_copies_overflows_total"), 3.0);
    wait_for("the log to say so", || {
        bench.ringway().log().contains("limit=\"fallback_copies\"")
    });
    let nodes = bench.ringway().get("/nodes").1;
    assert!(nodes.contains("\"fallback_copies\":2"), "{nodes}");
    // What has expired makes room.
    wait_for("the first to expire, and others to take their places", || {
        keys.iter().for_each(|key| client.set(key, "3"));
        let overflows = bench.sum("ringway_fallback_copies_overflows_total");
        client.set(&keys[0], "4");
        bench.sum("ringway_fallback_copies_overflows_total") == overflows
    });
}

fn with_directory(dir: &TempDir, rejoin: &str) -> Bench {
    let first = format!("missed_writes: {{dir: {}}}\n", Path::display(dir.path()));
    Bench::begin(3, &first, &["on_node_down: rehash", rejoin])
}

#[test]
fn a_copy_that_was_made_before_ringway_was_killed_is_not_read_after_its_node_was_back() {
    for rejoin in ["rejoin: flush", "rejoin: trust", "rejoin: manual"] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut bench = with_directory(&dir, rejoin);
        let mut client = bench.ringway().client();
        let keys = bench.keys_of(0, 20);
        keys.iter().for_each(|key| client.set(key, "1"));
        bench.act(0, "drain");
        keys.iter().for_each(|key| client.set(key, "2"));
        bench.restart();
        let mut client = bench.ringway().client();
        if rejoin == "rejoin: manual" {
            // It stays out, so what its fallback nodes hold is good.
            let hits = keys.iter().filter(|key| client.get(key).as_deref() == Some(b"2"));
            assert_eq!(hits.count(), keys.len());
            wait_for("it to answer", || bench.sum("ringway_node_up") == 3.0);
            bench.act(0, "admit");
        }
        bench.wait_in_ring(0);
        bench.wait_until_deleted();
        for key in &keys {
            client.set(key, "3");
            client.expects(format!("delete {key}\r\n"), "DELETED\r\n");
        }
        bench.act(0, "drain");
        for key in &keys {
            assert_eq!(client.get(key), None, "{rejoin} {key}");
        }
    }
}

#[test]
fn a_node_that_left_and_takes_keys_because_there_is_no_other_has_nothing_old() {
    for rejoin in ["rejoin: flush", "rejoin: manual"] {
        let bench = Bench::start(2, &["on_node_down: rehash", rejoin]);
        let mut client = bench.ringway().client();
        let keys = bench.keys_of(0, 10);
        keys.iter().for_each(|key| client.set(key, "1"));
        bench.nodes[0].signal("STOP");
        wait_for("the node to leave", || {
            client.get(&keys[0]);
            bench.sum("ringway_node_in_ring") == 1.0
        });
        keys.iter().for_each(|key| client.set(key, "2"));
        bench.act(1, "drain");
        bench.nodes[0].signal("CONT");
        wait_for("the node to answer", || bench.sum("ringway_node_up") == 2.0);
        for key in &keys {
            assert_eq!(client.get(key), None, "{rejoin}");
        }
    }
}

#[test]
fn an_embedded_node_keeps_no_old_copy() {
    let nodes: String = ["a", "b", "c"]
        .map(|name| format!("{{name: {name}, embedded: 1MiB}}, "))
        .concat();
    let ringway = Ringway::start(&format!("pools: {{main: {{nodes: [{nodes}]}}}}\n"));
    let mut client = ringway.client();
    let keys: Vec<String> = (0..60).map(|number| format!("key-{number}")).collect();
    let is_of_a = |key: &&String| explained(&ringway, key)["node"] == "a";
    let keys: Vec<&String> = keys.iter().filter(is_of_a).collect();
    assert!(ringway.post("/nodes/a/drain").0 == 200 && !keys.is_empty());
    keys.iter().for_each(|key| client.set(key, "2"));
    assert_eq!(ringway.metric("ringway_fallback_copies", &[]), keys.len() as f64);
    assert_eq!(ringway.post("/nodes/a/undrain").0, 200);
    assert_eq!(ringway.metric("ringway_fallback_copies", &[]), 0.0);
    assert_eq!(
        ringway.metric("ringway_missed_writes", &[]),
        0.0,
        "they are deleted at once"
    );
    assert_eq!(ringway.post("/nodes/a/drain").0, 200);
    for key in keys {
        assert_eq!(client.get(key), None);
    }
}

#[test]
fn a_reload_that_changes_who_owns_a_key_ends_its_copies() {
    let mut bench = Bench::start(3, &[]);
    let mut client = bench.ringway().client();
    let keys = bench.keys_of(0, 30);
    bench.act(0, "drain");
    keys.iter().for_each(|key| client.set(key, "2"));
    let added = Memcached::start();
    bench.nodes.push(added);
    let addresses: Vec<String> = bench.nodes.iter().map(Memcached::address).collect();
    let four = pool(&addresses, &["request_timeout: 2s", QUICK]);
    assert_eq!(bench.ringway().reload(&four).0, 200);
    for key in &keys {
        client.expects(format!("set {key} 0 0 1\r\n3\r\n"), "STORED\r\n");
    }
    assert_eq!(bench.ringway().reload(&bench.text).0, 200);
    for key in &keys {
        let value = client.get(key);
        assert!(value.as_deref() != Some(b"2"), "{key}");
    }
}

#[test]
fn explain_says_that_a_node_missed_a_write_of_the_key() {
    let bench = Bench::start(2, &[]);
    let mut client = bench.ringway().client();
    let key = bench.keys_of(0, 1).remove(0);
    assert_eq!(explained(bench.ringway(), &key)["missed"], false);
    bench.nodes[0].signal("STOP");
    assert_eq!(client.ask(format!("set {key} 0 0 1\r\n2\r\n")), "NOT_STORED");
    assert_eq!(explained(bench.ringway(), &key)["missed"], true);
    bench.nodes[0].signal("CONT");
    bench.wait_until_deleted();
    assert_eq!(explained(bench.ringway(), &key)["missed"], false);
}
