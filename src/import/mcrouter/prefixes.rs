//! Routing prefixes: `/region/cluster/` before a key, and `*` in the place of either.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::{Reader, items_of, place};
use crate::config::tree::{self, Tree};

/// The most prefixes for which those with a `*` are written out.
const MAX_BROADCAST: usize = 200;

impl<'a> Reader<'a> {
    /// `routes`: prefixes such as `/region/cluster/` with a route each, or a list of routes with their aliases.
    pub fn by_routing_prefix(&mut self, tree: &'a Tree, routes: &mut Vec<(String, Value)>) {
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
        let mut all: Vec<(&str, String)> = Vec::new();
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
                let alias_text = text(alias).unwrap_or_default();
                prefixes.push(alias_text, Value::text(&name, place(alias)));
                all.push((alias_text, name.clone()));
            }
            first.get_or_insert_with(|| name.clone());
            routes.push((name, route));
        }
        let Some(first) = first else {
            return self.lose(tree, "routes", "there is no route");
        };
        if routes.len() > 1 {
            let why =
                format!("mcrouter's --route-prefix says where keys without a prefix go: {first} was taken");
            self.lose(tree, "routes", why);
            if all.len() <= MAX_BROADCAST {
                broadcast(&all, tree, &mut prefixes);
            } else {
                self.lose(
                    tree,
                    "routes",
                    "there are too many aliases for prefixes with a *: they are left out",
                );
            }
        }
        let chooser = vec![
            ("routing_prefix", prefixes),
            ("else", Value::text(first, place(tree))),
        ];
        routes.insert(0, ("default".to_owned(), Value::map(chooser, place(tree))));
    }
}

/// Adds the prefixes with a `*` that clients may write: mcrouter sends such a request to every route that fits, and
/// answers what the first one does.
fn broadcast(all: &[(&str, String)], tree: &Tree, prefixes: &mut Value) {
    let parts = |alias: &str| {
        let (region, cluster) = alias.trim_matches('/').split_once('/')?;
        Some((region.to_owned(), cluster.to_owned()))
    };
    let mut patterns = vec!["/*/*/".to_owned()];
    for (region, cluster) in all.iter().filter_map(|(alias, _)| parts(alias)) {
        patterns.extend([format!("/{region}/*/"), format!("/*/{cluster}/")]);
    }
    patterns.sort();
    patterns.dedup();
    for pattern in patterns {
        let fits = |alias: &str| {
            let both = parts(alias).zip(parts(&pattern));
            both.is_some_and(|(one, wanted)| {
                (wanted.0 == "*" || wanted.0 == one.0) && (wanted.1 == "*" || wanted.1 == one.1)
            })
        };
        let mut names: Vec<&str> = Vec::new();
        for (_, name) in all.iter().filter(|(alias, _)| fits(alias)) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let names: Vec<Value> = names
            .into_iter()
            .map(|name| Value::text(name, place(tree)))
            .collect();
        let route = match names.len() {
            0 => continue,
            1 => names.into_iter().next().expect("one name"),
            _ => {
                let options = vec![
                    ("to", Value::list(names, place(tree))),
                    ("write", Value::text("async", place(tree))),
                ];
                let replicate = Value::map(options, place(tree));
                Value::map(vec![("replicate", replicate)], place(tree))
            }
        };
        if prefixes.get_mut(&pattern).is_none() {
            prefixes.push(&pattern, route);
        }
    }
}
