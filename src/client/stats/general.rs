//! `stats`: memcached's general figures, in its order, as far as they apply to Ringway.
//!
//! Requests and connections are counted at the clients, hits and misses at the nodes, items in embedded
//! nodes. Figures of memory that Ringway does not manage as memcached does are 0, because monitoring
//! expects their names.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::{StatLines, version};
use crate::counter::Counter;
use crate::metrics::{ClientProtocol, WorkerShard};
use crate::node::{Kind, Node};
use crate::protocol::operation::Operation;
use crate::route::Route;
use crate::runtime::logins::Outcome;
use crate::snapshot::{ListenerCounters, Snapshot};
use crate::state::State;
use crate::worker::context::ActiveRoutes;

/// Figures of memcached's memory that are 0 here: nothing is evicted, expired, moved or crawled as they
/// count it.
const OF_MEMORY: [&str; 12] = [
    "reclaimed",
    "expired_unfetched",
    "evicted_unfetched",
    "evicted_active",
    "crawler_reclaimed",
    "crawler_items_checked",
    "lrutail_reflocked",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
    "direct_reclaims",
    "lru_bumps_dropped",
];

/// The sums over all nodes, collected in one pass.
#[derive(Default)]
struct Totals {
    hits: [u64; Operation::COUNT],
    misses: [u64; Operation::COUNT],
    cas_badval: u64,
    /// The figures of embedded nodes.
    items: u64,
    stores: u64,
    bytes: u64,
    capacity: u64,
    evictions: u64,
    up: usize,
}

impl Totals {
    fn of(snapshot: &Snapshot) -> Totals {
        let mut totals = Totals::default();
        snapshot.nodes.iter().for_each(|node| totals.add(node));
        totals
    }

    fn add(&mut self, node: &Node) {
        for shard in node.shards() {
            for (operation, counters) in shard.operations.iter().enumerate() {
                self.hits[operation] += counters.hits.get();
                self.misses[operation] += counters.misses.get();
            }
            self.cas_badval += shard.cas_badval.get();
        }
        self.up += usize::from(node.state().takes_requests());
        if let Kind::Embedded(embedded) = &node.kind {
            self.items += embedded.items();
            self.bytes += embedded.bytes();
            self.capacity += embedded.capacity();
            self.evictions += embedded.evictions();
            let stores = Operation::all().filter(|it| it.is_store());
            self.stores += stores
                .map(|it| node.sum(|shard| &shard.operations[it as usize].requests))
                .sum::<u64>();
        }
    }

    /// Writes the figures of `operation` under memcached's `name` for it, in memcached's order of hits and
    /// misses.
    fn put(&self, name: &str, figures: [&str; 2], operations: &[Operation], out: &mut StatLines) {
        for figure in figures {
            let counted = if figure == "hits" {
                &self.hits
            } else {
                &self.misses
            };
            let sum: u64 = operations.iter().map(|&it| counted[it as usize]).sum();
            out.put(format_args!("{name}_{figure}"), sum);
        }
    }
}

/// The sums over all workers.
struct Workers<'a>(&'a State);

impl Workers<'_> {
    fn sum(&self, counter: impl Fn(&WorkerShard) -> &Counter) -> u64 {
        let shards = self.0.workers.iter();
        shards.fold(0, |sum, shard| sum.wrapping_add(counter(shard).get()))
    }

    /// The number of client requests with this operation in any protocol.
    fn origin(&self, operation: Operation) -> u64 {
        let protocols = ClientProtocol::ALL.into_iter();
        protocols.map(|protocol| self.asked_in(protocol, operation)).sum()
    }

    fn asked_in(&self, protocol: ClientProtocol, operation: Operation) -> u64 {
        self.sum(|shard| &shard.requests[protocol as usize][operation as usize])
    }
}

