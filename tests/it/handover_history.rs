//! Clients of two Ringways whose handovers are a phase apart, over real nodes: no old value is read.

use std::sync::atomic::Ordering::SeqCst;
use std::thread::scope;

use crate::handover::{end, next, phase};
use crate::lazy_fill::{COUNTERS, EndOnDrop, World};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool, wait_for};

const CLIENTS: usize = 4;

#[test]
fn no_old_value_is_read_while_two_processes_grow_and_shrink_a_ring_a_phase_apart() {
    let nodes: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let nodes: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let text = |count: usize| {
        let settings = [
            "handover: {prepare: 1h, serve: 1h}",
            "on_read_error: error",
            "on_write_error: error",
        ];
        format!("workers: 2\n{}", pool(&nodes[..count], &settings))
    };
    let sidecars = [Ringway::start(&text(1)), Ringway::start(&text(1))];
    let world = World::begin(&mut sidecars[0].client(), COUNTERS);
    scope(|clients| {
        for client in 0..CLIENTS {
            let (world, sidecar) = (&world, &sidecars[client % 2]);
            clients.spawn(move || {
                let _ends_all = EndOnDrop(world);
                world.run(sidecar, client as u64 + 1);
            });
        }
        let _ends_all = EndOnDrop(&world);
        // Requests of one phase are answered before the other process goes on.
        let go_on = || {
            let enough = world.values.load(SeqCst) + 300;
            wait_for("clients", || {
                assert!(!world.is_over.load(SeqCst), "a client gave up");
                world.values.load(SeqCst) > enough
            });
        };
        for count in [3, 5, 1] {
            for sidecar in &sidecars {
                sidecar.reload(&text(count));
                wait_for("the handover", || phase(sidecar).as_deref() == Some("prepare"));
                go_on();
            }
            for _ in ["serve", "finish"] {
                for sidecar in &sidecars {
                    next(sidecar);
                    go_on();
                }
            }
            for sidecar in &sidecars {
                end(sidecar);
                go_on();
            }
        }
    });
    // Whichever came first to a key moved it, so one of them may have found none.
    let found = |sidecar: &Ringway| sidecar.metric("ringway_handover_reads_total", &["found=\"old\""]);
    assert!(
        sidecars.iter().map(found).sum::<f64>() > 0.0,
        "nothing was found at an old owner"
    );
}
