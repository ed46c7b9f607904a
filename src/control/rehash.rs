//! Takes nodes that are down out of the ring, and back in, where the pool says `on_node_down: rehash`.
//!
//! Health changes on any thread: a worker's request fails, a probe is answered. So the rings are held
//! against the nodes a few times a second, and a ring that no longer fits is built anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use crate::config::OnNodeDown;
use crate::node::Node;
use crate::route::Pool;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Between two comparisons. A comparison loads one byte for each node.
const INTERVAL: Duration = Duration::from_millis(100);

/// Keeps the rings true, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let mut changed = state.changed.subscribe();
    loop {
        let snapshot = state.snapshot.load_full();
        let concerns = snapshot.pools.values().any(|pool| rehashes(pool));
        if concerns
            && snapshot
                .pools
                .values()
                .any(|pool| is_stale(pool, &snapshot.nodes))
        {
            rebuild(&state, &snapshot);
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = sleep(INTERVAL), if concerns => {}
        }
    }
}

fn rebuild(state: &State, current: &Snapshot) {
    let next = Snapshot::build(current.config.clone(), Some(current));
    for pool in next.pools.values().filter(|pool| rehashes(pool)) {
        info!(
            pool = pool.name,
            nodes = pool.nodes.len(),
            in_ring = pool.targets.len(),
            "rehashed"
        );
    }
    state.publish(next);
}

fn rehashes(pool: &Pool) -> bool {
    pool.settings.on_node_down == OnNodeDown::Rehash
}

/// True where the nodes in the ring are not those that take requests. Where none does all are in it.
fn is_stale(pool: &Pool, nodes: &[Arc<Node>]) -> bool {
    if !rehashes(pool) {
        return false;
    }
    let takes = |index: &usize| nodes[*index].state().takes_requests();
    if !pool.nodes.iter().any(takes) {
        return pool.targets != pool.nodes;
    }
    !pool
        .nodes
        .iter()
        .copied()
        .filter(takes)
        .eq(pool.targets.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{self, eventually};

    const YAML: &str = "pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2'], on_node_down: rehash}}";

    fn targets(state: &State) -> Vec<usize> {
        state.snapshot.load().pools["main"].targets.clone()
    }

    fn take_down(node: &Node) {
        (0..10).for_each(|_| node.failed("test"));
    }

    #[tokio::test]
    async fn a_node_that_goes_down_leaves_the_ring_and_comes_back_with_its_counters() {
        let state = testing::state(YAML);
        let nodes = state.snapshot.load().nodes.clone();
        tokio::spawn(run(state.clone()));
        take_down(&nodes[0]);
        eventually("the ring is without the node", || targets(&state) == [1]).await;
        take_down(&nodes[1]);
        eventually("where all are down all are in the ring", || {
            targets(&state) == [0, 1]
        })
        .await;
        (0..10).for_each(|_| nodes[0].probed());
        eventually("the node that answers is alone", || targets(&state) == [0]).await;
        (0..10).for_each(|_| nodes[1].probed());
        eventually("both are back", || targets(&state) == [0, 1]).await;
        assert!(Arc::ptr_eq(&state.snapshot.load().nodes[0], &nodes[0]));
    }

    #[tokio::test]
    async fn a_pool_whose_requests_fail_keeps_its_ring() {
        let state =
            testing::state("pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2'], on_node_down: fail}}");
        let snapshot = state.snapshot.load_full();
        take_down(&snapshot.nodes[0]);
        assert!(!is_stale(&snapshot.pools["main"], &snapshot.nodes));
    }
}
