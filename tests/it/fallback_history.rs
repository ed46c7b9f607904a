//! Nodes leave the ring and come back, again and again: stopped, killed, cut off and drained, several at once, while
//! clients write and read at random and Ringway is killed and started again. No value is read that is older than a write
//! which was answered before the read began, whether that write was done or failed.
//!
//! `FALLBACK_SECONDS=600 cargo test --test it -- fallback_history` looks longer, `FALLBACK_SEED` has other faults.

use std::sync::RwLock;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::missed_history::{EndOnDrop, World};
use crate::support::history::random;
use crate::support::memcached::Memcached;
use crate::support::relay::{Fault, Relay};
use crate::support::ringway::{Ringway, wait_at_most, wait_for};

const CLIENTS: u64 = 4;
const NODES: usize = 4;
const LASTS: u64 = 12;

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeFault {
    None,
    Stopped,
    Killed(u16),
    Cut,
    Drained,
}

/// A Ringway that is killed and started again.
struct Running {
    text: String,
    /// With how often it was started. Clients hold it while they ask.
    ringway: RwLock<(usize, Option<Ringway>)>,
}

impl Running {
    fn with<T>(&self, ask: impl FnOnce(usize, &Ringway) -> T) -> T {
        let running = self.ringway.read().expect("no panics");
        ask(running.0, running.1.as_ref().expect("it runs"))
    }

    fn post(&self, path: &str) {
        let (status, body) = self.with(|_, ringway| ringway.post(path));
        assert!(status == 200 || status == 409, "{path}: {body}");
    }

    /// Kills it between two requests, and starts it again.
    fn restart(&self) {
        let mut running = self.ringway.write().expect("no panics");
        running.1 = None;
        running.1 = Some(Ringway::start(&self.text));
        running.0 += 1;
    }

    fn ask(&self, world: &World, seed: u64) {
        let (mut below, mut client, mut started) = (random(seed), None, 0);
        while !world.is_over.load(SeqCst) {
            self.with(|starts, ringway| {
                if starts != started {
                    (client, started) = (None, starts);
                }
                let client = client.get_or_insert_with(|| ringway.client());
                (0..10).for_each(|_| world.step(client, &mut below));
            });
        }
    }
}

/// The nodes, each with a relay.
struct Nodes {
    nodes: Vec<Option<Memcached>>,
    relays: Vec<Relay>,
    faults: [NodeFault; NODES],
}

impl Nodes {
    fn start() -> Nodes {
        let nodes: Vec<Memcached> = (0..NODES).map(|_| Memcached::start()).collect();
        Nodes {
            relays: nodes.iter().map(|node| Relay::start(node.port())).collect(),
            nodes: nodes.into_iter().map(Some).collect(),
            faults: [NodeFault::None; NODES],
        }
    }

    /// As a configuration lists them. `is_direct`: without the relays.
    fn listed(&self, is_direct: bool) -> String {
        let each = self.nodes.iter().zip(&self.relays).enumerate();
        let each = each.map(|(index, (node, relay))| {
            let direct = node.as_ref().expect("it runs").address();
            let address = if is_direct { direct } else { relay.address() };
            format!("{{name: n{index}, address: '{address}', weight: {}}}", index + 1)
        });
        each.collect::<Vec<String>>().join(", ")
    }

    fn signal(&self, index: usize, name: &str) {
        self.nodes[index].as_ref().expect("it runs").signal(name);
    }

    /// Injects a fault into a node, or ends it.
    fn turn(&mut self, index: usize, below: &mut dyn FnMut(u64) -> u64, running: &Running) {
        let fault = match below(6) {
            _ if self.faults[index] != NodeFault::None => return self.mend(index, running),
            0 | 1 => {
                self.signal(index, "STOP");
                NodeFault::Stopped
            }
            2 => NodeFault::Killed(self.nodes[index].take().expect("it runs").port()),
            3 => {
                self.relays[index].turn_to(Fault::Refuse);
                NodeFault::Cut
            }
            _ => {
                running.post(&format!("/nodes/n{index}/drain"));
                NodeFault::Drained
            }
        };
        self.faults[index] = fault;
    }

    fn mend(&mut self, index: usize, running: &Running) {
        match std::mem::replace(&mut self.faults[index], NodeFault::None) {
            NodeFault::None => {}
            NodeFault::Stopped => self.signal(index, "CONT"),
            NodeFault::Killed(port) => wait_for("the port to be free", || {
                self.nodes[index] = Memcached::start_on(port);
                self.nodes[index].is_some()
            }),
            NodeFault::Cut => self.relays[index].turn_to(Fault::None),
            NodeFault::Drained => running.post(&format!("/nodes/n{index}/undrain")),
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable);
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// `more`: nodes of the pool beside the memcached.
fn survives(is_direct: bool, more: &str, settings: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut nodes = Nodes::start();
    let text = format!(
        "workers: 2\nmissed_writes: {{dir: {}}}\npools:\n  a: {{nodes: [{}{more}], {settings} request_timeout: 100ms, \
         on_write_error: error, on_node_down: rehash, \
         health: {{down_after: 2, up_after: 1, probe_interval: 50ms, max_probe_interval: 100ms}}}}\n",
        directory.path().display(),
        nodes.listed(is_direct)
    );
    let running = Running {
        ringway: RwLock::new((0, Some(Ringway::start(&text)))),
        text,
    };
    let world = World::new();
    let lasts = Duration::from_secs(number("FALLBACK_SECONDS", LASTS));
    let mut below = random(number("FALLBACK_SEED", 1));
    let mut copies = 0.0_f64;
    scope(|clients| {
        for client in 0..CLIENTS {
            let (world, running) = (&world, &running);
            clients.spawn(move || {
                let _ends_all = EndOnDrop(world);
                running.ask(world, client + 1);
            });
        }
        let _ends_all = EndOnDrop(&world);
        let begun = Instant::now();
        while begun.elapsed() < lasts && !world.is_over.load(SeqCst) {
            if below(12) == 0 {
                running.restart();
            } else {
                nodes.turn(below(NODES as u64) as usize, &mut below, &running);
            }
            sleep(Duration::from_millis([20, 60, 150, 400, 900][below(5) as usize]));
            let made = running.with(|_, ringway| ringway.metric("ringway_fallback_copies", &[]));
            copies = copies.max(made);
        }
        (0..NODES).for_each(|index| nodes.mend(index, &running));
    });
    let counts = [&world.values, &world.hits, &world.failures].map(|count| count.load(SeqCst));
    println!("writes, hits, failures: {counts:?}, copies at most {copies}");
    assert!(
        counts.iter().all(|&count| count > 20) && copies > 0.0,
        "{counts:?}, {copies} copies"
    );
    wait_at_most(
        Duration::from_secs(60),
        "every node to be in the ring, and nothing missed",
        || {
            running.with(|_, ringway| {
                let sum = |metric| ringway.metric(metric, &[]);
                sum("ringway_missed_writes") + sum("ringway_missed_all") + sum("ringway_fallback_copies")
                    == 0.0
            })
        },
    );
}

#[test]
fn nothing_old_is_read_while_nodes_leave_and_come_back() {
    survives(true, "", "");
}

#[test]
fn nothing_old_is_read_from_classic_and_embedded_nodes_either() {
    survives(
        false,
        ", {name: e, embedded: 4MiB, weight: 2}",
        "protocol: classic, connections: 2,",
    );
}
