//! The table of all metrics: name, help text, type, labels, and where the value is read.
//!
//! Units are base units (seconds, bytes). Labels come from closed sets: the pools, nodes and listeners of
//! the configuration, and the names of commands, classes and failures. A key is never a label.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::helpers::{
    all_errors, all_requests, certificates, client_requests, commands, discovery, durations,
    durations_by_class, embedded, errors_by_kind, flag, handshakes, listeners, logins, nodes, shards,
    workers,
};
use super::helpers::{discovery_answers, handover_copied, handover_phase, handover_reads};
use super::{Metric, MetricKind};
use crate::control::limits::LIMITS;
use crate::health;
use crate::node::Node;
use crate::node::embedded::Embedded;
use crate::protocol::operation::Operation;
use crate::state::Phase;

const NODE: &[&str] = &["pool", "node"];
const COMMAND: &[&str] = &["pool", "node", "command"];

/// Ringway's own metrics, in the order in which they are shown.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "ringway_build_info",
        help: "Always 1; the version of the program is the label.",
        kind: MetricKind::Gauge,
        labels: &["version"],
        read: |_, samples| samples.put(&[env!("CARGO_PKG_VERSION")], 1.0),
    },
    Metric {
        name: "ringway_ready",
        help: "1 while the process is ready for traffic, as /readyz says.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| samples.put(&[], flag(*view.state.phase.borrow() == Phase::Serving)),
    },
    Metric {
        name: "ringway_workers",
        help: "Traffic threads.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| samples.put(&[], view.state.workers.len() as f64),
    },
    Metric {
        name: "ringway_takeover_sessions_total",
        help: "Client connections that came from the process whose place this one took.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], view.state.sessions_taken_over.load(Relaxed) as f64),
    },
    Metric {
        name: "ringway_config_info",
        help: "Always 1; the hash of the running configuration is the label.",
        kind: MetricKind::Gauge,
        labels: &["hash"],
        read: |view, samples| samples.put(&[&view.snapshot.config.hash()], 1.0),
    },
    Metric {
        name: "ringway_config_reloads_total",
        help: "Reloads by result: taken or refused.",
        kind: MetricKind::Counter,
        labels: &["result"],
        read: |view, samples| {
            let reloads = view.state.reloads.lock().expect("no holder panics");
            samples.put(&["taken"], reloads.succeeded as f64);
            samples.put(&["refused"], reloads.failed as f64);
        },
    },
    Metric {
        name: "ringway_config_last_reload_successful",
        help: "1 unless the last configuration was refused.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| {
            let reloads = view.state.reloads.lock().expect("no holder panics");
            samples.put(&[], flag(reloads.diagnostics.is_empty()));
        },
    },
    Metric {
        name: "ringway_config_last_reload_success_timestamp_seconds",
        help: "When the running configuration was taken, as Unix time.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| {
            let taken_at = view.state.reloads.lock().expect("no holder panics").taken_at;
            let taken_at = taken_at.unwrap_or_else(|| SystemTime::now() - view.state.started.elapsed());
            let since_epoch = taken_at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            samples.put(&[], since_epoch.as_millis() as f64 / 1e3);
        },
    },
    Metric {
        name: "ringway_admin_refused_total",
        help: "What the admin listener refused or cut: foreign (hosts and pages), unauthorized (no token), busy, late (answers not read in time), displaced (idle or slow connections that made way).",
        kind: MetricKind::Counter,
        labels: &["reason"],
        read: |view, samples| {
            let admin = &view.state.admin;
            samples.put(&["foreign"], admin.foreign.load(Relaxed) as f64);
            samples.put(&["unauthorized"], admin.unauthorized.load(Relaxed) as f64);
            samples.put(&["busy"], admin.busy.load(Relaxed) as f64);
            samples.put(&["late"], admin.late.load(Relaxed) as f64);
            samples.put(&["displaced"], admin.displaced.load(Relaxed) as f64);
        },
    },
    Metric {
        name: "ringway_sessions",
        help: "Client connections open now.",
        kind: MetricKind::Gauge,
        labels: &["listener"],
        read: |view, samples| listeners(view, samples, |counters| counters.open.load(Relaxed) as u64),
    },
    Metric {
        name: "ringway_sessions_total",
        help: "Client connections accepted.",
        kind: MetricKind::Counter,
        labels: &["listener"],
        read: |view, samples| listeners(view, samples, |counters| counters.accepted.load(Relaxed)),
    },
    Metric {
        name: "ringway_connections_refused_total",
        help: "Client connections refused because of max_connections.",
        kind: MetricKind::Counter,
        labels: &["listener"],
        read: |view, samples| listeners(view, samples, |counters| counters.refused.load(Relaxed)),
    },
    Metric {
        name: "ringway_accept_errors_total",
        help: "Times that no client connection could be accepted, as without a free file descriptor.",
        kind: MetricKind::Counter,
        labels: &["listener"],
        read: |view, samples| listeners(view, samples, |counters| counters.accept_errors.load(Relaxed)),
    },
    Metric {
        name: "ringway_client_requests_total",
        help: "Requests of clients by protocol and by what they do; a get of several keys counts once for each key.",
        kind: MetricKind::Counter,
        labels: &["protocol", "command"],
        read: client_requests,
    },
    Metric {
        name: "ringway_client_bytes_read_total",
        help: "Bytes read from clients.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.bytes_read)),
    },
    Metric {
        name: "ringway_client_bytes_written_total",
        help: "Bytes written to clients.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.bytes_written)),
    },
    Metric {
        name: "ringway_bad_requests_total",
        help: "Requests refused before any node was asked: bad lines, keys and values.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.bad_requests)),
    },
    Metric {
        name: "ringway_http_closed_total",
        help: "Client connections closed because the client sent the first line of an HTTP request.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.http_closed)),
    },
    Metric {
        name: "ringway_idle_closed_total",
        help: "Client connections closed because of idle_timeout.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.idle_closed)),
    },
    Metric {
        name: "ringway_limits_total",
        help: "Times that a limit was reached, by its name; docs/limits.md says what each is.",
        kind: MetricKind::Counter,
        labels: &["limit"],
        read: |view, samples| {
            for limit in LIMITS {
                samples.put(&[limit.name], limit.sum(view.state, view.snapshot) as f64);
            }
        },
    },
    Metric {
        name: "ringway_values_dropped_total",
        help: "Values left out because their client read too slowly, or because of memory_limit; their requests failed.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.dropped)),
    },
    Metric {
        name: "ringway_buffer_bytes",
        help: "Bytes that the buffers of all sessions and links hold now.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.buffered)),
    },
    Metric {
        name: "ringway_memory_limit_bytes",
        help: "Bytes that buffers may hold: memory_limit.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| samples.put(&[], view.snapshot.config.memory_limit as f64),
    },
    Metric {
        name: "ringway_out_of_memory_total",
        help: "Requests refused because of memory_limit: storage commands, and lines that go on for long.",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.out_of_memory)),
    },
    Metric {
        name: "ringway_route_requests_in_progress",
        help: "Requests that policies are at work on now; those of clients that are gone too.",
        kind: MetricKind::Gauge,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.in_progress)),
    },
    Metric {
        name: "ringway_worker_batching_waits_total",
        help: "Sleeps in which a busy worker gathered events (batching: when-busy).",
        kind: MetricKind::Counter,
        labels: &[],
        read: |view, samples| samples.put(&[], workers(view, |shard| &shard.batching_waits)),
    },
    Metric {
        name: "ringway_route_requests_total",
        help: "Requests that came to a policy, by the route it stands in.",
        kind: MetricKind::Counter,
        labels: &["route", "policy"],
        read: |view, samples| {
            for counters in view.snapshot.counters.values() {
                let sum = counters.sum(|shard| &shard.requests);
                samples.put(&[&counters.route, counters.policy], sum as f64);
            }
        },
    },
    Metric {
        name: "ringway_route_events_total",
        help: "What policies did to requests: failover, over_budget, hedged, found, filled, copied, dropped, same, differs, only_original, only_copy, copy_failed, joined, limited, denied.",
        kind: MetricKind::Counter,
        labels: &["route", "policy", "event"],
        read: |view, samples| {
            for counters in view.snapshot.counters.values() {
                for &event in counters.events {
                    let sum = counters.sum(|shard| &shard.events[event as usize]);
                    samples.put(&[&counters.route, counters.policy, event.name()], sum as f64);
                }
            }
        },
    },
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
        name: "ringway_client_authentications_total",
        help: "What clients sent to listeners with auth before they were let in: accepted, failed (a wrong user or password), unauthenticated (a command instead), late (none in time).",
        kind: MetricKind::Counter,
        labels: &["listener", "result"],
        read: logins,
    },
    Metric {
        name: "ringway_tls_handshakes_total",
        help: "TLS handshakes by the side that they were made with and by their result: full, resumed (a session that was kept) or failed; of clients also plain (no TLS where it is spoken), unexpected (TLS where it is not) and refused (no name that is allowed).",
        kind: MetricKind::Counter,
        labels: &["side", "result"],
        read: |_, samples| handshakes(samples),
    },
    Metric {
        name: "ringway_tls_certificate_expiry_timestamp_seconds",
        help: "When a certificate that Ringway shows ceases to hold, as Unix time; by the part of the configuration that names it (listener, admin, pool), and its address or name.",
        kind: MetricKind::Gauge,
        labels: &["part", "name"],
        read: certificates,
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
