//! `spread` over real nodes: where the copies are, and that every process reads what any has written.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::diagnostics::diagnostics;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool, wait_for};
use crate::support::routes::event_count;

const ROUTE: &str = "{spread: {to: main, copies: 3, min_rate: 0}}";

/// Three nodes, and this many Ringways in front of them.
fn fleet<const SIDECARS: usize>() -> (Vec<Memcached>, [Ringway; SIDECARS]) {
    let nodes: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let settings = ["request_timeout: 500ms", "health: {down_after: 1000000}"];
    let text = format!("{}routes:\n  default: {ROUTE}\n", pool(&addresses, &settings));
    (nodes, [(); SIDECARS].map(|()| Ringway::start(&text)))
}

/// The highest number of a copy of three.
const NUMBERS: usize = 16;

/// The nodes that have an item for `key` or a copy of it, one for each name.
fn places(nodes: &[Memcached], key: &str) -> Vec<usize> {
    let copies = (1..=NUMBERS).map(|number| format!("{key}~{number}"));
    let names = copies.chain([key.to_owned()]);
    names
        .flat_map(|name| (0..nodes.len()).filter(move |&node| nodes[node].client().get(&name).is_some()))
        .collect()
}

/// How many copies the nodes have of keys that are there themselves.
fn copies(nodes: &[Memcached], keys: usize) -> usize {
    let of_key = |key| places(nodes, &format!("k{key}")).len() - 1;
    (0..keys).map(of_key).sum()
}

#[test]
fn reads_make_copies_and_a_write_of_any_process_removes_them() {
    const KEYS: usize = 30;
    let (nodes, sidecars) = fleet::<2>();
    let mut clients = sidecars.each_ref().map(Ringway::client);
    for key in 0..KEYS {
        clients[0].set(&format!("k{key}"), "old");
    }
    // Of thirty keys, each process reads some by a copy.
    wait_for("copies", || {
        for client in &mut clients {
            for key in 0..KEYS {
                assert_eq!(client.get(&format!("k{key}")).as_deref(), Some(&b"old"[..]));
            }
        }
        copies(&nodes, KEYS) >= 10
    });
    for key in 0..KEYS {
        let mut places = places(&nodes, &format!("k{key}"));
        let count = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), count, "two names of k{key} are on one node");
    }
    for key in 0..KEYS {
        let [first, second] = &mut clients;
        first.set(&format!("k{key}"), "new");
        assert_eq!(second.get(&format!("k{key}")).as_deref(), Some(&b"new"[..]));
        second.expects(format!("delete k{key}\r\n"), "DELETED\r\n");
        assert_eq!(first.get(&format!("k{key}")), None);
    }
    for key in 0..KEYS {
        assert!(places(&nodes, &format!("k{key}")).is_empty(), "k{key}");
    }
    for sidecar in &sidecars {
        assert!(event_count(sidecar, "spread") > 0.0);
        assert!(event_count(sidecar, "filled") > 0.0);
    }
}

#[test]
fn a_write_of_a_key_in_base64_removes_the_copies_that_other_reads_have_made() {
    let (nodes, sidecars) = fleet::<3>();
    let mut clients = sidecars.each_ref().map(Ringway::client);
    // The copies' names fit a line, but not in base64.
    let keys: Vec<String> = (183..=186).map(|length| "k".repeat(length)).collect();
    for key in &keys {
        clients[0].set(key, "old");
    }
    wait_for("copies", || {
        for client in &mut clients {
            for key in &keys {
                assert_eq!(client.get(key).as_deref(), Some(&b"old"[..]));
            }
        }
        keys.iter().any(|key| places(&nodes, key).len() > 1)
    });
    for key in &keys {
        let encoded = STANDARD.encode(key);
        clients[0].expects(
            format!("ms {encoded} 3 b k\r\nnew\r\n"),
            format!("HD k{encoded} b\r\n"),
        );
        for client in &mut clients {
            client.expects(format!("mg {encoded} b v\r\n"), "VA 3\r\nnew\r\n");
            assert_eq!(client.get(key).as_deref(), Some(&b"new"[..]));
        }
    }
}

#[test]
fn a_write_whose_copy_cannot_be_deleted_fails_and_no_old_value_is_read_later() {
    let (nodes, [ringway]) = fleet::<1>();
    let mut client = ringway.client();
    nodes[0].signal("STOP");
    // Where the three names of a key are is for the ring to say: one of them is on the node for most keys.
    let mut failed = 0;
    for key in 0..12 {
        match &client.ask(format!("set k{key} 0 0 1\r\nv\r\n"))[..] {
            "STORED" => {}
            "NOT_STORED" => failed += 1,
            other => panic!("{other}"),
        }
    }
    nodes[0].signal("CONT");
    assert!(failed > 0);
    wait_for("all nodes", || {
        (0..12).all(|key| client.ask(format!("set k{key} 0 0 1\r\nw\r\n")) == "STORED")
    });
    for key in 0..12 {
        assert_eq!(client.get(&format!("k{key}")).as_deref(), Some(&b"w"[..]));
    }
}

#[test]
fn explain_shows_where_the_copies_are() {
    let (nodes, [ringway]) = fleet::<1>();
    let explained: Value = serde_json::from_str(&ringway.get("/explain?key=page").1).expect("JSON");
    let tree = &explained["tree"];
    assert_eq!(
        (&tree["policy"], &tree["staleness"]),
        (&json!("spread"), &json!("10s"))
    );
    let routes = tree["routes"].as_array().expect("a list");
    assert_eq!(routes[0]["of"], "key");
    for copy in &routes[1..] {
        let number = copy["of"].as_str().and_then(|of| of.strip_prefix("copy "));
        assert_eq!(
            copy["options"]["add_suffix"],
            format!("~{}", number.expect("a number"))
        );
    }
    let node = |route: &Value| {
        route["routes"][0]["node"]
            .as_str()
            .or(route["node"].as_str())
            .map(str::to_owned)
    };
    let places: BTreeSet<_> = routes.iter().filter_map(node).collect();
    assert_eq!(places.len(), nodes.len());
}

#[test]
fn mistakes_are_told_with_their_place_and_the_way_out() {
    for (options, expected) in [
        ("copies: 1", "copies: 1 is out of range, the range is 2 to 16"),
        ("expiry: 1ms", "expiry: \"1ms\" is out of range"),
        ("min_rat: 3", "did you mean \"min_rate\"?"),
    ] {
        let text =
            format!("pools: {{b: {{nodes: [\"h:1\"]}}}}\nroutes:\n  r: {{spread: {{to: b, {options}}}}}\n");
        let told = diagnostics(&text);
        assert!(told.contains(expected), "{told}");
    }
    let text = "pools: {b: {nodes: [\"h:1\"], protocol: classic}}\nroutes:\n  r: {spread: {to: b}}\n";
    assert!(diagnostics(text).contains("speaks classic text only"));
}
