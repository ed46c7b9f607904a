//! Recognises configurations of other programs: whole files meant for `ringway import`, and keys that have
//! another name here.

use super::error::Problem;
use super::tree::{SpannedValue, Value};

/// A key of another program that is often used instead of Ringway's own.
#[derive(Debug)]
pub struct Foreign {
    key: &'static str,
    /// Ringway's key in the same mapping, if it has one: then that is not missing, but misnamed.
    pub meant: Option<&'static str>,
    /// The likely fix.
    pub hint: &'static str,
}

const fn foreign(key: &'static str, meant: Option<&'static str>, hint: &'static str) -> Foreign {
    Foreign { key, meant, hint }
}

/// Keys at the top of the file.
pub const FILE: &[Foreign] = &[
    foreign(
        "servers",
        Some("pools"),
        "put them into a pool: `pools: {main: {nodes: [host:port]}}`",
    ),
    foreign(
        "nodes",
        Some("pools"),
        "put them into a pool: `pools: {main: {nodes: [host:port]}}`",
    ),
    foreign("listen", Some("listeners"), LISTEN),
    foreign("bind", Some("listeners"), LISTEN),
    foreign("timeout", None, "each pool has a `request_timeout`"),
];

/// Keys of a pool, in twemproxy and mcrouter.
pub const POOL: &[Foreign] = &[
    foreign("servers", Some("nodes"), "write `nodes: [host:port]`"),
    foreign("listen", None, LISTEN),
    foreign(
        "hash",
        None,
        "it belongs to the distribution: `distribution: {preset: twemproxy, hash: fnv1a_64}`",
    ),
    foreign("timeout", None, TIMEOUT),
    foreign("server_timeout", None, TIMEOUT),
    foreign("auto_eject_hosts", None, "write `on_node_down: rehash`"),
    foreign(
        "server_retry_timeout",
        None,
        "write `health: {probe_interval: 2s}`, with a unit",
    ),
    foreign("server_failure_limit", None, "write `health: {down_after: 3}`"),
    foreign("server_connections", Some("connections"), "write `connections`"),
    foreign(
        "client_connections",
        None,
        "write `max_connections` at the listener",
    ),
    foreign("preconnect", None, NEEDLESS),
    foreign("backlog", None, NEEDLESS),
    foreign("tcpkeepalive", None, NEEDLESS),
    foreign("reuse_port", None, NEEDLESS),
    foreign("redis", None, NO_REDIS),
    foreign("redis_auth", None, NO_REDIS),
    foreign("redis_db", None, NO_REDIS),
];

/// Keys of a listener.
pub const LISTENER: &[Foreign] = &[
    foreign("listen", Some("bind"), "write `bind`"),
    foreign("address", Some("bind"), "write `bind`"),
    foreign("pool", Some("route"), "write `route`, which may name a pool"),
    foreign(
        "client_connections",
        Some("max_connections"),
        "write `max_connections`",
    ),
];

/// Keys of a node.
pub const NODE: &[Foreign] = &[
    foreign("host", Some("address"), "write `address: host:port`"),
    foreign("port", Some("address"), "write `address: host:port`"),
    foreign("server", Some("address"), "write `address: host:port`"),
];

const LISTEN: &str = "write it at the top of the file: `listeners: [{bind: 127.0.0.1:11211, route: main}]`";
const TIMEOUT: &str = "write `request_timeout` and `connect_timeout`, with a unit such as 400ms";
const NEEDLESS: &str = "Ringway needs no such setting: leave it out";
const NO_REDIS: &str = "its clients speak memcached's protocols: leave it out, and write a Valkey or Redis node as valkey://host:port";

/// Returns the entry for `key` in `table`.
pub fn find(table: &'static [Foreign], key: &str) -> Option<&'static Foreign> {
    table.iter().find(|foreign| foreign.key == key)
}

/// Returns the one problem of a file that belongs to another program as a whole; `None` if it does not.
/// `tree` is `None` for text that is not YAML, and `file` is the file's name.
pub fn whole(text: &str, tree: Option<&SpannedValue>, file: &str) -> Option<Problem> {
    let whose = match tree {
        Some(tree) => of_tree(tree)?,
        None => of_text(text)?,
    };
    let file = if file == "stdin" { "-" } else { file };
    let problem = Problem::new(format!("this is a configuration of {whose}"));
    Some(problem.hint(format!("turn it into one of Ringway's: ringway import {file}")))
}

/// Recognises a tree: the pools of mcrouter and twemproxy have `servers`, which no pool of Ringway's has.
/// If a file also has anything of Ringway's, each foreign key is reported at its own location.
fn of_tree(tree: &SpannedValue) -> Option<&'static str> {
    let entries = match &tree.value {
        Value::Map(entries) => entries,
        Value::Scalar { text, .. } => return of_text(text),
        Value::List(_) => return None,
    };
    let is_macro = |key: &str| matches!(get(tree, key), Some(found) if found.is_map());
    let has_route = get(tree, "route").is_some() || get(tree, "routes").is_some_and(SpannedValue::is_list);
    let mcrouters = entries_of(get(tree, "pools"));
    if has_servers(mcrouters) && has_route && !mcrouters.iter().any(|(_, pool)| get(pool, "nodes").is_some())
        || is_macro("macros") && has_route
    {
        return Some("mcrouter");
    }
    let is_own = ["pools", "listeners", "routes"]
        .iter()
        .any(|key| get(tree, key).is_some());
    (!is_own && has_servers(entries)).then_some("nutcracker (twemproxy)")
}

/// Recognises text that is not YAML: mcrouter's JSON has comments, and libmemcached's options are one line.
fn of_text(text: &str) -> Option<&'static str> {
    let text = text.trim_start();
    if text.len() >= 9 && text.as_bytes()[..9].eq_ignore_ascii_case(b"--server=") {
        return Some("libmemcached");
    }
    let is_json = text.starts_with(['{', '/']);
    let is_mcrouters = ["\"servers\"", "PoolRoute", "\"route\""]
        .iter()
        .any(|word| text.contains(word));
    (is_json && is_mcrouters).then_some("mcrouter")
}

fn has_servers(pools: &[(SpannedValue, SpannedValue)]) -> bool {
    let has =
        |(_, pool): &(SpannedValue, SpannedValue)| get(pool, "servers").is_some_and(SpannedValue::is_list);
    pools.iter().any(has)
}

fn entries_of(tree: Option<&SpannedValue>) -> &[(SpannedValue, SpannedValue)] {
    match tree.map(|tree| &tree.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

fn get<'a>(tree: &'a SpannedValue, key: &str) -> Option<&'a SpannedValue> {
    let is_it = |(raw, _): &&(SpannedValue, SpannedValue)| matches!(&raw.value, Value::Scalar { text, .. } if text == key);
    entries_of(Some(tree)).iter().find(is_it).map(|(_, value)| value)
}
