//! Helpers for the rows of the table of metrics: one number for each listener, node or command.

use std::sync::Arc;

use super::{Samples, View, of_operation, requests};
use crate::config::ListenerTls;
use crate::counter::Counter;
use crate::discovery::status::{self, Status};
use crate::metrics::{ClientProtocol, NodeShard, OperationCounters, WorkerShard};
use crate::net::tls::counters::{self, Side};
use crate::node::embedded::Embedded;
use crate::node::{self, Node};
use crate::protocol::Failure;
use crate::protocol::operation::Operation;
use crate::route::Pool;
use crate::route::handover::tally::Counts;
use crate::runtime::logins::Outcome;
use crate::snapshot::ListenerCounters;

/// Returns 1 if `claim` is true, otherwise 0.
pub(super) fn flag(claim: bool) -> f64 {
    f64::from(u8::from(claim))
}

/// Adds `number` for each listener.
pub(super) fn listeners(view: &View<'_>, samples: &mut Samples, number: impl Fn(&ListenerCounters) -> u64) {
    for listener in &view.snapshot.listeners {
        let bind = listener.settings.bind.to_string();
        samples.put(&[&bind], number(&listener.counters) as f64);
    }
}

/// Adds the end of each certificate that is shown to clients or nodes.
pub(super) fn certificates(view: &View<'_>, samples: &mut Samples) {
    let config = &view.snapshot.config;
    let mut put = |part, name: &str, time: Option<i64>| {
        if let Some(time) = time {
            samples.put(&[part, name], time as f64);
        }
    };
    let shown = |tls: &Option<Arc<ListenerTls>>| tls.as_ref().and_then(|tls| tls.not_after);
    for listener in &config.listeners {
        put("listener", &listener.bind.to_string(), shown(&listener.tls));
    }
    put("admin", &config.admin.bind.to_string(), shown(&config.admin.tls));
    for (name, pool) in &config.pools {
        let tls = pool.protection.tls.as_ref();
        put("pool", name, tls.and_then(|tls| tls.not_after));
    }
}

/// Adds the authentications of each listener that asks for them, by outcome.
pub(super) fn logins(view: &View<'_>, samples: &mut Samples) {
    let listeners = view.snapshot.listeners.iter();
    for listener in listeners.filter(|listener| listener.settings.auth.is_some()) {
        let bind = listener.settings.bind.to_string();
        for outcome in Outcome::ALL {
            let number = listener.counters.logins.number(outcome);
            samples.put(&[&bind, outcome.name()], number as f64);
        }
    }
}

/// Returns the sum of `counter` over all workers.
pub(super) fn workers(view: &View<'_>, counter: impl Fn(&WorkerShard) -> &Counter) -> f64 {
    let sum = view.state.workers.iter().map(|shard| counter(shard).get());
    sum.fold(0, u64::wrapping_add) as f64
}

/// Adds `number` for each node.
pub(super) fn nodes(view: &View<'_>, samples: &mut Samples, number: impl Fn(&Node) -> f64) {
    for node in view.nodes() {
        samples.put(&[&node.pool, &node.label], number(node));
    }
}

/// Adds the sum of `counter` over all workers, for each node.
pub(super) fn shards(view: &View<'_>, samples: &mut Samples, counter: impl Fn(&NodeShard) -> &Counter) {
    nodes(view, samples, |node| node.sum(&counter) as f64);
}

/// Adds `number` for each embedded node.
pub(super) fn embedded(view: &View<'_>, samples: &mut Samples, number: impl Fn(&Embedded) -> u64) {
    for node in view.nodes() {
        if let node::Kind::Embedded(embedded) = &node.kind {
            samples.put(&[&node.pool, &node.label], number(embedded) as f64);
        }
    }
}

/// Adds `counter` for each operation that `counts`, for each node.
pub(super) fn commands(
    view: &View<'_>,
    samples: &mut Samples,
    counts: impl Fn(Operation) -> bool,
    counter: impl Fn(&OperationCounters) -> &Counter,
) {
    for node in view.nodes() {
        for &operation in view.operations.iter().filter(|&&operation| counts(operation)) {
            let sum = of_operation(node, operation, |counters| counter(counters).get());
            samples.put(&[&node.pool, &node.label, operation.name()], sum as f64);
        }
    }
}

