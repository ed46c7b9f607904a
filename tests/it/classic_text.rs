//! Classic text in pieces of any size: every command cut at each of its bytes, and byte by byte, is answered
//! as the whole, and the whole as a real memcached answers it.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool};

/// What stands before each command: two values, and a key that is not there.
const BEFORE: &str =
    "set a 5 0 1\r\n7\r\nset b 9 0 5\r\nb\r\nbb\r\ndelete m noreply\r\ndelete m2 noreply\r\n";
/// What it left behind.
const AFTER: &str = "get a b m m2\r\n";

/// `CAS` stands for the cas id of the value of `a`.
const COMMANDS: &[&str] = &[
    "get a\r\n",
    "get m\r\n",
    "get a b\r\n",
    "get m a m2 b a\r\n",
    "gets a\r\n",
    "gets m\r\n",
    "gets b m a\r\n",
    "gat 0 a\r\n",
    "gat 100 m\r\n",
    "gat -1 a\r\n",
    "gat 1000 a m b\r\n",
    "gats 100 a\r\n",
    "gats 100 b m a\r\n",
    "set m 1 0 5\r\nhello\r\n",
    "set a 4294967295 1000 0\r\n\r\n",
    "set m 0 0 7\r\na\r\nb\r\nc\r\n",
    "set m 0 -1 1\r\nx\r\n",
    "set m 1 0 5 noreply\r\nhello\r\n",
    "add m 2 100 3\r\nnew\r\n",
    "add a 2 100 3\r\nnew\r\n",
    "add m 2 100 3 noreply\r\nnew\r\n",
    "replace a 3 0 4\r\nother\r\n",
    "replace a 3 0 5\r\nother\r\n",
    "replace m 3 0 5\r\nother\r\n",
    "replace a 3 0 5 noreply\r\nother\r\n",
    "append a 0 0 2\r\n89\r\n",
    "append m 0 0 2\r\n89\r\n",
    "append a 0 0 2 noreply\r\n89\r\n",
    "prepend a 0 0 2\r\n56\r\n",
    "prepend m 0 0 2\r\n56\r\n",
    "prepend a 0 0 2 noreply\r\n56\r\n",
    "cas a 6 0 3 CAS\r\nour\r\n",
    "cas a 6 0 3 1\r\nour\r\n",
    "cas m 6 0 3 1\r\nour\r\n",
    "cas a 6 0 3 CAS noreply\r\nour\r\n",
    "incr a 5\r\n",
    "incr a 18446744073709551615\r\n",
    "incr m 5\r\n",
    "incr b 5\r\n",
    "incr a 5 noreply\r\n",
    "decr a 5\r\n",
    "decr a 50\r\n",
    "decr m 5\r\n",
    "decr a 5 noreply\r\n",
    "delete a\r\n",
    "bget a\r\n",
    "bget a m\r\n",
    "delete m\r\n",
    "delete a noreply\r\n",
    "delete a 0\r\n",
    "delete a 0 noreply\r\n",
    "touch a 1000\r\n",
    "touch m 1000\r\n",
    "touch a -1\r\n",
    "touch a 0 noreply\r\n",
    "flush_all\r\n",
    "flush_all 0\r\n",
    "flush_all 100000\r\n",
    "flush_all noreply\r\n",
    "flush_all 0 noreply\r\n",
    "flush_all 100000 noreply\r\n",
    "verbosity 1\r\n",
    "verbosity 1 noreply\r\n",
    "get a\nset m 0 0 1\nx\r\nget m\n",
];

/// What Ringway answers itself, in words that are not memcached's.
const OWN: &[&str] = &["version\r\n", "stats\r\n", "stats nodes\r\n"];

/// A command whose answer cannot be taken for one of the others, and how that answer begins.
fn marker(command: &str) -> (&'static str, &'static str) {
    if command.starts_with("version") {
        ("touch marker 0\r\n", "NOT_FOUND")
    } else {
        ("version\r\n", "VERSION ")
    }
}

/// Brings the state of [`BEFORE`] about, and returns `command` with its cas id filled in.
fn prepare(client: &mut Client, command: &str) -> String {
    let (mark, answer) = marker(command);
    client.send([BEFORE, mark].concat());
    assert_eq!(client.read_to(answer), "STORED\r\nSTORED\r\n");
    if !command.contains("CAS") {
        return command.to_owned();
    }
    let line = client.ask("gets a\r\n");
    client.expect("7\r\nEND\r\n");
    command.replace("CAS", line.rsplit(' ').next().expect("a cas id"))
}

