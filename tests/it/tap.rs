//! `ringway tap` and `POST /tap`: single requests of a real load, for a time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::binary::{packet, response};
use crate::support::memcached::Memcached;
use crate::support::program::{self, ringway, said};
use crate::support::ringway::{Ringway, free_port, pool, wait_for};

/// A tap that is open when this returns.
fn tap(running: &Ringway, options: &[&str]) -> Child {
    let admin = running.admin.to_string();
    let arguments = [&["tap", "--admin", &admin, "--json"], options].concat();
    let child = program::start(ringway(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()));
    wait_for("the tap to be open", || {
        running.metric("ringway_taps", &[]) == 1.0
    });
    child
}

/// What it shows from now on until its end.
fn shown(tap: Child) -> Vec<Value> {
    shown_and_said(tap).0
}

/// The same, and its stderr.
fn shown_and_said(mut tap: Child) -> (Vec<Value>, String) {
    let (mut out, mut err) = (String::new(), String::new());
    let mut stdout = tap.stdout.take().expect("piped");
    stdout.read_to_string(&mut out).expect("text");
    let mut stderr = tap.stderr.take().expect("piped");
    stderr.read_to_string(&mut err).expect("text");
    assert!(tap.wait().expect("it ends").success(), "{err}");
    let lines = out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    (lines.collect(), err)
}

fn keys(requests: &[Value]) -> Vec<&str> {
    let keys = requests.iter().map(|request| request["key"].as_str());
    keys.map(|key| key.expect("keys are shown")).collect()
}

#[test]
fn requests_of_all_protocols_are_shown_with_what_became_of_them_and_none_before_or_after() {
    let node = Memcached::start();
    let running = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = running.client();
    client.set("before", "v");
    let tap = tap(&running, &["--seconds", "2"]);
    client.set("a", "four");
    client.expects("get a b\r\n", "VALUE a 0 4\r\nfour\r\nEND\r\n");
    client.expects("mg c v\r\n", "EN\r\n");
    client.expects("delete a\r\n", "DELETED\r\n");
    let mut binary = running.client();
    binary.send(packet(0, b"", "d", b""));
    assert_eq!(response(&mut binary), "00 1 :Not found");
    let requests = shown(tap);
    wait_for("the tap to be over", || {
        running.metric("ringway_taps", &[]) == 0.0
    });
    client.set("after", "v");
    let found: Vec<_> = requests
        .iter()
        .map(|request| {
            let word = |name: &str| request[name].as_str().expect("text");
            (word("command"), word("key"), word("outcome"))
        })
        .collect();
    assert_eq!(
        found,
        [
            ("set", "a", "ok"),
            ("get", "a", "hit"),
            ("get", "b", "miss"),
            ("get", "c", "miss"),
            ("delete", "a", "hit"),
            ("get", "d", "miss"),
        ]
    );
    assert_eq!(requests[1]["bytes"], 4);
    let (node, address) = (&requests[1]["node"], node.address());
    assert_eq!(node, &address);
}

#[test]
fn a_tap_shows_what_its_filter_says_and_what_failed_too() {
    let node = Memcached::start();
    let text = pool(&[node.address()], &["request_timeout: 100ms"]);
    let other = "  near: {nodes: [{name: here, embedded: 1MiB}]}\n";
    let listeners = "listeners: [{bind: '127.0.0.1:PORT', route: {prefix: {near-: near}, else: main}}]\n";
    let running = Ringway::start(&(listeners.to_owned() + &text + other));
    let mut client = running.client();
    let ask = |client: &mut crate::support::client::Client| {
        for key in ["user:1", "user:2", "page:1", "near-1"] {
            client.set(key, "v");
            client.get(key);
        }
    };
    for (options, expected) in [
        (
            &["--prefix", "user:", "--command", "get"][..],
            &["user:1", "user:2"][..],
        ),
        (&["--node", "here"], &["near-1", "near-1"]),
        (
            &["--pool", "main", "--command", "set"],
            &["user:1", "user:2", "page:1"],
        ),
    ] {
        let tap = tap(&running, &[&["--seconds", "1"], options].concat());
        ask(&mut client);
        assert_eq!(keys(&shown(tap)), expected, "{options:?}");
    }
    let tap = tap(&running, &["--seconds", "1"]);
    node.signal("STOP");
    assert_eq!(client.get("late"), None);
    node.signal("CONT");
    let requests = shown(tap);
    let late: Vec<&Value> = requests
        .iter()
        .filter(|request| request["key"] == "late")
        .collect();
    assert_eq!(late.len(), 1, "its late reply is no further request");
    assert_eq!(late[0]["outcome"], "timeout");
}

#[test]
fn a_tap_says_what_it_watches_and_at_its_end_how_many_requests_there_were() {
    let node = Memcached::start();
    let running = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = running.client();
    let address = format!("127.0.0.1:{}", running.admin);
    for (options, watching, ends) in [
        (&[][..], "every request for 1 s", "2 requests"),
        (
            &["--command", "get", "--pool", "main", "--prefix", "a"],
            "every get of pool main whose key begins with a for 1 s",
            "1 request",
        ),
        (
            &["--one-in", "1000000"],
            "one request in 1000000 for 1 s",
            "0 requests",
        ),
    ] {
        let tap = tap(&running, &[&["--seconds", "1"], options].concat());
        client.set("a", "v");
        client.get("a");
        let (_, said) = shown_and_said(tap);
        assert_eq!(said, format!("{address}: watching {watching}\n{ends}\n"));
    }
}

