//! Routing prefixes: `/region/cluster/` before a key, with `*` in the place of either.
//!
//! mcrouter sends a request whose prefix has a `*` to every matching route, the one for keys without a
//! prefix first, and returns the reply of that one; it does not wait for the others.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::{Comes, McrouterReader, items_of, location};
use crate::config::tree::{self, SpannedValue};

/// The maximum number of prefixes for which those with a `*` are generated.
const MAX_BROADCAST: usize = 200;

/// The cluster that mcrouter uses for unknown names.
const FALLBACK: &str = "fallback";

impl<'a> McrouterReader<'a> {
    /// Converts `routes`: prefixes such as `/region/cluster/` with a route each, or a list of routes with
    /// their aliases. `default`: the prefix of keys that have none, if it is known.
    pub fn by_routing_prefix(
        &mut self,
        tree: &'a SpannedValue,
        default: Option<&str>,
        routes: &mut Vec<(String, Value)>,
    ) {
        let mut prefixes = Value::map(Vec::new(), location(tree));
        let mut all: Vec<(String, String)> = Vec::new();
        for (aliases, handle) in listed(tree) {
            let Some(route) = self.route(handle, Comes::All) else {
                continue;
            };
            let aliases: Vec<(String, &SpannedValue)> = aliases
                .into_iter()
                .filter_map(|alias| Some((whole(text(alias)?), alias)))
                .collect();
            let Some((first, _)) = aliases.first() else {
                self.lose(handle, "routes", "a route without aliases");
                continue;
            };
            let name = format!("route-{}", first.trim_matches('/').replace('/', "-"));
            for (alias, tree) in aliases {
                if parts(&alias).is_some_and(|(_, cluster)| cluster == FALLBACK) {
                    let why = "mcrouter leads keys of this region with an unknown cluster here, too: Ringway does not";
                    self.lose(tree, "routes", why);
                }
                prefixes.push(&alias, Value::text(&name, location(tree)));
                all.push((alias, name.clone()));
            }
            routes.push((name, route));
        }
        if all.is_empty() {
            return self.lose(tree, "routes", "there is no route");
        }
        self.put_default_first(default, &mut all, routes.len(), tree);
        if all.len() <= MAX_BROADCAST {
            broadcast(&all, tree, &mut prefixes);
        } else {
            self.lose(
                tree,
                "routes",
                "there are too many aliases for prefixes with a *: they are left out",
            );
        }
        let (_, otherwise) = &all[0];
        self.note(
            tree,
            &format!(
                "keys with a prefix that is not listed, also one such as /reg*/cluster/, answer SERVER_ERROR in \
                 mcrouter; here they go to {otherwise} under their whole name"
            ),
        );
        let chooser = vec![
            ("routing_prefix", prefixes),
            ("else", Value::text(otherwise, location(tree))),
        ];
        routes.insert(0, ("default".to_owned(), Value::map(chooser, location(tree))));
    }

    /// Moves the prefix `default`, for keys without one, to the front of `all`.
    fn put_default_first(
        &mut self,
        default: Option<&str>,
        all: &mut [(String, String)],
        routes: usize,
        tree: &SpannedValue,
    ) {
        let found = default.map(|default| all.iter().position(|(alias, _)| *alias == whole(default)));
        match (found, default) {
            (Some(Some(index)), _) => all[..=index].rotate_right(1),
            (Some(None), Some(default)) => {
                let why = format!(
                    "no route has the prefix {default}: keys without one go to {}",
                    all[0].1
                );
                self.lose(tree, "routes", why);
            }
            _ if routes > 1 => {
                let why = format!(
                    "mcrouter's --route-prefix says where keys without a prefix go: {} was taken, unless it is said \
                     here too (--route-prefix {})",
                    all[0].1, all[0].0
                );
                self.lose(tree, "routes", why);
            }
            _ => {}
        }
    }
}

/// Returns each route with its aliases.
fn listed(tree: &SpannedValue) -> Vec<(Vec<&SpannedValue>, &SpannedValue)> {
    match &tree.value {
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
    }
}

/// Returns `alias` with the slashes at its ends, which are optional.
fn whole(alias: &str) -> String {
    format!("/{}/", alias.trim_matches('/'))
}

/// Returns the region and the cluster of `alias`.
fn parts(alias: &str) -> Option<(&str, &str)> {
    alias.trim_matches('/').split_once('/')
}

/// Adds the prefixes with a `*` that clients may send.
fn broadcast(all: &[(String, String)], tree: &SpannedValue, prefixes: &mut Value) {
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
            .map(|name| Value::text(name, location(tree)))
            .collect();
        let route = match names.len() {
            0 => continue,
            1 => names.into_iter().next().expect("one name"),
            _ => {
                let options = vec![
                    ("to", Value::list(names, location(tree))),
                    ("write", Value::text("async", location(tree))),
                ];
                let replicate = Value::map(options, location(tree));
                Value::map(vec![("replicate", replicate)], location(tree))
            }
        };
        if prefixes.get_mut(&pattern).is_none() {
            prefixes.push(&pattern, route);
        }
    }
}
