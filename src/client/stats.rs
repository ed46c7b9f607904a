//! What Ringway tells of itself in memcached's words: `version` and `stats`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::metrics::{Counter, OperationCounters, WorkerShard};
use crate::node::{Kind, Node};
use crate::protocol::Failure;
use crate::protocol::dialect::parse_version;
use crate::protocol::operation::Operation;
use crate::route::Route;
use crate::state::State;
use crate::view::Current;

/// The version whose commands an embedded node carries out.
pub const EMBEDDED_VERSION: &str = "1.6.18";
/// What is answered while no node has told its version: old enough that nobody relies on more.
const UNKNOWN_VERSION: &str = "1.4.0";

/// The answer to `version`: the lowest among the live nodes of all pools of the route, since clients read from it what they
/// may use.
pub fn version(current: &Current, route: &Route) -> String {
    let nodes = &current.snapshot.nodes;
    let pools = route.pools().iter();
    let live = pools
        .flat_map(|pool| &pool.nodes)
        .map(|&index| &nodes[index])
        .filter(|node| node.state().takes_requests());
    let versions = live.filter_map(|node| version_of(node));
    let lowest = versions.min_by_key(|version| parse_version(version));
    format!("VERSION {}", lowest.as_deref().unwrap_or(UNKNOWN_VERSION))
}

fn version_of(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Embedded(_) => Some(EMBEDDED_VERSION.to_owned()),
        Kind::Remote(remote) => {
            let version = remote.version.load();
            parse_version(&version).map(|_| version.to_string())
        }
    }
}

/// The answer to `stats <what>`, without the last line end: nothing for Ringway's own figures, `nodes` for
/// those of each node. memcached's own sections are empty, as Ringway stores nothing itself; what is no
/// section is an error.
pub fn stats(state: &State, current: &Current, route: &Route, what: &[u8]) -> String {
    let mut out = Lines::default();
    match what {
        b"" => general(state, current, route, &mut out),
        b"nodes" => current
            .snapshot
            .nodes
            .iter()
            .for_each(|node| describe(node, &mut out)),
        b"reset" => return "RESET".to_owned(),
        b"settings" | b"items" | b"slabs" | b"sizes" | b"conns" => {}
        _ => return "ERROR".to_owned(),
    }
    out.0 + "END"
}

/// About the bytes that the answer to `stats <what>` takes.
pub fn size(current: &Current, what: &[u8]) -> usize {
    /// Of the figures of one node.
    const NODE: usize = 512;
    /// Of everything else.
    const GENERAL: usize = 4 << 10;
    match what {
        b"nodes" => current.snapshot.nodes.len() * NODE,
        _ => GENERAL,
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, name: impl std::fmt::Display, value: impl std::fmt::Display) {
        write!(self.0, "STAT {name} {value}\r\n").expect("a string takes all");
    }
}

fn general(state: &State, current: &Current, route: &Route, out: &mut Lines) {
    let nodes = &current.snapshot.nodes;
    let clients = |counter: fn(&WorkerShard) -> &Counter| {
        state
            .workers
            .iter()
            .fold(0u64, |sum, shard| sum.wrapping_add(counter(shard).get()))
    };
    let asked = |operations: &[Operation]| -> u64 {
        let requests = |shard: &WorkerShard| {
            let protocols = shard.requests.iter();
            let counters = protocols.flat_map(|requests| operations.iter().map(|&it| &requests[it as usize]));
            counters.map(Counter::get).sum::<u64>()
        };
        state.workers.iter().map(|shard| requests(shard)).sum()
    };
    let hits = |operations: &[Operation]| sum(nodes, operations, |counters| &counters.hits);
    let misses = |operations: &[Operation]| sum(nodes, operations, |counters| &counters.misses);
    let reads = [Operation::Get, Operation::Gat];
    let stores: Vec<Operation> = Operation::all().filter(|it| it.is_store()).collect();
    let touches = [Operation::Touch, Operation::Gat];
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();

    out.put("pid", std::process::id());
    out.put("uptime", state.started.elapsed().as_secs());
    out.put("time", now);
    out.put("version", version(current, route).trim_start_matches("VERSION "));
    out.put("ringway_version", env!("CARGO_PKG_VERSION"));
    out.put("pointer_size", usize::BITS);
    out.put("curr_connections", clients(|shard| &shard.sessions));
    out.put("total_connections", clients(|shard| &shard.sessions_total));
    out.put("cmd_get", asked(&reads));
    out.put("cmd_set", asked(&stores));
    out.put("cmd_flush", asked(&[Operation::FlushAll]));
    out.put("cmd_touch", asked(&touches));
    out.put("get_hits", hits(&reads));
    out.put("get_misses", misses(&reads));
    out.put("delete_misses", misses(&[Operation::Delete]));
    out.put("delete_hits", hits(&[Operation::Delete]));
    out.put("incr_misses", misses(&[Operation::Incr]));
    out.put("incr_hits", hits(&[Operation::Incr]));
    out.put("decr_misses", misses(&[Operation::Decr]));
    out.put("decr_hits", hits(&[Operation::Decr]));
    out.put("cas_misses", misses(&[Operation::Cas]));
    out.put("cas_hits", hits(&[Operation::Cas]));
    let badval = |node: &Arc<Node>| node.sum(|shard| &shard.cas_badval);
    out.put("cas_badval", nodes.iter().map(badval).sum::<u64>());
    out.put("touch_hits", hits(&touches));
    out.put("touch_misses", misses(&touches));
    out.put("bytes_read", clients(|shard| &shard.bytes_read));
    out.put("bytes_written", clients(|shard| &shard.bytes_written));
    out.put("threads", state.workers.len());
    out.put("pools", current.snapshot.pools.len());
    out.put("nodes", nodes.len());
    out.put(
        "nodes_up",
        nodes.iter().filter(|node| node.state().takes_requests()).count(),
    );
}

fn sum(nodes: &[Arc<Node>], operations: &[Operation], counter: fn(&OperationCounters) -> &Counter) -> u64 {
    let of_node = |node: &Node| {
        operations
            .iter()
            .map(|&it| node.sum(|shard| counter(&shard.operations[it as usize])))
            .sum::<u64>()
    };
    nodes.iter().map(|node| of_node(node)).sum()
}

fn describe(node: &Node, out: &mut Lines) {
    let name = |figure: &str| format!("{}:{}:{figure}", node.pool, node.label);
    let all = |counter: fn(&OperationCounters) -> &Counter| -> u64 {
        Operation::all()
            .map(|it| node.sum(|shard| counter(&shard.operations[it as usize])))
            .sum()
    };
    let failures: u64 = (0..Failure::ALL.len())
        .map(|failure| node.sum(|shard| &shard.failures[failure]))
        .sum();
    out.put(name("address"), &node.address);
    out.put(name("state"), node.state().name());
    out.put(name("version"), version_of(node).unwrap_or_default());
    out.put(name("requests"), all(|counters| &counters.requests));
    out.put(name("hits"), all(|counters| &counters.hits));
    out.put(name("misses"), all(|counters| &counters.misses));
    out.put(name("errors"), failures + node.sum(|shard| &shard.error_replies));
    out.put(name("in_flight"), node.sum(|shard| &shard.in_flight));
    out.put(name("links"), node.sum(|shard| &shard.links));
}
