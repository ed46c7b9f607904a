//! Parses an option string of libmemcached (`--SERVER=… --DISTRIBUTION=…`), as its `src/libmemcached/csl`
//! does.
//!
//! Each option takes effect when it is read, and that matters: weights only count if a server with one
//! comes after the distribution; the points of an unweighted ring use the `--HASH` in force when the last
//! server or the distribution was read; keys use the last `--HASH`.

use super::yaml::{Origin, Value};
use super::{Draft, lose};
use crate::config::error::Diagnostics;

/// The names of hashes, libmemcached's and ours.
const HASHES: [(&str, &str); 9] = [
    ("MD5", "md5"),
    ("CRC", "crc32"),
    ("FNV1_64", "fnv1_64"),
    ("FNV1A_64", "fnv1a_64"),
    ("FNV1_32", "fnv1_32"),
    ("FNV1A_32", "fnv1a_32"),
    ("HSIEH", "hsieh"),
    ("MURMUR", "murmur"),
    ("JENKINS", "jenkins"),
];

/// The hash of keys if no option sets it.
const DEFAULT_HASH: &str = "one_at_a_time";

/// Options about the client's behaviour and not about placement: they stay with the client.
const CLIENTS: [&str; 17] = [
    "BINARY-PROTOCOL",
    "BUFFER-REQUESTS",
    "FETCH-VERSION",
    "IO-BYTES-WATERMARK",
    "IO-KEY-PREFETCH",
    "IO-MSG-WATERMARK",
    "NOREPLY",
    "POOL-MAX",
    "POOL-MIN",
    "SOCKET-RECV-SIZE",
    "SOCKET-SEND-SIZE",
    "SUPPORT-CAS",
    "TCP-KEEPALIVE",
    "TCP-KEEPIDLE",
    "TCP-NODELAY",
    "USER-DATA",
    "VERIFY-KEY",
];

/// A server of the client's list.
struct Server {
    host: String,
    port: u16,
    weight: u32,
    origin: Origin,
}

