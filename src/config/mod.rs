//! The configuration: as it is written (`file`), and validated ([`Config`]).
//!
//! [`load`] reads a file and returns a whole, consistent [`Config`], or *every* mistake with its line and column. Later
//! floors validate nothing again. Each key is a row of a section (`rows`), which says how its value is read, rendered and
//! described by the JSON schema (`kind`).
//!
//! ```text
//! text ─ tree ─▶ values with places ─ keys, file, pool, nodes ─▶ File ─ resolve ─▶ Config ─ show ─▶ JSON
//!                                     units, address, choices
//! ```
//!
//! The tree is our own, not serde's, because serde stops at the first mistake and does not keep locations. A file must
//! be valid YAML to serde's reader, too.

mod access;
mod address;
mod admin;
mod brackets;
mod credentials;
mod defaults;
mod directory;
mod discover;
mod discovered;
mod distribution;
pub mod error;
mod exposed;
mod file;
mod files;
mod foreign;
mod handover;
mod handover_from;
mod hash_tag;
mod health;
pub mod hosts;
mod insight;
mod kind;
mod listeners;
mod map_reader;
mod moment;
mod node_auth;
mod nodes;
pub mod overlap;
mod pool;
mod protection;
mod resolve;
mod route;
mod rows;
mod schema;
mod secret;
mod show;
mod suggest;
mod tls;
pub mod tree;
mod units;
mod users;
mod valkey;
mod warnings;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use access::{Access, Group};
pub use admin::{Admin, Protect};
pub use credentials::has_user;
pub use defaults::quickstart;
pub use discover::{Discover, Origin, Source};
pub use discovered::{discovered, is_host};
pub use error::{Diagnostic, Error, Warning};
pub use file::{Batching, Metrics, MissedWrites, NodeSeries, Shutdown, schema as json_schema};
pub use handover::{Handover, twins};
pub use handover_from::HandoverFrom;
pub use health::Health;
pub use insight::{Insight, Slow};
pub use listeners::Listener;
pub use moment::{rfc3339, rfc3339_millis};
pub use node_auth::NodeAuth;
pub use pool::{FlushAll, OnNodeDown, OnReadError, OnWriteError, Pool, Protocol, Rejoin};
pub use protection::Protection;
pub use route::settings::*;
pub use route::{By, Copied, Policy, Reads, Route, Settings, Under, Which, Writes};
pub use secret::Secret;
pub use show::{show, show_pool};
pub use tls::{ListenerTls, NodeTls};
pub use units::show_duration;
pub use users::Users;
pub use valkey::{Scheme, Server};

pub(crate) use route::for_each_policy;

/// Whether `path` means stdin: `-`.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// A configuration, with warnings about what is valid but probably unintended.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// In the order of the file.
    pub warnings: Vec<Warning>,
}

/// Reads the regular file at `path`, or stdin if that is `-`.
///
/// # Errors
/// [`Error::Unreadable`] if the file cannot be read, [`Error::Diagnostics`] if it holds mistakes.
pub fn load(path: &Path) -> Result<Config, Error> {
    check(path).map(|checked| checked.config)
}

/// The same, with its warnings.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path) -> Result<Checked, Error> {
    check_by(path, read_regular)
}

/// Reads the file at `path`, which may also be a pipe, as in `ringway diff <(git show HEAD:ringway.yaml) ringway.yaml`;
/// then it waits for the writer.
///
/// # Errors
/// As [`load`].
pub fn load_from_any(path: &Path) -> Result<Config, Error> {
    let read = |path: &Path| read_bounded(std::fs::File::open(path)?);
    check_by(path, read).map(|checked| checked.config)
}

fn check_by(path: &Path, read: impl FnOnce(&Path) -> io::Result<Vec<u8>>) -> Result<Checked, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    if is_stdin(path) {
        let bytes = read_bounded(io::stdin().lock()).map_err(unreadable)?;
        return check_bytes(&bytes, "stdin");
    }
    let bytes = read(path).map_err(unreadable)?;
    check_bytes(&bytes, &path.display().to_string())
}

/// The bytes of the regular file at `path`, at most one more than a configuration may have. Does not wait for a writer
/// of a pipe, nor reads a device that has no end.
///
/// # Errors
/// As the system gives them; `InvalidInput` if it is a file of another kind.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    // Another file may take its place before it is opened: then this neither waits nor reads without end.
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, not_regular(kind)));
    }
    let mut options = std::fs::OpenOptions::new();
    read_bounded(options.read(true).custom_flags(libc::O_NONBLOCK).open(path)?)
}

