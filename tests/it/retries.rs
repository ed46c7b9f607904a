//! Connections that break: what may safely be sent once more is, within its time and in its place, and nothing
//! else ever is.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::support::ringway::{Ringway, pool, wait_for};
use crate::support::scripted::{Act, Scripted, Seen, say};

/// Keeps a node from being marked down: each request is to meet the fault itself.
const STUBBORN: &str = "health: {down_after: 1000000}";
const PATIENT: &str = "request_timeout: 10s";
/// Writes say why they failed.
const TELLING: &str = "on_write_error: error";

/// What a node answers whose every key has the same value.
fn answer(seen: &Seen) -> Vec<Act> {
    let key = seen.word(1);
    match seen.word(0) {
        "mg" => say(format!("VA 5 k{key} f0 c7\r\nvalue\r\n")),
        "get" => vec![seen.hits("value")],
        "gets" => say(format!("VALUE {key} 0 5 7\r\nvalue\r\nEND\r\n")),
        "me" => say(format!("ME {key} exp=-1\r\n")),
        "ms" if seen.line.contains(" O5") => say(format!("HD O5 k{key}\r\n")),
        "ms" | "md" => say(format!("HD k{key}\r\n")),
        _ => say("STORED\r\n"),
    }
}

type Script = fn(&Seen) -> Vec<Act>;

/// A node that does `fault` at the first request, and from then on as it should.
fn fails_once(version: &'static str, fault: Script) -> Scripted {
    let requests = AtomicUsize::new(0);
    Scripted::start(version, move |seen| match requests.fetch_add(1, SeqCst) {
        0 => fault(seen),
        _ => answer(seen),
    })
}

fn closes(_: &Seen) -> Vec<Act> {
    vec![Act::Close]
}

fn before(node: &Scripted) -> Ringway {
    Ringway::start(&pool(&[node.address()], &[PATIENT, TELLING, STUBBORN]))
}

/// On how many connections the node saw a request that begins so.
fn connections(node: &Scripted, start: &str) -> Vec<usize> {
    let seen = node.seen();
    let matching = seen.iter().filter(|seen| seen.line.starts_with(start));
    matching.map(|seen| seen.connection).collect()
}

#[test]
fn a_read_whose_connection_breaks_is_answered_by_another() {
    let faults: [(&str, Script); 5] = [
        ("closes", closes),
        ("closes within its reply", |seen| {
            let start = match seen.word(0) {
                "mg" => "VA 5 kk f0 c7\r\nva",
                _ => "VALUE k 0 5\r\nva",
            };
            vec![Act::Say(start.into()), Act::Close]
        }),
        ("talks nonsense", |_| say("\u{1}\u{2}\u{3}\r\n")),
        ("answers for another key", |seen| match seen.word(0) {
            "mg" => say("VA 5 kother f0 c7\r\nwrong\r\n"),
            _ => say("VALUE other 0 5 7\r\nwrong\r\nEND\r\n"),
        }),
        ("misses another key", |_| say("EN kother\r\n")),
    ];
    let reads = [
        ("get k\r\n", "VALUE k 0 5\r\nvalue\r\nEND\r\n"),
        ("gets k\r\n", "VALUE k 0 5 7\r\nvalue\r\nEND\r\n"),
        (
            "get a b\r\n",
            "VALUE a 0 5\r\nvalue\r\nVALUE b 0 5\r\nvalue\r\nEND\r\n",
        ),
        ("mg k v c q\r\nmn\r\n", "VA 5 f0 c7\r\nvalue\r\nMN\r\n"),
        ("me k\r\n", "ME k exp=-1\r\n"),
    ];
    for (name, fault) in faults {
        for (read, wanted) in reads {
            let node = fails_once("1.6.18", fault);
            let ringway = before(&node);
            let mut client = ringway.client();
            client.send(read);
            client.expect(wanted);
            let keys = if read == "get a b\r\n" { 2.0 } else { 1.0 };
            let metric = |name| ringway.metric(name, &[]);
            assert_eq!(
                metric("ringway_retries_total"),
                keys,
                "{read} where a node {name}"
            );
            assert_eq!(metric("ringway_requests_total"), keys, "each counts once");
            assert_eq!(metric("ringway_errors_total"), 0.0, "nobody saw an error");
            assert_eq!(metric("ringway_in_flight"), 0.0);
        }
    }
}

