//! `pools.NAME.discover`: the source of a pool's nodes, and when a change of them is applied.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::credentials::refuse_user;
use super::error::{Diagnostics, Problem, quote};
use super::kind::{Kind, duration, number, percent, timeout};
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::units::show_duration;
use super::{Address, Server, address, schema, suggest, valkey};

const MAX_NODES: u64 = 100_000;

section! {
    /// Where the nodes of a pool come from, if its configuration does not list them.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Discover {
        /// Where further nodes come from: `dns+HOST:PORT`, `dnssrv+NAME[:PORT]`, `dnssrvnoa+NAME[:PORT]`,
        /// `elasticache+HOST:PORT` or `file+PATH`. The first three may have a scheme, as in `dns+valkey://HOST:PORT`.
        from: Source = Source::File(PathBuf::new()), source_kind();
        /// The name server that is asked instead: `IP:PORT`.
        resolver: Option<SocketAddr> = None, resolver_kind().optional();
        /// The time between two queries; an answer of DNS is also kept for its TTL, but at least 5s and at most 1m.
        interval: Duration = Duration::from_secs(10), timeout();
        /// A new node takes keys once it was listed for this long and answered a probe.
        add_after: Duration = Duration::from_secs(10), duration();
        /// A node that is no longer listed leaves after this long, but only if it is down; with `handover` it also
        /// leaves if it is up, and hands its keys over.
        remove_after: Duration = Duration::from_secs(600), duration();
        /// A list with fewer nodes is ignored, and the last one stays.
        min_nodes: usize = 1, number(1..=MAX_NODES);
        /// A change that moves a larger share of the keys waits for an operator.
        max_moved: u32 = 50, percent();
    }
}

/// What is asked for the nodes of a pool, rendered as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file in the form of Prometheus' `file_sd_configs`.
    File(PathBuf),
    /// The configuration endpoint of an ElastiCache cluster.
    Elasticache {
        /// Its name or IP address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The addresses of a name.
    Dns {
        /// The name.
        host: String,
        /// The port of each node.
        port: u16,
        /// What the nodes are.
        server: Server,
    },
    /// The targets of the SRV records of a name.
    DnsSrv {
        /// The name.
        name: String,
        /// The port of each node; `None`: that of its record.
        port: Option<u16>,
        /// Whether a target must have an address to be a node.
        is_resolved: bool,
        /// What the nodes are.
        server: Server,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "file+{}", path.display()),
            Source::Elasticache { host, port } => {
                let address = Address::memcached(host.clone(), *port);
                write!(f, "elasticache+{address}")
            }
            Source::Dns { host, port, server } => {
                let (host, port, server) = (host.clone(), *port, *server);
                write!(f, "dns+{}", Address::Tcp { host, port, server })
            }
            Source::DnsSrv {
                name,
                port,
                is_resolved,
                server,
            } => {
                let word = if *is_resolved { "dnssrv" } else { "dnssrvnoa" };
                let (scheme, database) = server.around();
                write!(f, "{word}+{scheme}{name}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
                f.write_str(&database)
            }
        }
    }
}

/// The origin of a node that the configuration does not list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The source, as it is written.
    pub from: String,
    /// The zone that the source says the node is in.
    pub zone: Option<String>,
    /// The name server that knows the node's name; `None`: those of this machine.
    pub resolver: Option<SocketAddr>,
}

/// The prefixes of sources, each with the form of the rest.
const WORDS: [(&str, &str); 5] = [
    ("dns", "HOST:PORT"),
    ("dnssrv", "NAME[:PORT]"),
    ("dnssrvnoa", "NAME[:PORT]"),
    ("elasticache", "HOST:PORT"),
    ("file", "PATH"),
];

/// The key `discover`.
pub fn kind() -> Kind<Discover> {
    Kind::new(read, render, || {
        schema::mapping(Discover::rows(), json!({ "required": ["from"] }))
    })
}

fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Discover> {
    let mut discover = Discover::default();
    let mut keys = value.keys(diagnostics);
    discover.read_rows(&mut keys);
    let problem = Problem::new("the source of the nodes is missing");
    keys.require("from", problem.hint(format!("add `from:` with {}", forms())));
    if let Some(location) = keys.location("remove_after")
        && let Some(problem) = short_absence(discover.remove_after, discover.interval)
    {
        keys.warn_at(&location, problem);
    }
    keys.finish();
    (discover.from != Discover::default().from).then_some(discover)
}

