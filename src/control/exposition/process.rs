//! The metrics of the process: its phase and configuration, its clients, its memory, and what its routes did.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::helpers::{certificates, client_requests, flag, handshakes, listeners, logins, workers};
use super::{Metric, MetricKind};
use crate::control::limits::LIMITS;
use crate::state::Phase;

/// The rows of this table.
pub(super) const METRICS: &[Metric] = &[
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
        help: "What policies did to requests, by event: each policy's page of docs/routing has its events.",
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
];
