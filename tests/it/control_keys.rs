//! Keys with control characters in text: memcached takes every byte but the space and the line feed, and so does
//! Ringway, over nodes of every kind. A zero byte ends the line for memcached 1.6.18 and is part of the key for
//! 1.6.45, and here.

use crate::support::binary::packet;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown};
use crate::support::scripted::{Scripted, say};

const KEYS: &[&[u8]] = &[
    b"a\tb",
    b"\x01",
    b"a\x7fb",
    b"a\rb",
    b"ab\r",
    b"\r",
    b"\x0b\x0c\x1f",
    b"\xff\xfe\x80",
];

/// What is asked of the key `K`, one conversation a line.
const CONVERSATIONS: &[&str] = &[
    "set K 5 0 1|v|get K|gets a K b|gat 0 K|gats 0 K K|get K K a b c d e f g h",
    "add K 0 0 1|1|add K 0 0 1|2|replace K 0 0 1|3|incr K 5|decr K 1|touch K 0|get K",
    "append K 0 0 1|1|set K 0 0 1|2|append K 0 0 1|3|prepend K 0 0 1|1|get K|cas K 0 0 1 1|x|delete K|delete K",
    "set K 0 0 1 noreply|v|incr K 1 noreply|touch K 0 noreply|get K|delete K noreply|get K",
    "ms K 1|v|mg K v|mg K k f v O1|mg K q k|mg none q k|me none|ms K 2 MA k O2|ww|mg K v q|md K q|md K k|mn",
    "ms K 1 ME k|v|ms K 1 ME q|w|ms K 1 MR k|x|ms K 1 MP|y|mg K s v k|md K I k",
    "delete K|mg K k|ma K k|ma K N0 J13 k v|ma K MD q|get K|mg K v k",
];

/// What old nodes cannot say is not asked of them.
const CLASSIC: usize = 4;

fn bytes(conversation: &str, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in conversation.split('|') {
        for (index, part) in line.split('K').enumerate() {
            if index > 0 {
                bytes.extend(key);
            }
            bytes.extend(part.as_bytes());
        }
        bytes.extend(b"\r\n");
    }
    bytes
}

fn heard(mut client: Client, asked: &[u8]) -> Vec<u8> {
    client.expects("flush_all\r\n", "OK\r\n");
    client.send(asked);
    without_cas_ids(&client.finish())
}