/// Returns the problem of a `remove_after` that ends before the source is asked again; zero is allowed.
fn short_absence(remove_after: Duration, interval: Duration) -> Option<Problem> {
    let is_short = !remove_after.is_zero() && remove_after < interval;
    is_short.then(|| {
        let (remove_after, interval) = (show_duration(remove_after), show_duration(interval));
        Problem::new(format!(
            "a node that one answer lacks leaves after {remove_after}, before the next answer could list it again"
        ))
        .hint(format!("write {interval} or more, which is the interval, or 0s"))
    })
}

fn source_kind() -> Kind<Source> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| {
        let folder = diagnostics.folder();
        value.read(diagnostics, |text| source(text, &folder))
    };
    let show = |source: &Source| match source {
        Source::File(path) if path.as_os_str().is_empty() => Value::Null,
        source => json!(source.to_string()),
    };
    Kind::new(read, show, || {
        let dns = format!(r"dns\+.+:[0-9]+{}", valkey::DATABASE);
        schema::pattern(&format!(
            r"^({dns}|elasticache\+.+:[0-9]+|(dnssrv|dnssrvnoa)\+.+|file\+.+)$"
        ))
    })
}

fn resolver_kind() -> Kind<SocketAddr> {
    Kind::text(
        resolver,
        |address| json!(address.to_string()),
        || schema::pattern(r"^[0-9A-Fa-f:.]+$|^\[[0-9A-Fa-f:.]+\]:[0-9]+$"),
    )
}

/// Reads a source. A relative path leads from `folder`.
fn source(text: &str, folder: &Path) -> Result<Source, Problem> {
    if !text.starts_with("file+") {
        refuse_user(text, address::AUTH_OF_POOL)?;
    }
    let none = || Problem::new(format!("{} is not a source of nodes", quote(text)));
    let Some((word, rest)) = text.split_once('+') else {
        return Err(none().hint(format!("write {}", forms())));
    };
    match word {
        "file" if rest.is_empty() => Err(none().hint("name a file: file+/etc/ringway/nodes.yaml")),
        "file" => Ok(Source::File(folder.join(rest))),
        "elasticache" => match address::node(rest)? {
            Address::Tcp {
                host,
                port,
                server: Server::Memcached,
            } => Ok(Source::Elasticache { host, port }),
            _ => Err(none().hint("the endpoint is a host:port")),
        },
        "dns" => match address::node(rest)? {
            Address::Tcp { host, port, server } if !host.contains(':') => {
                Ok(Source::Dns { host, port, server })
            }
            _ => Err(none().hint("write dns+HOST:PORT")),
        },
        "dnssrv" | "dnssrvnoa" => {
            let (rest, server) = match valkey::split(rest) {
                None => (rest, Server::Memcached),
                Some(parts) => parts.map(|parts| (parts.socket, parts.server))?,
            };
            let (name, port) = match rest.split_once(':') {
                Some(_) => match address::node(rest)? {
                    Address::Tcp { host, port, .. } => (host, Some(port)),
                    _ => return Err(none().hint(format!("write {word}+NAME or {word}+NAME:PORT"))),
                },
                None => (rest.to_owned(), None),
            };
            if name.is_empty() || name.contains(':') {
                return Err(none().hint(format!("name the service: {word}+_memcache._tcp.example.com")));
            }
            address::check_host(&name)?;
            Ok(Source::DnsSrv {
                name,
                port,
                is_resolved: word == "dnssrv",
                server,
            })
        }
        _ => {
            let known = WORDS.map(|(word, _)| word);
            Err(none().hint(suggest::hint(word, "known here", known.into_iter())))
        }
    }
}

/// Reads the address of a name server.
fn resolver(text: &str) -> Result<SocketAddr, Problem> {
    refuse_user(text, address::NO_AUTH)?;
    let ip = text.parse::<IpAddr>();
    let address = text.parse().or(ip.map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| {
        Problem::new(format!("{} is not the address of a name server", quote(text)))
            .hint("write an IP address and a port, such as 127.0.0.1:53")
    })
}

fn forms() -> String {
    let forms = WORDS.map(|(word, rest)| format!("{word}+{rest}"));
    forms.join(", ")
}