/// Writes the figures to `out`.
pub fn put(state: &State, current: &ActiveRoutes, route: &Route, out: &mut StatLines) {
    let snapshot = &current.snapshot;
    let workers = Workers(state);
    let totals = Totals::of(snapshot);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    out.put("pid", std::process::id());
    out.put("uptime", state.started.elapsed().as_secs());
    out.put("time", since_epoch.as_secs());
    out.put("version", version(current, route).trim_start_matches("VERSION "));
    out.put("ringway_version", env!("CARGO_PKG_VERSION"));
    out.put("pointer_size", usize::BITS);
    processor_time(out);
    connections(snapshot, &workers, out);
    commands(&workers, &totals, out);
    out.put("store_too_large", workers.sum(|shard| &shard.large_values));
    out.put("store_no_memory", workers.sum(|shard| &shard.out_of_memory));
    let logins = |outcome| of_listeners(snapshot, |it| it.logins.number(outcome));
    let failed = logins(Outcome::Failed);
    out.put("auth_cmds", logins(Outcome::Accepted) + failed);
    out.put("auth_errors", failed);
    out.put("bytes_read", workers.sum(|shard| &shard.bytes_read));
    out.put("bytes_written", workers.sum(|shard| &shard.bytes_written));
    out.put("limit_maxbytes", totals.capacity);
    out.put("accepting_conns", 1);
    out.put(
        "listen_disabled_num",
        of_listeners(snapshot, |it| it.accept_errors.load(Relaxed)),
    );
    out.put("threads", state.workers.len());
    out.put("conn_yields", 0);
    out.put("hash_power_level", 0);
    out.put("hash_bytes", 0);
    out.put("hash_is_expanding", 0);
    out.put("slabs_moved", 0);
    out.put("lru_crawler_running", 0);
    out.put("lru_crawler_starts", 0);
    out.put("malloc_fails", 0);
    out.put("bytes", totals.bytes);
    out.put("curr_items", totals.items);
    out.put("total_items", totals.stores);
    out.put("evictions", totals.evictions);
    OF_MEMORY.iter().for_each(|name| out.put(name, 0));
    out.put("pools", snapshot.pools.len());
    out.put("nodes", snapshot.nodes.len());
    out.put("nodes_up", totals.up);
}

/// Writes the processor time of the process, in seconds, unless the system does not report it.
fn processor_time(out: &mut StatLines) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return;
    };
    let seconds = |time: TimeVal| format!("{}.{:06}", time.tv_sec(), time.tv_usec());
    out.put("rusage_user", seconds(usage.user_time()));
    out.put("rusage_system", seconds(usage.system_time()));
}

fn connections(snapshot: &Snapshot, workers: &Workers<'_>, out: &mut StatLines) {
    let open = workers.sum(|shard| &shard.sessions);
    out.put("max_connections", super::settings::max_connections(snapshot));
    out.put("curr_connections", open);
    out.put("total_connections", workers.sum(|shard| &shard.sessions_total));
    out.put(
        "rejected_connections",
        of_listeners(snapshot, |it| it.refused.load(Relaxed)),
    );
    out.put("connection_structures", open);
}

fn of_listeners(snapshot: &Snapshot, number: impl Fn(&ListenerCounters) -> u64) -> u64 {
    let listeners = snapshot.listeners.iter();
    listeners.map(|listener| number(&listener.counters)).sum()
}

/// As memcached counts, gat is a touch and not a get.
fn commands(workers: &Workers<'_>, totals: &Totals, out: &mut StatLines) {
    use Operation::{Cas, Decr, Delete, FlushAll, Gat, Get, Incr, Touch};
    let stores = Operation::all().filter(|it| it.is_store());
    let meta = Operation::all().map(|it| workers.asked_in(ClientProtocol::Meta, it));
    out.put("cmd_get", workers.origin(Get));
    out.put("cmd_set", stores.map(|it| workers.origin(it)).sum::<u64>());
    out.put("cmd_flush", workers.origin(FlushAll));
    out.put("cmd_touch", workers.origin(Touch) + workers.origin(Gat));
    out.put("cmd_meta", meta.sum::<u64>());
    totals.put("get", ["hits", "misses"], &[Get], out);
    totals.put("delete", ["misses", "hits"], &[Delete], out);
    totals.put("incr", ["misses", "hits"], &[Incr], out);
    totals.put("decr", ["misses", "hits"], &[Decr], out);
    totals.put("cas", ["misses", "hits"], &[Cas], out);
    out.put("cas_badval", totals.cas_badval);
    totals.put("touch", ["hits", "misses"], &[Touch, Gat], out);
}
