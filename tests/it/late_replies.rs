//! Replies that come late, twice or never: none is ever given to another request, and the requests behind
//! are answered as if nothing had happened.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::memcached::Memcached;
use crate::support::ringway::{DEADLINE, Ringway, pool, wait_for};
use crate::support::scripted::{Act, Scripted, say};

const STUBBORN: &str = "health: {down_after: 1000000}";
/// Writes say why they failed.
const TELLING: &str = "on_write_error: error";

#[test]
fn a_late_reply_is_dropped_and_the_requests_behind_it_get_their_own() {
    // The first read of each key waits; what it says then is out of date.
    let asked = AtomicUsize::new(0);
    let node = Scripted::start("1.6.18", move |seen| match asked.fetch_add(1, SeqCst) {
        0 => vec![Act::Await("gate"), seen.hits("late")],
        _ => vec![seen.hits("right")],
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 1s", STUBBORN]));
    let (mut client, mut other) = (ringway.client(), ringway.client());
    client.send("get k\r\n");
    assert_eq!(client.line(), "END", "it timed out");
    client.send("get k\r\n");
    other.send("get k other\r\n");
    node.open("gate");
    client.expect("VALUE k 0 5\r\nright\r\nEND\r\n");
    other.expect("VALUE k 0 5\r\nright\r\nVALUE other 0 5\r\nright\r\nEND\r\n");
    let connections: Vec<usize> = node.seen().iter().map(|seen| seen.connection).collect();
    assert!(
        connections.iter().all(|&connection| connection == connections[0]),
        "the link stayed: {connections:?}"
    );
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"timeout\""]), 1.0);
    assert_eq!(ringway.metric("ringway_in_flight", &[]), 0.0);
}

#[test]
fn late_replies_to_every_command_are_dropped() {
    let requests: &[(&str, &str)] = &[
        ("set k 0 0 1\r\nx\r\n", "HD kk\r\n"),
        ("get k\r\n", "VA 4 kk f0\r\nlate\r\n"),
        ("delete k\r\n", "HD kk\r\n"),
        ("incr k 1\r\n", "VA 1 kk\r\n7\r\n"),
        ("touch k 0\r\n", "HD kk\r\n"),
        ("set k 0 0 1 noreply\r\nx\r\n", "HD kk\r\n"),
    ];
    let answers: Vec<&str> = requests.iter().map(|&(_, answer)| answer).collect();
    let asked = AtomicUsize::new(0);
    let node = Scripted::start("1.6.18", move |seen| {
        match answers.get(asked.fetch_add(1, SeqCst)) {
            Some(late) => vec![Act::Await("gate"), Act::Say(late.as_bytes().to_vec())],
            None => vec![seen.hits("right")],
        }
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 1s", STUBBORN]));
    let mut client = ringway.client();
    let all: String = requests.iter().map(|&(request, _)| request).collect();
    client.send(all);
    for _ in 0..5 {
        let line = client.line();
        assert!(matches!(&line[..], "END" | "NOT_STORED" | "NOT_FOUND"), "{line}");
    }
    client.send("get m\r\nget l\r\n");
    node.open("gate");
    client.expect("VALUE m 0 5\r\nright\r\nEND\r\nVALUE l 0 5\r\nright\r\nEND\r\n");
    assert_eq!(ringway.metric("ringway_link_connects_total", &[]), 1.0);
}

#[test]
fn a_slow_node_delays_nobody_who_does_not_wait_for_it() {
    let slow = Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("slow")]);
    let fast = Memcached::start();
    let yaml = format!(
        "pools:\n  slow: {{nodes: ['{}'], request_timeout: 15s}}\n  fast: {{nodes: ['{}'], request_timeout: 15s}}\n\
         listeners:\n  - {{bind: '127.0.0.1:PORT', route: fast}}\n  - {{bind: 'unix:DIR/slow.sock', route: slow}}\n",
        slow.address(),
        fast.address()
    );
    let ringway = Ringway::start(&yaml);
    let mut waiting = UnixStream::connect(ringway.path("slow.sock")).expect("it listens");
    waiting.set_read_timeout(Some(DEADLINE)).expect("a socket");
    waiting.write_all(b"get k\r\n").expect("sent");
    slow.wait_seen(1);
    let mut client = ringway.client();
    for i in 0..1000 {
        client.set(&format!("k{i}"), "fast");
        assert_eq!(client.get(&format!("k{i}")).as_deref(), Some(&b"fast"[..]));
    }
    slow.open("gate");
    let wanted = b"VALUE k 0 4\r\nslow\r\nEND\r\n";
    let mut answer = [0; 24];
    waiting.read_exact(&mut answer).expect("answered");
    assert_eq!(&answer, wanted);
}

