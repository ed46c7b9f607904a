//! mcrouter's pools, and the hash functions that spread keys over them.

use super::super::macros::{get, text};
use super::super::yaml::{Shape, Value, is_same};
use super::servers::{Server, are_encrypted};
use super::{McrouterReader, items_of, location, map};
use crate::config::tree::SpannedValue;

/// How keys are spread, with the settings of it.
#[derive(Default)]
pub struct Spread<'a> {
    function: Option<&'a SpannedValue>,
    salt: Option<&'a SpannedValue>,
    weights: Option<&'a SpannedValue>,
    tags: Option<&'a SpannedValue>,
}

/// The number of decimal places to which a weight is exact.
const PLACES: usize = 6;

impl<'a> Spread<'a> {
    /// Returns `self` with the settings of `tree`, the object of a HashRoute or of a PoolRoute's `hash`,
    /// which take precedence.
    pub fn with(mut self, tree: &'a SpannedValue) -> Spread<'a> {
        if text(tree).is_some() {
            self.function = Some(tree);
        }
        for (field, key) in [
            (&mut self.function, "hash_func"),
            (&mut self.salt, "salt"),
            (&mut self.weights, "weights"),
            (&mut self.tags, "tags"),
        ] {
            *field = get(tree, key).or(*field);
        }
        self
    }
}

/// Why keys are not where mcrouter's hash function `name` puts them.
fn no_function(name: &str) -> String {
    let reason = match name {
        "ConstShard" => "ConstShard reads the server's number from the key, which Ringway cannot".to_owned(),
        name => format!("the hash function {name} cannot be expressed"),
    };
    format!("{reason}: keys are spread as Ch3 does, and go to other servers")
}

impl<'a> McrouterReader<'a> {
    /// Creates Ringway's pool for mcrouter's `pool`, a name or an object that may be known as `name`. Its
    /// keys are spread by its weights and tags, and by `spread`. Returns its name; `None` if there is no
    /// such pool.
    pub fn pool(
        &mut self,
        name: Option<&str>,
        pool: &'a SpannedValue,
        spread: Option<&'a SpannedValue>,
    ) -> Option<String> {
        let (name, layers) = self.layers(name, pool)?;
        let of_pool = |key: &str| layers.iter().find_map(|layer| get(layer, key));
        let mut chosen = Spread {
            weights: of_pool("weights"),
            tags: of_pool("tags"),
            ..Spread::default()
        };
        let is_weighted = chosen.weights.is_some();
        if let Some(spread) = spread {
            chosen = chosen.with(spread);
        }
        let Some(servers) = of_pool("servers").map(items_of) else {
            self.lose(pool, &name, "the pool has no servers");
            return None;
        };
        let mut made = Value::map(Vec::new(), location(pool));
        let are_encrypted = are_encrypted(&layers);
        let servers: Vec<Server> = servers
            .iter()
            .filter_map(|server| self.server(server, &name, are_encrypted))
            .collect();
        self.encrypt(&servers, pool, &name, &mut made);
        let mut nodes: Vec<Value> = servers.into_iter().map(|server| server.node).collect();
        let distribution = self.distribution(&chosen, is_weighted, &mut nodes, pool, &name);
        made.push("distribution", distribution);
        self.settings(&layers, &name, &mut made);
        made.push("nodes", Value::list(nodes, location(pool)));
        Some(self.keep(&name, made))
    }

    /// Creates a pool for each server of mcrouter's `pool`, for route handles that send to all of them.
    pub fn each_server(&mut self, name: Option<&str>, pool: &'a SpannedValue) -> Vec<Value> {
        let Some((name, layers)) = self.layers(name, pool) else {
            return Vec::new();
        };
        let servers = layers
            .iter()
            .find_map(|layer| get(layer, "servers"))
            .map(items_of)
            .unwrap_or_default();
        if self.servers_left < servers.len() {
            self.lose(
                pool,
                &name,
                "handles ask for the servers of pools too often: too much would come out",
            );
            return Vec::new();
        }
        self.servers_left -= servers.len();
        let are_encrypted = are_encrypted(&layers);
        let mut names = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            let Some(read) = self.server(server, &name, are_encrypted) else {
                continue;
            };
            let mut made = Value::map(Vec::new(), location(server));
            self.encrypt(std::slice::from_ref(&read), server, &name, &mut made);
            self.settings(&layers, &name, &mut made);
            made.push("nodes", Value::list(vec![read.node], location(server)));
            let kept = self.keep(&format!("{name}.{}", index + 1), made);
            names.push(Value::text(kept, location(pool)));
        }
        names
    }

