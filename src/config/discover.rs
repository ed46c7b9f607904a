//! What was written of a pool's `discover`: where its nodes come from, and when a change of them is taken.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Diagnostics, Problem, Spanned, quote};
use super::map_reader::YamlNode;
use super::settings::{number, set};
use super::units::{duration, percent, timeout};
use super::{Address, address, suggest, warnings};

/// As many nodes as a pool may be required to have.
const MOST_NODES: u64 = 100_000;

/// Where the nodes of a pool come from, if its configuration does not list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discover {
    /// What is asked.
    pub from: Source,
    /// The name server that is asked; `None`: those of this machine.
    pub resolver: Option<SocketAddr>,
    /// Between two questions.
    pub interval: Duration,
    /// A new node takes keys once it was seen for so long, and answered a probe.
    pub add_after: Duration,
    /// A node that is missing leaves after so long, if its probes fail.
    pub remove_after: Duration,
    /// A list with fewer nodes is none; at least 1.
    pub min_nodes: usize,
    /// Percent of the keys; a change that moves more waits for an operator.
    pub max_moved: u32,
}

/// What is asked for the nodes of a pool. Shown as it is written.
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
    },
    /// The targets of the SRV records of a name.
    DnsSrv {
        /// The name.
        name: String,
        /// The port of each node; `None`: that of its record.
        port: Option<u16>,
        /// Whether a target must have an address to be a node.
        is_resolved: bool,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "file+{}", path.display()),
            Source::Elasticache { host, port } => {
                let (host, port) = (host.clone(), *port);
                write!(f, "elasticache+{}", Address::Tcp { host, port })
            }
            Source::Dns { host, port } => write!(f, "dns+{host}:{port}"),
            Source::DnsSrv {
                name,
                port,
                is_resolved,
            } => {
                let word = if *is_resolved { "dnssrv" } else { "dnssrvnoa" };
                write!(f, "{word}+{name}")?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// Where a node came from that the configuration does not list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The source, as it is typed.
    pub from: String,
    /// The zone that the source says the node is in.
    pub zone: Option<String>,
    /// The name server that knows the node's name; `None`: those of this machine.
    pub resolver: Option<SocketAddr>,
}

/// The words that a source begins with, each with what follows it.
const WORDS: [(&str, &str); 5] = [
    ("dns", "HOST:PORT"),
    ("dnssrv", "NAME[:PORT]"),
    ("dnssrvnoa", "NAME[:PORT]"),
    ("elasticache", "HOST:PORT"),
    ("file", "PATH"),
];

impl Discover {
    /// Discovery from `from`, all else by default.
    fn new(from: Source) -> Discover {
        Discover {
            from,
            resolver: None,
            interval: Duration::from_secs(10),
            add_after: Duration::from_secs(10),
            remove_after: Duration::from_secs(600),
            min_nodes: 1,
            max_moved: 50,
        }
    }
}

/// Reads `discover`.
pub fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Discover> {
    let folder = diagnostics.folder();
    let mut keys = value.keys(diagnostics);
    let from = keys.value("from", |text| source(text, &folder));
    let is_typed = keys.has("from");
    // What else was typed is checked all the same.
    let stands_in = || Source::File(PathBuf::new());
    let mut discover = Discover::new(from.clone().unwrap_or_else(stands_in));
    discover.resolver = keys.value("resolver", resolver);
    set(&mut discover.interval, keys.value("interval", timeout));
    set(&mut discover.add_after, keys.value("add_after", duration));
    let remove_after = keys.at("remove_after", duration);
    set(
        &mut discover.remove_after,
        remove_after.as_ref().map(|read| read.value),
    );
    set(
        &mut discover.min_nodes,
        number(&mut keys, "min_nodes", 1..=MOST_NODES),
    );
    set(&mut discover.max_moved, keys.value("max_moved", percent));
    if !is_typed {
        let problem = Problem::new("it is not said where the nodes come from");
        keys.require("from", problem.hint(format!("add `from:` with {}", forms())));
    }
    if let Some(Spanned { value, location }) = remove_after
        && let Some(problem) = warnings::short_absence(value, discover.interval)
    {
        keys.warn_at(&location, problem);
    }
    keys.finish();
    from.map(|_| discover)
}

/// Reads a source. A relative path leads from `folder`.
fn source(text: &str, folder: &Path) -> Result<Source, Problem> {
    let none = || Problem::new(format!("{} is no source of nodes", quote(text)));
    let Some((word, rest)) = text.split_once('+') else {
        return Err(none().hint(format!("write {}", forms())));
    };
    match word {
        "file" if rest.is_empty() => Err(none().hint("name a file: file+/etc/ringway/nodes.yaml")),
        "file" => Ok(Source::File(folder.join(rest))),
        "elasticache" => match address::node(rest)? {
            Address::Tcp { host, port } => Ok(Source::Elasticache { host, port }),
            _ => Err(none().hint("the endpoint is a host:port")),
        },
        "dns" => match address::node(rest)? {
            Address::Tcp { host, port } if !host.contains(':') => Ok(Source::Dns { host, port }),
            _ => Err(none().hint("write dns+HOST:PORT")),
        },
        "dnssrv" | "dnssrvnoa" => {
            let (name, port) = match rest.split_once(':') {
                Some(_) => match address::node(rest)? {
                    Address::Tcp { host, port } => (host, Some(port)),
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
    let ip = text.parse::<IpAddr>();
    let address = text.parse().or(ip.map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| {
        Problem::new(format!("{} is no address of a name server", quote(text)))
            .hint("write an IP address and a port, such as 127.0.0.1:53")
    })
}

fn forms() -> String {
    let forms = WORDS.map(|(word, rest)| format!("{word}+{rest}"));
    forms.join(", ")
}
