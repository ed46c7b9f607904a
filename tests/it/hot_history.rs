//! Many clients of two Ringways behind the policies for hot keys, over real nodes that fail: no client reads a value
//! that is older than its policy allows.

use std::sync::atomic::Ordering::SeqCst;
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::lazy_fill::{COUNTERS, EndOnDrop, World};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::routes::event_count;

const CLIENTS: u64 = 4;
const NODES: usize = 3;
/// How many faults there are.
const TURNS: usize = 16;

/// How late a worker's turn may be on a busy machine.
const TURN: Duration = Duration::from_secs(2);

type Nodes = [Option<Memcached>; NODES];

/// A policy in front of the pool `main`, and what holds of it.
struct Trial {
    route: &'static str,
    /// How long the second process may show a value that the first has replaced; `None`: not at all.
    bound: Option<Duration>,
    /// What the policy counts when it spares a node.
    event: &'static str,
}

impl Trial {
    /// Lets clients of both processes read and write while `inject` brings faults upon the nodes. Counters are used
    /// only where `keeps_memory`.
    fn survives(&self, keeps_memory: bool, mut inject: impl FnMut(&mut Nodes, usize)) {
        let mut nodes = [(); NODES].map(|()| Some(Memcached::start()));
        let addresses: Vec<String> = nodes.iter().flatten().map(Memcached::address).collect();
        let text = format!(
            "workers: 2\npools:\n  main: {{nodes: [{}], request_timeout: 250ms, on_read_error: error, \
             on_write_error: error, health: {{down_after: 1000000}}}}\nroutes:\n  default: {}\n",
            addresses.join(", "),
            self.route
        );
        let sidecars = [Ringway::start(&text), Ringway::start(&text)];
        let counters = if keeps_memory { COUNTERS } else { 0 };
        let world = World::begin(&mut sidecars[0].client(), counters);
        scope(|clients| {
            for client in 0..2 * CLIENTS {
                let (world, sidecar) = (&world, &sidecars[(client % 2) as usize]);
                let bound = self.bound.filter(|_| client % 2 == 1);
                clients.spawn(move || {
                    let _ends_all = EndOnDrop(world);
                    match bound {
                        Some(bound) => world.read_late(sidecar, client + 1, bound + TURN),
                        None => world.run(sidecar, client + 1),
                    }
                });
            }
            let _ends_all = EndOnDrop(&world);
            for turn in (0..TURNS).take_while(|_| !world.is_over.load(SeqCst)) {
                inject(&mut nodes, turn);
            }
        });
        let written = world.values.load(SeqCst);
        assert!(written > 200, "only {written} writes");
        for sidecar in &sidecars {
            assert!(event_count(sidecar, self.event) > 0.0, "no node was spared");
        }
    }

    fn survives_slow_nodes(&self) {
        self.survives(true, |nodes, turn| {
            let node = nodes[turn % NODES].as_ref().expect("it runs");
            node.signal("STOP");
            sleep(Duration::from_millis(if turn % 3 == 0 { 600 } else { 40 }));
            node.signal("CONT");
            sleep(Duration::from_millis(100));
        });
    }

    fn survives_restarts(&self) {
        self.survives(false, |nodes, turn| {
            sleep(Duration::from_millis(150));
            let node = &mut nodes[turn % NODES];
            let port = node.take().expect("it runs").port();
            sleep(Duration::from_millis(if turn % 4 == 0 { 300 } else { 0 }));
            wait_for("the port to be free", || {
                *node = Memcached::start_on(port);
                node.is_some()
            });
        });
    }
}

const HOT_CACHE: Trial = Trial {
    route: "{hot_cache: {to: main, expiry: 100ms, min_rate: 0, misses: true}}",
    bound: Some(Duration::from_millis(100)),
    event: "served",
};

#[test]
fn hot_cache_shows_own_writes_at_once_and_others_in_time_while_nodes_are_slow() {
    HOT_CACHE.survives_slow_nodes();
}

#[test]
fn hot_cache_shows_own_writes_at_once_and_others_in_time_while_nodes_lose_their_memory() {
    HOT_CACHE.survives_restarts();
}

const STAMPEDE: Trial = Trial {
    route: "{stampede: {to: main, wait: 20ms, early: 1s}}",
    bound: None,
    event: "won",
};

#[test]
fn stampede_shows_what_any_process_wrote_while_nodes_are_slow() {
    STAMPEDE.survives_slow_nodes();
}

#[test]
fn stampede_shows_what_any_process_wrote_while_nodes_lose_their_memory() {
    STAMPEDE.survives_restarts();
}

const SPREAD: Trial = Trial {
    route: "{spread: {to: main, min_rate: 0}}",
    bound: None,
    event: "spread",
};

#[test]
fn spread_shows_what_any_process_wrote_while_nodes_are_slow() {
    SPREAD.survives_slow_nodes();
}

#[test]
fn spread_shows_what_any_process_wrote_while_nodes_lose_their_memory() {
    SPREAD.survives_restarts();
}
