//! Clients of two or three Ringways whose handovers are a phase apart, over real nodes: no old value is read.
//!
//! `HANDOVER_ROUNDS` repeats the changes of the ring, for long runs: each round has three.

use std::sync::atomic::Ordering::SeqCst;
use std::thread::{Builder, scope, sleep};
use std::time::Duration;

use crate::handover::{end, next, phase};
use crate::lazy_fill::{COUNTERS, EndOnDrop, World};
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::redis::Redis;
use crate::support::relay::{Fault, Relay};
use crate::support::ringway::{Ringway, pool, wait_for};

/// Those of each process.
const CLIENTS: usize = 2;
/// The nodes of the ring after each change; it begins with one.
const CHANGES: [usize; 3] = [3, 5, 1];

/// Five nodes, of which a fault may end one for a while.
type Nodes = [Option<Memcached>; 5];

/// What a run is like.
struct Run {
    processes: usize,
    /// Whether no node loses its memory, so that counters count.
    keeps_memory: bool,
    /// The writes between two steps.
    writes: u64,
    /// Whether `ringway warm` copies what moves.
    is_warmed: bool,
}

/// Two processes over nodes that keep what they have.
const TWO: Run = Run {
    processes: 2,
    keeps_memory: true,
    writes: 100,
    is_warmed: false,
};

