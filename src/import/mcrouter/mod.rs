//! Converts mcrouter's JSON configuration: its pools, and its tree of route handles.
//!
//! ```text
//! json ─▶ macros ─▶ routes: route handles ─▶ Ringway's policies
//!                   pools: servers and how PoolRoute and HashRoute spread keys ─▶ pools
//! ```

mod choosers;
mod copies;
mod failover;
mod limits;
mod pools;
mod prefixes;
mod routes;
mod servers;
mod shared;

use std::collections::HashMap;

use super::macros::{get, text};
use super::yaml::{Origin, Value};
use super::{Draft, lose};
use crate::config::error::Diagnostics;
use crate::config::tree::{self, SpannedValue};

/// The maximum number of servers that become pools of their own because a handle uses each server of a
/// pool.
const MAX_SERVERS: usize = 100_000;

/// The requests that reach a route handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Comes {
    /// All of them.
    All,
    /// Only reads.
    Reads,
    /// All except reads.
    Rest,
}

impl Comes {
    /// Whether reads are among them.
    fn has_reads(self) -> bool {
        self != Comes::Rest
    }
}

/// The state of the conversion.
struct McrouterReader<'a> {
    /// mcrouter's pools by name.
    pools: HashMap<&'a str, &'a SpannedValue>,
    /// Route handles that have a name.
    named: HashMap<&'a str, &'a SpannedValue>,
    /// The names of the handles being read, to detect cycles.
    open: Vec<&'a str>,
    /// The result for each named handle, by its name and the requests that reach it.
    known: HashMap<(&'a str, Comes), Option<Value>>,
    /// The present nesting of route handles.
    depth: usize,
    /// The number of servers that may still become pools of their own.
    servers_left: usize,
    /// Ringway's pools.
    made: Vec<(String, Value)>,
    /// Ringway's routes that have a name from mcrouter.
    routes: Vec<(String, Value)>,
    /// Remarks about what has no effect for clients, but should be known.
    notes: Vec<String>,
    lost: &'a mut Diagnostics,
}

/// Converts the pools and routes of `config`, whose macros are expanded. Keys without a routing prefix have
/// `route_prefix`, if it is known.
pub fn read(config: &SpannedValue, route_prefix: Option<&str>, lost: &mut Diagnostics) -> Draft {
    let mut reader = McrouterReader {
        pools: HashMap::new(),
        named: HashMap::new(),
        open: Vec::new(),
        known: HashMap::new(),
        depth: 0,
        servers_left: MAX_SERVERS,
        made: Vec::new(),
        routes: Vec::new(),
        notes: Vec::new(),
        lost,
    };
    reader.collect_names(config, 0);
    for (key, value) in map(config) {
        match text(key).unwrap_or_default() {
            "pools" => {
                reader.pools = map(value)
                    .iter()
                    .filter_map(|(name, pool)| Some((text(name)?, pool)))
                    .collect()
            }
            "route" | "routes" | "named_handles" => {}
            other => reader.lose(value, other, "no such key is known"),
        }
    }
    let mut routes = Vec::new();
    match (get(config, "routes"), get(config, "route")) {
        (Some(tree), _) => reader.by_routing_prefix(tree, route_prefix, &mut routes),
        (None, Some(tree)) => routes.extend(
            reader
                .route(tree, Comes::All)
                .map(|route| ("default".to_owned(), route)),
        ),
        (None, None) => reader.lose(config, "route", "there is no route"),
    }
    let unused = reader.unused();
    // A pool and a route must not have the same name.
    if reader.made.iter().any(|(name, _)| name == "default")
        && let Some((name, _)) = routes.iter_mut().find(|(name, _)| name == "default")
    {
        "default-route".clone_into(name);
    }
    routes.extend(reader.routes);
    let mut comments = reader.notes;
    comments.extend(unused);
    Draft {
        pools: reader.made,
        routes,
        comments,
        ..Draft::default()
    }
}

impl<'a> McrouterReader<'a> {
    /// A remark about each of mcrouter's pools that nothing was made of.
    fn unused(&self) -> Vec<String> {
        let is_made = |name: &str| self.made.iter().any(|(made, _)| made == name) || self.is_split(name);
        let mut unused: Vec<&str> = self.pools.keys().copied().filter(|name| !is_made(name)).collect();
        unused.sort_unstable();
        let remark = |name| format!("No route leads to the pool {name}: left out.");
        unused.into_iter().map(remark).collect()
    }

    fn lose(&mut self, tree: &SpannedValue, path: &str, why: impl Into<String>) {
        lose(self.lost, location(tree), path, why);
    }

    /// Adds a remark about something without effect for clients: a comment in the result.
    fn note(&mut self, tree: &SpannedValue, what: &str) {
        let note = format!("Line {}: {what}.", tree.line);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Collects every named route handle: other places may refer to it by its name.
    fn collect_names(&mut self, tree: &'a SpannedValue, depth: usize) {
        if depth > 250 {
            return;
        }
        match &tree.value {
            tree::Value::List(items) => items.iter().for_each(|item| self.collect_names(item, depth + 1)),
            tree::Value::Map(entries) => {
                if let (Some(_), Some(name)) = (get(tree, "type"), get(tree, "name").and_then(text)) {
                    self.named.entry(name).or_insert(tree);
                }
                for (key, value) in entries {
                    if depth == 0 && text(key) == Some("named_handles") {
                        self.named.extend(
                            map(value)
                                .iter()
                                .filter_map(|(name, handle)| Some((text(name)?, handle))),
                        );
                    }
                    self.collect_names(value, depth + 1);
                }
            }
            tree::Value::Scalar { .. } => {}
        }
    }
}

fn location(tree: &SpannedValue) -> Origin {
    (tree.line, tree.column)
}

fn map(tree: &SpannedValue) -> &[(SpannedValue, SpannedValue)] {
    match &tree.value {
        tree::Value::Map(entries) => entries,
        _ => &[],
    }
}

fn items_of(tree: &SpannedValue) -> &[SpannedValue] {
    match &tree.value {
        tree::Value::List(items) => items,
        _ => std::slice::from_ref(tree),
    }
}
