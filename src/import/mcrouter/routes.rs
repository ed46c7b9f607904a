//! Converts mcrouter's route handles to Ringway's policies.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::{Comes, McrouterReader, items_of, location, map};
use crate::config::tree::{self, SpannedValue};

/// Settings of any route handle that are read elsewhere or have no effect: Ringway's clients take no
/// leases.
const KNOWN: [&str; 3] = ["type", "name", "enable_lease_pairing"];

impl<'a> McrouterReader<'a> {
    /// Converts the handle `tree`, which the requests `comes` reach; `None` if it cannot be expressed,
    /// which was noted.
    pub fn route(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        let name = get(tree, "name").and_then(text);
        let named = name.and_then(|name| self.named.get(name).map(|handle| (name, *handle)));
        match named {
            Some((name, handle)) if std::ptr::eq(handle, tree) => self.named(name, tree, tree, comes),
            _ => self.route_of(tree, comes),
        }
    }

    /// Like [`McrouterReader::route`], for a handle that is read for the first time.
    pub fn route_of(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        self.deeper(tree, |reader| reader.written(tree, comes))
    }

    fn written(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        match &tree.value {
            tree::Value::Scalar { text, plain: false } => self.short(text, tree, comes),
            tree::Value::Map(_) => {
                let Some(kind) = get(tree, "type").and_then(text) else {
                    self.lose(tree, "route", "a route handle has a type");
                    return None;
                };
                self.handle(kind, tree, comes)
            }
            tree::Value::List(items) if items.len() == 1 => self.route(&items[0], comes),
            // A macro that could not be expanded was reported at its location.
            _ if tree.is_null() => None,
            _ => {
                self.lose(tree, "route", "no route handle");
                None
            }
        }
    }

    /// Converts `Type|argument`, a type alone, or the name of a handle.
    fn short(&mut self, raw: &'a str, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        if let Some((name, handle)) = self
            .named
            .get_key_value(raw)
            .map(|(name, handle)| (*name, *handle))
        {
            return self.named(name, handle, tree, comes);
        }
        let (kind, argument) = raw.split_once('|').unwrap_or((raw, ""));
        match (short_name(kind), argument) {
            ("Pool", name) => match self.pools.get(name).copied() {
                Some(pool) => {
                    let made = self.pool(Some(name), pool, None)?;
                    Some(Value::text(made, location(tree)))
                }
                None => {
                    self.lose(tree, "route", format!("there is no pool {name}"));
                    None
                }
            },
            ("Null" | "DevNull", _) => Some(policy("miss", Vec::new(), tree)),
            ("Blackhole", _) => Some(policy("blackhole", Vec::new(), tree)),
            ("Error", message) => Some(error(message, tree)),
            ("Logging", "") => Some(policy("miss", Vec::new(), tree)),
            (kind, argument) if !argument.is_empty() => {
                let children = self.children_of(argument, tree, comes);
                self.over(kind, children, tree, comes)
            }
            _ => {
                let way_out = if self.pools.contains_key(raw) {
                    format!(
                        ": it is a pool, PoolRoute|{raw} leads to it and Pool|{raw} to each of its servers"
                    )
                } else {
                    String::new()
                };
                self.lose(
                    tree,
                    "route",
                    format!("no route handle has the name {raw}{way_out}"),
                );
                None
            }
        }
    }

    /// Returns the routes under a handle that is written as `Type|argument`.
    fn children_of(&mut self, argument: &'a str, tree: &'a SpannedValue, comes: Comes) -> Vec<Value> {
        match argument
            .strip_prefix("Pool|")
            .and_then(|name| self.pools.get_key_value(name))
        {
            Some((name, pool)) => {
                let (name, pool) = (*name, *pool);
                self.each_server(Some(name), pool)
            }
            None => self
                .deeper(tree, |reader| reader.short(argument, tree, comes))
                .into_iter()
                .collect(),
        }
    }

