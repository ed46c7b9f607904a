//! Takes nodes out of the rings, and back in: those that are down if the pool sets `on_node_down: rehash`,
//! and those that an operator drains.
//!
//! Health changes on any thread: a worker's request fails, a probe is answered. So the rings are compared
//! with the nodes a few times a second, and a ring that no longer fits is rebuilt.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use crate::route::Pool;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The interval between comparisons. A comparison loads a few bytes for each node.
const INTERVAL: Duration = Duration::from_millis(100);

/// Keeps the rings up to date, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let mut changed = state.changed.subscribe();
    let mut open = BTreeSet::new();
    loop {
        let snapshot = state.snapshot.load_full();
        note_open(&snapshot, &mut open);
        refresh(&state);
        tokio::select! {
            _ = changed.changed() => {}
            () = sleep(INTERVAL) => {}
        }
    }
}

/// Rebuilds the rings if one does not fit its nodes.
pub fn refresh(state: &State) {
    let current = state.snapshot.load_full();
    let is_stale = |pool: &Arc<Pool>| pool.is_stale(&current.nodes);
    if !current.pools.values().any(is_stale) {
        return;
    }
    let next = Snapshot::build(current.config.clone(), Some(&current));
    for (name, pool) in &next.pools {
        if pool.targets != current.pools[name].targets {
            info!(
                pool = name,
                nodes = pool.nodes.len(),
                in_ring = pool.targets.len(),
                "rehashed"
            );
        }
    }
    state.publish(next);
}

/// Logs when a pool begins or ceases to fail open; `open` has the names of those that do.
fn note_open(snapshot: &Snapshot, open: &mut BTreeSet<String>) {
    for (pool, compiled) in &snapshot.pools {
        match (compiled.fails_open(&snapshot.nodes), open.contains(pool)) {
            (true, false) => {
                warn!(
                    pool,
                    "more nodes than `max_down` are down: requests to them are tried"
                );
                open.insert(pool.clone());
            }
            (false, true) => {
                info!(pool, "no more nodes are down than `max_down`");
                open.remove(pool);
            }
            _ => {}
        }
    }
    open.retain(|pool| snapshot.pools.contains_key(pool));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{self, eventually};
    use crate::node::Node;

    const NODES: &str = "nodes: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:4']";

    fn targets(state: &State) -> Vec<usize> {
        state.snapshot.load().pools["main"].targets.clone()
    }

    fn take_down(node: &Node) {
        (0..10).for_each(|_| node.failed("test"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_goes_down_leaves_the_ring_and_comes_back_once_admitted_with_its_counters() {
        let state = testing::state(&format!("pools: {{main: {{{NODES}, on_node_down: rehash}}}}"));
        let nodes = state.snapshot.load().nodes.clone();
        tokio::spawn(run(state.clone()));
        take_down(&nodes[0]);
        eventually("the ring is without the node", || targets(&state) == [1, 2, 3]).await;
        eventually("it is noted that it left", || {
            nodes[0].membership.left_at().is_some()
        })
        .await;
        (0..10).for_each(|_| nodes[0].probed());
        // The clock is paused: the rings have been compared ten times when this ends, however busy the machine is.
        sleep(10 * INTERVAL).await;
        assert_eq!(targets(&state), [1, 2, 3], "it answers, but is not admitted");
        nodes[0].membership.admit();
        eventually("it is back", || targets(&state) == [0, 1, 2, 3]).await;
        assert!(Arc::ptr_eq(&state.snapshot.load().nodes[0], &nodes[0]));
    }

    #[tokio::test]
    async fn a_pool_whose_requests_fail_keeps_its_ring_but_for_a_drained_node() {
        let state = testing::state(&format!("pools: {{main: {{{NODES}, on_node_down: fail}}}}"));
        let nodes = state.snapshot.load().nodes.clone();
        tokio::spawn(run(state.clone()));
        take_down(&nodes[0]);
        nodes[1].membership.set_drained(true);
        eventually("the ring is without the drained node", || {
            targets(&state) == [0, 2, 3]
        })
        .await;
        assert!(nodes[0].membership.left_at().is_none() && nodes[1].membership.left_at().is_some());
    }
}