fn rounds() -> usize {
    let rounds = std::env::var("HANDOVER_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Lets clients read and write while the processes change the ring, at most a phase apart, and `inject` brings one fault after
/// the other upon the nodes.
fn survives(run: &Run, mut inject: impl FnMut(&World, &mut Nodes, usize) + Send) {
    let mut nodes: Nodes = std::array::from_fn(|_| Some(Memcached::start()));
    let addresses: Vec<String> = nodes.iter().flatten().map(Memcached::address).collect();
    survives_at(run, &addresses, |world, turn| inject(world, &mut nodes, turn));
}

/// The same with nodes at these five addresses, each of a memcached or a Redis.
fn survives_at(run: &Run, addresses: &[String], mut inject: impl FnMut(&World, usize) + Send) {
    let text = |count: usize| {
        let settings = [
            "handover: {prepare: 1h, serve: 1h}",
            "request_timeout: 250ms",
            "on_read_error: error",
            "on_write_error: error",
            "health: {down_after: 1000000}",
        ];
        format!("workers: 2\n{}", pool(&addresses[..count], &settings))
    };
    let start = |_| Ringway::start(&text(1));
    let sidecars: Vec<Ringway> = (0..run.processes).map(start).collect();
    let counters = if run.keeps_memory { COUNTERS } else { 0 };
    let world = World::begin(&mut sidecars[0].client(), counters);
    scope(|threads| {
        for client in 0..CLIENTS * sidecars.len() {
            let (world, process) = (&world, client % sidecars.len());
            let sidecar = &sidecars[process];
            let named = Builder::new().name(format!("client {client} of process {process}"));
            let spawned = named.spawn_scoped(threads, move || {
                let _ends_all = EndOnDrop(world);
                world.run(sidecar, client as u64 + 1);
            });
            spawned.expect("a thread");
        }
        threads.spawn(|| {
            let _ends_all = EndOnDrop(&world);
            let turns = (0..).take_while(|_| !world.is_over.load(SeqCst));
            turns.for_each(|turn| inject(&world, turn));
        });
        let _ends_all = EndOnDrop(&world);
        for _ in 0..rounds() {
            for count in CHANGES {
                change(run, &world, &sidecars, count, &text(count));
            }
        }
    });
    // Whichever came first to a key moved it, so one of them may have found none.
    let found = |sidecar: &Ringway| sidecar.metric("ringway_handover_reads_total", &["found=\"old\""]);
    assert!(
        run.is_warmed || sidecars.iter().map(found).sum::<f64>() > 0.0,
        "nothing was found at an old owner"
    );
}

/// Lets all processes go through one change of the ring, to `count` nodes, some of them a phase ahead of the others.
fn change(run: &Run, world: &World, sidecars: &[Ringway], count: usize, text: &str) {
    // Requests of one phase are answered before the next process goes on: that is what `prepare` is for.
    let go_on = |process: usize, phase: &str| {
        world.note(None, &format!("process {process} is in {phase}"));
        world.wait_answered();
        let enough = world.values.load(SeqCst) + run.writes;
        wait_for("clients", || {
            assert!(!world.is_over.load(SeqCst), "a client gave up");
            world.values.load(SeqCst) > enough
        });
    };
    for (process, sidecar) in sidecars.iter().enumerate() {
        sidecar.reload(text);
        wait_for("the handover", || phase(sidecar).as_deref() == Some("prepare"));
        go_on(process, &format!("prepare, to {count} nodes"));
    }
    for phase in ["serve", "finish"] {
        for (process, sidecar) in sidecars.iter().enumerate() {
            if phase == "finish" && run.is_warmed {
                let admin = sidecar.admin.to_string();
                let warm = ["warm", "--admin", &admin, "--rate", "10000", "--connections", "2"];
                let warmed = program::output(&mut program::ringway(&warm));
                assert!(warmed.status.success(), "{:?}", program::said(&warmed));
            }
            assert_eq!(next(sidecar), phase);
            go_on(process, phase);
        }
    }
    for (process, sidecar) in sidecars.iter().enumerate() {
        end(sidecar);
        go_on(process, "none");
    }
}

/// Nothing happens for a while.
fn no_fault(_: &World, _: &mut Nodes, _: usize) {
    sleep(Duration::from_millis(20));
}

#[test]
fn no_old_value_is_read_while_two_processes_grow_and_shrink_a_ring_a_phase_apart() {
    let run = Run { writes: 300, ..TWO };
    survives(&run, no_fault);
}

#[test]
fn no_old_value_is_read_while_three_processes_grow_and_shrink_a_ring_a_phase_apart() {
    let run = Run {
        processes: 3,
        writes: 200,
        ..TWO
    };
    survives(&run, no_fault);
}

#[test]
fn no_old_value_is_read_while_warm_copies_what_moves() {
    let run = Run {
        is_warmed: true,
        ..TWO
    };
    survives(&run, no_fault);
}

/// Stops a node, which gets signals by `signal`, and lets it go on.
fn stop_for_a_while(turn: usize, signal: impl Fn(&str)) {
    let millis = if turn.is_multiple_of(4) { 400 } else { 40 };
    signal("STOP");
    sleep(Duration::from_millis(millis));
    signal("CONT");
    sleep(Duration::from_millis(100));
}

#[test]
fn no_old_value_is_read_while_nodes_are_stopped_in_a_handover() {
    survives(&TWO, |world, nodes, turn| {
        let node = nodes[turn % 5].as_ref().expect("it runs");
        world.note(None, &format!("node {} stops for a while", turn % 5));
        stop_for_a_while(turn, |signal| node.signal(signal));
    });
}

#[test]
fn no_old_value_is_read_over_slow_and_broken_links_in_a_handover() {
    let nodes: [Memcached; 5] = std::array::from_fn(|_| Memcached::start());
    let relays = nodes.each_ref().map(|node| Relay::start(node.port()));
    let faults = [
        Fault::Slow,
        Fault::Late,
        Fault::SingleBytes,
        Fault::Hang,
        Fault::CutShort,
        Fault::HalfClose,
    ];
    let addresses = relays.each_ref().map(Relay::address);
    survives_at(&TWO, &addresses, |world, turn| {
        let (node, fault) = (turn % relays.len(), faults[turn % faults.len()]);
        world.note(None, &format!("the link to node {node}: {fault:?}"));
        relays[node].turn_to(fault);
        sleep(Duration::from_millis(if turn % 4 == 0 { 600 } else { 60 }));
        relays[node].turn_to(Fault::None);
        sleep(Duration::from_millis(100));
    });
}

#[test]
fn no_old_value_is_read_while_nodes_are_killed_in_a_handover() {
    let run = Run {
        keeps_memory: false,
        ..TWO
    };
    survives(&run, |world, nodes, turn| {
        sleep(Duration::from_millis(if turn % 2 == 0 { 400 } else { 100 }));
        let node = &mut nodes[turn % 5];
        let port = node.take().expect("it runs").port();
        world.note(None, &format!("node {} is killed", turn % 5));
        sleep(Duration::from_millis(if turn % 3 == 0 { 100 } else { 0 }));
        wait_for("the port to be free", || {
            *node = Memcached::start_on(port);
            node.is_some()
        });
        world.note(None, &format!("node {} is started, empty", turn % 5));
    });
}

/// Redis nodes that keep what they have answered across a restart.
fn durable() -> Vec<Redis> {
    let start = |_| Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    (0..5).map(start).collect()
}

fn addresses_of(nodes: &[Redis]) -> Vec<String> {
    nodes.iter().map(Redis::address).collect()
}

#[test]
fn no_old_value_is_read_while_a_ring_of_redis_nodes_changes() {
    let nodes = durable();
    for is_warmed in [false, true] {
        let run = Run {
            writes: 150,
            is_warmed,
            ..TWO
        };
        survives_at(&run, &addresses_of(&nodes), |_, _| {
            sleep(Duration::from_millis(20));
        });
        nodes.iter().for_each(|node| drop(node.ask("FLUSHALL")));
    }
}

#[test]
fn no_old_value_is_read_while_a_ring_changes_from_memcached_to_redis_nodes_and_back() {
    let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let nodes = durable();
    let mut addresses: Vec<String> = memcached.iter().map(Memcached::address).collect();
    addresses.splice(1..1, addresses_of(&nodes[..2]));
    survives_at(&TWO, &addresses, |world, turn| {
        let node = &nodes[turn % 2];
        world.note(None, &format!("redis node {} stops for a while", turn % 2));
        stop_for_a_while(turn, |signal| node.signal(signal));
    });
}

#[test]
fn no_old_value_is_read_while_redis_nodes_are_killed_and_come_back_with_their_items() {
    let mut nodes = durable();
    let addresses = addresses_of(&nodes);
    survives_at(&TWO, &addresses, |world, turn| {
        sleep(Duration::from_millis(if turn % 2 == 0 { 400 } else { 100 }));
        let node = &mut nodes[turn % 5];
        world.note(None, &format!("node {} is killed", turn % 5));
        node.stop();
        sleep(Duration::from_millis(if turn % 3 == 0 { 100 } else { 0 }));
        node.resume();
        world.note(None, &format!("node {} is started, with its items", turn % 5));
    });
}
