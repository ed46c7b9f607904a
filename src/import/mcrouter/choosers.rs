//! Route handles that choose one of several: by hash, by prefix, by operation.

use super::super::macros::{get, text};
use super::super::yaml::{Shape, Value, is_same};
use super::routes::{error, is_latest};
use super::{Reader, map, place};
use crate::config::tree::{self, Tree};

/// mcrouter's operations and Ringway's words for them. `None`: no client of memcached's protocols asks for it.
const OPERATIONS: [(&str, Option<&str>); 17] = [
    ("get", Some("get")),
    ("gets", Some("get")),
    ("gat", Some("gat")),
    ("gats", Some("gat")),
    ("set", Some("set")),
    ("add", Some("add")),
    ("replace", Some("replace")),
    ("append", Some("append")),
    ("prepend", Some("prepend")),
    ("cas", Some("cas")),
    ("incr", Some("incr")),
    ("decr", Some("decr")),
    ("delete", Some("delete")),
    ("touch", Some("touch")),
    ("lease-get", None),
    ("lease-set", None),
    ("metaget", None),
];

impl<'a> Reader<'a> {
    /// A HashRoute over the servers of a pool is a pool, and so is one over pools of one server each. Over other
    /// routes it cannot be said.
    pub fn hash(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
        self.check(
            tree,
            &[
                "children",
                "hash_func",
                "salt",
                "weights",
                "tags",
                "failover_count",
            ],
            &[],
        );
        let children = get(tree, "children")?;
        let pool = match &children.value {
            tree::Value::Scalar { text, .. } => text.strip_prefix("Pool|"),
            _ if get(children, "type").and_then(text) == Some("Pool") => get(children, "name").and_then(text),
            _ => None,
        };
        if is_latest(tree) {
            let children = self.children(tree, reads);
            return self.in_turn("Latest", children, Some(tree), tree);
        }
        if let Some((name, pool)) = pool.and_then(|name| self.pools.get_key_value(name)) {
            let (name, pool) = (*name, *pool);
            let made = self.pool(Some(name), pool, Some(tree))?;
            return Some(Value::text(made, place(tree)));
        }
        let mut routes = self.children(tree, reads);
        if routes.len() == 1 {
            return routes.pop();
        }
        if let Some(name) = self.pool_of_servers(&routes, tree) {
            return Some(Value::text(name, place(tree)));
        }
        self.lose(
            tree,
            "route",
            "a HashRoute over other routes than servers cannot be said: its keys have no route and answer \
             SERVER_ERROR",
        );
        Some(error("the HashRoute of mcrouter was not imported", tree))
    }

    pub fn prefix(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
        self.check(tree, &["policies", "wildcard"], &[]);
        let policies = get(tree, "policies");
        let mut prefixes = Value::map(Vec::new(), policies.map(place));
        for (prefix, handle) in policies.map(map).unwrap_or_default() {
            if let Some(route) = self.route(handle, reads) {
                prefixes.push(text(prefix).unwrap_or_default(), route);
            }
        }
        let otherwise = match get(tree, "wildcard") {
            Some(wildcard) => self.route(wildcard, reads)?,
            None => error("no prefix matches", tree),
        };
        if matches!(&prefixes.shape, Shape::Map(entries) if entries.is_empty()) {
            return Some(otherwise);
        }
        Some(Value::map(
            vec![("prefix", prefixes), ("else", otherwise)],
            place(tree),
        ))
    }

    pub fn by_command(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
        self.check(tree, &["default_policy", "operation_policies"], &[]);
        let policies = get(tree, "operation_policies").map(map).unwrap_or_default();
        let has = |operation: &str| policies.iter().any(|(key, _)| text(key) == Some(operation));
        let reads_default = reads && !(has("get") && has("gets"));
        let otherwise = get(tree, "default_policy").map(|handle| self.route(handle, reads_default));
        let mut commands: Vec<(&str, Value)> = Vec::new();
        for (key, handle) in policies {
            let operation = text(key).unwrap_or_default();
            let is_read = matches!(
                operation,
                "get" | "gets" | "gat" | "gats" | "lease-get" | "metaget"
            );
            let route = self.route(handle, is_read && reads).unwrap_or_else(|| {
                let why = format!("{operation} has no route now: it answers SERVER_ERROR");
                self.lose(key, "operation_policies", why);
                error(&format!("the route of {operation} was not imported"), key)
            });
            match OPERATIONS.iter().find(|(name, _)| *name == operation) {
                None => self.lose(
                    key,
                    "operation_policies",
                    format!("{operation} cannot be led apart"),
                ),
                Some((_, None)) => self.note(
                    key,
                    &format!("{operation} was left out, since no client of Ringway's asks for it"),
                ),
                Some((_, Some(word))) => match commands.iter().find(|(known, _)| known == word) {
                    Some((_, known)) if is_same(known, &route) => {}
                    Some(_) => self.lose(
                        key,
                        "operation_policies",
                        format!("{operation} goes where {word} goes"),
                    ),
                    None => commands.push((word, route)),
                },
            }
        }
        let otherwise = match otherwise {
            Some(Some(otherwise)) => otherwise,
            Some(None) => {
                let why =
                    "operations without a policy of their own have no route now: they answer SERVER_ERROR";
                self.lose(tree, "default_policy", why);
                error("the default route was not imported", tree)
            }
            None => {
                self.without_policy(&commands, tree);
                error("no policy for the operation", tree)
            }
        };
        if commands.is_empty() {
            return Some(otherwise);
        }
        let commands = Value::map(commands, get(tree, "operation_policies").map(place));
        Some(Value::map(
            vec![("by_command", commands), ("else", otherwise)],
            place(tree),
        ))
    }

    /// Says which operations have no route, as in mcrouter. That reads have none is hardly meant.
    fn without_policy(&mut self, commands: &[(&str, Value)], tree: &Tree) {
        let mut left: Vec<&str> = OPERATIONS.iter().filter_map(|(_, word)| *word).collect();
        left.dedup();
        left.retain(|word| !commands.iter().any(|(known, _)| known == word));
        if left.contains(&"get") {
            self.lose(
                tree,
                "operation_policies",
                "neither get nor a default_policy is there: get answers SERVER_ERROR",
            );
        }
        if !left.is_empty() {
            let what = format!(
                "without a default_policy these answer SERVER_ERROR, as in mcrouter: {}",
                left.join(", ")
            );
            self.note(tree, &what);
        }
    }
}
