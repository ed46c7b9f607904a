//! Nodes that leave the ring and come back: whose keys move meanwhile, and what a node may hold when it is
//! back. All nodes are real; the faults are a stopped process and a killed one.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, full, pool, wait_for};

const HEALTH: &str = "health: {down_after: 2, up_after: 2, probe_interval: 100ms, probe_timeout: 100ms, \
                      max_probe_interval: 200ms}";
const KEYS: usize = 200;

/// Four nodes behind a ring that goes on without those that are down.
struct Bench {
    nodes: Vec<Memcached>,
    ringway: Ringway,
}

impl Bench {
    fn start(settings: &[&str]) -> Bench {
        Bench::over((0..4).map(|_| Memcached::start()).collect(), settings)
    }

    fn over(nodes: Vec<Memcached>, settings: &[&str]) -> Bench {
        let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
        let has_timeout = settings
            .iter()
            .any(|setting| setting.starts_with("request_timeout"));
        let timeout = if has_timeout { "" } else { "request_timeout: 100ms" };
        let all = [&[HEALTH, timeout], settings].concat();
        let ringway = Ringway::start(&full(&pool(&addresses, &all)));
        Bench { nodes, ringway }
    }

    /// Where each key goes now, by the address of its node.
    fn places(&self) -> Vec<String> {
        places(&self.ringway)
    }

    /// A metric of the node with this index.
    fn metric(&self, name: &str, node: usize) -> f64 {
        let label = format!("node=\"{}\"", self.nodes[node].address());
        self.ringway.metric(name, &[&label])
    }

    fn wait_in_ring(&self, node: usize, is_in: bool) {
        wait_for("the ring to change", || {
            (self.metric("ringway_node_in_ring", node) == 1.0) == is_in
        });
    }

    fn act(&self, node: usize, action: &str) -> (u16, String) {
        let name = self.nodes[node].address();
        self.ringway.post(&format!("/nodes/{name}/{action}"))
    }

    /// Stores `value` under a key of each node, in their order. Returns the keys.
    fn store_on_each(&self, client: &mut Client, value: &str) -> Vec<String> {
        let places = self.places();
        let keys: Vec<String> = self
            .nodes
            .iter()
            .map(|node| places.iter().position(|place| *place == node.address()))
            .map(|found| key(found.expect("each node has a key")))
            .collect();
        keys.iter().for_each(|key| client.set(key, value));
        keys
    }
}

/// Where each key goes now, by the address of its node.
fn places(ringway: &Ringway) -> Vec<String> {
    (0..KEYS)
        .map(|n| explained(ringway, &key(n), "address"))
        .collect()
}

