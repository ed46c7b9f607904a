//! Which metrics have series for each node, as `metrics.nodes` says, so that a thousand sidecars of large pools do not
//! fill Prometheus.
//!
//! | row | `full` | `basic` | `off` |
//! |---|---|---|---|
//! | of one node alone, [`SINGLE`] | each node | each node | none |
//! | few and useful, [`USEFUL`] | each node | each node | summed over the pool |
//! | any other with the label `node` | each node | summed over the pool | summed over the pool |

use super::Metric;
use crate::config::{Metrics, NodeSeries};
use crate::histogram::BUCKETS;

/// The label that sums leave out.
pub(super) const NODE: &str = "node";

/// Rows whose sum over a pool says nothing, or what another row says.
const SINGLE: &[&str] = &[
    "ringway_node_up",
    "ringway_node_in_ring",
    "ringway_node_drained",
    "ringway_node_requests_total",
    "ringway_node_errors_total",
    "ringway_node_request_duration_seconds",
];

/// Rows that each node has under `basic`, too.
const USEFUL: &[&str] = &[
    "ringway_in_flight",
    "ringway_missed_writes",
    "ringway_ejections_total",
    "ringway_links",
];

/// The number of bounds of a node's histogram under `basic`.
const FEW: usize = 4;

/// How a metric is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detail {
    /// Whether its nodes are summed over their pool.
    pub is_summed: bool,
    /// The number of bounds, if it is a histogram.
    pub bounds: usize,
}

/// Returns how `metric` is shown; `None` if it is not.
pub(super) fn of(metric: &Metric, Metrics { nodes, buckets }: Metrics) -> Option<Detail> {
    let is_single = SINGLE.contains(&metric.name);
    if is_single && nodes == NodeSeries::Off {
        return None;
    }
    let is_each = match nodes {
        NodeSeries::Full => true,
        NodeSeries::Basic => is_single || USEFUL.contains(&metric.name),
        NodeSeries::Off => false,
    };
    let has_few = is_single && nodes == NodeSeries::Basic;
    Some(Detail {
        is_summed: !is_each && metric.labels.contains(&NODE),
        bounds: if has_few { buckets.min(FEW) } else { buckets },
    })
}

/// Whether the bound with this index is one of `bounds` that are evenly spread over all; the largest always is.
pub(super) fn has_bound(index: usize, bounds: usize) -> bool {
    let before = |index: usize| index * bounds / (BUCKETS - 1);
    before(index + 1) > before(index)
}

#[cfg(test)]
mod tests {
    use super::super::metrics;
    use super::*;

    #[test]
    fn every_name_is_that_of_a_row_with_the_label() {
        for name in SINGLE.iter().chain(USEFUL) {
            let row = metrics().find(|metric| metric.name == *name);
            assert!(row.is_some_and(|row| row.labels.contains(&NODE)), "{name}");
        }
    }

    #[test]
    fn bounds_are_spread_evenly_and_the_largest_is_one_of_them() {
        let chosen = |bounds| -> Vec<usize> {
            (0..BUCKETS - 1)
                .filter(|&index| has_bound(index, bounds))
                .collect()
        };
        assert_eq!(chosen(20), (0..20).collect::<Vec<_>>());
        assert_eq!(chosen(10), (0..10).map(|n| 2 * n + 1).collect::<Vec<_>>());
        assert_eq!(chosen(4), [4, 9, 14, 19]);
        assert_eq!(chosen(1), [19]);
        for bounds in 1..=20 {
            assert_eq!(chosen(bounds).len(), bounds);
        }
    }
}
