//! Values that Ringway refuses in a node's place: the item ends up as memcached would have left it, whatever the
//! command, the protocol and the route, before the client reads the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::binary::packet;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown, wait_for};
use crate::support::routes::with_route;

/// One byte more than memcached stores by default, and more than a pool takes.
const BIG: usize = (1 << 20) + 1;

/// A storage command, to be followed by the value.
fn text(line: &str) -> Vec<u8> {
    let line = line.replace("BIG", &BIG.to_string());
    [line.as_bytes(), b"\r\n", &vec![b'y'; BIG], b"\r\n"].concat()
}

fn store_packet(opcode: u8, cas: u64) -> Vec<u8> {
    let extras: &[u8] = if matches!(opcode, 0x0e | 0x0f | 0x19 | 0x1a) {
        b""
    } else {
        &[0; 8]
    };
    let mut packet = packet(opcode, extras, "k", &vec![b'y'; BIG]);
    packet[16..24].copy_from_slice(&cas.to_be_bytes());
    packet
}

/// Each command that brings a value too large, and whether it is in binary.
fn commands() -> Vec<(String, Vec<u8>, bool)> {
    let mut commands = Vec::new();
    for name in ["set", "add", "replace", "append", "prepend"] {
        for noreply in ["", " noreply"] {
            let line = format!("{name} k 0 0 BIG{noreply}");
            commands.push((line.clone(), text(&line), false));
        }
    }
    let lines = [
        "cas k 0 0 BIG 1",
        "cas k 0 0 BIG 1 noreply",
        "ms k BIG",
        "ms k BIG q c Oabc k",
        "ms k BIG MS",
        "ms k BIG ME",
        "ms k BIG ME q",
        "ms k BIG MR",
        "ms k BIG MA",
        "ms k BIG MP q",
        "ms k BIG C1",
        "ms k BIG I C1 MR",
        "ms aw== BIG b",
        // Mistakes that memcached sees first: nothing changes.
        "ms k BIG Mx",
        "ms k BIG MS MS",
        "ms k BIG Tx",
        "ms k BIG O0123456789012345678901234567890123",
        "ms a BIG b",
        // Its data block is read as commands.
        "set other 0 0 BIG",
    ];
    commands.extend(lines.map(|line| (line.to_owned(), text(line), false)));
    for opcode in [0x01, 0x02, 0x03, 0x0e, 0x0f, 0x11, 0x12, 0x13, 0x19, 0x1a] {
        for cas in [0, 1] {
            let name = format!("binary {opcode:#x}, cas id {cas}");
            commands.push((name, store_packet(opcode, cas), true));
        }
    }
    commands
}

/// What a client reads to `command` over an item, and of the item then.
fn heard(mut client: Client, command: &[u8], is_binary: bool) -> Vec<u8> {
    let mut conversation = Vec::new();
    if is_binary {
        conversation.extend(packet(0x01, &[0; 8], "k", b"old"));
        conversation.extend(command);
        conversation.extend(packet(0x0c, b"", "k", b""));
        conversation.extend(packet(0x07, b"", "", b""));
    } else {
        conversation.extend(b"set k 5 0 3\r\nold\r\n");
        conversation.extend(command);
        conversation.extend(b"get k\r\n");
    }
    client.send(conversation);
    let mut heard = client.finish();
    if is_binary {
        forget_cas_ids(&mut heard);
    }
    heard
}

fn forget_cas_ids(mut packets: &mut [u8]) {
    while packets.len() >= 24 {
        let body = u32::from_be_bytes([packets[8], packets[9], packets[10], packets[11]]) as usize;
        packets[16..24].fill(0);
        packets = &mut packets[24 + body..];
    }
}

#[test]
fn a_value_too_large_leaves_the_item_as_memcached_leaves_it() {
    let direct = Memcached::start();
    let node = Memcached::start();
    let remote = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let embedded = Ringway::start("pools: {main: {nodes: [{name: e, embedded: 64MiB}]}}\n");
    for (name, command, is_binary) in commands() {
        let wanted = heard(direct.client(), &command, is_binary);
        for ringway in [&remote, &embedded] {
            let got = heard(ringway.client(), &command, is_binary);
            assert!(
                got == wanted,
                "{name}\n{}\nmemcached: {}",
                shown(&got),
                shown(&wanted)
            );
        }
    }
}