#[test]
fn a_read_is_sent_once_more_in_classic_text_too() {
    let node = fails_once("1.4.25", closes);
    let ringway = before(&node);
    ringway
        .client()
        .expects("gets k\r\n", "VALUE k 0 5 7\r\nvalue\r\nEND\r\n");
    assert_eq!(connections(&node, "gets k").len(), 2);
}

#[test]
fn a_key_in_base64_is_asked_for_once_more_as_it_was_typed() {
    let requests = AtomicUsize::new(0);
    let node = Scripted::start("1.6.18", move |_| match requests.fetch_add(1, SeqCst) {
        0 => vec![Act::Close],
        _ => say("VA 5 kaw== b\r\nvalue\r\n"),
    });
    let ringway = before(&node);
    ringway.client().expects("mg aw== b v\r\n", "VA 5\r\nvalue\r\n");
    let lines: Vec<String> = node.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["mg aw== b v k"; 2]);
}

#[test]
fn a_read_is_sent_once_more_and_not_twice() {
    let node = Scripted::start("1.6.18", closes);
    let ringway = before(&node);
    let mut client = ringway.client();
    assert_eq!(client.get("k"), None);
    assert_eq!(client.ask("mg l v\r\n"), "EN");
    for key in ["mg k", "mg l"] {
        let seen = connections(&node, key);
        assert_eq!(seen.len(), 2, "{key}: {seen:?}");
        assert_ne!(seen[0], seen[1], "each time on another connection");
    }
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"closed\""]), 2.0);
    assert_eq!(ringway.metric("ringway_requests_total", &[]), 2.0);
    assert_eq!(ringway.metric("ringway_in_flight", &[]), 0.0);
}

#[test]
fn a_change_that_was_sent_is_never_sent_again() {
    let changes = [
        "set k 0 0 1\r\nx\r\n",
        "append k 0 0 1\r\nx\r\n",
        "cas k 0 0 1 7\r\nx\r\n",
        "incr k 1\r\n",
        "delete k\r\n",
        "touch k 10\r\n",
        "flush_all\r\n",
        "ms k 1\r\nx\r\n",
        "ma k\r\n",
    ];
    for change in changes {
        let node = fails_once("1.6.18", closes);
        let ringway = before(&node);
        let mut client = ringway.client();
        assert_eq!(
            client.ask(change),
            "SERVER_ERROR node closed the connection",
            "{change}"
        );
        // What were sent again would be there before this. After a flush_all every key fails until the node is flushed.
        wait_for("another to be carried out", || {
            client.ask("set other 0 0 1\r\nx\r\n") == "STORED"
        });
        let lines: Vec<String> = node.seen().into_iter().map(|seen| seen.line).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(ringway.metric("ringway_retries_total", &[]), 0.0);
    }
}

#[test]
fn a_read_that_changes_something_is_not_sent_again() {
    let reads = [
        ("mg k v T30\r\n", "EN"),
        ("mg k v N30\r\n", "EN"),
        ("mg k v R30\r\n", "EN"),
        ("mg k h\r\n", "EN"),
        ("gat 30 k\r\n", "END"),
    ];
    for (read, miss) in reads {
        let node = fails_once("1.6.18", closes);
        let ringway = before(&node);
        let mut client = ringway.client();
        assert_eq!(client.ask(read), miss, "{read}");
        assert!(client.get("other").is_some());
        assert_eq!(connections(&node, "mg k").len(), 1, "{read}");
    }
}

