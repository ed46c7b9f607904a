//! Nodes that do not know meta: they get classic text, and every command works as they know it.

use std::sync::Mutex;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool};
use crate::support::scripted::{Scripted, Seen, say};

/// What memcached learned after 1.4.25.
const META: &[&str] = &["mg", "ms", "md", "ma", "mn", "me"];

/// A node that says it is of `version`: it knows no word of `unknown`, and for the rest has a real
/// memcached behind it.
fn node(version: &'static str, unknown: &'static [&'static str]) -> (Memcached, Scripted) {
    let real = Memcached::start();
    let behind = Mutex::new(real.client());
    let scripted = Scripted::start(version, move |seen| {
        if META.contains(&seen.word(0)) || unknown.contains(&seen.word(0)) {
            return say("ERROR\r\n");
        }
        say(ask(&mut behind.lock().expect("no panics"), seen))
    });
    (real, scripted)
}

/// Hands a classic request on, and takes the whole reply.
fn ask(client: &mut Client, seen: &Seen) -> String {
    client.send(format!("{}\r\n", seen.line));
    if !seen.data.is_empty() || seen.word(4) == "0" {
        client.send([&seen.data[..], b"\r\n"].concat());
    }
    let mut reply = String::new();
    loop {
        let line = client.line();
        reply += &format!("{line}\r\n");
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] != "VALUE" {
            return reply;
        }
        let value = client.exact(words[3].parse::<usize>().expect("a length") + 2);
        reply += &String::from_utf8_lossy(&value);
    }
}

