//! `layers` on the wire and over real nodes: what is near is read near, and for so long only.

use std::time::{Duration, Instant};

use crate::support::binary::packet;
use crate::support::echo_node::{echo_node, empty_node};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::routes::{event_count, with_route};

/// An embedded node before the node at `far`.
fn embedded(far: &str, near_expiry: &str) -> String {
    format!(
        "pools:\n  near: {{nodes: [{{name: near, embedded: 8MiB}}]}}\n  far: {{nodes: ['{far}']}}\n\
         routes:\n  default: {{layers: {{near: near, far: far, near_expiry: {near_expiry}}}}}\n"
    )
}

#[test]
fn clients_of_every_protocol_read_what_the_far_pool_has() {
    let near = empty_node();
    let far = echo_node("far");
    let route = "{layers: {near: a, far: b, near_expiry: 10s}}";
    let ringway = Ringway::start(&with_route(&[near.address(), far.address()], route));
    let mut client = ringway.client();
    client.expects(
        "get k l\r\n",
        "VALUE k 0 3\r\nfar\r\nVALUE l 0 3\r\nfar\r\nEND\r\n",
    );
    client.expects(
        "gets k\r\nmg k v\r\n",
        "VALUE k 0 3 7\r\nfar\r\nEND\r\nVA 3 f0 c7\r\nfar\r\n",
    );
    client.expects("set k 0 0 1\r\nv\r\ndelete k\r\n", "STORED\r\nDELETED\r\n");
    let mut binary = ringway.client();
    binary.send(packet(0x00, &[], "k", b""));
    assert_eq!(&binary.exact(24 + 4 + 3)[28..], b"far");
    let taken_out = near
        .lines()
        .iter()
        .filter(|line| line.starts_with("md k"))
        .count();
    assert_eq!(taken_out, 2, "after the set and after the delete");
}

#[test]
fn what_was_read_is_near_until_it_is_changed_here() {
    let far = Memcached::start();
    let ringway = Ringway::start(&embedded(&far.address(), "60s"));
    let mut client = ringway.client();
    far.client().set("k", "first");
    client.expects("get k\r\n", "VALUE k 0 5\r\nfirst\r\nEND\r\n");
    wait_for("the copy", || event_count(&ringway, "filled") == 1.0);
    // Somebody else changes it, and this process does not know for as long as it may not.
    far.client().set("k", "other");
    client.expects("get k\r\n", "VALUE k 0 5\r\nfirst\r\nEND\r\n");
    client.expects(
        "gets k\r\n",
        format!("VALUE k 0 5 {}\r\nother\r\nEND\r\n", cas(&far)),
    );
    client.set("k", "own");
    client.expects("get k\r\n", "VALUE k 0 3\r\nown\r\nEND\r\n");
    client.expects(
        "append k 0 0 1\r\n!\r\nget k\r\n",
        "STORED\r\nVALUE k 0 4\r\nown!\r\nEND\r\n",
    );
    client.expects("delete k\r\nget k\r\n", "DELETED\r\nEND\r\n");
}

/// The cas id of the key `k`.
fn cas(node: &Memcached) -> String {
    let answer = node.client().ask("mg k c\r\n");
    answer.split(" c").last().expect("a cas id").to_owned()
}

#[test]
fn what_others_change_is_seen_when_the_copy_ends() {
    let far = Memcached::start();
    let ringway = Ringway::start(&embedded(&far.address(), "2s"));
    let mut client = ringway.client();
    far.client().set("k", "first");
    client.expects("get k\r\n", "VALUE k 0 5\r\nfirst\r\nEND\r\n");
    far.client().set("k", "other");
    let begun = Instant::now();
    wait_for("what others wrote", || {
        client.get("k").as_deref() == Some(b"other")
    });
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_copy_that_is_on_its_way_when_the_key_is_changed_is_not_stored() {
    let far = Memcached::start();
    let ringway = Ringway::start(&embedded(&far.address(), "60s"));
    let (mut reader, mut writer) = (ringway.client(), ringway.client());
    writer.set("n", "0");
    // Each read brings a copy; whoever reads after a change was answered must not find one from before.
    for number in 1..400 {
        reader.send("get n\r\n");
        writer.expects("incr n 1\r\n", format!("{number}\r\n"));
        let seen = writer.get("n").expect("it is there");
        assert_eq!(String::from_utf8_lossy(&seen), number.to_string());
        let _read = reader.read_to("END");
    }
}
