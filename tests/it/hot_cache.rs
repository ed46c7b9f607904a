//! `hot_cache` on the wire and over a real node: what clients of each protocol read, and what the node is asked.

use crate::support::binary::{packet, response};
use crate::support::diagnostics::diagnostics;
use crate::support::load::while_others_read;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, wait_for};
use crate::support::routes::{event_count, with_route};
use crate::support::scripted::{Act, Scripted, say};

/// A Ringway whose policy keeps every key for `expiry`.
fn keeping(node: &Memcached, expiry: &str) -> Ringway {
    let route = format!("{{hot_cache: {{to: b, expiry: {expiry}, min_rate: 0}}}}");
    Ringway::start(&with_route(&[node.address(), node.address()], &route))
}

/// The value of a binary get of `k`, and its cas id.
fn binary_get(client: &mut Client) -> (Vec<u8>, u64) {
    client.send(packet(0x00, &[], "k", b""));
    let head = client.exact(24);
    let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
    let cas = u64::from_be_bytes(head[16..24].try_into().expect("eight bytes"));
    (client.exact(length)[4..].to_vec(), cas)
}

#[test]
fn clients_of_every_protocol_get_what_is_kept() {
    let node = Memcached::start();
    let ringway = keeping(&node, "10s");
    let mut direct = node.client();
    direct.expects("set k 7 0 3\r\nold\r\n", "STORED\r\n");
    let mut client = ringway.client();
    let mut binary = ringway.client();
    let meta = "VA 3 kk f7 s3 O1\r\nold\r\n";
    client.expects("get k\r\n", "VALUE k 7 3\r\nold\r\nEND\r\n");
    client.expects("mg k v k f s O1\r\n", meta);
    let (value, cas) = binary_get(&mut binary);
    // The value changes around Ringway, which does not see it yet.
    direct.expects("set k 7 0 3\r\nnew\r\n", "STORED\r\n");
    client.expects(
        "get k x k\r\n",
        "VALUE k 7 3\r\nold\r\nVALUE k 7 3\r\nold\r\nEND\r\n",
    );
    client.expects("mg k v k f s O1\r\n", meta);
    client.expects("mg k s v\r\n", "VA 3 s3\r\nold\r\n");
    assert_eq!(
        (binary_get(&mut binary), &value[..]),
        ((value.clone(), cas), &b"old"[..])
    );
    // What asks for a cas id gets the item as it is.
    let gets = client.ask("gets k\r\n");
    assert!(gets.starts_with("VALUE k 7 3 "), "{gets}");
    client.expect("new\r\nEND\r\n");
    // A cas with the kept id fails, and then the value is read anew.
    let mut compared = packet(0x01, &[0; 8], "k", b"mine");
    compared[16..24].copy_from_slice(&cas.to_be_bytes());
    binary.send(compared);
    assert_eq!(response(&mut binary), "01 2 :Data exists for key.");
    assert_eq!(binary_get(&mut binary).0, b"new");
    client.expects("get k\r\n", "VALUE k 7 3\r\nnew\r\nEND\r\n");
    assert!(event_count(&ringway, "served") >= 5.0);
}

#[test]
fn what_is_written_around_it_is_seen_once_the_value_expires() {
    let node = Memcached::start();
    let ringway = keeping(&node, "50ms");
    let mut client = ringway.client();
    for round in 0..5 {
        node.client().set("k", round.to_string());
        wait_for("the new value", || {
            client.get("k") == Some(round.to_string().into_bytes())
        });
    }
}