/// Requests and answers, in order, that are the same in every protocol; `CAS` is the cas id of `k`.
const CONVERSATION: &[(&str, &str)] = &[
    ("get k\r\n", "END\r\n"),
    ("set k 5 0 3\r\none\r\n", "STORED\r\n"),
    ("get k\r\n", "VALUE k 5 3\r\none\r\nEND\r\n"),
    ("add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
    ("add new 0 0 1\r\nx\r\n", "STORED\r\n"),
    ("replace none 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
    ("replace k 6 0 3\r\ntwo\r\n", "STORED\r\n"),
    ("append k 0 0 1\r\n!\r\n", "STORED\r\n"),
    ("prepend k 0 0 1\r\n?\r\n", "STORED\r\n"),
    ("prepend none 0 0 1\r\n?\r\n", "NOT_STORED\r\n"),
    ("cas k 7 0 5 1234567\r\nthree\r\n", "EXISTS\r\n"),
    ("cas none 7 0 5 1\r\nthree\r\n", "NOT_FOUND\r\n"),
    (
        "get new none k\r\n",
        "VALUE new 0 1\r\nx\r\nVALUE k 6 5\r\n?two!\r\nEND\r\n",
    ),
    ("cas k 7 0 5 CAS\r\nthree\r\n", "STORED\r\n"),
    ("get k\r\n", "VALUE k 7 5\r\nthree\r\nEND\r\n"),
    ("set n 0 0 2\r\n10\r\n", "STORED\r\n"),
    ("incr n 5\r\n", "15\r\n"),
    ("decr n 6\r\n", "9\r\n"),
    ("get n\r\n", "VALUE n 0 2\r\n9 \r\nEND\r\n"),
    ("incr none 5\r\n", "NOT_FOUND\r\n"),
    (
        "incr k 5\r\n",
        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    ),
    ("touch k 100\r\n", "TOUCHED\r\n"),
    ("touch none 100\r\n", "NOT_FOUND\r\n"),
    ("set empty 0 0 0\r\n\r\n", "STORED\r\n"),
    ("get empty\r\n", "VALUE empty 0 0\r\n\r\nEND\r\n"),
    ("delete k\r\n", "DELETED\r\n"),
    ("delete k\r\n", "NOT_FOUND\r\n"),
    (
        "set quiet 0 0 1 noreply\r\nq\r\nget quiet\r\n",
        "VALUE quiet 0 1\r\nq\r\nEND\r\n",
    ),
    ("flush_all\r\n", "OK\r\n"),
    ("get quiet new n\r\n", "END\r\n"),
];

fn converse(client: &mut Client) {
    for &(request, answer) in CONVERSATION {
        let mut request = request.to_owned();
        if request.contains("CAS") {
            let line = client.ask("gets k\r\n");
            client.expect("?two!\r\nEND\r\n");
            request = request.replace("CAS", line.rsplit(' ').next().expect("a cas id"));
        }
        client.send(&request);
        let got = String::from_utf8(client.exact(answer.len())).expect("text");
        assert_eq!(got, answer, "{request:?}");
    }
}

fn is_meta(seen: &Seen) -> bool {
    META.contains(&seen.word(0))
}

#[test]
fn a_node_of_1_4_gets_classic_text_and_answers_every_command_it_knows() {
    let (_real, old) = node("1.4.25", &["gat", "gats"]);
    let ringway = Ringway::start(&pool(&[old.address()], &["request_timeout: 10s"]));
    let mut client = ringway.client();
    converse(&mut client);
    assert!(!old.seen().iter().any(is_meta), "{:?}", old.seen());
    assert_eq!(client.ask("version\r\n"), "VERSION 1.4.25");
    client.set("k", "v");
    for read in ["gat 10 k\r\n", "gats 10 k\r\n"] {
        assert_eq!(client.ask(read), "ERROR", "a command that the node does not know");
    }
    assert_eq!(
        client.get("k").as_deref(),
        Some(&b"v"[..]),
        "and the link goes on"
    );
    assert_eq!(ringway.metric("ringway_link_connects_total", &[]), 1.0);
}

#[test]
fn a_node_of_1_5_gets_and_touches_in_classic_text() {
    let (_real, old) = node("1.5.22", &[]);
    let ringway = Ringway::start(&pool(&[old.address()], &["request_timeout: 10s"]));
    let mut client = ringway.client();
    converse(&mut client);
    client.set("k", "v");
    client.expects("gat 100 none k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n");
    client.expects("gat -1 k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n");
    assert_eq!(client.get("k"), None);
    assert!(!old.seen().iter().any(is_meta));
}

#[test]
fn old_and_new_nodes_live_in_one_pool_and_the_lowest_version_is_told() {
    let (_real, old) = node("1.4.25", &[]);
    let new = Memcached::start();
    let nodes = [old.address(), new.address()];
    let ringway = Ringway::start(&pool(&nodes, &["request_timeout: 10s"]));
    let mut client = ringway.client();
    for i in 0..200 {
        client.set(&format!("k{i}"), format!("v{i}"));
    }
    for i in 0..200 {
        assert_eq!(client.get(&format!("k{i}")), Some(format!("v{i}").into_bytes()));
    }
    assert!(
        old.seen().len() > 100,
        "the old node has its part: {}",
        old.seen().len()
    );
    assert_eq!(client.ask("version\r\n"), "VERSION 1.4.25");
}

#[test]
fn what_links_speak_can_be_settled_by_the_pool() {
    for (protocol, version, words) in [
        ("auto", "1.6.18", ["mg", "ms", "md"]),
        ("auto", "1.6.9", ["get", "set", "delete"]),
        ("meta", "", ["mg", "ms", "md"]),
        ("classic", "", ["get", "set", "delete"]),
    ] {
        let node = Scripted::start(version, |seen| {
            let key = seen.word(1);
            say(match seen.word(0) {
                "ms" => format!("HD k{key}\r\n"),
                "md" => format!("NF k{key}\r\n"),
                "mg" => format!("EN k{key}\r\n"),
                "get" => "END\r\n".to_owned(),
                "set" => "STORED\r\n".to_owned(),
                "delete" => "NOT_FOUND\r\n".to_owned(),
                _ => "ERROR\r\n".to_owned(),
            })
        });
        let protocol_line = format!("protocol: {protocol}");
        let ringway = Ringway::start(&pool(
            &[node.address()],
            &[
                "request_timeout: 10s",
                "health: {down_after: 1000000}",
                &protocol_line,
            ],
        ));
        let mut client = ringway.client();
        assert_eq!(client.ask("get k\r\n"), "END");
        assert_eq!(client.ask("set k 0 0 1\r\nv\r\n"), "STORED");
        assert_eq!(client.ask("delete k\r\n"), "NOT_FOUND");
        let seen: Vec<String> = node
            .seen()
            .iter()
            .filter(|seen| seen.line != "mn")
            .map(|seen| seen.word(0).to_owned())
            .collect();
        assert_eq!(seen, words, "protocol: {protocol}, version {version:?}");
    }
}

#[test]
fn a_node_behind_a_unix_socket_serves_as_one_behind_tcp() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("node.sock");
    let _node = Scripted::start_unix(&path, "1.6.18", |seen| match seen.word(0) {
        "mg" => vec![seen.hits("hi")],
        _ => say("MN\r\n"),
    });
    let address = format!("unix:{}", path.display());
    let ringway = Ringway::start(&pool(&[address], &["request_timeout: 10s"]));
    ringway
        .client()
        .expects("get a b\r\n", "VALUE a 0 2\r\nhi\r\nVALUE b 0 2\r\nhi\r\nEND\r\n");
}
