//! Order: replies come in the order of the requests, two requests of one session to one key are carried out
//! in theirs, and many clients at once get each their own values.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, wait_for};
use crate::support::scripted::{Act, Scripted, Seen};

fn start(nodes: usize, workers: usize, settings: &[&str]) -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..nodes).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&format!("workers: {workers}\n{}", pool(&addresses, settings)));
    (nodes, ringway)
}

#[test]
fn requests_of_one_session_to_one_key_are_carried_out_in_order_over_many_links() {
    let (_nodes, ringway) = start(2, 2, &["connections: 4", "request_timeout: 10s"]);
    std::thread::scope(|scope| {
        for session in 0..8 {
            let mut client = ringway.client();
            scope.spawn(move || {
                let key = format!("key:{session}");
                let (mut bytes, mut wanted) = (String::new(), String::new());
                for i in 1000..1300 {
                    bytes += &format!("set {key} 0 0 4 noreply\r\n{i}\r\n");
                    bytes += &format!("get {key}\r\nincr {key} 1\r\nget {key}\r\n");
                    wanted += &format!("VALUE {key} 0 4\r\n{i}\r\nEND\r\n{}\r\n", i + 1);
                    wanted += &format!("VALUE {key} 0 4\r\n{}\r\nEND\r\n", i + 1);
                }
                client.expects(bytes, wanted);
            });
        }
    });
}

#[test]
fn replies_come_in_order_though_a_node_in_the_middle_is_slow() {
    let (slow, fast) = ("slow", "fast");
    let slow_node = Scripted::start("1.6.18", move |seen| vec![Act::Await("gate"), seen.hits(slow)]);
    let fast_node = Scripted::start("1.6.18", move |seen| vec![seen.hits(fast)]);
    let nodes = [slow_node.address(), fast_node.address()];
    let ringway = Ringway::start(&pool(&nodes, &["request_timeout: 15s"]));
    let keys: Vec<(String, &str)> = (0..60)
        .map(|i| {
            let key = format!("k{i}");
            let is_slow = ringway.get(&format!("/explain?key={key}")).1.contains(&nodes[0]);
            (key, if is_slow { slow } else { fast })
        })
        .collect();
    let slow_keys = keys.iter().filter(|(_, value)| *value == slow).count();
    assert!(
        slow_keys > 0 && slow_keys < keys.len(),
        "each node has some: {slow_keys}"
    );

    let (mut bytes, mut wanted) = (String::new(), String::new());
    for (key, value) in &keys {
        bytes += &format!("get {key}\r\n");
        wanted += &format!("VALUE {key} 0 4\r\n{value}\r\nEND\r\n");
    }
    bytes += "get";
    for (key, value) in &keys {
        bytes += &format!(" {key}");
        wanted += &format!("VALUE {key} 0 4\r\n{value}\r\n");
    }
    let mut client = ringway.client();
    client.send(bytes + "\r\n");
    let fast_keys = 2 * (keys.len() - slow_keys);
    wait_for("the fast node to be asked", || {
        let seen = fast_node.seen();
        seen.iter().map(Seen::keys_read).sum::<usize>() == fast_keys
    });
    slow_node.wait_seen(1);
    slow_node.open("gate");
    client.expect(wanted + "END\r\n");
}

/// A node that answers `first` under the keys `kept` and `moved` only when the gate of that name is open.
fn gated_node() -> Scripted {
    Scripted::start("1.6.18", |seen| {
        let gate = match (&seen.data[..], seen.word(1)) {
            (b"first", "kept") => Some(Act::Await("kept")),
            (b"first", "moved") => Some(Act::Await("moved")),
            _ => None,
        };
        let reply = format!("HD k{}\r\n", seen.word(1)).into_bytes();
        gate.into_iter().chain([Act::Say(reply)]).collect()
    })
}

/// Two sessions of one worker over two links to `node`, that each store `first`, and then `second` after a reload that
/// sets `after`. When this returns, the worker has read all of that. Each session has a key: `kept`, `moved`.
fn reload_between_two_stores(node: &Scripted, after: &[&str]) -> (Ringway, [Client; 2]) {
    let settings = |settings: &[&str]| {
        let all = [&["request_timeout: 15s"], settings].concat();
        format!("workers: 1\n{}", pool(&[node.address()], &all))
    };
    let ringway = Ringway::start(&settings(&["connections: 2", "protocol: meta"]));
    let mut clients = [ringway.client(), ringway.client()];
    let mut sent = 0;
    let mut store = |client: &mut Client, key: &str, value: &str| {
        let request = format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
        client.send(&request);
        sent += request.len();
        wait_for("the request to be read", || {
            ringway.metric("ringway_client_bytes_read_total", &[]) == sent as f64
        });
    };
    for (client, key) in clients.iter_mut().zip(["kept", "moved"]) {
        store(client, key, "first");
    }
    node.wait_seen(2);
    assert_eq!(ringway.reload(&settings(after)).0, 200);
    for (client, key) in clients.iter_mut().zip(["kept", "moved"]) {
        store(client, key, "second");
    }
    (ringway, clients)
}

