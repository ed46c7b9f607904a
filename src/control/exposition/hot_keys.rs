//! The metrics of hot keys: how many there are, and which part of the load they are. A key is never a label.

use super::{Metric, MetricKind, Samples, View};
use crate::hot_keys::Order;

/// A key with this part of its pool's requests counts as hot.
const HOT: f64 = 0.01;

/// The rows of this table.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringway_hot_keys",
        help: "Keys that each have at least 1 % of the requests to the pool's nodes, in the last seconds.",
        kind: MetricKind::Gauge,
        labels: &["pool"],
        read: |view, samples| {
            let ranking = view.state.hot_keys.ranking.load();
            for pool in view.snapshot.pools.keys() {
                let keys = ranking.keys(Order::Requests, Some(pool));
                let hot = keys.iter().filter(|key| key.share(Order::Requests) >= HOT);
                samples.put(&[pool], hot.count() as f64);
            }
        },
    },
    Metric {
        name: "ringway_hottest_key_share",
        help: "The part that the hottest key has of the requests to the pool's nodes, or of their bytes, from 0 to 1.",
        kind: MetricKind::Gauge,
        labels: &["pool", "by"],
        read: |view, samples| hot_shares(view, samples, 1),
    },
    Metric {
        name: "ringway_ten_hottest_keys_share",
        help: "The part that the ten hottest keys have together, from 0 to 1.",
        kind: MetricKind::Gauge,
        labels: &["pool", "by"],
        read: |view, samples| hot_shares(view, samples, 10),
    },
];

/// Adds the part that the `count` hottest keys of each pool have, in each order.
fn hot_shares(view: &View<'_>, samples: &mut Samples, count: usize) {
    let ranking = view.state.hot_keys.ranking.load();
    for pool in view.snapshot.pools.keys() {
        for (order, name) in Order::ALL {
            let keys = ranking.keys(order, Some(pool));
            let share: f64 = keys.iter().take(count).map(|key| key.share(order)).sum();
            samples.put(&[pool, name], share.min(1.0));
        }
    }
}
