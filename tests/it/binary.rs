//! The binary protocol through four nodes: what clients rely on, packets cut anywhere, and headers that lie.

use crate::support::binary::{header, packet, response};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool};
use crate::support::scripted::{Scripted, say};

fn four() -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &["request_timeout: 10s"]));
    (nodes, ringway)
}

fn expect(client: &mut Client, responses: &[&str]) {
    for wanted in responses {
        assert_eq!(response(client), *wanted);
    }
}

const NONE: [u8; 8] = [0; 8];

/// Delta 5, initial value 10, expiry 0 or all ones.
fn count(creates: bool) -> Vec<u8> {
    let expiry = if creates { 0u32 } else { u32::MAX };
    [
        &5u64.to_be_bytes()[..],
        &10u64.to_be_bytes(),
        &expiry.to_be_bytes(),
    ]
    .concat()
}

/// Packets, and what comes back to each on a cache that is empty at first.
fn conversation() -> Vec<(Vec<u8>, &'static [&'static str])> {
    let ten: &[&str] = &["05 0 :\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\n"];
    let fifteen: &[&str] = &["05 0 :\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x0f"];
    let nine: &[&str] = &["06 0 :\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\n"];
    vec![
        (packet(0x00, b"", "a", b""), &["00 1 :Not found"]),
        (packet(0x0c, b"", "a", b""), &["0c 1 a:"]),
        (packet(0x09, b"", "a", b""), &[]),
        (packet(0x0d, b"", "a", b""), &[]),
        (packet(0x01, &NONE, "a", b"one"), &["01 0 :"]),
        (packet(0x11, &NONE, "b", b"two"), &[]),
        (packet(0x00, b"", "a", b""), &["00 0 :one"]),
        (packet(0x0c, b"", "b", b""), &["0c 0 b:two"]),
        (packet(0x0d, b"", "b", b""), &["0d 0 b:two"]),
        (packet(0x02, &NONE, "a", b"x"), &["02 2 :Data exists for key."]),
        (packet(0x12, &NONE, "a", b"x"), &["12 2 :Data exists for key."]),
        (packet(0x03, &NONE, "none", b"x"), &["03 1 :Not found"]),
        (packet(0x13, &NONE, "b", b"Two"), &[]),
        (packet(0x0e, b"", "b", b"!"), &["0e 0 :"]),
        (packet(0x1a, b"", "b", b"?"), &[]),
        (packet(0x19, b"", "none", b"?"), &["19 5 :Not stored."]),
        (packet(0x00, b"", "b", b""), &["00 0 :?Two!"]),
        (packet(0x05, &count(false), "n", b""), &["05 1 :Not found"]),
        (packet(0x05, &count(true), "n", b""), ten),
        (packet(0x05, &count(true), "n", b""), fifteen),
        (packet(0x06, &count(true), "n", b""), nine),
        (packet(0x15, &count(true), "n", b""), &[]),
        (packet(0x16, &count(true), "n", b""), &[]),
        (
            packet(0x05, &count(true), "a", b""),
            &["05 6 :Non-numeric server-side value for incr or decr"],
        ),
        (packet(0x1c, &[0, 0, 0, 100], "a", b""), &["1c 0 :"]),
        (packet(0x1c, &[0, 0, 0, 100], "none", b""), &["1c 1 :Not found"]),
        (packet(0x1d, &[0; 4], "a", b""), &["1d 0 :one"]),
        (packet(0x1e, &[0; 4], "none", b""), &[]),
        (packet(0x23, &[0; 4], "a", b""), &["23 0 a:one"]),
        (packet(0x24, &[0; 4], "a", b""), &["24 0 a:one"]),
        (packet(0x04, b"", "a", b""), &["04 0 :"]),
        (packet(0x14, b"", "b", b""), &[]),
        (packet(0x14, b"", "b", b""), &["14 1 :Not found"]),
        (packet(0x0a, b"", "", b""), &["0a 0 :"]),
        (packet(0x7f, b"", "", b"what"), &["7f 81 :Unknown command"]),
        (packet(0x20, b"", "", b""), &["20 81 :Unknown command"]),
        (packet(0x18, b"", "", b""), &[]),
        (packet(0x08, b"", "", b""), &["08 0 :"]),
    ]
}

#[test]
fn every_operation_is_answered_as_by_memcached() {
    let (_nodes, ringway) = four();
    let bare = Memcached::start();
    for client in [&mut bare.client(), &mut ringway.client()] {
        for (packet, responses) in conversation() {
            client.send(packet);
            expect(client, responses);
        }
    }
}

#[test]
fn packets_cut_at_any_byte_are_understood() {
    let (_nodes, ringway) = four();
    let whole: Vec<u8> = conversation()
        .into_iter()
        .flat_map(|(packet, _)| packet)
        .collect();
    let responses: Vec<&str> = conversation()
        .iter()
        .flat_map(|(_, responses)| *responses)
        .copied()
        .collect();
    let mut client = ringway.client();
    for cut in 1..whole.len() {
        client.send(&whole[..cut]);
        // The other connection's answer shows that the first part has been read.
        ringway.client().expects("mn\r\n", "MN\r\n");
        client.send(&whole[cut..]);
        expect(&mut client, &responses);
    }
}

