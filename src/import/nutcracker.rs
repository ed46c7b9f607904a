//! Converts twemproxy's `nutcracker.yml`, as `src/nc_conf.c` of twemproxy 0.5 reads it.

use super::macros::get as setting;
use super::yaml::{Origin, Shape, Value};
use super::{Draft, lose};
use crate::config::error::{Diagnostics, quote};
use crate::config::tree::{self, SpannedValue};

/// Returns the pools of `tree`, with a listener for each.
pub fn read(tree: &SpannedValue, lost: &mut Diagnostics) -> Draft {
    let mut draft = Draft::default();
    let tree::Value::Map(entries) = &tree.value else {
        lose(
            lost,
            location(tree),
            "",
            "no pools: nutcracker.yml maps names to pools",
        );
        return draft;
    };
    for (name, pool) in entries {
        match (scalar(name).unwrap_or_default(), &pool.value) {
            // Forks with several processes have the pools one level deeper, beside the settings that all
            // of them share.
            ("pools", tree::Value::Map(pools)) if pools.iter().all(|(_, pool)| is_pool(pool)) => {
                for (name, pool) in pools {
                    read_pool(scalar(name).unwrap_or_default(), pool, &mut draft, lost);
                }
            }
            ("global", _) if !is_pool(pool) => {
                let why = "what a fork of nutcracker knows of its processes: Ringway has its own `workers`";
                lose(lost, location(name), "global", why);
            }
            (name, _) => read_pool(name, pool, &mut draft, lost),
        }
    }
    draft
}

/// Whether `tree` looks like a pool.
fn is_pool(tree: &SpannedValue) -> bool {
    ["listen", "servers", "hash"]
        .iter()
        .any(|key| setting(tree, key).is_some())
}

/// Adds the pool called `name`, unless Ringway cannot express it.
fn read_pool(name: &str, pool: &SpannedValue, draft: &mut Draft, lost: &mut Diagnostics) {
    let mut reader = PoolReader {
        name: name.to_owned(),
        pool: Value::map(Vec::new(), location(pool)),
        nodes: Vec::new(),
        listener: Value::map(Vec::new(), location(pool)),
        notes: Vec::new(),
        lost,
    };
    // Nodes with another protocol would answer nothing, which is worse than a missing listener.
    let redis = setting(pool, "redis").filter(|redis| scalar(redis) == Some("true"));
    let other = setting(pool, "protocol").filter(|protocol| {
        let name = scalar(protocol).unwrap_or_default();
        !name.starts_with("memcache")
    });
    if let Some(redis) = redis {
        let why = "Ringway speaks memcached, not Redis: the pool is left out";
        return reader.lose(redis, "redis", why);
    }
    if let Some(protocol) = other {
        return reader.lose(
            protocol,
            "protocol",
            "Ringway speaks memcached only: the pool is left out",
        );
    }
    reader.read(pool);
    reader.finish(pool, draft);
}

/// The state of converting a pool.
struct PoolReader<'a> {
    name: String,
    pool: Value,
    nodes: Vec<Value>,
    listener: Value,
    /// Remarks about what has no effect for clients, but should be known, one sentence each.
    notes: Vec<String>,
    lost: &'a mut Diagnostics,
}

/// The settings of a pool; `None` means nutcracker's default.
#[derive(Default)]
struct PoolSettings<'a> {
    hash: Option<&'a SpannedValue>,
    distribution: Option<&'a SpannedValue>,
    ejects: Option<&'a SpannedValue>,
    retry: Option<&'a SpannedValue>,
    failures: Option<&'a SpannedValue>,
}

impl<'a> PoolReader<'a> {
    fn read(&mut self, pool: &SpannedValue) {
        let tree::Value::Map(entries) = &pool.value else {
            return self.lose(pool, "", "no pool: its settings are missing");
        };
        let mut settings = PoolSettings::default();
        let mut mode = None;
        for (key, value) in entries {
            match scalar(key).unwrap_or_default() {
                "listen" => self.listen(value),
                "servers" => self.servers(value),
                "hash" => settings.hash = Some(value),
                "distribution" => settings.distribution = Some(value),
                "hash_tag" => self.take("hash_tag", value, |text| Some(text.to_owned())),
                "timeout" => {
                    self.take("connect_timeout", value, millis);
                    self.take("request_timeout", value, millis);
                }
                "server_connections" => self.take("connections", value, number),
                "client_connections" => match number_of(value) {
                    Some(0) => {}
                    Some(most) => self
                        .listener
                        .push("max_connections", Value::text(most.to_string(), location(value))),
                    None => self.lose(value, "client_connections", "no number"),
                },
                "auto_eject_hosts" => settings.ejects = Some(value),
                "server_retry_timeout" => settings.retry = Some(value),
                "server_failure_limit" => settings.failures = Some(value),
                "redis" if scalar(value) == Some("false") => {}
                "redis" => self.lose(value, "redis", "neither true nor false"),
                "protocol" => {}
                // A fork's setting, which only matters for unix sockets.
                "mode" => mode = Some(value),
                "redis_auth" | "redis_db" => {
                    self.lose(
                        value,
                        scalar(key).unwrap_or_default(),
                        "Ringway speaks memcached, not Redis",
                    );
                }
                "preconnect" | "tcpkeepalive" | "reuseport" if scalar(value) == Some("false") => {}
                "preconnect" => self.note(
                    "preconnect",
                    "Ringway probes every node from the start, and opens links when they are needed",
                ),
                "tcpkeepalive" => self.note("tcpkeepalive", "Ringway always keeps its connections alive"),
                "backlog" => self.note("backlog", "Ringway asks for as much as the system gives"),
                "reuseport" => self.note("reuseport", "a new Ringway waits until the old one has stopped"),
                unknown => self.lose(key, unknown, "nutcracker has no such setting"),
            }
        }
        if let Some(mode) = mode {
            self.mode(mode);
        }
        self.placement(&settings);
        self.health(&settings);
    }

