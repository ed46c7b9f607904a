//! Handovers under routes, with nodes that fail, and with nodes that are drained.

use crate::handover::{get, next, paused, phase};
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};

/// Stored before the change.
const KEYS: [&str; 5] = ["read", "set", "gone", "n", "joined"];

/// A configuration of a pool of `node` in a handover of its own pace, one of `spare`, and `route` over both.
fn routed(node: &Memcached, spare: &Memcached, route: &str) -> String {
    format!(
        "pools:\n  main: {{nodes: [{}], handover: {{prepare: 0s, serve: 1h}}}}\n  spare: {{nodes: [{}]}}\n\
         routes:\n  default: {route}\n",
        node.address(),
        spare.address()
    )
}

fn expect_value(client: &mut Client, key: &str, value: &str) {
    assert_eq!(get(client, key).as_deref(), Some(value), "{key}");
}

#[test]
fn under_each_route_no_key_misses_and_no_old_value_is_left() {
    for route in [
        "{failover: [main, spare]}",
        "{failover: {to: [main, spare], on_miss: true}}",
        "{replicate: [main, spare]}",
        "{prefix: {\"other:\": spare}, else: main}",
        "{shadow: {of: main, to: spare}}",
        "{single_flight: main}",
    ] {
        let (old, new, spare) = (Memcached::start(), Memcached::start(), Memcached::start());
        let ringway = Ringway::start(&routed(&old, &spare, route));
        let mut client = ringway.client();
        for key in KEYS {
            client.set(key, "5");
        }
        ringway.reload(&routed(&new, &spare, route));
        assert_eq!(phase(&ringway).as_deref(), Some("serve"), "{route}");
        client.expects(
            "get read n other:nothing\r\n",
            "VALUE read 0 1\r\n5\r\nVALUE n 0 1\r\n5\r\nEND\r\n",
        );
        client.expects(
            "set set 0 0 1\r\n6\r\ndelete gone\r\nincr n 2\r\nappend joined 0 0 1\r\n6\r\n",
            "STORED\r\nDELETED\r\n7\r\nSTORED\r\n",
        );
        for key in &KEYS[1..] {
            assert_eq!(
                get(&mut old.client(), key),
                None,
                "{route}: {key} at the old node"
            );
        }
        for key in ["set", "n", "joined"] {
            assert!(
                get(&mut new.client(), key).is_some(),
                "{route}: {key} at the new node"
            );
        }
        assert_eq!(get(&mut new.client(), "gone"), None, "{route}");
        assert_eq!(next(&ringway), "finish", "{route}");
        expect_value(&mut client, "set", "6");
        expect_value(&mut client, "n", "7");
        expect_value(&mut client, "joined", "56");
        assert_eq!(get(&mut client, "gone"), None, "{route}");
    }
}

#[test]
fn failover_goes_on_while_one_of_both_owners_is_down() {
    let route = "{failover: [main, spare]}";
    for is_old_down in [true, false] {
        let (old, new, spare) = (Memcached::start(), Memcached::start(), Memcached::start());
        let ringway = Ringway::start(&routed(&old, &spare, route));
        let mut client = ringway.client();
        client.set("k", "5");
        ringway.reload(&routed(&new, &spare, route));
        drop(if is_old_down { old } else { new });
        let found = get(&mut client, "k");
        assert!(found.is_none_or(|found| found == "5"), "the old node may be down");
        client.expects("set k 0 0 1\r\n6\r\n", "STORED\r\n");
        expect_value(&mut client, "k", "6");
    }
}

/// Three nodes, which become four, with a value of each key.
struct Growing {
    nodes: Vec<Memcached>,
    ringway: Ringway,
}

const COUNT: usize = 120;

fn key(number: usize) -> String {
    format!("key-{number}")
}

impl Growing {
    fn begin(settings: &str) -> Growing {
        let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
        let text = |count: usize| {
            let all: Vec<&Memcached> = nodes[..count].iter().collect();
            format!("{}{settings}", paused(&all, "0s"))
        };
        let ringway = Ringway::start(&text(3));
        let mut client = ringway.client();
        (0..COUNT).for_each(|number| client.set(&key(number), "1"));
        ringway.reload(&text(4));
        assert_eq!(phase(&ringway).as_deref(), Some("serve"));
        Growing { nodes, ringway }
    }

    /// Stores `value` under each key, as far as nodes take it.
    fn write(&self, value: &str) {
        let mut client = self.ringway.client();
        for number in 0..COUNT {
            client.ask(format!("set {} 0 0 1\r\n{value}\r\n", key(number)));
        }
    }

    /// The number of keys that have `value`; no other has a value.
    fn count(&self, value: &str) -> usize {
        let mut client = self.ringway.client();
        let found = (0..COUNT).filter_map(|number| get(&mut client, &key(number)));
        found.inspect(|found| assert_eq!(found, value)).count()
    }

    fn is_in_ring(&self, node: usize) -> bool {
        let label = format!("node=\"{}\"", self.nodes[node].address());
        self.ringway.metric("ringway_node_in_ring", &[&label]) == 1.0
    }
}

#[test]
fn a_node_that_fails_meanwhile_is_no_change_of_the_ring() {
    let settings =
        "    on_node_down: rehash\n    health: {down_after: 1, probe_interval: 100ms, up_after: 1}\n";
    let mut growing = Growing::begin(settings);
    let failed = growing.nodes.remove(0);
    let label = format!("node=\"{}\"", failed.address());
    drop(failed);
    wait_for("the node to be out of the ring", || {
        growing.ringway.metric("ringway_node_in_ring", &[&label]) == 0.0
    });
    assert_eq!(phase(&growing.ringway).as_deref(), Some("serve"));
    // Its keys are misses, and then live on other nodes.
    assert!(growing.count("1") > 0);
    growing.write("2");
    assert_eq!(growing.count("2"), COUNT);
    assert_eq!(next(&growing.ringway), "finish");
    assert_eq!(growing.count("2"), COUNT);
}

#[test]
fn a_node_that_is_drained_meanwhile_shows_nothing_old_when_it_is_back() {
    for drained in [0, 3] {
        let growing = Growing::begin("");
        let act = |action: &str| {
            let name = growing.nodes[drained].address();
            let (status, said) = growing.ringway.post(&format!("/nodes/{name}/{action}"));
            assert_eq!(status, 200, "{said}");
        };
        growing.write("2");
        act("drain");
        wait_for("the node to be out of the ring", || !growing.is_in_ring(drained));
        assert_eq!(phase(&growing.ringway).as_deref(), Some("serve"));
        growing.count("2");
        growing.write("3");
        assert_eq!(growing.count("3"), COUNT, "other nodes take its keys");
        act("undrain");
        wait_for("the node to be back", || growing.is_in_ring(drained));
        growing.count("3");
        growing.write("4");
        assert_eq!(growing.count("4"), COUNT);
    }
}