/// The cas id of a VALUE line is the node's own affair.
fn without_cas_ids(replies: &[u8]) -> Vec<u8> {
    let lines = replies.split(|&byte| byte == b'\n').map(|line| {
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        match words[..] {
            [b"VALUE", _, _, _, _] => words[..4].join(&b' '),
            _ => line.to_vec(),
        }
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}

#[test]
fn a_key_may_have_every_byte_that_memcached_takes() {
    let direct = Memcached::start();
    let node = Memcached::start();
    let nodes = [node.address()];
    let remote = Ringway::start(&pool(&nodes, &["request_timeout: 10s"]));
    let classic = Ringway::start(&pool(&nodes, &["request_timeout: 10s", "protocol: classic"]));
    let embedded = Ringway::start("pools: {main: {nodes: [{name: e, embedded: 8MiB}]}}\n");
    let policy = Ringway::start(&format!(
        "pools: {{a: {{nodes: ['{}']}}, b: {{nodes: [{{name: e, embedded: 8MiB}}]}}}}\n\
         routes: {{default: {{replicate: [a, b]}}}}\n",
        node.address()
    ));
    for key in KEYS {
        for (index, conversation) in CONVERSATIONS.iter().enumerate() {
            let asked = bytes(conversation, key);
            let wanted = heard(direct.client(), &asked);
            for (name, ringway) in [
                ("meta", &remote),
                ("classic", &classic),
                ("embedded", &embedded),
                ("policy", &policy),
            ] {
                if name == "classic" && index >= CLASSIC {
                    continue;
                }
                let got = heard(ringway.client(), &asked);
                assert!(
                    got == wanted,
                    "{name}: {}\n{}\nmemcached: {}",
                    shown(&asked),
                    shown(&got),
                    shown(&wanted)
                );
            }
        }
    }
}

#[test]
fn a_zero_byte_is_part_of_a_key() {
    let node = Memcached::start();
    let remote = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let embedded = Ringway::start("pools: {main: {nodes: [{name: e, embedded: 8MiB}]}}\n");
    let longest = [&b"k\0"[..], &[b'x'; 184]].concat();
    // What memcached 1.6.45 answers to the same.
    for key in [&b"a\0b"[..], b"\0", b"\0\r", &longest] {
        let shown_key = String::from_utf8_lossy(key);
        for (conversation, wanted) in [
            (
                "set K 5 0 1|v|get K|get a K b c d e f g h",
                "STORED|VALUE K 5 1|v|END|VALUE K 5 1|v|END",
            ),
            (
                "gat 0 K|touch K 0|add K 0 0 1|x|replace K 0 0 1|1",
                "VALUE K 5 1|v|END|TOUCHED|NOT_STORED|STORED",
            ),
            (
                "incr K 5|decr K 1|append K 0 0 1|2|prepend K 0 0 1|3",
                "6|5|STORED|STORED",
            ),
            (
                "cas K 0 0 1 1|x|mg K v k|mg K v|mg K O1 k",
                "EXISTS|VA 3 kK|352|VA 3|352|HD O1 kK",
            ),
            ("ms K 1 k O2|v|ms K 1 q|w|mg K v q k", "HD kK O2|VA 1 kK|w"),
            (
                "md K q|md K k|mg K k|mg K q k|ma K N0 J13 k v|ma K v",
                "NF kK|EN kK|VA 2 kK|13|VA 2|14",
            ),
            (
                "delete K noreply|delete K|mg K N30 k v|md K I k|mg K k",
                "NOT_FOUND|VA 0 kK W||HD kK|HD kK X W",
            ),
        ] {
            let wanted = bytes(wanted, key);
            for ringway in [&remote, &embedded] {
                let mut client = ringway.client();
                client.send(bytes(conversation, key));
                let got = client.finish();
                assert!(
                    got == wanted,
                    "{shown_key:?} {conversation}\n{}\n{}",
                    shown(&got),
                    shown(&wanted)
                );
            }
        }
        // The same item, whatever the protocol.
        let mut binary = remote.client();
        binary.send(packet(0x0c, b"", &shown_key, b""));
        assert_eq!(binary.exact(24)[7], 0, "found");
    }
}

#[test]
fn what_cannot_be_said_of_a_zero_byte_is_refused_and_nothing_is_sent() {
    let node = Memcached::start();
    let remote = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let too_long = [&b"k\0"[..], &[b'x'; 185]].concat();
    let mut client = remote.client();
    client.send(bytes("set K 0 0 1|v|get K|get a K|me K|mg K b|mn", &too_long));
    let refusal = "CLIENT_ERROR the key is too long in base64, in which it travels";
    let format = "CLIENT_ERROR bad command line format";
    // Nothing can be stored under it, so it is not there.
    for line in [refusal, "END", "END", format, format, "MN"] {
        assert_eq!(client.line(), line);
    }
    // The client's key is at fault, not what the node speaks.
    assert_eq!(remote.metric("ringway_errors_total", &["long_key"]), 3.0);
    assert_eq!(remote.metric("ringway_errors_total", &["unsupported"]), 0.0);
    // It would end the line, and the data block would be read as commands.
    let old = Scripted::start("1.4.25", |_| say("END\r\n"));
    let ringway = Ringway::start(&pool(&[old.address()], &["request_timeout: 10s"]));
    let refusal = "CLIENT_ERROR the node's protocol cannot say this";
    let mut client = ringway.client();
    client.send("set a\0b 0 0 9\r\nflush_all\r\nget a\0b\r\nmg a\0b v\r\nget c\r\n");
    for line in [refusal, "END", refusal, "END"] {
        assert_eq!(client.line(), line);
    }
    client.send("get a\0b d\r\ngats 0 a\0b\r\ndelete a\0b\r\nincr a\0b 1\r\ntouch a\0b 0\r\n");
    for line in ["END", "END", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"] {
        assert_eq!(client.line(), line);
    }
    client.send("cas a\0b 0 0 1 1\r\nx\r\nadd a\0b 0 0 1\r\nx\r\nmn\r\n");
    for line in ["NOT_FOUND", refusal, "MN"] {
        assert_eq!(client.line(), line);
    }
    let lines: Vec<String> = old.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["get c", "get d"]);
    assert_eq!(ringway.metric("ringway_errors_total", &["unsupported"]), 10.0);
}

#[test]
fn a_key_with_control_characters_goes_where_its_bytes_say() {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &["request_timeout: 10s"]));
    let mut text = ringway.client();
    let mut binary = ringway.client();
    for index in 0..40 {
        let key = format!("{index}\t\u{1}{}", if index % 2 == 0 { "" } else { "\0" });
        text.set(&key, "v");
        binary.send(packet(0x00, b"", &key, b""));
        assert_eq!(&binary.exact(24 + 4 + 1)[28..], b"v", "{key:?}");
    }
}
