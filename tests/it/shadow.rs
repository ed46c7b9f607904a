//! `shadow` on the wire and over real nodes: what clients read is the original's, whatever becomes of the copies.

use crate::support::binary::packet;
use crate::support::echo_node::echo_node;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::routes::{event_count, with_route};
use crate::support::scripted::Scripted;

const ROUTE: &str = "{shadow: {of: a, to: b, compare: true}}";

#[test]
fn clients_of_every_protocol_read_the_original_and_the_copy_sees_what_they_ask() {
    let nodes = [echo_node("first"), echo_node("second")];
    let ringway = Ringway::start(&with_route(&nodes.each_ref().map(Scripted::address), ROUTE));
    let mut client = ringway.client();
    client.expects(
        "get k l\r\n",
        "VALUE k 0 5\r\nfirst\r\nVALUE l 0 5\r\nfirst\r\nEND\r\n",
    );
    client.expects(
        "set k 0 0 1\r\nv\r\nmg k v\r\n",
        "STORED\r\nVA 5 f0 c7\r\nfirst\r\n",
    );
    client.expects("delete k noreply\r\nmn\r\n", "MN\r\n");
    let mut other = ringway.client();
    other.send(packet(0x00, &[], "k", b""));
    assert_eq!(&other.exact(24 + 4 + 5)[28..], b"first");
    wait_for("the copies", || nodes[1].lines().len() == nodes[0].lines().len());
    let sorted = |node: &Scripted| {
        let mut lines = node.lines();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&nodes[1]), sorted(&nodes[0]));
    wait_for("the comparisons", || event_count(&ringway, "differs") == 4.0);
    assert_eq!(event_count(&ringway, "copied"), 6.0);
}

#[test]
fn a_canary_that_is_silent_or_away_costs_clients_nothing() {
    let silent = Scripted::start("1.6.18", |_| vec![]);
    let main = Memcached::start();
    let nodes = [silent.address(), main.address(), "127.0.0.1:1".to_owned()];
    let route = "{shadow: {of: {shadow: {of: b, to: a}}, to: c}}";
    let ringway = Ringway::start(&with_route(&nodes, route).replace("400ms", "1s"));
    let mut client = ringway.client();
    let begun = std::time::Instant::now();
    for number in 0..200 {
        client.set(&format!("k{number}"), "v");
        assert_eq!(client.get(&format!("k{number}")).as_deref(), Some(&b"v"[..]));
    }
    client.expects("flush_all\r\nget k1\r\n", "OK\r\nEND\r\n");
    // Each would have waited for a second.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    wait_for("the copies to fail", || {
        event_count(&ringway, "copy_failed") > 400.0
    });
}

#[test]
fn a_canary_that_sees_all_has_what_the_original_has() {
    let nodes = [Memcached::start(), Memcached::start()];
    let ringway = Ringway::start(&with_route(&nodes.each_ref().map(Memcached::address), ROUTE));
    let mut client = ringway.client();
    client.set("k", "v");
    let gets = client.ask("gets k\r\n");
    let id = gets.rsplit(' ').next().expect("a cas id").to_owned();
    client.expect("v\r\nEND\r\n");
    client.expects(format!("cas k 0 0 1 {id}\r\nw\r\n"), "STORED\r\n");
    client.expects(format!("cas k 0 0 1 {id}\r\nx\r\n"), "EXISTS\r\n");
    client.expects(
        "add k 0 0 1\r\ny\r\nadd n 0 0 1\r\n1\r\nincr n 2\r\n",
        "NOT_STORED\r\nSTORED\r\n3\r\n",
    );
    let mut canary = nodes[1].client();
    wait_for("the copies", || canary.get("n").as_deref() == Some(b"3"));
    assert_eq!(canary.get("k").as_deref(), Some(&b"w"[..]));
    canary.set("k", "other");
    let same = event_count(&ringway, "same");
    client.expects("get k nothing\r\n", "VALUE k 0 1\r\nw\r\nEND\r\n");
    wait_for("the comparisons", || {
        event_count(&ringway, "differs") == 1.0 && event_count(&ringway, "same") > same
    });
}
