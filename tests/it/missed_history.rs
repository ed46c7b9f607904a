//! Real nodes that are stopped, killed, cut off and slow while clients write and read at random: no value is read
//! that is older than a write which was answered before the read began, whether that write was done or failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::history::{History, random};
use crate::support::memcached::Memcached;
use crate::support::relay::{Fault, Relay};
use crate::support::ringway::{Ringway, wait_at_most, wait_for};

/// Keys that all clients read and write.
pub const KEYS: usize = 16;
const CLIENTS: u64 = 4;
const LASTS: Duration = Duration::from_secs(10);

/// What the clients share.
pub struct World {
    history: History,
    pub values: AtomicU64,
    pub hits: AtomicU64,
    pub failures: AtomicU64,
    pub is_over: AtomicBool,
}

impl World {
    pub fn new() -> World {
        World {
            history: History::new(KEYS, |key| format!("first{key}")),
            values: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn run(&self, ringway: &Ringway, seed: u64) {
        let (mut client, mut below) = (ringway.client(), random(seed));
        while !self.is_over.load(SeqCst) {
            self.step(&mut client, &mut below);
        }
    }

    /// One request at random: every value that it reads is checked.
    pub fn step(&self, client: &mut Client, below: &mut dyn FnMut(u64) -> u64) {
        let key = below(KEYS as u64) as usize;
        match below(14) {
            0..=4 => self.read(client, &format!("get k{key}\r\n")),
            5 => self.read(
                client,
                &format!("get k{key} k{} k{}\r\n", (key + 1) % KEYS, (key + 5) % KEYS),
            ),
            6 => self.read(client, &format!("gat 0 k{key}\r\n")),
            7 | 8 => self.store(client, key, "set"),
            9 => self.store(client, key, "add"),
            10 => self.store(client, key, "replace"),
            11 => self.cas(client, key),
            12 => self.delete(client, key, "delete"),
            _ => self.delete(client, key, "md"),
        }
    }

    fn read(&self, client: &mut Client, request: &str) {
        let begin = self.history.now();
        client.send(request);
        self.values(client, begin);
    }

    /// Reads values up to `END`; the cas id of the last.
    fn values(&self, client: &mut Client, begin: u128) -> Option<String> {
        let mut cas = None;
        loop {
            let line = client.line();
            if line == "END" {
                return cas;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let key = words[1][1..].parse().expect("a key");
            let value = client.exact(words[3].parse().expect("a length"));
            client.expect("\r\n");
            self.hits.fetch_add(1, SeqCst);
            self.history.check(key, &String::from_utf8_lossy(&value), begin);
            cas = words.get(4).map(|&word| word.to_owned());
        }
    }

    fn store(&self, client: &mut Client, key: usize, command: &str) {
        self.change(client, key, |value| {
            format!("{command} k{key} 0 0 {}\r\n{value}\r\n", value.len())
        });
    }

    fn cas(&self, client: &mut Client, key: usize) {
        let begin = self.history.now();
        client.send(format!("gets k{key}\r\n"));
        if let Some(id) = self.values(client, begin) {
            self.change(client, key, |value| {
                format!("cas k{key} 0 0 {} {id}\r\n{value}\r\n", value.len())
            });
        }
    }

    /// Where it fails too, every node that may have the key has forgotten it, or counts as down for it.
    fn change(&self, client: &mut Client, key: usize, request: impl Fn(&str) -> String) {
        let value = format!("v{}", self.values.fetch_add(1, SeqCst));
        let begun = self.history.begin(key, &value);
        match client.ask(request(&value)).as_str() {
            "STORED" => self.history.done(&begun),
            "NOT_STORED" | "NOT_FOUND" | "EXISTS" => {}
            failed => {
                assert!(failed.starts_with("SERVER_ERROR "), "{failed}");
                self.failures.fetch_add(1, SeqCst);
                self.history.done(&begun);
            }
        }
    }

    fn delete(&self, client: &mut Client, key: usize, command: &str) {
        let begun = self.history.begin(key, "");
        let answer = client.ask(format!("{command} k{key}\r\n"));
        self.failures
            .fetch_add(u64::from(answer.starts_with("SERVER_ERROR ")), SeqCst);
        self.history.done(&begun);
    }
}

/// Ends the clients, also where one failed.
pub struct EndOnDrop<'a>(pub &'a World);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

/// Two memcached in each of two pools, each behind a relay.
struct Nodes {
    nodes: Vec<Option<Memcached>>,
    relays: Vec<Relay>,
}

impl Nodes {
    fn start() -> Nodes {
        let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
        let relays = nodes.iter().map(|node| Relay::start(node.port())).collect();
        Nodes {
            nodes: nodes.into_iter().map(Some).collect(),
            relays,
        }
    }

    /// One fault, for a while, and then none for a while.
    fn inject_fault(&mut self, turn: usize) {
        let (index, pause) = (turn * 3 % 4, [30, 150, 700, 60, 1500][turn % 5]);
        let pause = Duration::from_millis(pause);
        let node = self.nodes[index].as_ref().expect("it runs");
        match turn % 7 {
            0 | 2 | 5 => {
                node.signal("STOP");
                sleep(pause);
                node.signal("CONT");
            }
            1 => {
                // Once more before it has come to itself.
                for _ in 0..4 {
                    node.signal("STOP");
                    sleep(Duration::from_millis(300));
                    node.signal("CONT");
                    sleep(Duration::from_millis(5));
                }
            }
            3 => self.fail(index, Fault::Refuse, pause),
            4 => self.fail(index, Fault::Slow, pause),
            _ => {
                let port = self.nodes[index].take().expect("it runs").port();
                sleep(pause);
                wait_for("the port to be free", || {
                    self.nodes[index] = Memcached::start_on(port);
                    self.nodes[index].is_some()
                });
            }
        }
        sleep(Duration::from_millis(80));
    }

    fn fail(&self, index: usize, fault: Fault, pause: Duration) {
        self.relays[index].turn_to(fault);
        sleep(pause);
        self.relays[index].turn_to(Fault::None);
    }
}

/// Clients on `route`, over nodes that fail. `is_direct`: without the relays, so that nodes are stopped and killed only
/// as seen from the very sockets.
fn survives(route: &str, is_direct: bool) {
    let mut nodes = Nodes::start();
    let address = |index: usize| match (&nodes.nodes[index], is_direct) {
        (Some(node), true) => node.address(),
        _ => nodes.relays[index].address(),
    };
    let pool = |name, first: usize| {
        format!(
            "  {name}: {{nodes: [{{name: n{first}, address: '{}'}}, {{name: m{first}, address: '{}'}}], \
             request_timeout: 100ms, on_write_error: error, \
             health: {{down_after: 5, up_after: 1, probe_interval: 100ms, max_probe_interval: 100ms}}}}\n",
            address(first),
            address(first + 1)
        )
    };
    let ringway = Ringway::start(&format!(
        "workers: 2\npools:\n{}{}routes:\n  default: {route}\n",
        pool("a", 0),
        pool("b", 2)
    ));
    let world = World::new();
    scope(|clients| {
        for client in 0..CLIENTS {
            let (world, ringway) = (&world, &ringway);
            clients.spawn(move || {
                let _ends_all = EndOnDrop(world);
                world.run(ringway, client + 1);
            });
        }
        let begun = Instant::now();
        let mut turn = 0;
        while begun.elapsed() < LASTS && !world.is_over.load(SeqCst) {
            nodes.inject_fault(turn);
            turn += 1;
        }
        world.is_over.store(true, SeqCst);
    });
    let counts = [&world.values, &world.hits, &world.failures].map(|count| count.load(SeqCst));
    assert!(
        counts.iter().all(|&count| count > 20),
        "writes, hits, failures: {counts:?}"
    );
    wait_at_most(
        Duration::from_secs(60),
        "all that was missed to be deleted",
        || ringway.metric("ringway_missed_writes", &[]) == 0.0,
    );
    assert_eq!(ringway.metric("ringway_missed_all", &[]), 0.0);
}

#[test]
fn nothing_older_than_a_failed_write_is_read_from_a_pool() {
    survives("a", false);
}

#[test]
fn nothing_older_than_a_failed_write_is_read_where_no_relay_closes_connections_in_a_nodes_place() {
    survives("a", true);
}

#[test]
fn nothing_older_than_a_failed_write_is_read_from_replicas() {
    survives("{replicate: {to: [a, b], write: all}}", true);
}

#[test]
fn nothing_older_than_a_failed_write_is_read_while_a_pool_is_filled() {
    survives("{lazy_fill: {to: a, from: b}}", true);
}