#[test]
fn a_link_without_any_progress_is_closed_and_opened_anew() {
    let first = AtomicUsize::new(usize::MAX);
    let node = Scripted::start("1.6.18", move |seen| {
        let _only_once = first.compare_exchange(usize::MAX, seen.connection, SeqCst, SeqCst);
        match first.load(SeqCst) == seen.connection {
            true => vec![],
            false => vec![seen.hits("right")],
        }
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 100ms", STUBBORN]));
    let mut client = ringway.client();
    wait_for("another link", || {
        client.get("k").as_deref() == Some(&b"right"[..])
    });
    assert!(ringway.metric("ringway_link_connects_total", &[]) >= 2.0);
}

#[test]
fn one_reply_too_many_closes_the_link_and_reaches_nobody() {
    let node = Scripted::start("1.6.18", |seen| {
        let mine = seen.hits_by(|key| format!("of {key}"));
        vec![mine.clone(), mine]
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s", STUBBORN]));
    let (mut client, mut other) = (ringway.client(), ringway.client());
    let mut hits = 0;
    // Nothing else is owed when the second reply comes to the first request.
    assert_eq!(client.get("first"), Some(b"of first".to_vec()));
    wait_for("desync to be counted", || {
        ringway.metric("ringway_errors_total", &["kind=\"desync\""]) == 1.0
    });
    for i in 0..100 {
        for (client, name) in [(&mut client, 'a'), (&mut other, 'b')] {
            let key = format!("{name}{i}");
            if let Some(value) = client.get(&key) {
                assert_eq!(value, format!("of {key}").into_bytes());
                hits += 1;
            }
        }
    }
    assert!(hits > 0, "some were answered before the link was closed");
    assert!(
        ringway.metric("ringway_link_connects_total", &[]) > 1.0,
        "the link was closed"
    );
}

#[test]
fn replies_that_nobody_asked_for_do_not_reach_the_next_request() {
    // Each write is answered, and then the node says more.
    let node = Scripted::start("1.6.18", |seen| match seen.word(0) {
        "ms" => say(format!("HD k{}\r\nVA 5 kother f0\r\nwrong\r\n", seen.word(1))),
        _ => vec![seen.hits("right")],
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s", STUBBORN]));
    let mut client = ringway.client();
    for _ in 0..50 {
        client.send("set k 0 0 1\r\nx\r\nget other\r\nget k\r\n");
        let stored = client.line();
        assert!(stored == "STORED" || stored == "NOT_STORED", "{stored}");
        for key in ["other", "k"] {
            let line = client.line();
            if line != "END" {
                assert_eq!(line, format!("VALUE {key} 0 5"));
                let value = client.exact(12);
                // The node may not be believed more than its key: a value for `other` may be this one.
                let is_own = value == b"right\r\nEND\r\n";
                assert!(is_own || key == "other", "{}", value.escape_ascii());
            }
        }
    }
}

#[test]
fn a_request_behind_abandoned_ones_times_out_by_itself_and_not_with_the_link() {
    let node = Scripted::start("1.6.18", |_| vec![]);
    let ringway = Ringway::start(&pool(
        &[node.address()],
        &["request_timeout: 1s", TELLING, STUBBORN],
    ));
    let mut client = ringway.client();
    for request in ["delete k\r\n", "delete l\r\n"] {
        assert_eq!(client.ask(request), "SERVER_ERROR node timed out");
    }
    assert_eq!(
        ringway.metric("ringway_links", &[]),
        1.0,
        "the link is still open"
    );
}

#[test]
fn a_request_that_comes_while_the_node_is_dialled_times_out_before_the_dial_does() {
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    full.listen(0).expect("it listens");
    let address = full.local_addr().ok().and_then(|address| address.as_socket());
    let address = address.expect("bound");
    // Nobody accepts: once the queue is full the kernel lets connections hang.
    let _queued: Vec<_> = (0..3)
        .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100)))
        .collect();
    let settings = [
        "request_timeout: 400ms",
        "connect_timeout: 1300ms",
        TELLING,
        STUBBORN,
    ];
    let ringway = Ringway::start(&pool(&[address.to_string()], &settings));
    let mut client = ringway.client();
    for _ in 0..2 {
        assert_eq!(client.ask("delete k\r\n"), "SERVER_ERROR node timed out");
    }
}

#[test]
fn a_node_whose_every_reply_is_late_goes_down() {
    let node = Scripted::start("1.6.18", |seen| {
        std::thread::sleep(Duration::from_millis(150));
        vec![seen.hits("late")]
    });
    let settings = [
        "request_timeout: 50ms",
        "health: {down_after: 12, probe_interval: 1h}",
    ];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let mut client = ringway.client();
    wait_for("the node to be down", || {
        assert_eq!(client.get("k"), None);
        ringway.metric("ringway_node_up", &[]) == 0.0
    });
}

#[test]
fn a_reply_to_another_request_for_the_same_key_is_not_taken_for_ones_own() {
    // The first request is never answered, so each reply comes one request too early.
    for (first, second, reply) in [
        ("mg k v", "ms k 1\r\nx", "HD kk\r\n"),
        ("mg k v O1", "mg k v O2", "VA 5 O2 kk\r\nwrong\r\n"),
        ("mg k v", "mg k v O2", "VA 5 O2 kk\r\nwrong\r\n"),
        ("mg k v O1", "mg k v", "VA 5 kk\r\nwrong\r\n"),
        ("mg k O1", "mg k O1 v", "VA 5 O1 kk\r\nwrong\r\n"),
        ("ms k 1 O1\r\nx", "md k O2", "HD O2 kk\r\n"),
        ("get k", "mg k f v O2", "VA 5 f0 O2 kk\r\nwrong\r\n"),
        ("mg k f v O1", "get k", "VA 5 kk f0\r\nwrong\r\n"),
        ("ma k v O1", "ma k v O2", "VA 1 O2 kk\r\n7\r\n"),
    ] {
        let asked = AtomicUsize::new(0);
        let node = Scripted::start("1.6.18", move |_| match asked.fetch_add(1, SeqCst) {
            0 => vec![],
            _ => say(reply),
        });
        let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s", STUBBORN]));
        let (mut client, mut other) = (ringway.client(), ringway.client());
        client.send(format!("{first}\r\n"));
        node.wait_seen(1);
        other.send(format!("{second}\r\n"));
        let is_read = first.starts_with("get") || first.starts_with("mg");
        let line = client.line();
        match is_read {
            true => assert!(line.starts_with('E'), "{first}: {line}"),
            false => assert!(line.starts_with('N'), "{first}: {line}"),
        }
        let desyncs = ringway.metric("ringway_errors_total", &["kind=\"desync\""]);
        assert_eq!(desyncs, 2.0, "{first}, then {second}");
    }
}

#[test]
fn a_link_that_lost_a_reply_and_gives_only_late_ones_is_opened_anew() {
    // The key is the same each time, or no reply has one: none shows that it is another's.
    for version in ["1.6.18", "1.4.25"] {
        let asked = AtomicUsize::new(0);
        let node = Scripted::start(version, move |seen| match asked.fetch_add(1, SeqCst) {
            0 => vec![],
            _ => vec![seen.hits("right")],
        });
        let ringway = Ringway::start(&pool(
            &[node.address()],
            &["request_timeout: 200ms", "on_read_error: error", STUBBORN],
        ));
        let mut client = ringway.client();
        for _ in 0..2 {
            assert_eq!(client.ask("get k\r\n"), "SERVER_ERROR node timed out");
        }
        wait_for("a read in time", || client.ask("get k\r\n") == "VALUE k 0 5");
        assert_eq!(ringway.metric("ringway_link_connects_total", &[]), 2.0);
    }
}
