//! `/status`: one look at the whole process, for the status page and for `ringway top`.
//!
//! Counters only grow; whoever shows a rate asks twice. Durations are counts in buckets for the same reason: the
//! quantiles of the time between two looks come from the differences.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use serde::Serialize;

use super::readiness::Readiness;
use super::shares::Known;
use super::{hotkeys, miss_ratio, nodes, pools, slow};
use crate::config;
use crate::counter::Counter;
use crate::diff::Difference;
use crate::histogram::{BUCKETS, Histogram};
use crate::metrics::{Class, OperationCounters, WorkerShard};
use crate::node::Node;
use crate::protocol::Failure;
use crate::protocol::operation::Operation;
use crate::route::Pool;
use crate::route::counters::Counters;
use crate::snapshot::Snapshot;
use crate::state::State;

/// Counts of durations, by bucket.
type Buckets = [u64; BUCKETS];

/// All that `/status` shows.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    ready: bool,
    phase: &'static str,
    /// Why it is not ready, or not all of it.
    reasons: Vec<String>,
    /// The clock of the process when it was asked.
    uptime_milliseconds: u64,
    workers: usize,
    config: Taken,
    sessions: usize,
    listeners: Vec<Listener>,
    memory: Memory,
    /// Requests of clients; a multi-get counts once for each key.
    client_requests: u64,
    /// Of those that no node was asked for: bad lines, keys and values.
    bad_requests: u64,
    /// Sleeps of busy workers that gathered events.
    batching_waits: u64,
    /// The upper bounds of the buckets of all durations, in seconds; the last bucket has none.
    duration_bounds: Vec<f64>,
    pools: Vec<PoolStatus>,
    nodes: Vec<NodeFigures>,
    /// The keys with the most requests.
    hot_keys: Vec<hotkeys::Shown>,
    /// The prefixes of keys with the most requests.
    hot_prefixes: Vec<hotkeys::Shown>,
    /// What policies counted.
    routes: Vec<RouteFigures>,
    /// What more memory would bring, of the pools that ask for it.
    miss_ratios: Vec<miss_ratio::Shown>,
    /// The last slow requests, the newest first.
    slow_requests: Vec<slow::Shown>,
}

/// The running configuration.
#[derive(Debug, Serialize)]
struct Taken {
    hash: String,
    /// When it was taken, in UTC.
    taken_at: String,
    reloads_taken: u64,
    reloads_refused: u64,
    /// The mistakes of the file, if it was refused.
    mistakes: Vec<String>,
    /// What the last reload changed and which keys it moved.
    last_reload: Option<Difference>,
}

#[derive(Debug, Serialize)]
struct Listener {
    bind: String,
    route: String,
    sessions: usize,
    accepted: u64,
    refused: u64,
}

#[derive(Debug, Serialize)]
struct Memory {
    buffers: u64,
    limit: u64,
    /// Requests that were refused because of the limit.
    refused: u64,
    /// Values that were dropped because of the limit, or because their client reads too slowly.
    dropped: u64,
}

/// What is counted of requests to one node, or to all nodes of a pool.
#[derive(Debug, Serialize)]
struct Counts {
    /// Requests that read, and those of them that found their key.
    reads: u64,
    read_hits: u64,
    /// Requests without an answer by reason, the ones that happened.
    errors_by_kind: BTreeMap<&'static str, u64>,
    read_durations: Buckets,
    write_durations: Buckets,
    delete_durations: Buckets,
}