/// The pool takes the value, and the node refuses it.
#[test]
fn a_value_too_large_for_its_node_leaves_the_item_as_memcached_leaves_it() {
    let allows = ["-I", "512k"];
    let (direct, node) = (Memcached::start_with(&allows), Memcached::start_with(&allows));
    let settings = ["request_timeout: 10s", "max_value_size: 2MiB"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    wait_for("the node to tell what it allows", || {
        ringway.get("/nodes").1.contains("\"item_size_max\":524288")
    });
    for (name, command, is_binary) in commands() {
        // Classic text has none of these with a cas id, so they go as ms, which takes the item.
        let is_set = matches!(command[1], 0x01 | 0x11);
        if is_binary && name.ends_with("cas id 1") && !is_set {
            continue;
        }
        let wanted = heard(direct.client(), &command, is_binary);
        let got = heard(ringway.client(), &command, is_binary);
        assert!(
            got == wanted,
            "{name}\n{}\nmemcached: {}",
            shown(&got),
            shown(&wanted)
        );
    }
}

#[test]
fn a_key_that_no_line_can_carry_is_deleted_in_base64() {
    let node = Memcached::start();
    let plain = Ringway::start(&pool(&[node.address()], &[]));
    let limited = Ringway::start(&with_route(
        &[node.address(), node.address()],
        "{limit: {to: b, in_flight: 9}}",
    ));
    for ringway in [plain, limited] {
        let mut client = ringway.client();
        for key in ["a b", "c\r\ndelete other\r\nmg d", "\0"] {
            let key = STANDARD.encode(key);
            client.set("other", "v");
            client.expects(format!("ms {key} 1 b\r\nv\r\n"), "HD\r\n");
            client.send(text(&format!("ms {key} BIG b")));
            client.expect("SERVER_ERROR object too large for cache\r\n");
            client.expects(format!("mg {key} b v\r\n"), "EN\r\n");
            assert_eq!(client.get("other").as_deref(), Some(&b"v"[..]));
        }
    }
}

#[test]
fn every_copy_of_an_item_goes_whatever_the_route() {
    let nodes = [Memcached::start(), Memcached::start()];
    let addresses = nodes.each_ref().map(Memcached::address);
    let gone = [false, false];
    let first_stays = [true, false];
    let table = [
        ("{replicate: [a, b]}", gone),
        ("{failover: {to: [a, b], expiry: 60s}}", gone),
        ("{lazy_fill: {to: a, from: b}}", gone),
        ("{layers: {near: a, far: b, near_expiry: 10s}}", gone),
        // It goes where the set would have gone, not where a delete goes.
        ("{by_command: {set: {replicate: [a, b]}}, else: b}", gone),
        ("{by_command: {set: b}, else: {replicate: [a, b]}}", first_stays),
        ("{prefix: {k: b}, else: a}", first_stays),
    ];
    for (route, stay) in table {
        let ringway = Ringway::start(&with_route(&addresses, route));
        for (command, is_binary) in [(text("set k 0 0 BIG"), false), (store_packet(0x11, 0), true)] {
            for node in &nodes {
                node.client().set("k", "old");
            }
            let mut client = ringway.client();
            client.send(command);
            if is_binary {
                assert_eq!(client.exact(24)[7], 3, "{route}: too large");
            } else {
                client.expect("SERVER_ERROR object too large for cache\r\n");
            }
            let stays = nodes.each_ref().map(|node| node.client().get("k").is_some());
            assert_eq!(stays, stay, "{route}");
        }
    }
}

#[test]
fn the_copy_of_a_shadow_goes_too_though_no_reply_waits_for_it() {
    let nodes = [Memcached::start(), Memcached::start()];
    let addresses = nodes.each_ref().map(Memcached::address);
    let ringway = Ringway::start(&with_route(&addresses, "{shadow: {of: a, to: b}}"));
    for node in &nodes {
        node.client().set("k", "old");
    }
    let mut client = ringway.client();
    client.send(text("set k 0 0 BIG"));
    client.expect("SERVER_ERROR object too large for cache\r\n");
    assert_eq!(nodes[0].client().get("k"), None);
    wait_for("the copy to go", || nodes[1].client().get("k").is_none());
}

#[test]
fn a_route_that_refuses_a_set_keeps_the_item_of_one_that_is_too_large() {
    let node = Memcached::start();
    let route = "{deny: {to: a, commands: [set]}}";
    let ringway = Ringway::start(&with_route(&[node.address()], route));
    node.client().set("k", "old");
    let mut client = ringway.client();
    client.send(text("set k 0 0 BIG"));
    assert!(client.line().starts_with("CLIENT_ERROR"));
    assert!(client.get("k").is_some());
}

#[test]
fn what_follows_a_refused_value_finds_its_effect() {
    let nodes = [Memcached::start(), Memcached::start()];
    let addresses = nodes.each_ref().map(Memcached::address);
    for route in [
        "a",
        "{replicate: [a, b]}",
        "{layers: {near: a, far: b, near_expiry: 10s}}",
    ] {
        let ringway = Ringway::start(&with_route(&addresses, route));
        let mut client = ringway.client();
        let big = text("set k 0 0 BIG noreply");
        let mut all = b"set k 0 0 3\r\nold\r\n".to_vec();
        all.extend(&big);
        all.extend(b"get k\r\nadd k 0 0 3\r\nnew\r\n");
        all.extend(&big);
        all.extend(b"set k 0 0 4\r\nlast\r\nget k\r\n");
        client.expects(
            all,
            "STORED\r\nEND\r\nSTORED\r\nSTORED\r\nVALUE k 0 4\r\nlast\r\nEND\r\n",
        );
    }
}