    /// Gives the listener the mode of its socket, if it has one.
    fn mode(&mut self, mode: &SpannedValue) {
        if self.listener.get_mut("mode").is_none()
            && let Some(bind) = self.listener.get_mut("bind")
            && matches!(&bind.shape, Shape::Text(bind) if bind.starts_with("unix:"))
        {
            let raw = scalar(mode).unwrap_or_default();
            self.listener.push("mode", Value::text(raw, location(mode)));
        }
    }

    fn finish(mut self, pool: &SpannedValue, draft: &mut Draft) {
        if self.nodes.is_empty() {
            let why = "the pool has no servers that can be read: it is left out";
            return self.lose(pool, "servers", why);
        }
        if self.listener.get_mut("bind").is_none() {
            self.lose(pool, "listen", "the pool does not say where it listens");
        } else {
            self.listener
                .push("route", Value::text(&self.name, location(pool)));
            draft.listeners.push(self.listener);
        }
        if self.pool.get_mut("request_timeout").is_none() {
            draft.comments.push(format!(
                "{}: nutcracker waits for ever without a timeout; here a request waits as long as Ringway's default is.",
                self.name
            ));
        }
        let path = |note| format!("{}{note}", self.name);
        draft.comments.extend(self.notes.iter().map(path));
        self.pool.push("nodes", Value::list(self.nodes, location(pool)));
        draft.pools.push((self.name, self.pool));
    }

    fn lose(&mut self, tree: &SpannedValue, key: &str, why: impl Into<String>) {
        let path = if key.is_empty() {
            self.name.clone()
        } else {
            format!("{}.{key}", self.name)
        };
        lose(self.lost, location(tree), &path, why);
    }

    /// Adds a remark that the setting `key` has no effect for clients, and why.
    fn note(&mut self, key: &str, why: &str) {
        self.notes.push(format!(".{key}: left out, {why}."));
    }

    /// Takes a setting over under the name `key`, translated by `turn`.
    fn take(&mut self, key: &str, value: &SpannedValue, turn: impl Fn(&str) -> Option<String>) {
        match scalar(value).and_then(turn) {
            Some(text) => self.pool.push(key, Value::text(text, location(value))),
            None => self.lose(value, key, "no such value can be said"),
        }
    }

    /// Parses `host:port`, or the path of a socket with its permissions.
    fn listen(&mut self, value: &SpannedValue) {
        let text = scalar(value).unwrap_or_default();
        let mut access = None;
        let bind = if text.starts_with('/') {
            let (path, mode) = text.rsplit_once(' ').unwrap_or((text, ""));
            access = Some(mode.trim()).filter(|mode| !mode.is_empty());
            format!("unix:{path}")
        } else {
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            match host {
                "localhost" => format!("127.0.0.1:{port}"),
                _ => address(host, port),
            }
        };
        self.listener.origin = Some(location(value));
        self.listener.push("bind", Value::text(bind, location(value)));
        if let Some(mode) = access {
            self.listener.push("mode", Value::text(mode, location(value)));
        }
    }

    fn servers(&mut self, value: &SpannedValue) {
        let items = match &value.value {
            tree::Value::List(items) => items.as_slice(),
            _ if value.is_null() => &[],
            _ => std::slice::from_ref(value),
        };
        for (index, item) in items.iter().enumerate() {
            match server(scalar(item).unwrap_or_default(), location(item)) {
                Some(node) => self.nodes.push(node),
                None => self.lose(
                    item,
                    &format!("servers[{index}]"),
                    "no host:port:weight, nor /path:weight",
                ),
            }
        }
    }