#[test]
fn a_second_try_does_not_say_that_somebody_else_fills_the_item_anew_where_the_first_may_have_won() {
    let requests = AtomicUsize::new(0);
    let node = Scripted::start("1.6.18", move |seen| match requests.fetch_add(1, SeqCst) {
        0 => vec![Act::Close],
        _ => say(format!("VA 5 k{} X Z\r\nstale\r\n", seen.word(1))),
    });
    let ringway = before(&node);
    let mut client = ringway.client();
    assert_eq!(client.ask("mg k v\r\n"), "EN");
    client.expects("mg k v\r\n", "VA 5 X Z\r\nstale\r\n");
}

/// A node that reads one request and then nothing until it closes its first connection. Then it says that it
/// is `version`, and answers.
fn stuffed(version: &'static str) -> Scripted {
    let has_closed = AtomicBool::new(false);
    Scripted::start("", move |seen| match seen.word(0) {
        "version" if has_closed.load(SeqCst) => say(format!("VERSION {version}\r\n")),
        "version" => say("VERSION 1.6.18\r\n"),
        _ if has_closed.load(SeqCst) => answer(seen),
        _ => {
            has_closed.store(true, SeqCst);
            vec![Act::Await("gate"), Act::Close]
        }
    })
}

/// Fills the connection to a stuffed node, asks `more`, and lets the node close. Returns the answers to the
/// stores that fill it and to what was asked, a line each.
fn overfill(node: &Scripted, ringway: &Ringway, more: &[&str]) -> (Vec<String>, Vec<String>) {
    const STORES: usize = 30;
    let (mut client, mut other) = (ringway.client(), ringway.client());
    client.send("delete stop\r\n");
    wait_for("the node to read no more", || {
        !connections(node, "md stop").is_empty()
    });
    let value = "v".repeat(1_000_000);
    for i in 0..STORES {
        client.send(format!("set big{i} 0 0 {}\r\n{value}\r\n", value.len()));
    }
    let in_flight = |count: usize| {
        wait_for("the link to owe it", || {
            ringway.metric("ringway_in_flight", &[]) == count as f64
        });
    };
    in_flight(1 + STORES);
    other.send(more.concat());
    in_flight(1 + STORES + more.len());
    node.open("gate");
    assert_eq!(
        client.line(),
        "SERVER_ERROR node closed the connection",
        "the delete was sent"
    );
    let stores = (0..STORES).map(|_| client.line()).collect();
    (stores, more.iter().map(|_| other.line()).collect())
}

#[test]
fn what_was_not_begun_when_the_connection_broke_is_carried_out_once() {
    let node = stuffed("1.6.18");
    let ringway = Ringway::start(&pool(
        &[node.address()],
        &["request_timeout: 60s", TELLING, STUBBORN],
    ));
    let more = [
        "set small 0 0 1\r\nx\r\n",
        "delete gone\r\n",
        "ms meta 1 O5\r\nx\r\n",
    ];
    let (stores, answers) = overfill(&node, &ringway, &more);
    assert_eq!(answers, ["STORED", "DELETED", "HD O5"]);
    let failed = stores.iter().filter(|line| *line != "STORED").count();
    assert!(
        failed > 0 && failed < stores.len(),
        "some fit into the socket: {stores:?}"
    );
    let seen = node.seen();
    let carried_out: Vec<(&str, usize)> = seen
        .iter()
        .filter(|seen| seen.word(1) != "stop")
        .map(|seen| (seen.word(1), seen.data.len()))
        .collect();
    let names: Vec<String> = (failed..stores.len()).map(|i| format!("big{i}")).collect();
    let mut wanted: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1_000_000)).collect();
    wanted.extend([("small", 1), ("gone", 0), ("meta", 1)]);
    assert_eq!(carried_out, wanted, "in order, once, and none that failed");
    let retries = (stores.len() - failed + more.len()) as f64;
    assert_eq!(ringway.metric("ringway_retries_total", &[]), retries);
    assert_eq!(ringway.metric("ringway_in_flight", &[]), 0.0);
}

