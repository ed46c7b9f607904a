//! mcrouter's route handles as Ringway's policies.

use super::super::macros::{get, text};
use super::super::yaml::{Shape, Value};
use super::{Reader, items_of, map, place};
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

/// Settings that a route handle may have, and that are read elsewhere or change nothing.
const KNOWN: [&str; 2] = ["type", "name"];

impl<'a> Reader<'a> {
    /// The route that the handle `tree` means; `None` where it cannot be said, which was noted. `reads`: whether
    /// reads come here.
    pub fn route(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
        match &tree.value {
            tree::Value::Scalar { text, plain: false } => self.short(text, tree, reads),
            tree::Value::Map(_) => {
                let Some(kind) = get(tree, "type").and_then(text) else {
                    self.lose(tree, "route", "a route handle has a type");
                    return None;
                };
                self.handle(kind, tree, reads)
            }
            tree::Value::List(items) if items.len() == 1 => self.route(&items[0], reads),
            // A macro that could not be worked out was noted where it stands.
            _ if tree.is_null() => None,
            _ => {
                self.lose(tree, "route", "no route handle");
                None
            }
        }
    }

    /// `Type|argument`, a type alone, or the name of a handle.
    fn short(&mut self, typed: &'a str, tree: &'a Tree, reads: bool) -> Option<Value> {
        if let Some((name, handle)) = self
            .named
            .get_key_value(typed)
            .map(|(name, handle)| (*name, *handle))
        {
            if self.open.contains(&name) {
                self.lose(tree, "route", "the route handles go in a circle");
                return None;
            }
            self.open.push(name);
            let route = self.route(handle, reads);
            self.open.pop();
            return route;
        }
        let (kind, argument) = typed.split_once('|').unwrap_or((typed, ""));
        match (short_name(kind), argument) {
            ("Pool", name) => match self.pools.get(name).copied() {
                Some(pool) => {
                    let made = self.pool(Some(name), pool, None)?;
                    Some(Value::text(made, place(tree)))
                }
                None => {
                    self.lose(tree, "route", format!("there is no pool {name}"));
                    None
                }
            },
            ("Null" | "DevNull", _) => Some(policy("miss", Vec::new(), tree)),
            ("Blackhole", _) => Some(policy("blackhole", Vec::new(), tree)),
            ("Error", message) => Some(error(message, tree)),
            (kind, argument) if !argument.is_empty() => {
                let children = self.children_of(argument, tree, reads);
                self.over(kind, children, tree, reads)
            }
            _ => {
                self.lose(tree, "route", format!("no route handle has the name {typed}"));
                None
            }
        }
    }

    /// The routes under a handle that was written as `Type|argument`.
    fn children_of(&mut self, argument: &'a str, tree: &'a Tree, reads: bool) -> Vec<Value> {
        match argument
            .strip_prefix("Pool|")
            .and_then(|name| self.pools.get_key_value(name))
        {
            Some((name, pool)) => {
                let (name, pool) = (*name, *pool);
                self.each_server(name, pool)
            }
            None => self.short(argument, tree, reads).into_iter().collect(),
        }
    }