#[derive(Debug, Serialize)]
struct PoolStatus {
    #[serde(flatten)]
    shown: pools::Shown,
    /// More nodes are down than `max_down` allows, and requests to them are tried.
    fails_open: bool,
    requests: u64,
    errors: u64,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct NodeFigures {
    #[serde(flatten)]
    shown: nodes::NodeStatus,
    /// Its part of the pool's keys now, from 0 to 1.
    share: f64,
    /// How long until it is asked again whether it answers, about; null unless it is down.
    probed_within_seconds: Option<f64>,
    #[serde(flatten)]
    counts: Counts,
}

/// What one kind of policy in one route counted.
#[derive(Debug, Serialize)]
struct RouteFigures {
    route: String,
    policy: &'static str,
    requests: u64,
    /// What it did with them, the events that happened.
    events: BTreeMap<&'static str, u64>,
}

/// Looks at the process.
pub async fn of(state: &State, known: &Known) -> Status {
    let snapshot = state.snapshot.load_full();
    let shares = known.of(&snapshot).await;
    let readiness = Readiness::of(state);
    let (hot_keys, hot_prefixes) = hotkeys::on_page(state, &snapshot);
    let workers = |counter: fn(&WorkerShard) -> &Counter| {
        let sum = state.workers.iter().map(|shard| counter(shard).get());
        sum.fold(0, u64::wrapping_add)
    };
    let listeners: Vec<Listener> = snapshot.listeners.iter().map(listener).collect();
    let shown = nodes::list(&snapshot).into_iter().zip(nodes::order(&snapshot));
    Status {
        version: env!("CARGO_PKG_VERSION"),
        ready: readiness.is_ready,
        phase: readiness.phase,
        reasons: readiness.missing,
        uptime_milliseconds: u64::try_from(state.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        workers: state.workers.len(),
        config: taken(state, &snapshot, readiness.diagnostics),
        sessions: listeners.iter().map(|listener| listener.sessions).sum(),
        listeners,
        memory: Memory {
            buffers: workers(|shard| &shard.buffered),
            limit: snapshot.config.memory_limit,
            refused: workers(|shard| &shard.out_of_memory),
            dropped: workers(|shard| &shard.dropped),
        },
        client_requests: client_requests(state),
        bad_requests: workers(|shard| &shard.bad_requests),
        batching_waits: workers(|shard| &shard.batching_waits),
        duration_bounds: (0..BUCKETS).filter_map(Histogram::bound).collect(),
        pools: pools::list(state, &snapshot)
            .into_iter()
            .zip(snapshot.pools.values())
            .map(|(shown, pool)| pool_status(shown, pool, &snapshot))
            .collect(),
        nodes: shown
            .map(|(shown, index)| {
                let share = shares.get(&index).copied().unwrap_or(0.0);
                node_status(shown, share, &snapshot.nodes[index])
            })
            .collect(),
        hot_keys,
        hot_prefixes,
        routes: snapshot
            .counters
            .values()
            .map(|counters| route(counters))
            .collect(),
        miss_ratios: miss_ratio::all(state),
        slow_requests: slow::on_page(state, &snapshot),
    }
}

fn taken(state: &State, snapshot: &Snapshot, mistakes: Vec<String>) -> Taken {
    let reloads = state.reloads.lock().expect("no holder panics");
    let began = || SystemTime::now() - state.started.elapsed();
    Taken {
        hash: snapshot.config.hash(),
        taken_at: config::rfc3339(reloads.taken_at.unwrap_or_else(began)),
        reloads_taken: reloads.succeeded,
        reloads_refused: reloads.failed,
        mistakes,
        last_reload: reloads.difference.clone(),
    }
}

fn listener(listener: &crate::snapshot::Listener) -> Listener {
    Listener {
        bind: listener.settings.bind.to_string(),
        route: listener.settings.route.label().to_owned(),
        sessions: listener.counters.open.load(Relaxed),
        accepted: listener.counters.accepted.load(Relaxed),
        refused: listener.counters.refused.load(Relaxed),
    }
}

fn route(counters: &Counters) -> RouteFigures {
    let events = counters.events.iter().map(|&event| {
        let count = counters.sum(|shard| &shard.events[event as usize]);
        (event.name(), count)
    });
    RouteFigures {
        route: counters.route.clone(),
        policy: counters.policy,
        requests: counters.sum(|shard| &shard.requests),
        events: events.filter(|(_, count)| *count > 0).collect(),
    }
}

fn client_requests(state: &State) -> u64 {
    let counters = state
        .workers
        .iter()
        .flat_map(|shard| shard.requests.iter().flatten());
    counters.map(Counter::get).fold(0, u64::wrapping_add)
}

fn pool_status(shown: pools::Shown, pool: &Pool, snapshot: &Snapshot) -> PoolStatus {
    let nodes: Vec<&Node> = pool.nodes.iter().map(|&index| &*snapshot.nodes[index]).collect();
    let counts = counts(&nodes);
    PoolStatus {
        shown,
        fails_open: !nodes.is_empty() && pool.fails_open(&snapshot.nodes),
        requests: of_operations(&nodes, |_| true, |counters| &counters.requests),
        errors: counts.errors_by_kind.values().sum(),
        counts,
    }
}

fn node_status(shown: nodes::NodeStatus, share: f64, node: &Node) -> NodeFigures {
    let is_down = !node.state().takes_requests();
    NodeFigures {
        shown,
        share,
        probed_within_seconds: is_down.then(|| node.until_probe().as_secs_f64()),
        counts: counts(&[node]),
    }
}

fn counts(nodes: &[&Node]) -> Counts {
    let reads = |operation| Class::of(operation) == Class::Read;
    let failures = Failure::ALL.into_iter().map(|failure| {
        let sums = nodes
            .iter()
            .map(|node| node.sum(|shard| &shard.failures[failure as usize]));
        (failure.name(), sums.sum())
    });
    Counts {
        reads: of_operations(nodes, reads, |counters| &counters.requests),
        read_hits: of_operations(nodes, reads, |counters| &counters.hits),
        errors_by_kind: failures.filter(|(_, count)| *count > 0).collect(),
        read_durations: durations(nodes, Class::Read),
        write_durations: durations(nodes, Class::Write),
        delete_durations: durations(nodes, Class::Delete),
    }
}

fn of_operations(
    nodes: &[&Node],
    counts: impl Fn(Operation) -> bool,
    counter: fn(&OperationCounters) -> &Counter,
) -> u64 {
    let shards = || nodes.iter().flat_map(|node| node.shards());
    let operations = Operation::all().filter(|&operation| counts(operation));
    let each = operations.flat_map(|operation| {
        shards().map(move |shard| counter(&shard.operations[operation as usize]).get())
    });
    each.fold(0, u64::wrapping_add)
}

fn durations(nodes: &[&Node], class: Class) -> Buckets {
    let mut sums = [0; BUCKETS];
    for shard in nodes.iter().flat_map(|node| node.shards()) {
        let counts = shard.durations[class as usize].counts();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    sums
}
