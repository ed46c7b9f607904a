//! Bytes that are no memcached's: HTTP is shown the door at its first line, and a session speaks one protocol for good.

use crate::support::binary::packet;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool};

const SSRF: &str = "Host: cache:11211\r\n\r\nset ssrf 0 60 4\r\nevil\r\n";

fn start() -> (Memcached, Ringway) {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    (node, ringway)
}

#[test]
fn http_is_closed_at_its_first_line_and_nothing_behind_it_is_carried_out() {
    let (node, ringway) = start();
    let as_memcached = [
        "GET / HTTP/1.0",
        "POST /x HTTP/1.1",
        "PUT /asdf/asd/fasdfasdf/sadf HTTP/1.1",
        "DELETE HTTP/1.1",
        "PRI * HTTP/2.0",
        "HTTP/1.1",
        " GET  /  HTTP/1.1 ",
    ];
    // Without a version; memcached goes on.
    let ours = [
        "anything HTTP/9",
        "POST /x",
        "HEAD /",
        "OPTIONS *",
        "CONNECT a:1",
        "PATCH",
        "TRACE /",
        "PUT k",
        "GET /",
        "DELETE /x",
        "GET http://a/",
    ];
    for (index, line) in as_memcached.iter().chain(&ours).enumerate() {
        for end in ["\r\n", "\n"] {
            let text = ["get k\r\n", line, end, SSRF].concat();
            let mut client = ringway.client();
            client.send(&text);
            assert_eq!(client.rest(), b"END\r\n", "{line}");
            if index < as_memcached.len() {
                let mut direct = node.client();
                direct.send(["get k\r\n", line, end].concat());
                assert_eq!(direct.rest(), b"END\r\n", "memcached at {line}");
            }
        }
    }
    assert_eq!(node.client().get("ssrf"), None);
    let closed = 2.0 * (as_memcached.len() + ours.len()) as f64;
    assert_eq!(ringway.metric("ringway_http_closed_total", &[]), closed);
    ringway.wait_logged("it speaks HTTP");
    let log = ringway.log();
    let told = log.lines().filter(|line| line.contains("it speaks HTTP")).count();
    assert!(
        (1..closed as usize).contains(&told),
        "logged, but not each: {log}"
    );
}

#[test]
fn what_only_looks_like_http_is_an_unknown_command() {
    let (node, ringway) = start();
    for line in [
        "GET k",
        "DELETE k",
        "GET",
        "Host: a",
        "POSTS /",
        "post /",
        "x HTTP/1.1 y",
        "xHTTP/1.1",
    ] {
        for mut client in [node.client(), ringway.client()] {
            client.expects([line, "\r\nget k\r\n"].concat(), "ERROR\r\nEND\r\n");
        }
    }
    for mut client in [node.client(), ringway.client()] {
        client.expects(
            "set k 0 0 15\r\nPOST / HTTP/1.1\r\nget HTTP/1.1\r\n",
            "STORED\r\nEND\r\n",
        );
    }
}

/// What comes back, and that the connection is closed.
fn closes(mut client: Client, bytes: &[u8]) -> Vec<u8> {
    client.send(bytes);
    client.rest()
}

#[test]
fn the_first_byte_of_a_session_decides_what_it_speaks() {
    let (node, ringway) = start();
    let version = packet(0x0b, b"", "", b"");
    let noop = packet(0x0a, b"", "", b"");
    let clients = || [node.client(), ringway.client()];
    // In text a packet is a line like any other, however it is cut.
    for mut client in clients() {
        client.expects("get k\r\n", "END\r\n");
        client.send(&version);
        client.expects("\r\nget k\r\n", "ERROR\r\nEND\r\n");
        client.send([&version[..], b"\n", &version, b"\r\n"].concat());
        client.expects("get k\r\n", "ERROR\r\nERROR\r\nEND\r\n");
        client.expects("set \u{80}k 0 0 1\r\nv\r\n", "STORED\r\n");
        client.send(b"\x80 0 0 1\r\nmn\r\n");
        client.expect("ERROR\r\nMN\r\n");
    }
    for client in clients() {
        let zeros = [&b"mn\r\n"[..], &vec![0x80; 4096]].concat();
        assert_eq!(closes(client, &zeros), b"MN\r\n", "no line is so long");
    }
    // In binary, text closes.
    for text in [&b"get k\r\n"[..], b"\r\n", b"\xff", b"\x81", b"\0"] {
        for client in clients() {
            let bytes = [&noop[..], text, &noop].concat();
            let answer = closes(client, &bytes);
            assert_eq!((answer.len(), &answer[..2]), (24, &b"\x81\x0a"[..]), "{text:?}");
        }
    }
    // A large value in text is no packet, whatever the line begins with.
    let value = "v".repeat(100_000);
    for mut client in clients() {
        client.send(format!("set k 0 0 100000\r\n{value}\r\n"));
        client.expect("STORED\r\n");
    }
}