    /// Creates one pool from the servers of pools that have one each and are otherwise alike; `tree`
    /// spreads the keys over it.
    pub fn pool_of_servers(&mut self, routes: &[Value], tree: &'a SpannedValue) -> Option<String> {
        let mut nodes = Vec::new();
        let mut settings: Option<Vec<(String, Value)>> = None;
        for route in routes {
            let Shape::Text(name) = &route.shape else {
                return None;
            };
            let (_, made) = self.made.iter().find(|(known, _)| known == name)?;
            let Shape::Map(entries) = &made.shape else {
                return None;
            };
            let mut rest = Vec::new();
            for (key, value) in entries {
                match (key.as_str(), &value.shape) {
                    ("distribution", _) => {}
                    ("nodes", Shape::List(items)) if items.len() == 1 => nodes.extend(items.iter().cloned()),
                    ("nodes", _) => return None,
                    _ => rest.push((key.clone(), value.clone())),
                }
            }
            let is_alike = settings.as_ref().is_none_or(|known| {
                known.len() == rest.len()
                    && known
                        .iter()
                        .zip(&rest)
                        .all(|(one, other)| one.0 == other.0 && is_same(&one.1, &other.1))
            });
            if !is_alike {
                return None;
            }
            settings = Some(rest);
        }
        // Names and weights of rendezvous and weighted pools would have no meaning here.
        let nodes_are_plain = nodes.iter().all(|node| matches!(node.shape, Shape::Text(_)));
        if nodes.is_empty() || !nodes_are_plain {
            return None;
        }
        let name = get(tree, "name").and_then(text).unwrap_or("hash").to_owned();
        let spread = Spread::default().with(tree);
        let distribution = self.distribution(&spread, false, &mut nodes, tree, &name);
        let mut made = Value::map(vec![("distribution", distribution)], location(tree));
        for (key, value) in settings.unwrap_or_default() {
            made.push(&key, value);
        }
        made.push("nodes", Value::list(nodes, location(tree)));
        Some(self.keep(&name, made))
    }