    fn handle(&mut self, kind: &'a str, tree: &'a Tree, reads: bool) -> Option<Value> {
        match short_name(kind) {
            "Pool" => {
                self.check(tree, &["pool", "hash"], &[("asynclog", "false")]);
                let Some(pool) = get(tree, "pool") else {
                    self.lose(tree, "route", "a PoolRoute has a pool");
                    return None;
                };
                let name = self.pool(None, pool, get(tree, "hash"))?;
                Some(Value::text(name, place(tree)))
            }
            "Hash" => self.hash(tree, reads),
            "PrefixSelector" => self.prefix(tree, reads),
            "OperationSelector" | "PrefixPolicy" => self.by_command(tree, reads),
            "Failover" => {
                self.check(tree, &["children", "failover_exptime"], &[]);
                let children = self.children(tree, reads);
                let exptime = get(tree, "failover_exptime");
                self.failover(children, exptime, false, tree)
            }
            "FailoverWithExptime" => {
                self.check(tree, &["normal", "failover", "failover_exptime"], &[]);
                let normal = get(tree, "normal").and_then(|normal| self.route(normal, reads));
                let others = get(tree, "failover")
                    .map(|others| self.many(others, reads))
                    .unwrap_or_default();
                let children = normal.into_iter().chain(others).collect();
                let exptime = get(tree, "failover_exptime");
                match exptime {
                    Some(exptime) => self.failover(children, Some(exptime), false, tree),
                    None => self.failover_expiring(children, Some("60s".to_owned()), false, tree),
                }
            }
            "MissFailover" => {
                self.check(tree, &["children"], &[]);
                let children = self.children(tree, reads);
                self.failover(children, None, true, tree)
            }
            "AllSync" | "AllFastest" | "AllAsync" | "AllInitial" | "AllMajority" => {
                self.check(tree, &["children"], &[]);
                let children = self.children(tree, reads);
                self.over(short_name(kind), children, tree, reads)
            }
            "WarmUp" => {
                self.check(tree, &["cold", "warm"], &[("enable_metaget", "true")]);
                let cold = get(tree, "cold").and_then(|cold| self.route(cold, true))?;
                let warm = get(tree, "warm").and_then(|warm| self.route(warm, true))?;
                Some(policy("lazy_fill", vec![("to", cold), ("from", warm)], tree))
            }
            "ModifyExptime" => self.expiry(tree, reads),
            "ModifyKey" => {
                self.check(tree, &["target", "ensure_key_prefix"], &[]);
                let target = get(tree, "target").and_then(|target| self.route(target, reads))?;
                match get(tree, "ensure_key_prefix") {
                    Some(prefix) => {
                        self.lose(
                            prefix,
                            "ensure_key_prefix",
                            "mcrouter adds it only where it is not there yet: Ringway always would",
                        );
                        Some(target)
                    }
                    None => Some(target),
                }
            }
            "Null" | "DevNull" => Some(policy("miss", Vec::new(), tree)),
            "Blackhole" => Some(policy("blackhole", Vec::new(), tree)),
            "Error" => Some(error(
                get(tree, "response").and_then(text).unwrap_or_default(),
                tree,
            )),
            _ => {
                let place = get(tree, "type").unwrap_or(tree);
                self.lose(place, "route", format!("the route handle {kind} cannot be said"));
                // What stands under it is read, so that all that cannot be said is told at once.
                get(tree, "target")
                    .or(get(tree, "normal"))
                    .or(get(tree, "default"))
                    .and_then(|target| self.route(target, reads))
            }
        }
    }

    /// Notes each setting of a handle that is in neither list: `known`, or `same`, with the value that changes
    /// nothing.
    fn check(&mut self, tree: &Tree, known: &[&str], same: &[(&str, &str)]) {
        for (key, value) in map(tree) {
            let name = text(key).unwrap_or_default();
            let is_same = same
                .iter()
                .any(|(key, means)| *key == name && text(value) == Some(means));
            if !KNOWN.contains(&name) && !known.contains(&name) && !is_same {
                self.lose(key, name, "no such setting can be said");
            }
        }
    }

    /// A HashRoute over the servers of a pool is a pool. Over other routes it cannot be said.
    fn hash(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
        self.check(tree, &["children", "hash_func", "salt", "weights", "tags"], &[]);
        let children = get(tree, "children")?;
        let pool = match &children.value {
            tree::Value::Scalar { text, .. } => text.strip_prefix("Pool|"),
            _ if get(children, "type").and_then(text) == Some("Pool") => get(children, "name").and_then(text),
            _ => None,
        };
        if let Some((name, pool)) = pool.and_then(|name| self.pools.get_key_value(name)) {
            let (name, pool) = (*name, *pool);
            let made = self.pool(Some(name), pool, Some(tree))?;
            return Some(Value::text(made, place(tree)));
        }
        let mut routes = self.children(tree, reads);
        if routes.len() == 1 {
            return routes.pop();
        }
        self.lose(
            tree,
            "route",
            "a HashRoute over other routes than the servers of a pool cannot be said",
        );
        None
    }