/// One field of what `/explain` says of `key`, as JSON without its quotes.
fn explained(ringway: &Ringway, key: &str, field: &str) -> String {
    let (status, body) = ringway.get(&format!("/explain?key={key}"));
    assert_eq!(status, 200, "{body}");
    let explained: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let value = &explained[field];
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn key(number: usize) -> String {
    format!("key-{number}")
}

#[test]
fn only_the_keys_of_a_node_that_is_down_move_and_an_old_value_never_comes_back() {
    let bench = Bench::start(&["on_node_down: rehash"]);
    let mut client = bench.ringway.client();
    let before = bench.places();
    let keys = bench.store_on_each(&mut client, "old");
    bench.nodes[0].signal("STOP");
    bench.wait_in_ring(0, false);
    for (was, is) in before.iter().zip(bench.places()) {
        let stays = *was != bench.nodes[0].address();
        assert!((*was == is) == stays, "{was} became {is}");
    }
    let others: Vec<String> = bench.nodes[1..].iter().map(Memcached::address).collect();
    let without = Ringway::start(&pool(&others, &[]));
    assert_eq!(bench.places(), places(&without), "as if the node were removed");
    client.set(&keys[0], "new");
    bench.nodes[0].signal("CONT");
    bench.wait_in_ring(0, true);
    assert_eq!(bench.places(), before);
    assert_eq!(
        client.get(&keys[0]),
        None,
        "the old value was flushed, the new one is elsewhere"
    );
    for key in &keys[1..] {
        assert_eq!(client.get(key).as_deref(), Some(&b"old"[..]));
    }
    assert_eq!(bench.metric("ringway_rejoins_total", 0), 1.0);
    assert_eq!(bench.metric("ringway_rejoin_flushes_total", 0), 1.0);
    assert_eq!(bench.ringway.metric("ringway_rejoin_flushes_total", &[]), 1.0);
}

#[test]
fn a_node_that_was_restarted_while_it_was_out_is_not_flushed() {
    let mut bench = Bench::start(&["on_node_down: rehash"]);
    let node = bench.nodes.remove(3);
    let (port, address) = (node.port(), node.address());
    let label = format!("node=\"{address}\"");
    let in_ring = |bench: &Bench| bench.ringway.metric("ringway_node_in_ring", &[&label]);
    drop(node);
    wait_for("the node to leave the ring", || in_ring(&bench) == 0.0);
    // memcached's uptime is up to three seconds ahead: a shorter outage tells nothing.
    let until = Instant::now() + Duration::from_secs(5);
    wait_for("an outage long enough to tell", || Instant::now() > until);
    let node = Memcached::start_on(port).expect("its port is still free");
    // What somebody else has stored there since is no old value.
    node.client().set("fresh", "value");
    bench.nodes.push(node);
    wait_for("the node to be back", || in_ring(&bench) == 1.0);
    assert_eq!(
        bench.nodes[3].client().get("fresh").as_deref(),
        Some(&b"value"[..])
    );
    assert_eq!(bench.metric("ringway_rejoins_total", 3), 1.0);
    assert_eq!(bench.metric("ringway_rejoin_flushes_total", 3), 0.0);
}

#[test]
fn with_trust_a_node_comes_back_as_it_is() {
    let bench = Bench::start(&["on_node_down: rehash", "rejoin: trust"]);
    let mut client = bench.ringway.client();
    let keys = bench.store_on_each(&mut client, "old");
    bench.nodes[1].signal("STOP");
    bench.wait_in_ring(1, false);
    assert_eq!(client.get(&keys[1]), None);
    bench.nodes[1].signal("CONT");
    bench.wait_in_ring(1, true);
    assert_eq!(client.get(&keys[1]).as_deref(), Some(&b"old"[..]));
    assert_eq!(bench.metric("ringway_rejoin_flushes_total", 1), 0.0);
}

#[test]
fn with_manual_a_node_stays_out_until_an_operator_admits_it() {
    let bench = Bench::start(&["on_node_down: rehash", "rejoin: manual"]);
    let mut client = bench.ringway.client();
    let keys = bench.store_on_each(&mut client, "old");
    bench.nodes[2].signal("STOP");
    bench.wait_in_ring(2, false);
    assert_eq!(bench.act(2, "admit").0, 409, "it does not answer yet");
    bench.nodes[2].signal("CONT");
    wait_for("the node to be up", || bench.metric("ringway_node_up", 2) == 1.0);
    assert_eq!(bench.metric("ringway_node_in_ring", 2), 0.0);
    let (status, body) = bench.act(2, "admit");
    assert_eq!(status, 200, "{body}");
    assert_eq!(bench.metric("ringway_node_in_ring", 2), 1.0);
    assert_eq!(client.get(&keys[2]).as_deref(), Some(&b"old"[..]));
}

#[test]
fn a_node_that_refuses_to_be_flushed_stays_out_and_the_log_says_why() {
    let nodes = (0..4).map(|_| Memcached::start_with(&["-F"])).collect();
    let bench = Bench::over(nodes, &["on_node_down: rehash"]);
    bench.nodes[0].signal("STOP");
    bench.wait_in_ring(0, false);
    bench.nodes[0].signal("CONT");
    wait_for("the log to say why", || {
        bench.ringway.log().contains("node stays out of the ring")
    });
    assert_eq!(bench.metric("ringway_node_in_ring", 0), 0.0);
    assert_eq!(bench.act(0, "admit").0, 200);
    assert_eq!(bench.metric("ringway_node_in_ring", 0), 1.0);
    let told = bench.ringway.log();
    assert_eq!(told.matches("node stays out of the ring").count(), 1, "{told}");
}

#[test]
fn where_nearly_all_nodes_fail_the_ring_stays_whole_and_all_serve_as_soon_as_they_answer() {
    for on_node_down in ["on_node_down: rehash", "on_node_down: fail"] {
        let bench = Bench::start(&[on_node_down]);
        let mut client = bench.ringway.client();
        let keys = bench.store_on_each(&mut client, "value");
        for node in &bench.nodes {
            node.signal("STOP");
        }
        wait_for("the pool to fail open", || {
            bench.ringway.metric("ringway_pool_fails_open", &[]) == 1.0
        });
        for node in &bench.nodes {
            node.signal("CONT");
        }
        wait_for("every node to be up", || {
            bench.ringway.metric("ringway_node_up", &[]) == 4.0
                && bench.ringway.metric("ringway_node_in_ring", &[]) == 4.0
        });
        assert_eq!(bench.ringway.metric("ringway_pool_fails_open", &[]), 0.0);
        // Under rehash a node may have left the ring before or after the others failed: it was flushed.
        let hits = keys.iter().filter(|key| client.get(key).is_some()).count();
        assert!(hits == 4 || on_node_down.ends_with("rehash"), "{hits} hits");
    }
}

#[test]
fn a_drained_node_takes_no_keys_and_comes_back_flushed_when_it_is_undrained() {
    for on_node_down in ["on_node_down: rehash", "on_node_down: fail"] {
        let bench = Bench::start(&[on_node_down]);
        let mut client = bench.ringway.client();
        let before = bench.places();
        let keys = bench.store_on_each(&mut client, "old");
        let (status, body) = bench.act(0, "drain");
        assert_eq!(status, 200, "{body}");
        for (was, is) in before.iter().zip(bench.places()) {
            let stays = *was != bench.nodes[0].address();
            assert!((*was == is) == stays, "{was} became {is}");
        }
        assert_eq!(client.get(&keys[0]), None);
        client.set(&keys[0], "new");
        assert_eq!(bench.metric("ringway_node_drained", 0), 1.0);
        assert_eq!(
            bench.metric("ringway_node_up", 0),
            1.0,
            "nothing is wrong with the node"
        );
        let said = explained(&bench.ringway, &keys[0], "instead_of");
        assert!(
            said.contains("drained") && said.contains(&bench.nodes[0].address()),
            "{said}"
        );
        assert!(
            explained(&bench.ringway, &keys[1], "instead_of") == "null",
            "other keys stay where they are"
        );
        let admin = format!("127.0.0.1:{}", bench.ringway.admin);
        let told = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["explain", "--admin", &admin, &keys[0], &keys[1]])
            .output()
            .expect("the program runs");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let lines: Vec<&str> = told.lines().collect();
        let moved = format!(" instead of {}, drained", bench.nodes[0].address());
        assert!(
            lines[0].ends_with(&moved) && !lines[1].contains("instead"),
            "{told}"
        );
        let (_, nodes) = bench.ringway.get("/nodes");
        assert_eq!(nodes.matches("\"drained\":true").count(), 1, "{nodes}");

        assert_eq!(bench.act(0, "undrain").0, 200);
        bench.wait_in_ring(0, true);
        assert_eq!(bench.places(), before);
        assert_eq!(
            client.get(&keys[0]),
            None,
            "neither the old value nor the new one"
        );
        assert_eq!(client.get(&keys[1]).as_deref(), Some(&b"old"[..]));
    }
}

