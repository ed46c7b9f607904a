//! Reads mcrouter's JSON configuration: its pools, and its tree of route handles.
//!
//! ```text
//! json ─▶ macros ─▶ routes: route handles ─▶ Ringway's policies
//!                   pools: servers and how PoolRoute and HashRoute spread keys ─▶ pools
//! ```

mod pools;
mod routes;

use std::collections::HashMap;

use super::macros::{get, text};
use super::yaml::{Origin, Value};
use super::{Draft, lose};
use crate::config::error::Mistakes;
use crate::config::tree::{self, Tree};

/// What was read so far.
struct Reader<'a> {
    /// mcrouter's pools by name.
    pools: HashMap<&'a str, &'a Tree>,
    /// Route handles that have a name.
    named: HashMap<&'a str, &'a Tree>,
    /// The names of those that are being read, so that a circle ends.
    open: Vec<&'a str>,
    /// Ringway's pools.
    made: Vec<(String, Value)>,
    lost: &'a mut Mistakes,
}

/// The pools and routes of `config`, whose macros are worked out.
pub fn read(config: &Tree, lost: &mut Mistakes) -> Draft {
    let mut reader = Reader {
        pools: HashMap::new(),
        named: HashMap::new(),
        open: Vec::new(),
        made: Vec::new(),
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
        (Some(tree), _) => reader.by_routing_prefix(tree, &mut routes),
        (None, Some(tree)) => routes.extend(
            reader
                .route(tree, true)
                .map(|route| ("default".to_owned(), route)),
        ),
        (None, None) => reader.lose(config, "route", "there is no route"),
    }
    let unused: Vec<&str> = reader
        .pools
        .keys()
        .copied()
        .filter(|name| !reader.made.iter().any(|(made, _)| made == name))
        .collect();
    let mut unused: Vec<String> = unused
        .iter()
        .filter(|name| !reader.is_split(name))
        .map(|name| format!("No route leads to the pool {name}: left out."))
        .collect();
    unused.sort();
    // A pool and a route must differ in name.
    if reader.made.iter().any(|(name, _)| name == "default")
        && let Some((name, _)) = routes.iter_mut().find(|(name, _)| name == "default")
    {
        "default-route".clone_into(name);
    }
    Draft {
        pools: reader.made,
        routes,
        comments: unused,
        ..Draft::default()
    }
}

impl<'a> Reader<'a> {
    fn lose(&mut self, tree: &Tree, path: &str, why: impl Into<String>) {
        lose(self.lost, place(tree), path, why);
    }

    /// Notes every route handle that has a name: it may be named instead of being written again.
    fn collect_names(&mut self, tree: &'a Tree, depth: usize) {
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

    /// `routes`: prefixes such as `/region/cluster/` with a route each, or a list of routes with their aliases.
    fn by_routing_prefix(&mut self, tree: &'a Tree, routes: &mut Vec<(String, Value)>) {
        let mut prefixes = Value::map(Vec::new(), place(tree));
        let mut first = None;
        let listed: Vec<(Vec<&Tree>, &'a Tree)> = match &tree.value {
            tree::Value::Map(entries) => entries
                .iter()
                .map(|(alias, route)| (vec![alias], route))
                .collect(),
            tree::Value::List(items) => items
                .iter()
                .filter_map(|item| {
                    let aliases = get(item, "aliases").map(|aliases| items_of(aliases).iter().collect());
                    Some((aliases.unwrap_or_default(), get(item, "route")?))
                })
                .collect(),
            tree::Value::Scalar { .. } => Vec::new(),
        };
        let count = listed.len();
        for (aliases, handle) in listed {
            let Some(route) = self.route(handle, true) else {
                continue;
            };
            let Some(name) = aliases.first().and_then(|alias| text(alias)) else {
                self.lose(handle, "routes", "a route without aliases");
                continue;
            };
            let name = format!("route-{}", name.trim_matches('/').replace('/', "-"));
            for alias in aliases {
                prefixes.push(text(alias).unwrap_or_default(), Value::text(&name, place(alias)));
            }
            first.get_or_insert_with(|| name.clone());
            routes.push((name, route));
        }
        let Some(first) = first else {
            return self.lose(tree, "routes", "there is no route");
        };
        if count > 1 {
            let why =
                format!("mcrouter's --route-prefix says where keys without a prefix go: {first} was taken");
            self.lose(tree, "routes", why);
        }
        let chooser = vec![
            ("routing_prefix", prefixes),
            ("else", Value::text(first, place(tree))),
        ];
        routes.insert(0, ("default".to_owned(), Value::map(chooser, place(tree))));
    }
}

fn place(tree: &Tree) -> Origin {
    (tree.line, tree.column)
}

fn map(tree: &Tree) -> &[(Tree, Tree)] {
    match &tree.value {
        tree::Value::Map(entries) => entries,
        _ => &[],
    }
}

fn items_of(tree: &Tree) -> &[Tree] {
    match &tree.value {
        tree::Value::List(items) => items,
        _ => std::slice::from_ref(tree),
    }
}