/// Describes what a file of `kind` is instead of a regular file, with the likely fix.
fn not_regular(kind: std::fs::FileType) -> String {
    let (name, hint) = match () {
        () if kind.is_dir() => ("a folder", "name the file in it"),
        () if kind.is_fifo() => ("a pipe", "write - to read stdin"),
        () if kind.is_socket() => ("a socket", "name the file of the configuration"),
        () => ("a device", "write - to read stdin"),
    };
    format!("{name}, not a regular file; {hint}")
}

/// The bytes that `from` gives, until there is one more than a configuration may have: that is enough to refuse it.
fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(tree::LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads `text`; mistakes name `source` as its file.
///
/// # Errors
/// [`Error::Diagnostics`] if it holds mistakes.
pub fn parse(text: &str, source: &str) -> Result<Config, Error> {
    check_text(text, source).map(|checked| checked.config)
}

fn check_text(text: &str, source: &str) -> Result<Checked, Error> {
    let mut diagnostics = error::Diagnostics::new(source);
    let config = read_text(text, source, &mut diagnostics);
    let warnings = diagnostics.take_warnings();
    let config = diagnostics.conclude(config)?;
    Ok(Checked { config, warnings })
}

/// The files that the configuration in `bytes` names, as far as it can be read.
pub fn named_files(bytes: &[u8], source: &str) -> Vec<PathBuf> {
    let mut diagnostics = error::Diagnostics::new(source);
    read_text(&String::from_utf8_lossy(bytes), source, &mut diagnostics);
    diagnostics.into_named()
}

/// Reads `text`, and adds its mistakes to `diagnostics`.
fn read_text(text: &str, source: &str, diagnostics: &mut error::Diagnostics) -> Option<Config> {
    let tree = tree::parse(text, diagnostics);
    if let Some(problem) = foreign::whole(text, tree.as_ref(), source) {
        *diagnostics = error::Diagnostics::new(source);
        diagnostics.add(&error::Location::default(), problem);
        return None;
    }
    let config = match tree.filter(|tree| !tree.is_null()) {
        Some(tree) => {
            let file = file::read(&map_reader::YamlNode::root(&tree), diagnostics);
            resolve::resolve(file, diagnostics)
        }
        None if diagnostics.is_empty() => {
            let problem =
                error::Problem::new("the file is empty").hint("add `pools:` with a pool and its nodes");
            diagnostics.add(&error::Location::default(), problem);
            None
        }
        None => None,
    };
    if diagnostics.is_empty() {
        read_as_others_do(text, diagnostics);
    }
    config
}

/// Logs each of `warnings`.
pub fn log_warnings(warnings: &[Warning]) {
    for warning in warnings {
        let problem = warning.0.to_string();
        tracing::warn!(problem, "configuration warning");
    }
}

/// Requires that serde's reader accepts the file, too, as most other tools are built on it: a file that runs here can be
/// read by them.
fn read_as_others_do(text: &str, diagnostics: &mut error::Diagnostics) {
    if let Err(error) = serde_yaml::from_str::<serde_yaml::Value>(text) {
        let location = error
            .location()
            .map(|at| (at.line(), at.column()))
            .unwrap_or_default();
        let location = error::Location {
            line: location.0,
            column: location.1,
            path: String::new(),
        };
        diagnostics.add(&location, error::Problem::new(format!("invalid YAML: {error}")));
    }
}

/// Reads a file's `bytes`; mistakes name `source` as the file.
///
/// # Errors
/// [`Error::Diagnostics`] if it holds mistakes.
pub fn parse_bytes(bytes: &[u8], source: &str) -> Result<Config, Error> {
    check_bytes(bytes, source).map(|checked| checked.config)
}

/// The same, with its warnings.
///
/// # Errors
/// Those of [`parse_bytes`].
pub fn check_bytes(bytes: &[u8], source: &str) -> Result<Checked, Error> {
    let good = match std::str::from_utf8(bytes) {
        Ok(text) => return check_text(text, source),
        Err(error) => String::from_utf8_lossy(&bytes[..error.valid_up_to()]),
    };
    let last = good.rsplit('\n').next().unwrap_or_default();
    let location = error::Location {
        line: good.matches('\n').count() + 1,
        column: last.chars().count() + 1,
        path: String::new(),
    };
    let mut diagnostics = error::Diagnostics::new(source);
    diagnostics.add(
        &location,
        error::Problem::new("not valid UTF-8").hint("save the file as UTF-8"),
    );
    diagnostics.conclude(None)
}

/// A validated configuration. Every name in it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Traffic threads, at least 1.
    pub workers: usize,
    /// Whether workers gather events before they work.
    pub batching: Batching,
    /// Bytes that the buffers of all workers hold together; each worker has room for some of the largest values.
    pub memory_limit: u64,
    /// What is remembered of failed writes.
    pub missed_writes: MissedWrites,
    /// The directory in which the nodes that were discovered are kept; `None`: they are not.
    pub state_dir: Option<PathBuf>,
    /// The unix socket through which another process takes this one's place; `None` for none.
    pub takeover: Option<PathBuf>,
    /// Where this process runs; routes may prefer pools of this zone.
    pub zone: Option<String>,
    /// At least one; no two bind the same address.
    pub listeners: Vec<Listener>,
    /// The HTTP listener.
    pub admin: Admin,
    /// How many series `/metrics` has.
    pub metrics: Metrics,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// At least one, by name.
    pub pools: BTreeMap<String, Pool>,
    /// By name, without circles; empty if `routes:` is.
    pub routes: BTreeMap<String, Route>,
}