/// What was answered to `command` and what it left behind, if it was cut at `cut`. The first piece was
/// read before the second is sent: the answer to a marker in front of it says so.
fn in_two_pieces(client: &mut Client, command: &str, cut: usize) -> String {
    let bytes = prepare(client, command);
    let (mark, answer) = marker(command);
    client.send([mark, &bytes[..cut]].concat());
    assert_eq!(client.read_to(answer), "", "{command:?} cut at {cut}");
    client.send([&bytes[cut..], AFTER, mark].concat());
    comparable(&client.read_to(answer))
}

fn byte_by_byte(client: &mut Client, command: &str) -> String {
    let bytes = prepare(client, command);
    let (mark, answer) = marker(command);
    for byte in [&bytes, AFTER, mark].concat().as_bytes() {
        client.send([*byte]);
    }
    comparable(&client.read_to(answer))
}

/// Leaves out what no two servers and no two moments have in common: cas ids and figures.
fn comparable(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["VALUE", key, flags, length, _] => format!("VALUE {key} {flags} {length} CAS"),
            ["STAT", name, _] => format!("STAT {name}"),
            _ => line.to_owned(),
        }
    };
    text.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n")
}

fn start() -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..2).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &["request_timeout: 10s"]));
    (nodes, ringway)
}

#[test]
fn every_split_of_every_command_is_answered_as_the_whole_and_as_memcached_does() {
    let (nodes, ringway) = start();
    let (mut client, mut direct) = (ringway.client(), nodes[0].client());
    for &command in COMMANDS {
        let wanted = in_two_pieces(&mut direct, command, 0);
        assert_eq!(
            in_two_pieces(&mut client, command, 0),
            wanted,
            "{command:?} in one piece"
        );
        for cut in 1..command.len() {
            assert_eq!(
                in_two_pieces(&mut client, command, cut),
                wanted,
                "{command:?} cut at {cut}"
            );
        }
        assert_eq!(
            byte_by_byte(&mut client, command),
            wanted,
            "{command:?} byte by byte"
        );
    }
}

#[test]
fn every_split_of_what_ringway_answers_itself_is_answered_as_the_whole() {
    let (_nodes, ringway) = start();
    let mut client = ringway.client();
    for &command in OWN {
        let wanted = in_two_pieces(&mut client, command, 0);
        for cut in 1..command.len() {
            assert_eq!(
                in_two_pieces(&mut client, command, cut),
                wanted,
                "{command:?} cut at {cut}"
            );
        }
        assert_eq!(
            byte_by_byte(&mut client, command),
            wanted,
            "{command:?} byte by byte"
        );
    }
}

#[test]
fn every_split_of_quit_closes_after_the_replies_that_are_owed() {
    let (_nodes, ringway) = start();
    let bytes = "set a 0 0 1\r\nx\r\nget a\r\nquit\r\n";
    for cut in 0..bytes.len() {
        let mut client = ringway.client();
        client.expects("verbosity 1\r\n", "OK\r\n");
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        assert_eq!(
            client.rest(),
            b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
            "cut at {cut}"
        );
    }
}

#[test]
fn version_is_that_of_the_nodes_and_stats_speak_memcacheds_names() {
    let (nodes, ringway) = start();
    let version = nodes[0].client().ask("version\r\n");
    let mut client = ringway.client();
    // Each node tells its version when its link opens.
    (0..100).for_each(|i| client.set(&format!("k{i}"), "v"));
    assert_eq!(client.ask("version\r\n"), version);
    assert_eq!(client.get("k7").as_deref(), Some(&b"v"[..]));
    assert_eq!(client.get("none"), None);
    assert_eq!(client.ask("cas k7 0 0 1 999999\r\nx\r\n"), "EXISTS");
    assert_eq!(client.ask("cas none 0 0 1 1\r\nx\r\n"), "NOT_FOUND");

    client.send("stats\r\n");
    let stats = client.read_to("END");
    let figure = |name: &str| {
        let start = format!("STAT {name} ");
        let line = stats.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_else(|| panic!("no {name} in {stats}"))[start.len()..].to_owned()
    };
    for (name, value) in [
        ("cmd_set", "102"),
        ("cas_hits", "0"),
        ("cas_misses", "1"),
        ("cas_badval", "1"),
        ("cmd_get", "2"),
        ("get_hits", "1"),
        ("get_misses", "1"),
        ("curr_connections", "1"),
    ] {
        assert_eq!(figure(name), value, "{name}");
    }
    client.send("stats nodes\r\n");
    let stats = client.read_to("END");
    for node in &nodes {
        let line = format!("STAT main:{}:state up", node.address());
        assert!(stats.lines().any(|it| it == line), "no {line} in {stats}");
    }
}
