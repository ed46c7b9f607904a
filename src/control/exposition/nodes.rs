//! The metrics of pools and nodes.

use super::helpers::{
    all_errors, all_requests, commands, discovery, discovery_answers, durations, durations_by_class,
    embedded, errors_by_kind, flag, handover_copied, handover_phase, handover_reads, nodes, shards,
};
use super::{Metric, MetricKind};
use crate::health;
use crate::node::Node;
use crate::node::embedded::Embedded;
use crate::protocol::operation::Operation;

const NODE: &[&str] = &["pool", "node"];
const COMMAND: &[&str] = &["pool", "node", "command"];

/// The rows of this table.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "ringway_requests_total",
        help: "Requests to a node that were answered or failed, by what they do: mg counts as get, gat or touch, ms as set, add, replace, append, prepend or cas, md as delete, ma as incr or decr, gets as get, gats as gat.",
        kind: MetricKind::Counter,
        labels: COMMAND,
        read: |view, samples| commands(view, samples, |_| true, |counters| &counters.requests),
    },
    Metric {
        name: "ringway_hits_total",
        help: "Requests that found their key.",
        kind: MetricKind::Counter,
        labels: COMMAND,
        read: |view, samples| commands(view, samples, Operation::finds_key, |counters| &counters.hits),
    },
    Metric {
        name: "ringway_misses_total",
        help: "Requests that did not find their key.",
        kind: MetricKind::Counter,
        labels: COMMAND,
        read: |view, samples| commands(view, samples, Operation::finds_key, |counters| &counters.misses),
    },
    Metric {
        name: "ringway_request_duration_seconds",
        help: "From the moment a request was read to the node's reply, or to its timeout, by class of command; only of requests that were sent.",
        kind: MetricKind::Histogram,
        labels: &["pool", "node", "class"],
        read: durations_by_class,
    },
    Metric {
        name: "ringway_errors_total",
        help: "Requests that a node did not answer, by reason.",
        kind: MetricKind::Counter,
        labels: &["pool", "node", "kind"],
        read: errors_by_kind,
    },
    Metric {
        name: "ringway_node_requests_total",
        help: "Requests to a node that were answered or failed, of all commands.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| all_requests(node) as f64),
    },
    Metric {
        name: "ringway_node_errors_total",
        help: "Requests that a node did not answer, for any reason.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| all_errors(node) as f64),
    },
    Metric {
        name: "ringway_node_request_duration_seconds",
        help: "From the moment a request was read to the node's reply, or to its timeout, of all commands; only of requests that were sent.",
        kind: MetricKind::Histogram,
        labels: NODE,
        read: durations,
    },
    Metric {
        name: "ringway_error_replies_total",
        help: "Error lines that a node answered.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.error_replies),
    },
    Metric {
        name: "ringway_retries_total",
        help: "Requests that were sent once more because their connection broke.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.retries),
    },
    Metric {
        name: "ringway_link_renewals_total",
        help: "Links that were opened anew: idle ones without an answer, and those whose node's name leads elsewhere.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.renewals),
    },
    Metric {
        name: "ringway_in_flight",
        help: "Requests that await a node's reply now.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.in_flight),
    },
    Metric {
        name: "ringway_node_up",
        help: "1 while the node counts as up or suspect.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| flag(node.state().takes_requests())),
    },
    Metric {
        name: "ringway_node_suspect",
        help: "1 while the node failed lately or is far slower than its peers.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| flag(node.state() == health::State::Suspect)),
    },
    Metric {
        name: "ringway_node_in_ring",
        help: "1 while keys go to the node.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| {
            let outside: Vec<*const Node> = view
                .snapshot
                .outsiders()
                .map(|node| node as *const Node)
                .collect();
            nodes(view, samples, |node| {
                flag(!outside.contains(&(node as *const Node)))
            });
        },
    },
    Metric {
        name: "ringway_node_drained",
        help: "1 while an operator wants the node to take no keys.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| flag(node.membership.is_drained())),
    },
    Metric {
        name: "ringway_rejoins_total",
        help: "Times a node came back to the ring after it had left it.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.membership.rejoins() as f64),
    },
    Metric {
        name: "ringway_rejoin_flushes_total",
        help: "Times a node was flushed before it came back to the ring.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.membership.flushes() as f64),
    },
    Metric {
        name: "ringway_missed_writes",
        help: "Keys of failed writes that are still to be deleted on the node, and are misses until then.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.missed.keys() as f64),
    },
    Metric {
        name: "ringway_missed_all",
        help: "1 while every key of the node is a miss, until it is flushed: more was missed than is remembered.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| flag(node.missed.is_all())),
    },
    Metric {
        name: "ringway_missed_writes_replayed_total",
        help: "Keys of failed writes that were deleted on the node.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.missed.replayed() as f64),
    },
    Metric {
        name: "ringway_missed_writes_overflows_total",
        help: "Times that a node missed more writes than are remembered, so that it must be flushed.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.missed.overflows() as f64),
    },
    Metric {
        name: "ringway_fallback_copies",
        help: "Keys that the node holds in place of nodes that are out of the ring, and that are remembered.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.missed.copies() as f64),
    },
    Metric {
        name: "ringway_fallback_copies_overflows_total",
        help: "Writes in place of other nodes that there was no room to remember: only fallback_expiry bounds them.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.missed.copy_overflows() as f64),
    },
    Metric {
        name: "ringway_missed_writes_disk_errors_total",
        help: "Times that missed_writes.dir could not be written or was too slow, so that missed writes are in memory only.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| {
            let errors = view
                .snapshot
                .missed
                .journal()
                .map_or(0, |journal| journal.errors());
            samples.put(&[], errors as f64);
        },
    },
    Metric {
        name: "ringway_pool_fails_open",
        help: "1 while more nodes are down than max_down allows, and requests to them are tried.",
        kind: MetricKind::Gauge,
        labels: &["pool"],
        read: |view, samples| {
            for (name, pool) in &view.snapshot.pools {
                samples.put(&[name], flag(pool.fails_open(&view.snapshot.nodes)));
            }
        },
    },
    Metric {
        name: "ringway_discovery_members",
        help: "Nodes of a pool that were discovered.",
        kind: MetricKind::Gauge,
        labels: &["pool"],
        read: |view, samples| discovery(view, |pool, status| samples.put(&[pool], status.members as f64)),
    },
    Metric {
        name: "ringway_discovery_held",
        help: "1 while a change of a pool's nodes waits for an operator, because it would move too many keys.",
        kind: MetricKind::Gauge,
        labels: &["pool"],
        read: |view, samples| {
            discovery(view, |pool, status| {
                samples.put(&[pool], flag(status.held.is_some()))
            });
        },
    },
    Metric {
        name: "ringway_discovery_answers_total",
        help: "Questions to the source of a pool's nodes by result: ok, too_few (less than min_nodes), failed, timeout.",
        kind: MetricKind::Counter,
        labels: &["pool", "result"],
        read: discovery_answers,
    },
    Metric {
        name: "ringway_handover_phase",
        help: "The phase of a pool's handover: 0 none, 1 prepare, 2 serve, 3 finish.",
        kind: MetricKind::Gauge,
        labels: &["pool"],
        read: handover_phase,
    },
    Metric {
        name: "ringway_handover_reads_total",
        help: "Reads of keys that move, by the owner that had them: new, old, none.",
        kind: MetricKind::Counter,
        labels: &["pool", "found"],
        read: handover_reads,
    },
    Metric {
        name: "ringway_handover_copied_total",
        help: "Values copied to the new owners of their keys.",
        kind: MetricKind::Counter,
        labels: &["pool"],
        read: handover_copied,
    },
    Metric {
        name: "ringway_ejections_total",
        help: "Times a node went down.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| nodes(view, samples, |node| node.ejections() as f64),
    },
    Metric {
        name: "ringway_links",
        help: "Connections to a node open now.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.links),
    },
    Metric {
        name: "ringway_link_connects_total",
        help: "Connections to a node that were made.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.connects),
    },
    Metric {
        name: "ringway_node_bytes_read_total",
        help: "Bytes read from a node.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.bytes_read),
    },
    Metric {
        name: "ringway_node_bytes_written_total",
        help: "Bytes written to a node.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| shards(view, samples, |shard| &shard.bytes_written),
    },
    Metric {
        name: "ringway_embedded_items",
        help: "Values held now by an embedded node.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| embedded(view, samples, Embedded::items),
    },
    Metric {
        name: "ringway_embedded_bytes",
        help: "Bytes held now by an embedded node.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| embedded(view, samples, Embedded::bytes),
    },
    Metric {
        name: "ringway_embedded_capacity_bytes",
        help: "Bytes that an embedded node may hold.",
        kind: MetricKind::Gauge,
        labels: NODE,
        read: |view, samples| embedded(view, samples, Embedded::capacity),
    },
    Metric {
        name: "ringway_embedded_evictions_total",
        help: "Values that an embedded node dropped to make room.",
        kind: MetricKind::Counter,
        labels: NODE,
        read: |view, samples| embedded(view, samples, Embedded::evictions),
    },
];
