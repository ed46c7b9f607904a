//! Clients of two Ringways whose handovers are a phase apart, over real nodes: no old value is read.
//!
//! `HANDOVER_ROUNDS` repeats the changes of the ring, for long runs: each round has three.

use std::sync::atomic::Ordering::SeqCst;
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::handover::{end, next, phase};
use crate::lazy_fill::{COUNTERS, EndOnDrop, World};
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool, wait_for};

const CLIENTS: usize = 4;
/// The nodes of the ring after each change; it begins with one.
const CHANGES: [usize; 3] = [3, 5, 1];

/// Five nodes, of which a fault may end one for a while.
type Nodes = [Option<Memcached>; 5];

/// What a run is like.
struct Run {
    /// How many Ringways there are. Two may disagree for a moment whether a node is down that is killed and comes back at
    /// once, which docs/handover.md names as a limit.
    processes: usize,
    /// Whether no node loses its memory, so that counters count.
    keeps_memory: bool,
    /// The writes between two steps.
    writes: u64,
    /// Whether `ringway warm` copies what moves.
    is_warmed: bool,
}

fn rounds() -> usize {
    let rounds = std::env::var("HANDOVER_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Lets clients read and write while two processes change the ring, a phase apart, and `inject` brings one fault after
/// the other upon the nodes.
fn survives(run: &Run, mut inject: impl FnMut(&mut Nodes, usize) + Send) {
    let mut nodes: Nodes = std::array::from_fn(|_| Some(Memcached::start()));
    let addresses: Vec<String> = nodes.iter().flatten().map(Memcached::address).collect();
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
    let sidecars: Vec<Ringway> = (0..run.processes).map(|_| Ringway::start(&text(1))).collect();
    let counters = if run.keeps_memory { COUNTERS } else { 0 };
    let world = World::begin(&mut sidecars[0].client(), counters);
    scope(|threads| {
        for client in 0..CLIENTS {
            let (world, sidecar) = (&world, &sidecars[client % run.processes]);
            threads.spawn(move || {
                let _ends_all = EndOnDrop(world);
                world.run(sidecar, client as u64 + 1);
            });
        }
        threads.spawn(|| {
            let _ends_all = EndOnDrop(&world);
            let turns = (0..).take_while(|_| !world.is_over.load(SeqCst));
            turns.for_each(|turn| inject(&mut nodes, turn));
        });
        let _ends_all = EndOnDrop(&world);
        for _ in 0..rounds() {
            for count in CHANGES {
                change(run, &world, &sidecars, &text(count));
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

/// Lets both processes go through one change of the ring, one of them a phase ahead.
fn change(run: &Run, world: &World, sidecars: &[Ringway], text: &str) {
    // Requests of one phase are answered before the other process goes on.
    let go_on = || {
        let enough = world.values.load(SeqCst) + run.writes;
        wait_for("clients", || {
            assert!(!world.is_over.load(SeqCst), "a client gave up");
            world.values.load(SeqCst) > enough
        });
    };
    for sidecar in sidecars {
        sidecar.reload(text);
        wait_for("the handover", || phase(sidecar).as_deref() == Some("prepare"));
        go_on();
    }
    for phase in ["serve", "finish"] {
        for sidecar in sidecars {
            if phase == "finish" && run.is_warmed {
                let admin = sidecar.admin.to_string();
                let warm = ["warm", "--admin", &admin, "--rate", "10000", "--connections", "2"];
                let warmed = program::output(&mut program::ringway(&warm));
                assert!(warmed.status.success(), "{:?}", program::said(&warmed));
            }
            assert_eq!(next(sidecar), phase);
            go_on();
        }
    }
    for sidecar in sidecars {
        end(sidecar);
        go_on();
    }
}

/// Nothing happens for a while.
fn no_fault(_: &mut Nodes, _: usize) {
    sleep(Duration::from_millis(20));
}

#[test]
fn no_old_value_is_read_while_two_processes_grow_and_shrink_a_ring_a_phase_apart() {
    let run = Run {
        processes: 2,
        keeps_memory: true,
        writes: 300,
        is_warmed: false,
    };
    survives(&run, no_fault);
}

#[test]
fn no_old_value_is_read_while_warm_copies_what_moves() {
    let run = Run {
        processes: 2,
        keeps_memory: true,
        writes: 100,
        is_warmed: true,
    };
    survives(&run, no_fault);
}

#[test]
fn no_old_value_is_read_while_nodes_are_stopped_in_a_handover() {
    let run = Run {
        processes: 2,
        keeps_memory: true,
        writes: 100,
        is_warmed: false,
    };
    survives(&run, |nodes, turn| {
        let node = nodes[turn % 5].as_ref().expect("it runs");
        node.signal("STOP");
        sleep(Duration::from_millis(if turn % 4 == 0 { 400 } else { 40 }));
        node.signal("CONT");
        sleep(Duration::from_millis(100));
    });
}

#[test]
fn no_old_value_is_read_while_nodes_are_killed_in_a_handover() {
    let run = Run {
        processes: 1,
        keeps_memory: false,
        writes: 100,
        is_warmed: false,
    };
    survives(&run, |nodes, turn| {
        sleep(Duration::from_millis(400));
        let node = &mut nodes[turn % 5];
        let port = node.take().expect("it runs").port();
        sleep(Duration::from_millis(if turn % 3 == 0 { 100 } else { 0 }));
        wait_for("the port to be free", || {
            *node = Memcached::start_on(port);
            node.is_some()
        });
    });
}
