//! Ringway's figures in memcached's terms: `version` and `stats`. docs/stats.md explains what each figure
//! means here.

mod general;
mod settings;

use std::fmt::Write;

use crate::counter::Counter;
use crate::metrics::OperationCounters;
use crate::node::{Kind, Node};
use crate::protocol::Failure;
use crate::protocol::dialect::parse_version;
use crate::protocol::numbers::parse_u32;
use crate::protocol::operation::Operation;
use crate::route::Route;
use crate::state::State;
use crate::worker::context::ActiveRoutes;

/// The version whose commands an embedded node implements.
pub const EMBEDDED_VERSION: &str = "1.6.18";
/// The answer while no node has reported its version: so old that clients rely on nothing newer.
const UNKNOWN_VERSION: &str = "1.4.0";

/// Returns the answer to `version`: the lowest version among the live nodes of all pools of the route,
/// because clients infer from it what they may use.
pub fn version(current: &ActiveRoutes, route: &Route) -> String {
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
        // Its own version says nothing of memcached: it is answered for as an embedded node answers.
        Kind::Remote(_) if node.address.is_valkey() => Some(EMBEDDED_VERSION.to_owned()),
        Kind::Remote(remote) => {
            let version = remote.version.load();
            parse_version(&version).map(|_| version.to_string())
        }
    }
}

/// Returns the answer to `stats <what>`, without the last line end: for nothing, `settings` and `conns`
/// Ringway's own figures under memcached's names, for `nodes` those of each node. The sections about memory
/// are those of a memcached that holds nothing: Ringway does not divide items into slabs. An unknown
/// section is an error.
pub fn stats(state: &State, current: &ActiveRoutes, route: &Route, what: &[u8]) -> String {
    let mut out = StatLines::default();
    let (section, arguments) = split(what);
    match section {
        b"" => general::put(state, current, route, &mut out),
        b"settings" => settings::put(current, route, &mut out),
        b"conns" => settings::put_listeners(state, current, &mut out),
        b"nodes" => current
            .snapshot
            .nodes
            .iter()
            .for_each(|node| describe(node, &mut out)),
        b"slabs" => {
            out.put("active_slabs", 0);
            out.put("total_malloced", 0);
        }
        b"sizes" => out.put("sizes_status", "disabled"),
        b"items" | b"extstore" => {}
        b"detail" => return detail(arguments).to_owned(),
        b"cachedump" => return cachedump(arguments).to_owned(),
        b"reset" => return "RESET".to_owned(),
        _ => return "ERROR".to_owned(),
    }
    out.0 + "END"
}

/// Returns the name and the text of a figure for binary clients, for sections whose text form is not a list
/// of figures.
pub fn lines_in_binary(what: &[u8]) -> Option<(&'static str, &'static str)> {
    let (section, arguments) = split(what);
    let is_dump = section == b"detail" && split(arguments).0 == b"dump";
    is_dump.then_some(("detailed", "END\r\n"))
}

/// The approximate size in bytes of the answer to `stats <what>`.
pub fn size(current: &ActiveRoutes, what: &[u8]) -> usize {
    /// The figures of one node, or of one listener.
    const EACH: usize = 512;
    /// Everything else.
    const GENERAL: usize = 4 << 10;
    match split(what).0 {
        b"nodes" => current.snapshot.nodes.len() * EACH,
        b"conns" => current.snapshot.listeners.len() * EACH,
        _ => GENERAL,
    }
}

/// Returns the section that `what` names, if its figures take time to render. Further words are ignored.
pub fn long_section(what: &[u8]) -> Option<&'static str> {
    match split(what).0 {
        b"" => Some("general"),
        b"settings" => Some("settings"),
        b"conns" => Some("conns"),
        b"nodes" => Some("nodes"),
        _ => None,
    }
}

/// Splits off the first word of `text`.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let is_space = |&byte: &u8| byte == b' ';
    let end = text.iter().position(is_space).unwrap_or(text.len());
    let spaces = text[end..].iter().take_while(|byte| is_space(byte)).count();
    (&text[..end], &text[end + spaces..])
}

/// Answers `stats detail`. Nothing is counted by key prefix: `on` is accepted without effect, and a dump
/// has no lines.
fn detail(arguments: &[u8]) -> &'static str {
    match split(arguments).0 {
        b"on" | b"off" => "OK",
        b"dump" => "END",
        _ => "CLIENT_ERROR usage: stats detail on|off|dump",
    }
}

/// Answers `stats cachedump` for one slab class, which has no keys here.
fn cachedump(arguments: &[u8]) -> &'static str {
    /// memcached's slab classes are below this number.
    const CLASSES: u32 = 64;
    let (class, rest) = split(arguments);
    let (limit, _) = split(rest);
    match (parse_u32(class), parse_u32(limit)) {
        _ if limit.is_empty() => "CLIENT_ERROR bad command line",
        (Some(class), Some(_)) if class < CLASSES => "END",
        (Some(_), Some(_)) => "CLIENT_ERROR Illegal slab id",
        _ => "CLIENT_ERROR bad command line format",
    }
}

#[derive(Default)]
struct StatLines(String);

impl StatLines {
    fn put(&mut self, name: impl std::fmt::Display, value: impl std::fmt::Display) {
        write!(self.0, "STAT {name} {value}\r\n").expect("a string takes all");
    }
}

fn describe(node: &Node, out: &mut StatLines) {
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