    fn handle(&mut self, kind: &'a str, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        match short_name(kind) {
            "Pool" if get(tree, "servers").is_some() => {
                let name = self.pool(None, tree, None)?;
                Some(Value::text(name, location(tree)))
            }
            "Pool" => self.pool_route(tree),
            "RateLimit" | "OutstandingLimit" => {
                self.check(tree, &["target", "rates", "max_outstanding"], &[]);
                let target = get(tree, "target").and_then(|target| self.route(target, comes))?;
                Some(self.limits(tree, target))
            }
            "Logging" => {
                self.note(tree, "LoggingRoute was left out: what is under it is led to");
                get(tree, "target").and_then(|target| self.route(target, comes))
            }
            "HostId" => {
                self.check(tree, &["children", "salt"], &[]);
                let children = self.children(tree, comes);
                self.by_host(children, tree)
            }
            "Hash" => self.hash(tree, comes),
            "PrefixSelector" => self.prefix(tree, comes),
            "OperationSelector" | "PrefixPolicy" => self.by_command(tree, comes),
            "Failover" | "FailoverWithExptime" | "MissFailover" | "Latest" | "Random" => {
                self.failover_handle(short_name(kind), tree, comes)
            }
            "AllSync" | "AllFastest" | "AllAsync" | "AllInitial" | "AllMajority" => {
                self.check(tree, &["children"], &[]);
                let children = self.children(tree, comes);
                self.over(short_name(kind), children, tree, comes)
            }
            "WarmUp" => self.warm_up(tree, comes),
            "ModifyExptime" => self.modify_expiry(tree, comes),
            "ModifyKey" => self.modify_key(tree, comes),
            "Null" | "DevNull" => Some(policy("miss", Vec::new(), tree)),
            "Blackhole" => Some(policy("blackhole", Vec::new(), tree)),
            "Error" => Some(error(
                get(tree, "response").and_then(text).unwrap_or_default(),
                tree,
            )),
            _ => self.unknown(kind, tree, comes),
        }
    }

    /// Converts a PoolRoute: the pool with the hash function and the limits of the handle.
    fn pool_route(&mut self, tree: &'a SpannedValue) -> Option<Value> {
        self.check(
            tree,
            &[
                "pool",
                "hash",
                "rates",
                "max_outstanding",
                "slow_warmup",
                "shadows",
            ],
            &[("asynclog", "false"), ("asynclog", "true")],
        );
        if get(tree, "asynclog").and_then(text) == Some("true") {
            self.note(
                tree,
                "asynclog was left out: a pool remembers the deletes that its nodes miss (missed_writes)",
            );
        }
        let Some(pool) = get(tree, "pool") else {
            self.lose(tree, "route", "a PoolRoute has a pool");
            return None;
        };
        let spread = get(tree, "hash");
        if spread.is_some_and(is_latest) {
            let servers = self.each_server(None, pool);
            return self.in_turn("Latest", servers, spread, tree);
        }
        let name = self.pool(None, pool, spread)?;
        Some(self.limits(tree, Value::text(name, location(tree))))
    }

    fn modify_key(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        self.check(tree, &["target", "ensure_key_prefix"], &[]);
        if let Some(prefix) = get(tree, "ensure_key_prefix") {
            self.lose(
                prefix,
                "ensure_key_prefix",
                "mcrouter adds it only where it is not there yet: Ringway always would",
            );
        }
        get(tree, "target").and_then(|target| self.route(target, comes))
    }

    /// Reports a handle that has no counterpart. The route under it is read, so that everything that cannot be
    /// expressed is reported at once.
    fn unknown(&mut self, kind: &str, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        let location = get(tree, "type").unwrap_or(tree);
        let why = format!("the route handle {kind} cannot be expressed");
        self.lose(location, "route", why);
        get(tree, "target")
            .or(get(tree, "normal"))
            .or(get(tree, "default"))
            .and_then(|target| self.route(target, comes))
    }

    /// Reports each setting of a handle that is neither in `known`, nor in `same` with the value that has
    /// no effect.
    pub fn check(&mut self, tree: &SpannedValue, known: &[&str], same: &[(&str, &str)]) {
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

    pub fn children(&mut self, tree: &'a SpannedValue, comes: Comes) -> Vec<Value> {
        match get(tree, "children") {
            Some(children) => self.many(children, comes),
            None => {
                self.lose(tree, "children", "the route handle has no children");
                Vec::new()
            }
        }
    }

    /// Converts a list of handles; each server of a pool becomes one.
    pub fn many(&mut self, tree: &'a SpannedValue, comes: Comes) -> Vec<Value> {
        let mut routes = Vec::new();
        for item in items_of(tree) {
            if get(item, "type").and_then(text) == Some("Pool") && get(item, "servers").is_some() {
                routes.extend(self.each_server(None, item));
                continue;
            }
            let pool = match &item.value {
                tree::Value::Scalar { text, .. } => text.strip_prefix("Pool|"),
                _ if get(item, "type").and_then(text) == Some("Pool") => get(item, "name").and_then(text),
                _ => None,
            };
            match pool
                .and_then(|name| self.pools.get_key_value(name))
                .map(|(name, pool)| (*name, *pool))
            {
                Some((name, pool)) => routes.extend(self.each_server(Some(name), pool)),
                None => routes.extend(self.route(item, comes)),
            }
        }
        routes
    }

    /// Converts a handle that sends to all routes.
    fn over(
        &mut self,
        kind: &str,
        mut children: Vec<Value>,
        tree: &'a SpannedValue,
        comes: Comes,
    ) -> Option<Value> {
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
            "Failover" | "MissFailover" | "Latest" | "Random" => {
                return self.in_turn(kind, children, None, tree);
            }
            "HostId" => return self.by_host(children, tree),
            "Logging" if children.len() < 2 => {
                self.note(tree, "LoggingRoute was left out: what is under it is led to");
                return children.pop();
            }
            "Hash" if children.len() < 2 => return children.pop(),
            other => {
                self.lose(
                    tree,
                    "route",
                    format!("the route handle {other} cannot be expressed"),
                );
                return None;
            }
        };
        if comes.has_reads() && !differs.is_empty() {
            self.lose(tree, "route", differs);
        }
        if children.len() < 2 {
            return children.pop();
        }
        let options = vec![
            ("to", Value::list(children, location(tree))),
            ("write", Value::text(write, location(tree))),
            ("read", Value::text(read, location(tree))),
        ];
        Some(policy("replicate", options, tree))
    }
}

/// Strips the word that ends the names of most handles.
fn short_name(kind: &str) -> &str {
    kind.strip_suffix("Route").unwrap_or(kind)
}

/// Whether a hash function is `Latest`: not a hash, but an order of its own on each host.
pub fn is_latest(spread: &SpannedValue) -> bool {
    let function = get(spread, "hash_func").unwrap_or(spread);
    text(function) == Some("Latest")
}

pub fn policy(name: &str, options: Vec<(&str, Value)>, tree: &SpannedValue) -> Value {
    Value::map(vec![(name, Value::map(options, location(tree)))], location(tree))
}

pub fn error(message: &str, tree: &SpannedValue) -> Value {
    let words = match message {
        "" => Value::map(Vec::new(), location(tree)),
        message => Value::text(message, location(tree)),
    };
    Value::map(vec![("error", words)], location(tree))
}