    /// Whether the servers of mcrouter's pool `name` have pools of their own.
    pub fn is_split(&self, name: &str) -> bool {
        self.made.iter().any(|(made, _)| {
            made.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['.', '-']))
        })
    }

    /// Adds a pool under `name`, or under another name if that is taken by a different pool.
    fn keep(&mut self, name: &str, made: Value) -> String {
        let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
        for name in names {
            match self.made.iter().find(|(known, _)| *known == name) {
                Some((_, known)) if !is_same(known, &made) => {}
                Some(_) => return name,
                None if self.routes.iter().any(|(known, _)| *known == name) => {}
                None => {
                    self.made.push((name.clone(), made));
                    return name;
                }
            }
        }
        unreachable!("there is always another number")
    }

    /// Returns the name of a pool and its objects, the most specific first: it may inherit from another.
    fn layers(
        &mut self,
        name: Option<&str>,
        pool: &'a SpannedValue,
    ) -> Option<(String, Vec<&'a SpannedValue>)> {
        let mut layers = Vec::new();
        let mut next = Some(pool);
        let mut name = name.or(get(pool, "name").and_then(text)).map(str::to_owned);
        while let Some(tree) = next {
            let layer = match text(tree) {
                Some(known) => match self.pools.get(known).copied() {
                    Some(found) if layers.len() < self.pools.len() + 1 => {
                        name.get_or_insert_with(|| known.to_owned());
                        found
                    }
                    Some(_) => {
                        self.lose(tree, known, "pools inherit from each other in a circle");
                        return None;
                    }
                    None => {
                        self.lose(tree, known, "there is no such pool");
                        return None;
                    }
                },
                None => tree,
            };
            layers.push(layer);
            next = get(layer, "inherit");
        }
        Some((name.unwrap_or_else(|| "pool".to_owned()), layers))
    }

    fn settings(&mut self, layers: &[&'a SpannedValue], name: &str, made: &mut Value) {
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in layers.iter().flat_map(|layer| map(layer)) {
            let key = text(key).unwrap_or_default();
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let path = format!("pools.{name}.{key}");
            let said = text(value).unwrap_or_default();
            match (key, said) {
                (
                    "servers" | "inherit" | "name" | "type" | "weights" | "tags" | "hostnames"
                    | "failure_domains",
                    _,
                ) => {}
                ("server_timeout", _) => {
                    made.push(
                        "request_timeout",
                        Value::text(format!("{said}ms"), location(value)),
                    );
                    if !layers.iter().any(|layer| get(layer, "connect_timeout").is_some()) {
                        made.push(
                            "connect_timeout",
                            Value::text(format!("{said}ms"), location(value)),
                        );
                    }
                }
                ("connect_timeout", _) => made.push(
                    "connect_timeout",
                    Value::text(format!("{said}ms"), location(value)),
                ),
                ("protocol", "ascii") | ("keep_routing_prefix" | "enable_compression", "false") => {}
                ("protocol", _) => {
                    self.lose(value, &path, "nodes are memcached, and speak its text protocol")
                }
                ("security_mech", _) => self.security_mech(value, &path),
                ("keep_routing_prefix", _) => self.lose(value, &path, "a routing prefix is always taken off"),
                ("region" | "cluster", _) => {
                    self.lose(value, &path, "times by region stand on mcrouter's command line")
                }
                _ => self.lose(value, &path, "no such setting can be said"),
            }
        }
    }

    /// Returns the distribution for `spread`; gives `nodes` the weights and names that it needs.
    fn distribution(
        &mut self,
        spread: &Spread<'a>,
        is_weighted: bool,
        nodes: &mut [Value],
        pool: &SpannedValue,
        name: &str,
    ) -> Value {
        let own = if is_weighted { "WeightedCh3" } else { "Ch3" };
        let function = spread.function.and_then(text).unwrap_or(own);
        let origin = spread.function.map_or(location(pool), location);
        let path = format!("pools.{name}");
        let mut full = None;
        let preset = match function {
            "Ch3" => "mcrouter",
            "Crc32" => "mcrouter-crc32",
            "WeightedCh3" => {
                full = self.weigh(spread.weights, nodes, &path);
                "mcrouter-weighted"
            }
            "Rendezvous" => {
                self.tag(spread.tags, nodes, &path, pool);
                "mcrouter-rendezvous"
            }
            "WeightedRendezvous" => {
                self.weigh(spread.weights, nodes, &path);
                self.tag(spread.tags, nodes, &path, pool);
                "mcrouter-rendezvous-weighted"
            }
            other => {
                self.lose(spread.function.unwrap_or(pool), &path, no_function(other));
                "mcrouter"
            }
        };
        let salt = spread.salt.filter(|salt| text(salt) != Some(""));
        if salt.is_none() && full.is_none() {
            return Value::text(preset, origin);
        }
        let mut said = Value::map(vec![("preset", Value::text(preset, origin))], origin);
        if let Some(full) = full {
            said.push("full_weight", Value::text(full.to_string(), origin));
        }
        if let Some(salt) = salt {
            said.push(
                "salt",
                Value::text(text(salt).unwrap_or_default(), location(salt)),
            );
        }
        said
    }

    /// Gives each node its weight as a whole number. Returns the number that represents a weight of 1.
    fn weigh(&mut self, weights: Option<&SpannedValue>, nodes: &mut [Value], path: &str) -> Option<u32> {
        let raw = weights.map(items_of).unwrap_or_default();
        let decimals = |tree: &SpannedValue| {
            text(tree)?
                .split_once('.')
                .map(|(_, part)| part.trim_end_matches('0').len())
        };
        // At least one decimal place, because an omitted weight is 0.5.
        let places = raw
            .iter()
            .filter_map(decimals)
            .max()
            .unwrap_or(0)
            .clamp(1, PLACES);
        let full = 10_u32.pow(places as u32);
        for (index, node) in nodes.iter_mut().enumerate() {
            let weight = match raw.get(index) {
                None => 0.5,
                Some(tree) => text(tree)
                    .and_then(|text| text.parse::<f64>().ok())
                    .unwrap_or(0.0),
            };
            let scaled = (weight.min(1.0) * f64::from(full)).round() as u32;
            let exact = raw
                .get(index)
                .and_then(decimals)
                .is_none_or(|places| places <= PLACES);
            if scaled == 0 || !exact {
                let tree = raw.get(index).or(weights);
                let why = if exact {
                    "a weight of 0 cannot be expressed"
                } else {
                    "the weight has too many decimal places"
                };
                if let Some(tree) = tree {
                    self.lose(tree, &format!("{path}.weights"), why);
                }
            }
            extend(node, "weight", scaled.max(1).to_string());
        }
        Some(full)
    }

    /// Names each node by its tag, which is what rendezvous hashes.
    fn tag(&mut self, tags: Option<&SpannedValue>, nodes: &mut [Value], path: &str, pool: &SpannedValue) {
        match tags.map(items_of) {
            Some(tags) if tags.len() == nodes.len() => {
                for (node, tag) in nodes.iter_mut().zip(tags) {
                    extend(node, "name", text(tag).unwrap_or_default().to_owned());
                }
            }
            _ => self.lose(
                tags.unwrap_or(pool),
                path,
                "Rendezvous needs a tag for each server",
            ),
        }
    }
}

/// Adds a setting to a node, which becomes a mapping if it was an address.
fn extend(node: &mut Value, key: &str, setting: String) {
    if let Shape::Text(address) = &node.shape {
        *node = Value::map(vec![("address", Value::text(address, node.origin))], node.origin);
    }
    node.push(key, Value::text(setting, node.origin));
}