#[test]
fn a_client_reads_what_it_wrote_on_another_connection() {
    let node = Memcached::start();
    let route = "{hot_cache: {to: b, expiry: 10s, min_rate: 0, misses: true}}";
    let yaml =
        with_route(&[node.address(), node.address()], route).replacen("pools:", "workers: 2\npools:", 1);
    let ringway = Ringway::start(&yaml);
    let (mut writer, mut reader) = (ringway.client(), ringway.client());
    // Others read the key all the while, so that both workers keep it.
    while_others_read(&ringway, "k", || {
        for round in 0..2000 {
            let value = round.to_string();
            writer.set("k", &value);
            assert_eq!(reader.get("k"), Some(value.into_bytes()));
            if round % 50 == 0 {
                writer.expects("delete k\r\n", "DELETED\r\n");
                assert_eq!(reader.get("k"), None);
            }
        }
    });
    assert!(event_count(&ringway, "served") > 0.0, "nothing was kept");
    writer.expects("flush_all\r\n", "OK\r\n");
    assert_eq!(reader.get("k"), None);
}

#[test]
fn a_key_becomes_hot_by_being_read_and_its_node_is_spared() {
    let node = Memcached::start();
    let route = "{hot_cache: {to: b, min_rate: 50, prefixes: [\"page:\"]}}";
    let ringway = Ringway::start(&with_route(&[node.address(), node.address()], route));
    let mut client = ringway.client();
    client.set("page:1", "v");
    client.set("user:1", "v");
    wait_for("the key to be hot", || {
        // Often enough for the rate, however seldom a busy machine looks.
        for key in ["page:1", "user:1"].repeat(50) {
            assert_eq!(client.get(key).as_deref(), Some(&b"v"[..]));
        }
        event_count(&ringway, "served") > 100.0
    });
    let explained = ringway.get("/explain?key=page:1").1;
    assert!(
        explained.contains("\"staleness\":\"1s\"") || explained.contains("\"staleness\": \"1s\""),
        "{explained}"
    );
}

#[test]
fn a_write_that_began_before_a_reload_is_seen_after_it() {
    let node = Scripted::start("1.6.18", |seen| {
        let key = seen.word(1);
        match seen.word(0) {
            "ms" => [vec![Act::Await("open")], say(format!("HD k{key}\r\n"))].concat(),
            _ => say(format!("VA 3 k{key} f0\r\nold\r\n")),
        }
    });
    let yaml = with_route(
        &[node.address(), node.address()],
        "{hot_cache: {to: b, expiry: 10s, min_rate: 0}}",
    );
    let ringway = Ringway::start(&yaml);
    let (mut writer, mut reader) = (ringway.client(), ringway.client());
    writer.send("set k 0 0 3\r\nnew\r\n");
    wait_for("the write", || {
        node.lines().iter().any(|line| line.starts_with("ms k"))
    });
    let changed = yaml.replace("expiry: 10s", "expiry: 9s");
    assert_eq!(ringway.reload(&changed).0, 200);
    let reads = || {
        node.lines()
            .iter()
            .filter(|line| line.starts_with("mg k"))
            .count()
    };
    // A link takes its requests in order, so these reads are answered after the write; none is kept before.
    reader.send("get k\r\n");
    wait_for("the read", || {
        ringway.metric("ringway_route_requests_total", &["policy=\"hot_cache\""]) == 2.0
    });
    node.open("open");
    writer.expect("STORED\r\n");
    reader.expect("VALUE k 0 3\r\nold\r\nEND\r\n");
    reader.expects("get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    assert_eq!(reads(), 2, "what was read during the write is not kept");
}

#[test]
fn mistakes_are_told_with_their_place_and_the_way_out() {
    let told = |options: &str| {
        let yaml = with_route(
            &["h:1".to_owned(), "h:2".to_owned()],
            &format!("{{hot_cache: {{to: b, {options}}}}}"),
        );
        diagnostics(&yaml)
    };
    for (options, expected) in [
        (
            "expiry: 11s",
            "expiry: \"11s\" is out of range, the range is 10ms to 10s",
        ),
        ("size: 1KiB", "is out of range"),
        ("prefixes: [\"a b\"]", "no key begins with \"a b\""),
        ("min_rat: 1", "did you mean \"min_rate\"?"),
    ] {
        let told = told(options);
        assert!(told.contains(expected), "{options}: {told}");
    }
}
