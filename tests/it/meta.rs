//! The meta protocol through four nodes: what clients rely on.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, free_port, pool};
use crate::support::scripted::{Scripted, say};

fn four(settings: &[&str]) -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &[&["request_timeout: 10s"], settings].concat()));
    (nodes, ringway)
}

/// Requests and answers in order, on a cache that is empty at first.
const CONVERSATION: &[(&str, &str)] = &[
    ("mn\r\n", "MN\r\n"),
    ("mg a v\r\n", "EN\r\n"),
    ("mg a v k O7\r\n", "EN ka O7\r\n"),
    ("mg a v q\r\nmn\r\n", "MN\r\n"),
    ("ms a 3 F5 T0 O1 k\r\none\r\n", "HD O1 ka\r\n"),
    ("mg a v f s k O2\r\n", "VA 3 f5 s3 ka O2\r\none\r\n"),
    ("mg a s v\r\n", "VA 3 s3\r\none\r\n"),
    ("mg a\r\n", "HD\r\n"),
    ("mg a t\r\n", "HD t-1\r\n"),
    ("ms b 3 q\r\ntwo\r\nmn\r\n", "MN\r\n"),
    ("ms b 1 ME q O3\r\nx\r\nmn\r\n", "NS O3\r\nMN\r\n"),
    (
        "ms b 1 MA\r\n!\r\nms b 1 MP\r\n?\r\nmg b v\r\n",
        "HD\r\nHD\r\nVA 5\r\n?two!\r\n",
    ),
    ("ms c 1 MR\r\nx\r\n", "NS\r\n"),
    ("ma n\r\n", "NF\r\n"),
    ("ma n N0 J10 v\r\n", "VA 2\r\n10\r\n"),
    ("ma m N0 J007 q v O2\r\nmd m q\r\n", "VA 1 O2\r\n7\r\n"),
    ("ma m N0 J+7 q v O3\r\nmd m q\r\n", "VA 1 O3\r\n7\r\n"),
    ("ma n D5 v q\r\nma n MD D3 v O9\r\n", "VA 2 O9\r\n12\r\n"),
    (
        "ma a\r\n",
        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    ),
    ("md b q\r\nmd b\r\nmd b q O4\r\nmn\r\n", "NF\r\nNF O4\r\nMN\r\n"),
    ("md a I T30\r\nmg a v\r\n", "HD\r\nVA 3 X W\r\none\r\n"),
    (
        "mg lease v N30 t\r\nmg lease v N30\r\n",
        "VA 0 t30 W\r\n\r\nVA 0 Z\r\n\r\n",
    ),
    ("me none\r\n", "EN\r\n"),
    ("mg\r\n", "ERROR\r\n"),
    ("ms\r\n", "ERROR\r\n"),
    ("ms a x\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("ms a 2 x\r\nhi\r\nmn\r\n", "CLIENT_ERROR invalid flag\r\nMN\r\n"),
    (
        "ms a 2\r\nhiho\r\nmn\r\n",
        "CLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n",
    ),
    ("mg YQ b\r\n", "CLIENT_ERROR error decoding key\r\n"),
    ("mg a q q\r\n", "CLIENT_ERROR duplicate flag\r\n"),
    ("md a q q\r\n", "CLIENT_ERROR invalid or duplicate flag\r\n"),
    ("mg a\tb k k b\r\n", "CLIENT_ERROR duplicate flag\r\n"),
    ("mg a\tb k k O7 b\r\n", "CLIENT_ERROR duplicate flag\r\n"),
];

#[test]
fn meta_commands_are_answered_as_by_memcached_however_they_are_cut() {
    let (_nodes, ringway) = four(&[]);
    let bare = Memcached::start();
    for client in [&mut bare.client(), &mut ringway.client()] {
        for (request, answer) in CONVERSATION {
            client.expects(request, answer);
        }
    }
    let whole: String = CONVERSATION.iter().map(|(request, _)| *request).collect();
    let answers: String = CONVERSATION.iter().map(|(_, answer)| *answer).collect();
    let mut client = ringway.client();
    for cut in 1..whole.len() {
        client.expects("flush_all\r\n", "OK\r\n");
        client.send(&whole[..cut]);
        // The other connection's answer shows that the first part has been read.
        ringway.client().expects("mn\r\n", "MN\r\n");
        client.expects(&whole[cut..], &answers);
    }
}

#[test]
fn the_base64_form_of_a_key_meets_the_plain_one_on_its_node() {
    let (_nodes, ringway) = four(&[]);
    let mut client = ringway.client();
    for (plain, base64) in [
        ("a", "YQ=="),
        ("key7", "a2V5Nw=="),
        ("user:1", "dXNlcjox"),
        ("zz", "eno="),
    ] {
        client.set(plain, plain);
        let answer = format!("VA {} k{plain}\r\n{plain}\r\n", plain.len());
        client.expects(format!("mg {base64} b v k\r\n"), answer);
        client.expects(format!("md {base64} b q\r\nmn\r\n"), "MN\r\n");
        assert_eq!(client.get(plain), None);
    }
}

#[test]
fn a_key_that_no_line_can_carry_does_not_put_the_link_out_of_step() {
    let (_nodes, ringway) = four(&[]);
    let mut client = ringway.client();
    // "a b", and "a\r\nb": ma creates the item, and memcached forgets that its key was in base64.
    for key in ["YSBi", "YQ0KYg=="] {
        client.expects(
            format!("ma {key} b N0 J5 v k\r\n"),
            format!("VA 1 k{key} b\r\n5\r\n"),
        );
        client.expects(format!("mg {key} b k v\r\n"), format!("VA 1 k{key} b\r\n5\r\n"));
        client.expects(format!("mg {key} b v O1\r\n"), "VA 1 O1\r\n5\r\n");
        // me would bring the key back whatever is asked.
        client.expects(
            format!("me {key} b\r\n"),
            "CLIENT_ERROR bad command line format\r\n",
        );
    }
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
}

#[test]
fn a_data_block_behind_too_many_flags_never_reaches_a_node() {
    let node = Scripted::start("1.6.18", |seen| say(format!("EN k{}\r\n", seen.word(1))));
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let flags = " v".repeat(16);
    let request = format!("ms a 9{flags}\r\nflush_it\r\nmg b v\r\n");
    let answer = "CLIENT_ERROR options flags too long\r\nERROR\r\nEN\r\n";
    ringway.client().expects(request, answer);
    assert_eq!(node.seen().iter().filter(|seen| seen.word(0) != "mg").count(), 0);
}

#[test]
fn a_line_longer_than_any_command_ends_its_session_and_no_request_of_another_is_touched() {
    let node = Scripted::start("1.6.18", |seen| {
        let opaque = seen.line.split(' ').find(|word| word.starts_with('O'));
        let opaque = opaque.map_or(String::new(), |opaque| format!(" {opaque}"));
        say(format!("EN k{}{opaque}\r\n", seen.word(1)))
    });
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let mut other = ringway.client();
    for length in [17_000, 40_000, 70_000] {
        let mut client = ringway.client();
        client.send(format!("mg a O{}\r\nmg b v\r\n", "x".repeat(length)));
        assert!(client.rest().is_empty(), "{length}");
        other.expects("mg c v\r\n", "EN\r\n");
    }
    let longest = "x".repeat(1_500);
    let asked = format!("mg a v O{longest}\r\nmg b v\r\n");
    other.expects(asked, format!("EN O{longest}\r\nEN\r\n"));
    let keys: Vec<String> = node.seen().iter().map(|seen| seen.word(1).to_owned()).collect();
    assert_eq!(keys, ["c", "c", "c", "a", "b"]);
}

#[test]
fn commands_on_a_node_that_is_gone_are_answered_as_without_the_key_and_mn_comes_last() {
    let gone = format!("127.0.0.1:{}", free_port());
    let ringway = Ringway::start(&pool(&[gone], &["request_timeout: 10s", "connect_timeout: 5s"]));
    let mut client = ringway.client();
    client.expects("mg a v k O1\r\nmg a v q\r\nmn\r\n", "EN ka O1\r\nMN\r\n");
    for (request, line) in [
        ("ms a 1 q\r\nx\r\n", "NS"),
        ("ms a 1 q ME O7 k c\r\nx\r\n", "NS O7 ka"),
        ("ms YQ== 1 k b C12 O1\r\nx\r\n", "EX kYQ== b O1"),
        ("md a q\r\n", "NF"),
        ("md a k q O2\r\n", "NF ka O2"),
        ("ma a q\r\n", "NF"),
        ("ma a v t O3 N30 J5\r\n", "NF O3"),
        ("mg a T30\r\n", "EN"),
        ("mg YQ== b k O1\r\n", "EN kYQ== b O1"),
        ("mg YQ== b O1\r\n", "EN O1"),
        ("md YQ== O2 b k\r\n", "NF O2 kYQ== b"),
    ] {
        assert_eq!(client.ask(request), line, "{request:?}");
    }
    client.expects("mn\r\n", "MN\r\n");
}