#[test]
fn a_pipeline_of_quiet_reads_over_four_nodes_ends_with_its_noop() {
    let (_nodes, ringway) = four();
    let mut client = ringway.client();
    let (mut stores, mut reads, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..200 {
        let key = format!("key{i}");
        if i % 3 > 0 {
            stores.extend(packet(0x11, &NONE, &key, key.as_bytes()));
            wanted.push(format!("0d 0 {key}:{key}"));
        }
        reads.extend(packet(0x0d, b"", &key, b""));
    }
    wanted.push("0a 0 :".to_owned());
    client.send([stores, reads, packet(0x0a, b"", "", b"")].concat());
    for wanted in &wanted {
        assert_eq!(&response(&mut client), wanted);
    }
}

#[test]
fn large_values_pass_and_those_too_large_keep_the_session_in_step() {
    let (_nodes, ringway) = four();
    let mut client = ringway.client();
    let value: Vec<u8> = (0..900_000u32).map(|i| (i * 7) as u8).collect();
    client.send(packet(0x01, &NONE, "big", &value));
    expect(&mut client, &["01 0 :"]);
    assert_eq!(ringway.client().get("big"), Some(value));
    let too_large = vec![0x80; (1 << 20) + 1];
    client.send(
        [
            packet(0x01, &NONE, "more", &too_large),
            packet(0x0a, b"", "", b""),
        ]
        .concat(),
    );
    expect(&mut client, &["01 3 :Too large.", "0a 0 :"]);
}

#[test]
fn headers_that_lie_are_answered_and_closed() {
    let (_nodes, ringway) = four();
    for (header, answer) in [
        (header(0x00, 5, 0, 4), "00 81 :Unknown command"),
        (header(0x00, 251, 0, 251), "00 4 :Invalid arguments"),
        (header(0x01, 1, 4, 5), "01 4 :Invalid arguments"),
        (header(0x05, 1, 20, 22), "05 4 :Invalid arguments"),
        (header(0x0a, 0, 0, 1), "0a 4 :Invalid arguments"),
        (header(0x1d, 0, 4, 4), "1d 4 :Invalid arguments"),
    ] {
        let mut client = ringway.client();
        client.send(header);
        expect(&mut client, &[answer]);
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn a_body_of_4_gib_that_is_only_declared_costs_no_memory() {
    let (_nodes, ringway) = four();
    let before = ringway.resident();
    let mut clients: Vec<Client> = (0..20).map(|_| ringway.client()).collect();
    for client in &mut clients {
        // The answer waits for the key, whose item goes.
        client.send(header(0x01, 1, 8, u32::MAX));
        client.send([0; 9]);
        expect(client, &["01 3 :Too large."]);
        client.send([0; 100_000]);
    }
    ringway.client().expects("mn\r\n", "MN\r\n");
    let grown = ringway.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[test]
fn an_old_node_does_what_it_can_say_and_the_rest_is_refused() {
    let old = Scripted::start("1.4.25", |seen| {
        say(match seen.word(0) {
            "get" | "gets" => format!("VALUE {} 7 2 9\r\nhi\r\nEND\r\n", seen.word(1)),
            "set" | "add" | "append" => "STORED\r\n".to_owned(),
            "delete" => "NOT_FOUND\r\n".to_owned(),
            "incr" => "16\r\n".to_owned(),
            "touch" => "TOUCHED\r\n".to_owned(),
            _ => "ERROR\r\n".to_owned(),
        })
    });
    let ringway = Ringway::start(&pool(&[old.address()], &["request_timeout: 10s"]));
    let mut client = ringway.client();
    for (packet, answer) in [
        (packet(0x00, b"", "a", b""), "00 0 :hi"),
        (packet(0x0c, b"", "a", b""), "0c 0 a:hi"),
        (packet(0x01, &NONE, "a", b"x"), "01 0 :"),
        (packet(0x02, &NONE, "a", b"x"), "02 0 :"),
        (packet(0x0e, b"", "a", b"x"), "0e 0 :"),
        (packet(0x04, b"", "a", b""), "04 1 :Not found"),
        (
            packet(0x05, &count(false), "n", b""),
            "05 0 :\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x10",
        ),
        (packet(0x05, &count(true), "n", b""), "05 1 :Not found"),
        (packet(0x00, b"", "a b", b""), "00 1 :Not found"),
        (packet(0x0a, b"", "", b""), "0a 0 :"),
    ] {
        client.send(packet);
        expect(&mut client, &[answer]);
    }
    let mut client = ringway.client();
    client.expects("mg a v f k O1\r\n", "VA 2 f7 ka O1\r\nhi\r\n");
    client.expects(
        "mg a v t\r\n",
        "CLIENT_ERROR the node's protocol cannot say this\r\n",
    );
    client.expects("md a q\r\nms a 1 T0\r\nx\r\nmn\r\n", "NF\r\nHD\r\nMN\r\n");
}

#[test]
fn a_flush_that_is_due_in_the_far_future_flushes_nothing_now() {
    let (_nodes, ringway) = four();
    let mut client = ringway.client();
    client.send(packet(0x01, &NONE, "a", b"one"));
    expect(&mut client, &["01 0 :"]);
    // From 2³¹ on, a node would read the number as a negative one, which means now.
    for delay in [1u32 << 31, u32::MAX, 0xf486_5700, i32::MAX as u32] {
        client.send(packet(0x08, &delay.to_be_bytes(), "", b""));
        client.send(packet(0x18, &delay.to_be_bytes(), "", b""));
        client.send(packet(0x00, b"", "a", b""));
        expect(&mut client, &["08 0 :", "00 0 :one"]);
    }
}
