//! Follows from when on a request is slow: once a second, for each pool.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::interval;

use crate::config::Slow;
use crate::histogram::BUCKETS;
use crate::insight::slow_log::{OFF, Usual};
use crate::node::Node;
use crate::state::State;

/// Runs until this future is dropped.
pub async fn run(state: Arc<State>) {
    let mut known: HashMap<String, Usual> = HashMap::new();
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let snapshot = state.snapshot.load_full();
        known.retain(|name, _| snapshot.pools.contains_key(name));
        for (name, pool) in &snapshot.pools {
            let nodes = || pool.all_nodes().map(|index| &*snapshot.nodes[index]);
            let usual = known.entry(name.clone()).or_default();
            usual.learn(durations(nodes()));
            let threshold = match pool.settings.insight.slow {
                Slow::Auto => usual.threshold(),
                Slow::From(time) => time.as_micros() as u64,
                Slow::Off => OFF,
            };
            nodes().for_each(|node| node.slow_above.store(threshold, Relaxed));
        }
    }
}

/// The durations of all requests to `nodes`, by bucket.
fn durations<'a>(nodes: impl Iterator<Item = &'a Node>) -> [u64; BUCKETS] {
    let mut sums = [0; BUCKETS];
    let shards = nodes.flat_map(Node::shards);
    for histogram in shards.flat_map(|shard| &shard.durations) {
        let counts = histogram.counts();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    sums
}
