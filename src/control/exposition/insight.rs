//! The metrics of single requests: those that are slow, and where the time of requests goes.

use super::helpers::shards;
use super::{Metric, MetricKind, Samples, View};
use crate::control::miss_ratio::wants_curve;
use crate::histogram::Histogram;
use crate::metrics::{Class, NodeShard};

/// The rows of this table.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringway_slow_requests_total",
        help: "Requests that took longer than their pool's threshold of the slow log.",
        kind: MetricKind::Counter,
        labels: &["pool", "node"],
        read: |view, samples| shards(view, samples, |shard| &shard.slow),
    },
    Metric {
        name: "ringway_taps",
        help: "Taps that are open now.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| samples.put(&[], view.state.taps.count() as f64),
    },
    Metric {
        name: "ringway_tap_lost_total",
        help: "Requests that a tap did not show because they were not read fast enough.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], view.state.taps.lost() as f64),
    },
    Metric {
        name: "ringway_own_duration_seconds",
        help: "Ringway's own part of a request's time, by class of command, of one request in 64: from when it was read until its first byte was sent to the node, and from the node's reply until it was written to the client.",
        kind: MetricKind::Histogram,
        labels: &["pool", "class"],
        read: |view, samples| timed(view, samples, |shard| &shard.own_durations),
    },
    Metric {
        name: "ringway_node_duration_seconds",
        help: "The node's part of a request's time, by class of command, of one request in 64: from its first byte sent to the node until the node's reply was read.",
        kind: MetricKind::Histogram,
        labels: &["pool", "class"],
        read: |view, samples| timed(view, samples, |shard| &shard.node_durations),
    },
    Metric {
        name: "ringway_hit_ratio_doubled",
        help: "The share of reads that would hit if the pool had twice the memory, from 0 to 1; NaN before that is known. Only of pools with insight.miss_ratio.",
        kind: MetricKind::Gauge,
        labels: &["pool"],
        read: |view, samples| {
            let curves = view.state.curves.lock().expect("no holder panics");
            for (name, _) in view.snapshot.pools.iter().filter(|(_, pool)| wants_curve(pool)) {
                let curve = curves.get(name);
                let doubled = curve.and_then(|curve| curve.hit_ratio(2.0 * curve.present()?));
                samples.put(&[name], doubled.unwrap_or(f64::NAN));
            }
        },
    },
];

/// The histograms of a node's shard, by class.
type ByClass = [Histogram; Class::ALL.len()];

/// Adds `histograms` of each pool that has a memcached, by class; an embedded node takes no time of its own. Each node
/// alone would have few samples.
fn timed(view: &View<'_>, samples: &mut Samples, histograms: fn(&NodeShard) -> &ByClass) {
    for (name, pool) in &view.snapshot.pools {
        let remote = || pool.own(&view.snapshot.nodes).filter(|node| node.is_remote());
        if remote().next().is_none() {
            continue;
        }
        for class in view.classes() {
            let shards = remote().flat_map(|node| node.shards());
            let of_class = shards.map(|shard| &histograms(shard)[class as usize]);
            samples.put_histogram(&[name, class.name()], of_class);
        }
    }
}