#[test]
fn what_was_not_begun_fails_where_the_node_comes_back_with_another_protocol() {
    let node = stuffed("1.4.25");
    let ringway = Ringway::start(&pool(
        &[node.address()],
        &["request_timeout: 60s", TELLING, STUBBORN],
    ));
    let more = ["set small 0 0 1\r\nx\r\n", "get k\r\n"];
    let (stores, answers) = overfill(&node, &ringway, &more);
    assert!(
        stores.iter().all(|line| line.starts_with("SERVER_ERROR ")),
        "{stores:?}"
    );
    // The read is said anew, in whatever the node knows.
    assert_eq!(
        answers,
        ["SERVER_ERROR node closed the connection", "VALUE k 0 5"]
    );
    assert_eq!(
        connections(&node, "set ").len() + connections(&node, "ms ").len(),
        0
    );
    assert_eq!(ringway.metric("ringway_in_flight", &[]), 0.0);
}

#[test]
fn what_is_sent_once_more_goes_before_what_comes_later() {
    let requests = AtomicUsize::new(0);
    let node = Scripted::start("1.6.18", move |seen| match requests.fetch_add(1, SeqCst) {
        0 => vec![Act::Await("gate"), Act::Close],
        _ => answer(seen),
    });
    let ringway = before(&node);
    let mut client = ringway.client();
    client.send("get k\r\n");
    node.wait_seen(1);
    node.open("gate");
    client.send("set l 0 0 1\r\nx\r\n");
    wait_for("the second try", || connections(&node, "mg k").len() == 2);
    client.send("set k 0 0 1\r\nx\r\nget k\r\n");
    client.expect("VALUE k 0 5\r\nvalue\r\nEND\r\n");
    // It may have been written into the connection that broke.
    let line = client.line();
    assert!(line == "STORED" || line.starts_with("SERVER_ERROR "), "{line}");
    client.expect("STORED\r\nVALUE k 0 5\r\nvalue\r\nEND\r\n");
    let seen = node.seen();
    let of_key: Vec<&str> = seen
        .iter()
        .filter(|seen| seen.word(1) == "k")
        .map(|seen| seen.word(0))
        .collect();
    assert_eq!(of_key, ["mg", "mg", "ms", "mg"]);
}

#[test]
fn a_read_does_not_see_what_its_session_stored_after_it() {
    let node = fails_once("1.6.18", |_| vec![Act::Await("gate"), Act::Close]);
    let ringway = before(&node);
    let mut client = ringway.client();
    // One write to the node, which the connection does not survive.
    client.send("get k\r\nget l\r\nset k 0 0 1\r\nx\r\n");
    let written = "mg k k f v\r\nmg l k f v\r\nms k 1 k\r\nx\r\n".len() as f64;
    wait_for("all to be written", || {
        ringway.metric("ringway_node_bytes_written_total", &[]) == written
    });
    node.open("gate");
    client.expect("END\r\nVALUE l 0 5\r\nvalue\r\nEND\r\n");
    assert_eq!(client.line(), "SERVER_ERROR node closed the connection");
    assert_eq!(connections(&node, "mg k").len(), 1);
}

#[test]
fn a_second_try_fails_where_the_node_is_gone() {
    let node = Scripted::start("1.6.18", |_| vec![]);
    let settings = [PATIENT, STUBBORN, "on_read_error: error"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let mut client = ringway.client();
    client.send("get k\r\n");
    node.wait_seen(1);
    drop(node);
    assert_eq!(client.line(), "SERVER_ERROR cannot connect to node");
    assert_eq!(ringway.metric("ringway_in_flight", &[]), 0.0);
}

#[test]
fn a_link_without_progress_is_reset_so_that_nothing_it_sent_arrives_later() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let node = thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let mut line = String::new();
            // Probes come here too.
            if reader.read_line(&mut line).is_ok() && line.starts_with("mg k") {
                return reader.read(&mut [0]).map_err(|error| error.kind());
            }
        }
        unreachable!("it listens for ever");
    });
    let settings = ["request_timeout: 50ms", "protocol: meta", STUBBORN];
    let ringway = Ringway::start(&pool(&[address], &settings));
    assert_eq!(ringway.client().get("k"), None);
    let end = node.join().expect("no panic");
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
}
