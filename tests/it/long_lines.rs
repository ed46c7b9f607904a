//! Lines that are longer than any command needs: beside a real memcached, which takes a line of up to 16 KiB that is
//! there whole, and waits for no more than 2048 bytes of one whose end has not come.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool};
use crate::support::scripted::{Scripted, say};

/// Of memcached's read buffer, and so of the longest line with its end.
const LONGEST: usize = 16 << 10;

/// What stands before the filler, with which byte to fill, and what stands behind.
const LINES: &[(&str, char, &str)] = &[
    ("set k 0 0 1", ' ', "\r\nx\r\n"),
    ("", ' ', "set k 0 0 1\r\nx\r\n"),
    ("add k", ' ', "0 0 1\r\nx\r\n"),
    ("cas k 0 0 1", ' ', "1\r\nx\r\n"),
    ("append k 0 0 1 ", 'z', "\r\nx\r\n"),
    ("set k 0 0 1", ' ', "noreply\r\nx\r\n"),
    ("set k ", '0', " 0 1\r\nx\r\n"),
    ("ms k 1", ' ', "\r\nx\r\n"),
    ("ms k 1", ' ', "k O1\r\nx\r\n"),
    ("mg k", ' ', "v\r\n"),
    ("mg k", ' ', "k v O7\r\n"),
    ("md k", ' ', "q\r\n"),
    ("ma k N0 J5", ' ', "v\r\n"),
    ("me k", ' ', "\r\n"),
    ("mn", ' ', "\r\n"),
    ("delete k", ' ', "\r\n"),
    ("delete k", ' ', "0 noreply\r\n"),
    ("incr k", ' ', "1\r\n"),
    ("incr k ", '0', "1\r\n"),
    ("decr k ", '9', "\r\n"),
    ("touch k", ' ', "0\r\n"),
    ("get k", ' ', "\r\n"),
    ("", ' ', "get k\r\n"),
    ("gat", ' ', "0 k\r\n"),
    ("delete ", 'k', "\r\n"),
    ("mg ", 'k', " v\r\n"),
    ("unknown", 'n', "\r\n"),
    ("unknown ", 'n', " n\r\n"),
    ("flush_all", ' ', "\r\n"),
    ("flush_all", ' ', "noreply\r\n"),
    ("verbosity", ' ', "1\r\n"),
    ("stats nothing", 'g', "\r\n"),
    ("", ' ', "\r\n"),
    ("", ' ', "\n"),
];

fn start() -> (Memcached, Memcached, Ringway) {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    (Memcached::start(), node, ringway)
}

/// The line with so many bytes up to its end, and what follows it.
fn filled(&(before, filler, behind): &(&str, char, &str), length: usize) -> String {
    let line = behind.find('\n').expect("each has an end") + 1;
    let filler = filler.to_string().repeat(length - before.len() - line);
    [before, &filler, behind].concat()
}

fn answered(mut client: Client, text: &str) -> String {
    client.expects("flush_all\r\n", "OK\r\n");
    client.send([text, "get k\r\n"].concat());
    String::from_utf8_lossy(&client.finish()).into_owned()
}

#[test]
fn a_whole_line_is_understood_up_to_the_size_of_memcacheds_buffer() {
    let (direct, _node, ringway) = start();
    for line in LINES {
        for length in [1000, 2047, 2048, 2049, 2100, 8193, LONGEST] {
            let text = filled(line, length);
            let wanted = answered(direct.client(), &text);
            let got = answered(ringway.client(), &text);
            assert_eq!(got, wanted, "{line:?} of {length} bytes");
        }
    }
}

#[test]
fn a_line_that_is_no_read_ends_the_session_above_that_size() {
    let (direct, _node, ringway) = start();
    let lines = LINES.iter().filter(|(before, ..)| !before.starts_with('g'));
    for line in lines.clone() {
        for mut client in [direct.client(), ringway.client()] {
            client.expects("mn\r\n", "MN\r\n");
            // What is sent behind it may find the connection closed already.
            client.send(filled(line, LONGEST + 1));
            assert_eq!(client.rest(), b"", "{line:?}");
        }
    }
    let closed = ringway.metric("ringway_bad_requests_total", &[]);
    assert_eq!(closed, lines.count() as f64);
}

#[test]
fn no_more_than_2048_bytes_are_waited_for_where_the_end_has_not_come() {
    let (direct, _node, ringway) = start();
    for start in ["set k", "delete k", "mg k", "unknown", "", "\t"] {
        let part = |length: usize| [start, &" ".repeat(length - start.len())].concat();
        for (at, mut client) in [direct.client(), ringway.client()].into_iter().enumerate() {
            client.expects("mn\r\n", "MN\r\n");
            client.send(["mn\r\n", &part(2048)].concat());
            client.expect("MN\r\n");
            client.send("\r\nget k\r\n");
            let answer = client.read_to("END");
            assert!(answer.len() <= "NOT_FOUND\r\n".len(), "{at} {start:?}: {answer}");
            client.send(["mn\r\n", &part(2049)].concat());
            assert_eq!(client.rest(), b"MN\r\n", "{at} {start:?}");
        }
    }
    // But of a read, which may stand behind a hundred spaces.
    for indent in [0, 1, 100] {
        for client in [direct.client(), ringway.client()].iter_mut() {
            let keys = " k".repeat(20_000);
            client.send(["mn\r\n", &" ".repeat(indent), "get", &keys].concat());
            client.expect("MN\r\n");
            client.send("\r\nmn\r\n");
            client.expect("END\r\nMN\r\n");
        }
    }
    for client in [direct.client(), ringway.client()].iter_mut() {
        client.send(["mn\r\n", &" ".repeat(101), "get ", &"k ".repeat(1500)].concat());
        assert_eq!(client.rest(), b"MN\r\n");
    }
}

#[test]
fn a_line_of_2048_bytes_may_come_in_any_pieces() {
    let (_direct, _node, ringway) = start();
    let mut client = ringway.client();
    for line in LINES {
        let text = filled(line, 2048);
        let wanted = answered(ringway.client(), &text);
        client.expects("flush_all\r\n", "OK\r\n");
        for cut in [1, 512, 2047] {
            client.expects(["mn\r\n", &text[..cut]].concat(), "MN\r\n");
            client.expects(
                [&text[cut..], "get k\r\nflush_all\r\n"].concat(),
                [&wanted, "OK\r\n"].concat(),
            );
        }
    }
}

#[test]
fn flags_that_no_node_would_wait_for_stay_here() {
    let node = Scripted::start("1.6.18", |seen| match seen.word(0) {
        "ms" | "md" | "ma" => say("HD kk\r\n"),
        _ => say("EN kk\r\n"),
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    const FORMAT: &str = "CLIENT_ERROR bad command line format\r\n";
    let mut client = ringway.client();
    for flag in ["T", "P", "O", "F"] {
        let long = flag.to_owned() + &"0".repeat(10_000);
        client.expects(format!("mg k {long}\r\n"), FORMAT);
        client.expects(format!("md k q {long}\r\n"), FORMAT);
        client.expects(format!("ma k  {long}  v\r\n"), FORMAT);
        client.expects(format!("me k {long}\r\n"), FORMAT);
        client.expects(
            format!("ms k 6 {long}\r\nmn\r\nmn\r\nmn\r\n"),
            [FORMAT, "MN\r\n"].concat(),
        );
    }
    assert!(node.seen().is_empty(), "{:?}", node.seen().len());
}