/// Whether the node has seen `second` under this key.
fn has_seen_second(node: &Scripted, key: &str) -> bool {
    let seen = node.seen();
    seen.iter()
        .any(|seen| seen.data == b"second" && seen.word(1) == key)
}

#[test]
fn a_session_that_a_reload_moves_to_anothers_link_lets_no_request_overtake_one_that_is_owed() {
    let node = gated_node();
    let (_ringway, [mut kept, mut moved]) =
        reload_between_two_stores(&node, &["connections: 1", "protocol: meta"]);
    // What had been sent over the link that is left is seen before this session's second request.
    node.open("kept");
    kept.expect("STORED\r\nSTORED\r\n");
    assert!(!has_seen_second(&node, "moved"), "it overtook the first one");
    node.open("moved");
    moved.expect("STORED\r\nSTORED\r\n");
}

#[test]
fn a_session_that_a_reload_gives_a_new_link_lets_no_request_overtake_one_that_is_owed() {
    let node = gated_node();
    let (ringway, [mut kept, mut moved]) =
        reload_between_two_stores(&node, &["connections: 2", "protocol: auto"]);
    // What had been sent over the new links is seen before what two new sessions send there.
    for _ in 0..2 {
        ringway.client().set("other", "value");
    }
    assert!(!has_seen_second(&node, "kept") && !has_seen_second(&node, "moved"));
    node.open("kept");
    kept.expect("STORED\r\nSTORED\r\n");
    node.open("moved");
    moved.expect("STORED\r\nSTORED\r\n");
}

/// A generator of numbers, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Stores, reads, counts and deletes keys of its own, and knows at each moment what must be there.
fn live(mut client: Client, id: u64, rounds: usize) {
    let mut numbers = Numbers(id * 7919 + 1);
    let mut values: Vec<Option<String>> = vec![None; 40];
    for round in 0..rounds {
        let (mut bytes, mut wanted) = (String::new(), String::new());
        for _ in 0..=numbers.below(20) {
            let index = numbers.below(40) as usize;
            let key = format!("client:{id}:key:{index}");
            match numbers.below(6) {
                0 | 1 => {
                    let length = [3, 30, 300, 10_000][numbers.below(4) as usize];
                    let value = format!("{id}.{round}.").repeat(length / 3);
                    bytes += &format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
                    wanted += "STORED\r\n";
                    values[index] = Some(value);
                }
                2 => {
                    bytes += &format!("delete {key}\r\n");
                    wanted += if values[index].take().is_some() {
                        "DELETED\r\n"
                    } else {
                        "NOT_FOUND\r\n"
                    };
                }
                3 => {
                    bytes += "get";
                    for (index, value) in values.iter().enumerate() {
                        let key = format!("client:{id}:key:{index}");
                        bytes += &format!(" {key}");
                        if let Some(value) = value {
                            wanted += &format!("VALUE {key} 0 {}\r\n{value}\r\n", value.len());
                        }
                    }
                    bytes += "\r\n";
                    wanted += "END\r\n";
                }
                _ => {
                    bytes += &format!("get {key}\r\n");
                    if let Some(value) = &values[index] {
                        wanted += &format!("VALUE {key} 0 {}\r\n{value}\r\n", value.len());
                    }
                    wanted += "END\r\n";
                }
            }
        }
        client.expects(bytes, wanted);
    }
}

#[test]
fn many_clients_at_once_each_get_their_own_values() {
    for (workers, connections) in [(1, "connections: 1"), (4, "connections: 2")] {
        let (_nodes, ringway) = start(3, workers, &["request_timeout: 15s", connections]);
        std::thread::scope(|scope| {
            for id in 0..24 {
                let client = ringway.client();
                scope.spawn(move || live(client, id, 100));
            }
        });
        assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
        assert_eq!(ringway.metric("ringway_in_flight", &[]), 0.0);
    }
}