impl Config {
    /// The files that it was read from beside its own.
    pub fn files(&self) -> Vec<PathBuf> {
        let pools = self.pools.values();
        let files = pools.flat_map(|pool| pool.protection.files());
        let certificates = self.listeners.iter().map(|listener| &listener.tls);
        let certificates = certificates.chain([&self.admin.tls]).flatten();
        let users = self
            .listeners
            .iter()
            .filter_map(|listener| listener.auth.as_ref());
        let token = self.admin.token.as_ref().and_then(Secret::file);
        let files = files.chain(certificates.flat_map(|tls| tls.files()));
        let files = files.chain(users.map(|users| &users.file)).chain(token);
        files.cloned().collect()
    }

    /// A worker's part of `memory_limit`, in bytes.
    pub fn memory_of_a_worker(&self) -> usize {
        usize::try_from(self.memory_limit / self.workers as u64).unwrap_or(usize::MAX)
    }

    /// The part of `memory_limit` that may be taken by keys of writes that failed, of all nodes together, in bytes.
    pub fn memory_of_missed_writes(&self) -> usize {
        usize::try_from(self.memory_limit / 4).unwrap_or(usize::MAX)
    }
}

/// An address to listen on. Rendered as it is written: `127.0.0.1:11211`, `[::1]:11211`, `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bind {
    /// address:port
    Tcp(SocketAddr),
    /// unix:/path
    Unix(PathBuf),
}

impl Bind {
    /// Whether it is every address of the port of `other`.
    pub fn covers(&self, other: &Bind) -> bool {
        match (self, other) {
            (Bind::Tcp(own), Bind::Tcp(other)) => own.ip().is_unspecified() && own.port() == other.port(),
            _ => false,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(address) => write!(f, "{address}"),
            Bind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A server of values: a memcached, a Valkey or Redis, or an embedded cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, if it has one, as embedded nodes always do.
    pub name: Option<String>,
    /// Its address.
    pub address: Address,
    /// Its share of the ring, at least 1.
    pub weight: u32,
    /// Its source; `None` if the configuration lists it.
    pub origin: Option<Arc<Origin>>,
}

impl Node {
    /// Returns its label in metrics, logs and `/nodes`: its name, or else its address.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address.to_string())
    }
}

/// A node's address, rendered as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// host:port, or valkey://host:port/database; the host is a name or an IP address, an IPv6 address without its
    /// brackets.
    Tcp {
        /// Name or IP address.
        host: String,
        /// Port.
        port: u16,
        /// What answers there.
        server: Server,
    },
    /// unix:/path, or valkey+unix:/path?db=1
    Unix {
        /// The socket.
        path: PathBuf,
        /// What answers there.
        server: Server,
    },
    /// An in-process cache of this size, in bytes.
    Embedded(u64),
    /// Nowhere: no node of the pool was discovered yet.
    Undiscovered,
}

impl Address {
    /// The address of a memcached.
    pub fn memcached(host: String, port: u16) -> Address {
        Address::Tcp {
            host,
            port,
            server: Server::Memcached,
        }
    }

    /// The number of the database that holds the items of a Valkey or Redis; `None` for any other node.
    pub fn database(&self) -> Option<u32> {
        match self {
            Address::Tcp {
                server: Server::Valkey { database, .. },
                ..
            }
            | Address::Unix {
                server: Server::Valkey { database, .. },
                ..
            } => Some(*database),
            _ => None,
        }
    }

    /// Whether a Valkey or Redis answers there.
    pub fn is_valkey(&self) -> bool {
        self.database().is_some()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port, server } => {
                let (scheme, database) = server.around();
                match host.contains(':') {
                    true => write!(f, "{scheme}[{host}]:{port}{database}"),
                    false => write!(f, "{scheme}{host}:{port}{database}"),
                }
            }
            Address::Unix { path, server } => {
                let (scheme, database) = server.around_path();
                write!(f, "{scheme}{}{database}", path.display())
            }
            Address::Embedded(_) => write!(f, "embedded"),
            Address::Undiscovered => write!(f, "undiscovered"),
        }
    }
}
