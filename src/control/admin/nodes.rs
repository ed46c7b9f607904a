//! `/nodes`: every node of every pool with its health and its counters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use crate::config;
use crate::counter::Counter;
use crate::metrics::OperationCounters;
use crate::node::{self, Node, Remote, embedded};
use crate::protocol::Failure;
use crate::protocol::operation::Operation;
use crate::snapshot::Snapshot;

/// One node as shown by `/nodes`. Numbers are summed over all workers and count since the node was first
/// configured.
#[derive(Debug, Serialize)]
pub struct NodeStatus {
    pool: String,
    node: String,
    address: String,
    weight: u32,
    /// The source of the node; null if the configuration lists it.
    from: Option<String>,
    /// The zone that the source gave for the node.
    zone: Option<String>,
    state: &'static str,
    /// When the state last changed, in UTC.
    since: String,
    /// The reason of the last failed request, connection or probe; null if none failed yet.
    last_error: Option<String>,
    /// False if the node takes no keys: it is drained, or left and was not admitted again.
    in_ring: bool,
    drained: bool,
    rejoins: u64,
    flushes: u64,
    /// Keys of failed writes that must still be deleted there.
    missed_writes: u64,
    /// More was missed than could be recorded: every key is a miss until the node is flushed.
    missed_all: bool,
    missed_writes_replayed: u64,
    missed_writes_overflows: u64,
    /// Keys that it holds in place of nodes that are out of the ring.
    fallback_copies: u64,
    fallback_copies_overflows: u64,
    ejections: u64,
    links: u64,
    connects: u64,
    in_flight: u64,
    requests: u64,
    hits: u64,
    misses: u64,
    errors: u64,
    error_replies: u64,
    bytes_read: u64,
    bytes_written: u64,
    #[serde(flatten)]
    kind: NodeKind,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum NodeKind {
    Memcached {
        /// Null until known.
        version: Option<String>,
        /// The maximum size of an item there in bytes; null until known. If it is more than
        /// `max_value_size` of the pool, larger values are misses.
        item_size_max: Option<u64>,
        /// The addresses that its name resolves to now.
        resolved: Vec<SocketAddr>,
        /// The number of links to each address.
        connected: BTreeMap<SocketAddr, u64>,
    },
    Valkey {
        /// Null until known.
        version: Option<String>,
        /// The number of the database that holds the items.
        database: u32,
        /// The addresses that its name resolves to now.
        resolved: Vec<SocketAddr>,
        /// The number of links to each address.
        connected: BTreeMap<SocketAddr, u64>,
    },
    Embedded {
        items: u64,
        bytes: u64,
        capacity: u64,
        evictions: u64,
    },
}

/// All nodes, pool by pool, in the order of the configuration.
pub fn list(snapshot: &Snapshot) -> Vec<NodeStatus> {
    let mut shown = Vec::with_capacity(snapshot.nodes.len());
    for pool in snapshot.pools.values() {
        for (&index, settings) in pool.nodes.iter().zip(&pool.settings.nodes) {
            let in_ring = pool.targets.contains(&index);
            shown.push(show(&snapshot.nodes[index], settings, in_ring));
        }
        // Those that a handover takes keys from are still in use.
        let old = pool.handover.iter().map(|handover| &handover.old);
        let old = old.flat_map(|old| old.nodes.iter().zip(&old.settings.nodes));
        for (&index, settings) in old.filter(|(index, _)| !pool.nodes.contains(index)) {
            shown.push(show(&snapshot.nodes[index], settings, true));
        }
    }
    shown
}

/// The indices of the nodes of [`list`] in the snapshot, in the same order.
pub fn order(snapshot: &Snapshot) -> impl Iterator<Item = usize> {
    snapshot.pools.values().flat_map(|pool| pool.all_nodes())
}

fn show(node: &Node, settings: &config::Node, in_ring: bool) -> NodeStatus {
    let origin = settings.origin.as_ref();
    NodeStatus {
        pool: node.pool.clone(),
        node: node.label.clone(),
        address: node.address.to_string(),
        weight: settings.weight,
        from: origin.map(|origin| origin.from.clone()),
        zone: origin.and_then(|origin| origin.zone.clone()),
        state: node.state().name(),
        since: config::rfc3339(node.since()),
        last_error: node.last_error(),
        in_ring,
        drained: node.membership.is_drained(),
        rejoins: node.membership.rejoins(),
        flushes: node.membership.flushes(),
        missed_writes: node.missed.keys() as u64,
        missed_all: node.missed.is_all(),
        missed_writes_replayed: node.missed.replayed(),
        missed_writes_overflows: node.missed.overflows(),
        fallback_copies: node.missed.copies() as u64,
        fallback_copies_overflows: node.missed.copy_overflows(),
        ejections: node.ejections(),
        links: node.sum(|shard| &shard.links),
        connects: node.sum(|shard| &shard.connects),
        in_flight: node.sum(|shard| &shard.in_flight),
        requests: over_operations(node, |counters| &counters.requests),
        hits: over_operations(node, |counters| &counters.hits),
        misses: over_operations(node, |counters| &counters.misses),
        errors: Failure::ALL
            .iter()
            .map(|&failure| node.sum(|shard| &shard.failures[failure as usize]))
            .sum(),
        error_replies: node.sum(|shard| &shard.error_replies),
        bytes_read: node.sum(|shard| &shard.bytes_read),
        bytes_written: node.sum(|shard| &shard.bytes_written),
        kind: kind(node),
    }
}

fn over_operations(node: &Node, counter: impl Fn(&OperationCounters) -> &Counter) -> u64 {
    Operation::all()
        .map(|operation| node.sum(|shard| counter(&shard.operations[operation as usize])))
        .sum()
}

fn kind(node: &Node) -> NodeKind {
    let version =
        |remote: &Remote| Some(remote.version.load().to_string()).filter(|version| !version.is_empty());
    match (&node.kind, node.address.database()) {
        (node::Kind::Remote(remote), Some(database)) => NodeKind::Valkey {
            version: version(remote),
            database,
            resolved: remote.resolved.load().to_vec(),
            connected: remote.leads(),
        },
        (node::Kind::Remote(remote), None) => NodeKind::Memcached {
            version: version(remote),
            item_size_max: Some(remote.item_size_max.load(Relaxed)).filter(|size| *size > 0),
            resolved: remote.resolved.load().to_vec(),
            connected: remote.leads(),
        },
        (node::Kind::Embedded(cache), _) => of_embedded(cache),
    }
}

fn of_embedded(cache: &embedded::Embedded) -> NodeKind {
    NodeKind::Embedded {
        items: cache.items(),
        bytes: cache.bytes(),
        capacity: cache.capacity(),
        evictions: cache.evictions(),
    }
}