/// Adds the requests of clients by protocol and operation: get, set and delete, and what was ever asked for.
pub(super) fn client_requests(view: &View<'_>, samples: &mut Samples) {
    for protocol in ClientProtocol::ALL {
        for operation in Operation::all() {
            let count = workers(view, |shard| {
                &shard.requests[protocol as usize][operation as usize]
            });
            if count > 0.0 || matches!(operation, Operation::Get | Operation::Set | Operation::Delete) {
                samples.put(&[protocol.name(), operation.name()], count);
            }
        }
    }
}

/// Returns the number of requests to `node`, of all operations.
pub(super) fn all_requests(node: &Node) -> u64 {
    Operation::all().map(|operation| requests(node, operation)).sum()
}

/// Returns the number of requests that `node` did not answer.
pub(super) fn all_errors(node: &Node) -> u64 {
    let errors = Failure::ALL.iter();
    errors
        .map(|&failure| node.sum(|shard| &shard.failures[failure as usize]))
        .sum()
}

/// Adds the requests that each node did not answer, by reason.
pub(super) fn errors_by_kind(view: &View<'_>, samples: &mut Samples) {
    for node in view.nodes() {
        for failure in Failure::ALL {
            let sum = node.sum(|shard| &shard.failures[failure as usize]);
            samples.put(&[&node.pool, &node.label, failure.name()], sum as f64);
        }
    }
}

/// Adds the durations of each node, by class.
pub(super) fn durations_by_class(view: &View<'_>, samples: &mut Samples) {
    for node in view.nodes() {
        for class in view.classes() {
            let histograms = node.shards().iter().map(|shard| &shard.durations[class as usize]);
            samples.put_histogram(&[&node.pool, &node.label, class.name()], histograms);
        }
    }
}

/// Adds the durations of each node, of all classes.
pub(super) fn durations(view: &View<'_>, samples: &mut Samples) {
    for node in view.nodes() {
        let histograms = node.shards().iter().flat_map(|shard| &shard.durations);
        samples.put_histogram(&[&node.pool, &node.label], histograms);
    }
}

/// Adds the handshakes of each side, by result.
pub(super) fn handshakes(samples: &mut Samples) {
    for side in Side::ALL {
        for outcome in side.outcomes() {
            let count = counters::handshakes(side, *outcome);
            samples.put(&[side.name(), outcome.name()], count as f64);
        }
    }
}

/// Passes each pool that discovers its nodes to `add`.
pub(super) fn discovery(view: &View<'_>, mut add: impl FnMut(&str, &Status)) {
    let statuses = view.state.discovery.lock().expect("no holder panics");
    for (pool, status) in &*statuses {
        add(pool, status);
    }
}

/// Adds the answers of each source by their outcome.
pub(super) fn discovery_answers(view: &View<'_>, samples: &mut Samples) {
    discovery(view, |pool, found| {
        for outcome in status::Outcome::ALL {
            samples.put(&[pool, outcome.name()], found.answers[outcome as usize] as f64);
        }
    });
}

/// Adds the phase of each pool's handover.
pub(super) fn handover_phase(view: &View<'_>, samples: &mut Samples) {
    for (name, pool) in handovers(view) {
        let phase = pool.handover.as_ref().map(|handover| handover.progress.phase());
        let shown = phase.filter(|phase| phase.name().is_some());
        samples.put(&[name], shown.map_or(0.0, |phase| f64::from(phase as u8)));
    }
}

/// Adds the reads of moved keys by what they found.
pub(super) fn handover_reads(view: &View<'_>, samples: &mut Samples) {
    for (name, pool) in handovers(view) {
        let counts = counts(pool);
        for (found, count) in [("new", counts.new), ("old", counts.old), ("none", counts.none)] {
            samples.put(&[name, found], count as f64);
        }
    }
}

/// Adds the values that were copied to new owners.
pub(super) fn handover_copied(view: &View<'_>, samples: &mut Samples) {
    for (name, pool) in handovers(view) {
        samples.put(&[name], counts(pool).copied as f64);
    }
}

/// The pools whose settings have a handover, or that are in one.
fn handovers<'v>(view: &View<'v>) -> impl Iterator<Item = (&'v String, &'v Arc<Pool>)> {
    let pools = view.snapshot.pools.iter();
    pools.filter(|(_, pool)| pool.tally.is_some())
}

fn counts(pool: &Pool) -> Counts {
    pool.tally
        .as_ref()
        .map(|tally| tally.counts())
        .unwrap_or_default()
}
