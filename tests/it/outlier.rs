//! A node that is far slower than its peers, but answers: it becomes suspect, keeps its keys, and is trusted
//! again when it is as fast as the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::ringway::{Ringway, full, pool, wait_at_most, wait_for};
use crate::support::scripted::{Scripted, say};

#[test]
fn a_node_that_is_slow_for_long_is_suspect_and_keeps_its_keys() {
    let delay = Arc::new(AtomicU64::new(60));
    let nodes: Vec<Scripted> = (0..3)
        .map(|index| {
            let delay = delay.clone();
            Scripted::start("1.6.18", move |seen| {
                if index == 0 {
                    std::thread::sleep(Duration::from_millis(delay.load(Relaxed)));
                }
                say(format!("EN k{}\r\n", seen.word(1)))
            })
        })
        .collect();
    let addresses: Vec<String> = nodes.iter().map(Scripted::address).collect();
    let settings = ["outlier: 4", "request_timeout: 2s", "connections: 4"];
    let ringway = Ringway::start(&full(&pool(&addresses, &settings)));
    // Each has a link of its own, so that the slow node has enough to do in every second.
    let mut clients: Vec<_> = (0..4).map(|_| ringway.client()).collect();
    // Some keys of each node, over and over.
    let mut ask = || {
        for key in 0..60 {
            for client in &mut clients {
                client.send(format!("get key{key}\r\n"));
            }
            for client in &mut clients {
                client.expect("END\r\n");
            }
        }
    };
    let suspects = || ringway.metric("ringway_node_suspect", &[]);
    // It must be slow for ten seconds without a break; on a busy machine its peers are slow too now and then.
    wait_at_most(Duration::from_secs(90), "the slow node to be suspect", || {
        ask();
        suspects() > 0.0
    });
    let label = format!("node=\"{}\"", addresses[0]);
    assert_eq!(ringway.metric("ringway_node_suspect", &[&label]), 1.0);
    assert_eq!(suspects(), 1.0, "no other node is");
    assert_eq!(ringway.metric("ringway_node_in_ring", &[&label]), 1.0);
    assert_eq!(ringway.metric("ringway_ejections_total", &[]), 0.0);
    ringway.wait_logged("node far slower than its peers");

    delay.store(0, Relaxed);
    wait_for("it to be trusted again", || {
        ask();
        suspects() == 0.0
    });
}