#[test]
fn what_a_drained_node_owes_is_answered_and_a_reload_keeps_it_drained() {
    let bench = Bench::start(&["request_timeout: 5s"]);
    let mut client = bench.ringway.client();
    let keys = bench.store_on_each(&mut client, "value");
    bench.nodes[0].signal("STOP");
    client.send(format!("get {}\r\n", keys[0]));
    wait_for("the request to be with the node", || {
        bench.metric("ringway_in_flight", 0) == 1.0
    });
    assert_eq!(bench.act(0, "drain").0, 200);
    bench.nodes[0].signal("CONT");
    client.expect(format!("VALUE {} 0 5\r\nvalue\r\nEND\r\n", keys[0]));
    let addresses: Vec<String> = bench.nodes.iter().map(Memcached::address).collect();
    let next = pool(&addresses, &["request_timeout: 7s"]);
    assert_eq!(bench.ringway.reload(&next).0, 200);
    assert_eq!(bench.metric("ringway_node_drained", 0), 1.0);
    assert_eq!(bench.metric("ringway_node_in_ring", 0), 0.0);
}

#[test]
fn an_action_that_makes_no_sense_is_refused() {
    let yaml = "pools:\n  a: {nodes: [{name: x, embedded: 1MiB}, {name: y, embedded: 1MiB}]}\n  \
                b: {nodes: [{name: x, embedded: 1MiB}]}\n\
                listeners: [{bind: '127.0.0.1:PORT', route: a}]\n";
    let ringway = Ringway::start(yaml);
    let cases = [
        ("/nodes/z/drain", 404, "no such node"),
        ("/nodes/x/drain", 400, "?pool=a or ?pool=b"),
        ("/nodes/x/drain?pool=b", 409, "no other node"),
        ("/nodes/%7/drain", 400, "hexadecimal"),
        ("/nodes/x/explode", 404, "no such path"),
        ("/nodes/%79/undrain", 200, "was not drained"),
        ("/nodes/y/admit", 200, "had not left"),
        ("/nodes/y/drain", 200, "takes no new keys"),
        ("/nodes/y/admit", 409, "undrain it"),
        ("/nodes/x/drain?pool=a", 409, "no other node"),
    ];
    for (path, status, words) in cases {
        let (answered, body) = ringway.post(path);
        assert!(
            answered == status && body.contains(words),
            "{path}: {answered} {body}"
        );
    }
    assert_eq!(ringway.get("/nodes/y/drain").0, 405);
    let mut client = ringway.client();
    client.set("k", "v");
    assert!(ringway.post("/nodes/y/undrain").1.contains("takes keys again"));
    assert_eq!(ringway.metric("ringway_rejoin_flushes_total", &[]), 1.0);
}
