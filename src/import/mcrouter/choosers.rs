//! Route handles that choose one of several routes: by hash, by prefix, by operation.

use super::super::macros::{get, text};
use super::super::yaml::{Shape, Value, is_same};
use super::routes::{error, is_latest};
use super::{Comes, McrouterReader, location, map};
use crate::config::tree::{self, SpannedValue};

/// mcrouter's operations and Ringway's words for them. `None` if no memcached protocol has it.
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

impl<'a> McrouterReader<'a> {
    /// Converts a HashRoute over the servers of a pool, or over pools of one server each, to a pool. Over
    /// other routes it cannot be expressed.
    pub fn hash(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
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
            let children = self.children(tree, comes);
            return self.in_turn("Latest", children, Some(tree), tree);
        }
        if let Some((name, pool)) = pool.and_then(|name| self.pools.get_key_value(name)) {
            let (name, pool) = (*name, *pool);
            let made = self.pool(Some(name), pool, Some(tree))?;
            return Some(Value::text(made, location(tree)));
        }
        let mut routes = self.children(tree, comes);
        if routes.len() == 1 {
            return routes.pop();
        }
        if let Some(name) = self.pool_of_servers(&routes, tree) {
            return Some(Value::text(name, location(tree)));
        }
        self.lose(
            tree,
            "route",
            "a HashRoute over other routes than servers cannot be expressed: its keys have no route and answer \
             SERVER_ERROR",
        );
        Some(error("the HashRoute of mcrouter was not imported", tree))
    }

    pub fn prefix(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        self.check(tree, &["policies", "wildcard"], &[]);
        let policies = get(tree, "policies");
        let mut prefixes = Value::map(Vec::new(), policies.map(location));
        for (prefix, handle) in policies.map(map).unwrap_or_default() {
            if let Some(route) = self.route(handle, comes) {
                prefixes.push(text(prefix).unwrap_or_default(), route);
            }
        }
        let otherwise = match get(tree, "wildcard") {
            Some(wildcard) => self.route(wildcard, comes)?,
            None => error("no prefix matches", tree),
        };
        if matches!(&prefixes.shape, Shape::Map(entries) if entries.is_empty()) {
            return Some(otherwise);
        }
        Some(Value::map(
            vec![("prefix", prefixes), ("else", otherwise)],
            location(tree),
        ))
    }

    pub fn by_command(&mut self, tree: &'a SpannedValue, comes: Comes) -> Option<Value> {
        self.check(tree, &["default_policy", "operation_policies"], &[]);
        let policies = get(tree, "operation_policies").map(map).unwrap_or_default();
        let has = |operation: &str| policies.iter().any(|(key, _)| text(key) == Some(operation));
        // Ringway routes gets like get, so gat is the only read that takes the default.
        let of_default = match comes {
            Comes::All if has("get") || has("gets") => Comes::Rest,
            comes => comes,
        };
        let otherwise = get(tree, "default_policy").map(|handle| self.route(handle, of_default));
        let mut commands: Vec<(&str, Value)> = Vec::new();
        for (key, handle) in policies {
            self.operation(key, handle, comes, &mut commands);
        }
        let has_default = matches!(otherwise, Some(Some(_)));
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
        if has_default && has("get") != has("gets") {
            self.pair(has("gets"), &mut commands, &otherwise, tree);
        }
        let commands = Value::map(commands, get(tree, "operation_policies").map(location));
        Some(Value::map(
            vec![("by_command", commands), ("else", otherwise)],
            location(tree),
        ))
    }

    /// Adds the policy `handle` of the operation `key` to `commands`.
    fn operation(
        &mut self,
        key: &'a SpannedValue,
        handle: &'a SpannedValue,
        comes: Comes,
        commands: &mut Vec<(&str, Value)>,
    ) {
        let operation = text(key).unwrap_or_default();
        let is_read = matches!(
            operation,
            "get" | "gets" | "gat" | "gats" | "lease-get" | "metaget"
        );
        let comes = match comes {
            Comes::All | Comes::Reads if is_read => Comes::Reads,
            _ => Comes::Rest,
        };
        let path = "operation_policies";
        let route = self.route(handle, comes).unwrap_or_else(|| {
            let why = format!("{operation} has no route now: it answers SERVER_ERROR");
            self.lose(key, path, why);
            error(&format!("the route of {operation} was not imported"), key)
        });
        match OPERATIONS.iter().find(|(name, _)| *name == operation) {
            None => self.lose(key, path, format!("{operation} cannot be led apart")),
            Some((_, None)) => self.note(
                key,
                &format!("{operation} was left out, since no client of Ringway's asks for it"),
            ),
            Some((_, Some(word))) => match commands.iter().find(|(known, _)| known == word) {
                Some((_, known)) if is_same(known, &route) => {}
                Some(_) => self.lose(key, path, format!("{operation} goes where {word} goes")),
                None => commands.push((word, route)),
            },
        }
    }

    /// Only one of get and gets has a policy, and mcrouter routes the other one to the default, where cas
    /// goes too. Here both take the policy, so cas must go there as well, if its cas id is to match.
    fn pair(
        &mut self,
        is_gets: bool,
        commands: &mut Vec<(&str, Value)>,
        otherwise: &Value,
        tree: &'a SpannedValue,
    ) {
        let of = |word: &str| {
            commands
                .iter()
                .find(|(known, _)| *known == word)
                .map(|(_, route)| route)
        };
        let Some(read) = of("get").filter(|read| !is_same(read, otherwise)) else {
            return;
        };
        if is_gets {
            let why = "get goes where gets goes, not to the default_policy";
            return self.lose(tree, "operation_policies", why);
        }
        if self.is_one_home(read, of("cas").unwrap_or(otherwise)) {
            return self.note(tree, "gets goes where get goes, not to the default_policy");
        }
        match of("set").filter(|set| of("cas").is_none() && self.is_one_home(read, set)).cloned() {
            Some(set) => {
                commands.push(("cas", set));
                let what = "gets goes where get goes, and so cas where set goes, not to the default_policy";
                self.note(tree, what);
            }
            None => self.lose(
                tree,
                "operation_policies",
                "gets goes where get goes and cas elsewhere: a client that uses both finds no cas id that matches",
            ),
        }
    }

    /// Whether the cas ids of both routes come from the same nodes.
    fn is_one_home(&self, one: &Value, other: &Value) -> bool {
        let nodes = |route: &Value| {
            let pool = self.home(route)?;
            let (_, made) = self.made.iter().find(|(name, _)| *name == pool)?;
            match &made.shape {
                Shape::Map(entries) => entries
                    .iter()
                    .find(|(key, _)| key == "nodes")
                    .map(|(_, nodes)| nodes.clone()),
                _ => None,
            }
        };
        let is_same_pool = self.home(one).is_some() && self.home(one) == self.home(other);
        let is_same_node = || match (nodes(one), nodes(other)) {
            (Some(one), Some(other)) => {
                is_same(&one, &other) && matches!(&one.shape, Shape::List(nodes) if nodes.len() == 1)
            }
            _ => false,
        };
        is_same_pool || is_same_node()
    }

    /// Returns the pool that a route takes cas ids from; `None` if there are several.
    fn home(&self, route: &Value) -> Option<String> {
        match &route.shape {
            Shape::Text(name) => match self.routes.iter().find(|(known, _)| known == name) {
                Some((_, route)) => self.home(route),
                None => Some(name.clone()),
            },
            Shape::Map(entries) => match entries.as_slice() {
                [(policy, options)]
                    if matches!(
                        policy.as_str(),
                        "failover" | "replicate" | "expiry" | "limit" | "lazy_fill"
                    ) =>
                {
                    let Shape::Map(options) = &options.shape else {
                        return None;
                    };
                    let (_, to) = options.iter().find(|(key, _)| key == "to")?;
                    match &to.shape {
                        Shape::List(routes) => self.home(routes.first()?),
                        _ => self.home(to),
                    }
                }
                _ => None,
            },
            Shape::List(_) => None,
        }
    }

    /// Notes which operations have no route, as in mcrouter. For reads that is unlikely to be intended.
    fn without_policy(&mut self, commands: &[(&str, Value)], tree: &SpannedValue) {
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