/// The state after the options so far.
struct OptionsReader<'a> {
    servers: Vec<Server>,
    settings: Vec<(&'static str, Value)>,
    health: Vec<(&'static str, Value)>,
    distribution: (String, Option<Origin>),
    hash: (&'static str, Option<Origin>),
    /// The hash of the ring's points.
    points: &'static str,
    is_weighted: bool,
    /// A prefix that the client prepends to its keys, and whether it is hashed.
    namespace: Option<Origin>,
    hashes_namespace: bool,
    sorts: bool,
    stays: Vec<String>,
    lost: &'a mut Diagnostics,
}

/// Returns the one pool that `text` describes.
pub fn read(text: &str, lost: &mut Diagnostics) -> Draft {
    let mut reader = OptionsReader {
        servers: Vec::new(),
        settings: Vec::new(),
        health: Vec::new(),
        distribution: ("MODULA".to_owned(), None),
        hash: (DEFAULT_HASH, None),
        points: DEFAULT_HASH,
        is_weighted: false,
        namespace: None,
        hashes_namespace: false,
        sorts: false,
        stays: Vec::new(),
        lost,
    };
    for (word, origin) in words(text) {
        reader.option(&word, origin);
    }
    reader.finish()
}

impl OptionsReader<'_> {
    fn option(&mut self, word: &str, origin: Origin) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let Some(name) = name.strip_prefix("--") else {
            return lose(self.lost, origin, name, "no option: those begin with --");
        };
        let name = name.to_ascii_uppercase().replace('_', "-");
        match name.as_str() {
            "SERVER" => self.server(value, origin),
            "SOCKET" => self.socket(value, origin),
            "DISTRIBUTION" => {
                // libmemcached reads a hash behind a comma, but ignores it.
                let kind = value.split(',').next().unwrap_or_default().to_ascii_uppercase();
                self.distribution = (kind, Some(origin));
                self.points = self.hash.0;
                self.is_weighted = false;
            }
            "HASH" => {
                let known = HASHES.iter().find(|(known, _)| known.eq_ignore_ascii_case(value));
                match known {
                    Some((_, ours)) => self.hash = (ours, Some(origin)),
                    None => lose(self.lost, origin, &name, "libmemcached has no such hash"),
                }
            }
            "NAMESPACE" => self.namespace = Some(origin),
            "HASH-WITH-NAMESPACE" => self.hashes_namespace = true,
            "SORT-HOSTS" => self.sorts = true,
            "REMOVE-FAILED-SERVERS" => self.remove_failed(value, origin),
            "CONNECT-TIMEOUT" => self.duration("connect_timeout", &name, value, "ms", origin),
            "POLL-TIMEOUT" => self.duration("request_timeout", &name, value, "ms", origin),
            "RETRY-TIMEOUT" => self.retry_timeout(&name, value, origin),
            "NUMBER-OF-REPLICAS" | "RANDOMIZE-REPLICA-READ" => {
                lose(
                    self.lost,
                    origin,
                    &name,
                    "libmemcached's replicas, on the servers that follow in its list, cannot be expressed",
                );
            }
            "RCV-TIMEOUT" | "SND-TIMEOUT" => {
                lose(
                    self.lost,
                    origin,
                    &name,
                    "one time holds for a whole request: request_timeout",
                );
            }
            "USE-UDP" => lose(
                self.lost,
                origin,
                &name,
                "Ringway and its nodes speak over TCP or unix sockets",
            ),
            "CONFIGURE-FILE" => lose(self.lost, origin, &name, "import that file too"),
            _ if CLIENTS.contains(&name.as_str()) => self.stays.push(word.to_owned()),
            _ => lose(self.lost, origin, &name, "libmemcached has no such option"),
        }
    }

    fn server(&mut self, value: &str, origin: Origin) {
        let (address, weight) = weighted(value);
        let (host, port) = address.split_once(':').unwrap_or((address, "11211"));
        match (port.parse(), weight) {
            (Ok(port), Some(weight)) => self.add(host.to_owned(), port, weight, origin),
            _ => lose(self.lost, origin, "SERVER", "no host:port/?weight"),
        }
    }

    /// The path is in quotes, the weight behind them.
    fn socket(&mut self, value: &str, origin: Origin) {
        let quoted = value.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        match quoted.map(|(path, rest)| (path, weighted(rest))) {
            Some((path, ("", Some(weight)))) if path.starts_with('/') => {
                self.add(path.to_owned(), 0, weight, origin);
            }
            _ => lose(self.lost, origin, "SOCKET", "no \"/path\"/?weight"),
        }
    }

    fn retry_timeout(&mut self, name: &str, value: &str, origin: Origin) {
        let Ok(seconds @ 1..) = value.parse::<u64>() else {
            return lose(self.lost, origin, name, "no number of seconds");
        };
        for key in ["probe_interval", "max_probe_interval"] {
            self.health
                .push((key, Value::text(format!("{seconds}s"), origin)));
        }
    }

    fn add(&mut self, host: String, port: u16, weight: u32, origin: Origin) {
        self.is_weighted |= weight > 1;
        self.servers.push(Server {
            host,
            port,
            weight,
            origin,
        });
        self.points = self.hash.0;
    }

    fn duration(&mut self, key: &'static str, name: &str, value: &str, unit: &str, origin: Origin) {
        match value.parse::<u64>() {
            Ok(number @ 1..) => self
                .settings
                .push((key, Value::text(format!("{number}{unit}"), origin))),
            _ => lose(self.lost, origin, name, "only a number above zero can be said"),
        }
    }

    fn remove_failed(&mut self, value: &str, origin: Origin) {
        match value.parse::<u32>() {
            Ok(0) => {}
            Ok(failures) => {
                self.settings
                    .push(("on_node_down", Value::text("rehash", origin)));
                self.settings.push(("max_down", Value::text("100%", origin)));
                self.health
                    .push(("down_after", Value::text(failures.to_string(), origin)));
            }
            Err(_) => lose(
                self.lost,
                origin,
                "REMOVE-FAILED-SERVERS",
                "no number of failures",
            ),
        }
    }

    fn finish(mut self) -> Draft {
        if let (Some(origin), false) = (self.namespace, self.hashes_namespace) {
            let why = "libmemcached does not hash the prefix, and Ringway would: leave it out, or hash it with --HASH-WITH-NAMESPACE";
            lose(self.lost, origin, "NAMESPACE", why);
        }
        let distribution = self.placement();
        if self.sorts {
            self.servers
                .sort_by(|one, other| (&one.host, one.port).cmp(&(&other.host, other.port)));
        }
        if self.distribution.0 != "CONSISTENT" || !self.is_weighted {
            // Weights are ignored then.
            self.servers.iter_mut().for_each(|server| server.weight = 1);
        }
        let nodes = self.servers.iter().map(node).collect();
        let mut pool = Value::map(vec![("distribution", distribution)], None);
        for (key, value) in self.settings {
            pool.push(key, value);
        }
        if !self.health.is_empty() {
            pool.push("health", Value::map(self.health, None));
        }
        pool.push("nodes", Value::list(nodes, None));
        Draft {
            pools: vec![("main".to_owned(), pool)],
            comments: self
                .stays
                .iter()
                .map(|option| format!("Stays with the client: {option}"))
                .collect(),
            ..Draft::default()
        }
    }

    fn placement(&mut self) -> Value {
        let (kind, origin) = &self.distribution;
        let origin = origin.or(self.hash.1);
        let (preset, own) = match kind.as_str() {
            "MODULA" => ("libmemcached-modula", DEFAULT_HASH),
            "CONSISTENT" if self.is_weighted => ("ketama", "md5"),
            "CONSISTENT" => {
                if self.points != self.hash.0 {
                    let why = format!(
                        "libmemcached hashes points with {} and keys with {}, because --HASH came last: that cannot be expressed",
                        self.points, self.hash.0
                    );
                    lose(self.lost, self.hash.1.unwrap_or((1, 1)), "HASH", why);
                }
                ("libmemcached-consistent", DEFAULT_HASH)
            }
            other => {
                let why = match other {
                    "RANDOM" => "keys that go to any node are found on none",
                    _ => "libmemcached has no such distribution",
                };
                lose(self.lost, origin.unwrap_or((1, 1)), "DISTRIBUTION", why);
                ("libmemcached-modula", DEFAULT_HASH)
            }
        };
        let hash = self.hash.0;
        if hash == own {
            return Value::text(preset, origin);
        }
        let hash = Value::text(hash, self.hash.1);
        Value::map(
            vec![("preset", Value::text(preset, origin)), ("hash", hash)],
            origin,
        )
    }
}