#[test]
fn requests_that_are_refused_at_once_are_shown_with_the_reason() {
    let node = Memcached::start();
    let dead = format!("127.0.0.1:{}", free_port());
    let running = Ringway::start(&format!(
        "listeners: [{{bind: '127.0.0.1:PORT', route: {{prefix: {{dead-: dead}}, else: main}}}}]\n\
         pools:\n  main: {{nodes: ['{}'], max_in_flight: 1, request_timeout: 10s}}\n  \
         dead: {{nodes: ['{dead}'], max_down: 100%, health: {{down_after: 1}}}}\n",
        node.address()
    ));
    let label = format!("node=\"{dead}\"");
    wait_for("the node to be down", || {
        running.metric("ringway_node_up", &[&label]) == 0.0
    });
    let mut client = running.client();
    client.get("warm");
    let tap = tap(&running, &["--seconds", "2"]);
    assert_eq!(client.get("dead-1"), None);
    client.expects("set dead-2 0 0 1\r\nv\r\n", "NOT_STORED\r\n");
    node.signal("STOP");
    client.send("get first\r\nget second\r\n");
    wait_for("the second one to be refused", || {
        running.metric("ringway_errors_total", &["kind=\"busy\""]) == 1.0
    });
    node.signal("CONT");
    client.expect("END\r\nEND\r\n");
    let requests = shown(tap);
    let refused = requests.iter().filter(|request| request["seconds"] == 0.0);
    let refused: Vec<_> = refused
        .map(|request| {
            let word = |name: &str| request[name].as_str().expect("text");
            (word("command"), word("key"), word("outcome"))
        })
        .collect();
    assert_eq!(
        refused,
        [
            ("get", "dead-1", "down"),
            ("set", "dead-2", "down"),
            ("get", "second", "busy"),
        ]
    );
}

#[test]
fn a_reader_that_is_too_slow_loses_requests_and_is_told_how_many() {
    const REQUESTS: usize = 3000;
    let node = Memcached::start();
    let running = Ringway::start(&pool(&[node.address()], &[]));
    let (status, opened) = running.post("/tap?seconds=60");
    assert_eq!(status, 200, "{opened}");
    let id = serde_json::from_str::<Value>(&opened).expect("JSON")["id"].clone();
    let mut client = running.client();
    for n in 0..REQUESTS {
        client.get(&format!("k{n}"));
    }
    let (mut found, mut lost) = (0, 0);
    while found + lost < REQUESTS {
        let (status, seen) = running.post(&format!("/tap/{id}"));
        assert_eq!(status, 200, "{seen}");
        let seen: Value = serde_json::from_str(&seen).expect("JSON");
        found += seen["requests"].as_array().expect("a list").len();
        lost += seen["lost"].as_u64().expect("a number") as usize;
        assert_eq!(seen["over"], false);
    }
    assert_eq!((found, lost), (1024, REQUESTS - 1024));
    assert_eq!(running.metric("ringway_tap_lost_total", &[]), lost as f64);
}

#[test]
fn a_tap_needs_the_token_and_shows_hashes_where_keys_are_not_shown() {
    let node = Memcached::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "secret-token\n").expect("written");
    let admin = format!(
        "admin: {{bind: '127.0.0.1:ADMIN', show_keys: false, token: {{file: {}}}}}\n",
        file.display()
    );
    let running = Ringway::start(&(admin + &pool(&[node.address()], &[])));
    let address = running.admin.to_string();
    let tap = |token: &str| -> Command {
        let mut command = ringway(&["tap", "--seconds", "2", "--admin", &address]);
        command.env("RINGWAY_ADMIN_TOKEN", token);
        command
    };
    let (code, out, err) = said(&program::output(&mut tap("wrong")));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("needs the token"), "{err}");

    let mut child = program::start(tap("secret-token").stdout(Stdio::piped()));
    wait_for("the tap to be open", || {
        running.metric("ringway_taps", &[]) == 1.0
    });
    assert_eq!(running.client().get("private"), None);
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("text");
    assert!(line.contains(" get ") && line.contains(" miss "), "{line}");
    let key = line.split_whitespace().next_back().expect("a word");
    assert!(
        key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{line}"
    );
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_tap_that_cannot_be_opened_says_why() {
    let running = Ringway::start("pools: {main: {nodes: [{name: here, embedded: 1MiB}]}}\n");
    for (query, reason) in [
        ("seconds=0", "seconds: \"0\" is not a number from 1 to 600\n"),
        ("one_in=x", "one_in: \"x\" is not a number from 1 to 1000000\n"),
        ("pool=cach", "no pool \"cach\"; GET /pools lists them\n"),
        (
            "node=there",
            "node: \"there\" is not a node; GET /nodes lists them\n",
        ),
        (
            "command=mg",
            "command: \"mg\" is not a command, such as get, set or delete\n",
        ),
    ] {
        assert_eq!(running.post(&format!("/tap?{query}")), (400, reason.to_owned()));
    }
    assert_eq!(running.post("/tap/7").0, 404);
    assert_eq!(running.get("/tap").0, 405);
    for _ in 0..4 {
        assert_eq!(running.post("/tap?seconds=60").0, 200);
    }
    let (status, reason) = running.post("/tap");
    assert_eq!(status, 409, "{reason}");
    assert_eq!(running.metric("ringway_taps", &[]), 4.0);
}
