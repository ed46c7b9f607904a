//! Marks nodes as suspect that are far slower than their peers for long (`outlier`).
//!
//! Once a second each node's mean reply time is compared with the median of its pool. A single second
//! proves nothing, so a node must be slow in [`LONG`] consecutive seconds, and fast in as many to be
//! trusted again. Seconds in which a node had too few requests are ignored.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use crate::node::Node;
use crate::state::State;

const SECOND: Duration = Duration::from_secs(1);
/// The number of consecutive seconds that make a node slow, or trusted again.
const LONG: u32 = 10;
/// The minimum number of replies in a second for a node to be judged.
const FEWEST: u64 = 10;
/// The mean in seconds below which no node is slow, however fast its peers are.
const HARMLESS: f64 = 0.001;
/// The minimum number of nodes for a median.
const PEERS: usize = 3;

/// Watches every pool that sets `outlier`, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let mut watched: Vec<WatchedNode> = Vec::new();
    let mut second = interval(SECOND);
    loop {
        second.tick().await;
        let snapshot = state.snapshot.load_full();
        watched = follow(watched, &snapshot.nodes);
        for pool in snapshot.pools.values() {
            let watched = &mut watched[pool.nodes[0]..][..pool.nodes.len()];
            let means: Vec<Option<f64>> = watched.iter_mut().map(WatchedNode::mean).collect();
            let Some(times) = pool.settings.outlier else {
                watched.iter_mut().for_each(|node| node.set(false));
                continue;
            };
            let Some(limit) = limit(&means, times) else {
                continue;
            };
            for (node, mean) in watched.iter_mut().zip(means) {
                if let Some(mean) = mean {
                    node.judge(mean > limit);
                }
            }
        }
    }
}

/// Returns the state of `nodes`, in their order, keeping that of known ones.
fn follow(mut known: Vec<WatchedNode>, nodes: &[Arc<Node>]) -> Vec<WatchedNode> {
    nodes
        .iter()
        .map(|node| {
            let found = known.iter().position(|known| Arc::ptr_eq(&known.node, node));
            found.map_or_else(|| WatchedNode::new(node), |found| known.swap_remove(found))
        })
        .collect()
}

/// The mean in seconds above which a node is slow; `None` if too few nodes had enough requests.
fn limit(means: &[Option<f64>], times: u32) -> Option<f64> {
    let mut known: Vec<f64> = means.iter().copied().flatten().collect();
    known.sort_by(f64::total_cmp);
    // Of an even number the lower one: a slow half must not raise its own limit.
    let median = known.get(known.len().saturating_sub(1) / 2)?;
    (known.len() >= PEERS).then(|| (median * f64::from(times)).max(HARMLESS))
}

/// Returns the number of replies so far, and the seconds that all of them took.
fn total(node: &Node) -> (u64, f64) {
    let histograms = node.shards().iter().flat_map(|shard| &shard.durations);
    histograms.fold((0, 0.0), |(count, seconds), histogram| {
        (
            count + histogram.counts().iter().sum::<u64>(),
            seconds + histogram.sum(),
        )
    })
}

/// The state of one node.
#[derive(Debug)]
struct WatchedNode {
    node: Arc<Node>,
    /// The result of [`total`] a second ago.
    last: (u64, f64),
    is_slow: bool,
    /// The number of consecutive seconds that contradict `is_slow`.
    against: u32,
}

impl WatchedNode {
    fn new(node: &Arc<Node>) -> WatchedNode {
        WatchedNode {
            node: node.clone(),
            last: total(node),
            is_slow: false,
            against: 0,
        }
    }

    /// The mean since the last call, in seconds; `None` if there were too few requests.
    fn mean(&mut self) -> Option<f64> {
        let total = total(&self.node);
        let last = std::mem::replace(&mut self.last, total);
        let count = total.0.saturating_sub(last.0);
        (count >= FEWEST).then(|| (total.1 - last.1) / count as f64)
    }

    /// Records one more second in which the node was or was not slow.
    fn judge(&mut self, was_slow: bool) {
        self.against = if was_slow == self.is_slow {
            0
        } else {
            self.against + 1
        };
        if self.against == LONG {
            self.set(was_slow);
        }
    }

    fn set(&mut self, is_slow: bool) {
        self.against = 0;
        if self.is_slow != is_slow {
            self.is_slow = is_slow;
            self.node.slow(is_slow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;
    use crate::health;

    #[test]
    fn the_limit_is_a_multiple_of_the_median_and_no_node_is_slow_below_a_millisecond() {
        let cases: &[(&[Option<f64>], Option<f64>)] = &[
            (&[Some(0.002), Some(0.5), Some(0.004)], Some(0.02)),
            (&[Some(0.002), Some(0.5), Some(0.004), Some(0.6)], Some(0.02)),
            (&[Some(0.00001), Some(0.0005), Some(0.00001)], Some(HARMLESS)),
            (&[Some(0.002), Some(0.5), None], None),
            (&[], None),
        ];
        for (means, expected) in cases {
            assert_eq!(limit(means, 5), *expected, "{means:?}");
        }
    }

    fn watched() -> WatchedNode {
        let state = testing::state("pools: {main: {nodes: ['127.0.0.1:1'], outlier: 5}}");
        WatchedNode::new(&state.snapshot.load().nodes[0])
    }

    #[test]
    fn a_mean_is_of_the_last_second_alone_and_of_enough_replies() {
        let mut watched = watched();
        let node = watched.node.clone();
        let reply = |times: u64| (0..times).for_each(|_| node.shard(0).durations[0].record(100_000));
        reply(FEWEST);
        assert!(watched.mean().is_some_and(|mean| (mean - 0.1).abs() < 1e-9));
        reply(FEWEST - 1);
        assert_eq!(watched.mean(), None);
        assert_eq!(watched.mean(), None);
    }

    #[test]
    fn a_node_is_slow_after_long_and_trusted_again_after_as_long() {
        let mut watched = watched();
        let mut judge = |was_slow: bool, times: u32| {
            (0..times).for_each(|_| watched.judge(was_slow));
            watched.node.state()
        };
        assert_eq!(judge(true, LONG - 1), health::State::Up);
        assert_eq!(judge(false, 1), health::State::Up, "the row is broken");
        assert_eq!(judge(true, LONG), health::State::Suspect);
        assert_eq!(judge(false, LONG - 1), health::State::Suspect);
        assert_eq!(judge(false, 1), health::State::Up);
    }
}