    fn prefix(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
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

    fn by_command(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
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
            let Some(route) = self.route(handle, is_read && reads) else {
                continue;
            };
            match OPERATIONS.iter().find(|(name, _)| *name == operation) {
                None => self.lose(
                    key,
                    "operation_policies",
                    format!("{operation} cannot be led apart"),
                ),
                Some((_, None)) => self.lose(
                    key,
                    "operation_policies",
                    format!("no client of Ringway's asks for {operation}"),
                ),
                Some((_, Some(word))) => match commands.iter().find(|(known, _)| known == word) {
                    Some((_, known)) if known.shape == route.shape => {}
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
            Some(otherwise) => otherwise?,
            None => error("no policy for the operation", tree),
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

    fn children(&mut self, tree: &'a Tree, reads: bool) -> Vec<Value> {
        match get(tree, "children") {
            Some(children) => self.many(children, reads),
            None => {
                self.lose(tree, "children", "the route handle has no children");
                Vec::new()
            }
        }
    }

    /// A list of handles; the servers of a pool are one each.
    fn many(&mut self, tree: &'a Tree, reads: bool) -> Vec<Value> {
        let mut routes = Vec::new();
        for item in items_of(tree) {
            let pool = match &item.value {
                tree::Value::Scalar { text, .. } => text.strip_prefix("Pool|"),
                _ if get(item, "type").and_then(text) == Some("Pool") => get(item, "name").and_then(text),
                _ => None,
            };
            match pool
                .and_then(|name| self.pools.get_key_value(name))
                .map(|(name, pool)| (*name, *pool))
            {
                Some((name, pool)) => routes.extend(self.each_server(name, pool)),
                None => routes.extend(self.route(item, reads)),
            }
        }
        routes
    }

    fn failover(
        &mut self,
        children: Vec<Value>,
        exptime: Option<&Tree>,
        on_miss: bool,
        tree: &Tree,
    ) -> Option<Value> {
        let expiry = exptime
            .and_then(text)
            .filter(|seconds| *seconds != "0")
            .map(|seconds| format!("{seconds}s"));
        self.failover_expiring(children, expiry, on_miss, tree)
    }

    fn failover_expiring(
        &mut self,
        mut children: Vec<Value>,
        expiry: Option<String>,
        on_miss: bool,
        tree: &Tree,
    ) -> Option<Value> {
        if children.len() < 2 {
            return children.pop();
        }
        let mut options = vec![("to", Value::list(children, place(tree)))];
        if let Some(expiry) = expiry {
            options.push(("expiry", Value::text(expiry, place(tree))));
        }
        if on_miss {
            options.push(("on_miss", Value::text("true", place(tree))));
        }
        Some(policy("failover", options, tree))
    }

    /// One of the handles that send to all.
    fn over(&mut self, kind: &str, mut children: Vec<Value>, tree: &'a Tree, reads: bool) -> Option<Value> {
        let (write, read, differs) = match kind {
            "AllSync" => (
                "all",
                "first",
                "reads of an AllSyncRoute ask all and answer the worst; those of Ringway ask one",
            ),
            "AllMajority" => (
                "majority",
                "first",
                "reads of an AllMajorityRoute ask all; those of Ringway ask one",
            ),
            "AllFastest" => ("first", "fastest", ""),
            "AllInitial" => ("async", "first", ""),
            "AllAsync" => (
                "async",
                "first",
                "reads of an AllAsyncRoute are never answered with a value; those of Ringway are",
            ),
            "Failover" => return self.failover(children, None, false, tree),
            "MissFailover" => return self.failover(children, None, true, tree),
            "Hash" if children.len() < 2 => return children.pop(),
            other => {
                self.lose(tree, "route", format!("the route handle {other} cannot be said"));
                return None;
            }
        };
        if reads && !differs.is_empty() {
            self.lose(tree, "route", differs);
        }
        if children.len() < 2 {
            return children.pop();
        }
        let options = vec![
            ("to", Value::list(children, place(tree))),
            ("write", Value::text(write, place(tree))),
            ("read", Value::text(read, place(tree))),
        ];
        Some(policy("replicate", options, tree))
    }

    fn expiry(&mut self, tree: &'a Tree, reads: bool) -> Option<Value> {
        self.check(tree, &["target", "exptime", "action"], &[]);
        let target = get(tree, "target").and_then(|target| self.route(target, reads))?;
        let seconds = get(tree, "exptime")?;
        let limit = match get(tree, "action").and_then(text) {
            Some("min") => "max",
            Some("max") => "min",
            _ => {
                self.lose(
                    tree,
                    "action",
                    "an expiry that replaces the client's cannot be said: only a bound",
                );
                return Some(target);
            }
        };
        let bound = Value::text(format!("{}s", text(seconds).unwrap_or_default()), place(seconds));
        Some(policy("expiry", vec![("to", target), (limit, bound)], tree))
    }
}

/// A handle's name with or without the word that ends most of them.
fn short_name(kind: &str) -> &str {
    kind.strip_suffix("Route").unwrap_or(kind)
}

fn policy(name: &str, options: Vec<(&str, Value)>, tree: &Tree) -> Value {
    Value::map(vec![(name, Value::map(options, place(tree)))], place(tree))
}

fn error(message: &str, tree: &Tree) -> Value {
    let words = match message {
        "" => Value::map(Vec::new(), place(tree)),
        message => Value::text(message, place(tree)),
    };
    Value::map(vec![("error", words)], place(tree))
}