fn node(server: &Server) -> Value {
    let address = match server.port {
        0 => format!("unix:{}", server.host),
        port => format!("{}:{port}", server.host),
    };
    if server.weight == 1 {
        return Value::text(address, server.origin);
    }
    let weight = Value::text(server.weight.to_string(), server.origin);
    let address = Value::text(address, server.origin);
    Value::map(vec![("address", address), ("weight", weight)], server.origin)
}

/// Returns the part before `/?`, and the weight behind it; `None` if that is not a number above zero.
fn weighted(value: &str) -> (&str, Option<u32>) {
    match value.split_once("/?") {
        Some((address, weight)) => (address, weight.parse().ok().filter(|weight| *weight > 0)),
        None => (value, Some(1)),
    }
}

/// Splits `text` into words, with their locations. Spaces in quotes do not separate words.
fn words(text: &str) -> Vec<(String, Origin)> {
    let mut words: Vec<(String, Origin)> = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let (mut is_open, mut is_quoted) = (false, false);
        for (column, c) in text.chars().enumerate() {
            is_quoted ^= c == '"';
            if c.is_whitespace() && !is_quoted {
                is_open = false;
                continue;
            }
            if !is_open {
                words.push((String::new(), (line + 1, column + 1)));
                is_open = true;
            }
            if let Some((word, _)) = words.last_mut() {
                word.push(c);
            }
        }
    }
    words
}