    fn placement(&mut self, settings: &PoolSettings<'_>) {
        let origin = settings.distribution.or(settings.hash).map(location);
        let preset = match settings
            .distribution
            .map(|tree| (tree, scalar(tree).unwrap_or_default()))
        {
            None | Some((_, "ketama")) => "twemproxy",
            Some((_, "modula")) => "twemproxy-modula",
            Some((tree, "random")) => {
                self.lose(tree, "distribution", "keys that go to any node are found on none");
                "twemproxy"
            }
            Some((tree, other)) => {
                let why = format!("nutcracker has no distribution {}", quote(other));
                self.lose(tree, "distribution", why);
                "twemproxy"
            }
        };
        let distribution = match settings.hash.map(|tree| (tree, scalar(tree).unwrap_or_default())) {
            None | Some((_, "fnv1a_64")) => Value::text(preset, origin),
            Some((tree, hash)) => Value::map(
                vec![
                    ("preset", Value::text(preset, origin)),
                    ("hash", Value::text(hash, location(tree))),
                ],
                location(tree),
            ),
        };
        self.pool.push("distribution", distribution);
    }

    /// Translates the health settings. With `auto_eject_hosts` nutcracker ejects a node after two failures and
    /// tries it again after 30 seconds, unless configured otherwise; without it, it does neither.
    fn health(&mut self, settings: &PoolSettings<'_>) {
        let mut health = Vec::new();
        match settings
            .ejects
            .map(|tree| (tree, scalar(tree).unwrap_or_default()))
        {
            Some((tree, "true")) => {
                let origin = location(tree);
                self.pool.push("on_node_down", Value::text("rehash", origin));
                self.pool.push("max_down", Value::text("100%", origin));
                let failures = settings.failures.map_or(Some(2), number_of);
                let retry = settings.retry.map_or(Some(30_000), number_of);
                match (failures, retry) {
                    (Some(failures), Some(retry)) => {
                        let failures =
                            Value::text(failures.max(1).to_string(), settings.failures.map(location));
                        let text = format!("{}ms", retry.max(1));
                        health.push(("down_after", failures));
                        health.push(("probe_interval", Value::text(&text, settings.retry.map(location))));
                        health.push((
                            "max_probe_interval",
                            Value::text(text, settings.retry.map(location)),
                        ));
                    }
                    _ => self.lose(tree, "auto_eject_hosts", "its limits are not numbers"),
                }
                self.pool.push("health", Value::map(health, origin));
            }
            None | Some((_, "false")) => {
                if settings.failures.or(settings.retry).is_some() {
                    self.notes.push(
                        ": nutcracker looks at server_retry_timeout and server_failure_limit only with \
                         auto_eject_hosts."
                            .to_owned(),
                    );
                }
            }
            Some((tree, _)) => self.lose(tree, "auto_eject_hosts", "neither true nor false"),
        }
    }
}

/// Parses a node, `host:port:weight name` or `/path:weight name`, from its end as nutcracker does.
fn server(text: &str, origin: Origin) -> Option<Value> {
    let (server, name) = match text.rsplit_once(' ') {
        Some((server, name)) => (server, Some(name)),
        None => (text, None),
    };
    let (rest, weight) = server.rsplit_once(':')?;
    let weight = weight.parse::<u32>().ok().filter(|weight| *weight > 0)?;
    let (address, hashed) = if rest.starts_with('/') {
        (format!("unix:{rest}"), None)
    } else {
        let (host, port) = rest.rsplit_once(':')?;
        let number = port.parse::<u16>().ok()?.to_string();
        // Ringway would hash the number in its canonical form.
        (
            address(host, &number),
            (number != port && number != "11211").then_some(rest),
        )
    };
    let name = name.or(hashed);
    if name.is_none() && weight == 1 {
        return Some(Value::text(address, origin));
    }
    let mut node = Value::map(vec![("address", Value::text(address, origin))], origin);
    if let Some(name) = name {
        node.push("name", Value::text(name, origin));
    }
    if weight != 1 {
        node.push("weight", Value::text(weight.to_string(), origin));
    }
    Some(node)
}

/// Returns `host:port` with the brackets that an IPv6 address needs.
fn address(host: &str, port: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn millis(text: &str) -> Option<String> {
    let millis = text.parse::<u64>().ok().filter(|millis| *millis > 0)?;
    Some(format!("{millis}ms"))
}

fn number(text: &str) -> Option<String> {
    text.parse::<u32>().ok().map(|number| number.to_string())
}

fn number_of(tree: &SpannedValue) -> Option<u64> {
    scalar(tree)?.parse().ok()
}

fn scalar(tree: &SpannedValue) -> Option<&str> {
    match &tree.value {
        tree::Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn location(tree: &SpannedValue) -> Origin {
    (tree.line, tree.column)
}
