//! What the operator typed: the file as a whole, section by section.
//!
//! Every value in it is good by itself, with its default where it was left out. What several places must
//! agree on (names, addresses that are bound) is left to [`super::resolve`].

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::choices::{self, choose};
use super::directory;
use super::error::{Diagnostics, Location, Problem, Spanned, quote};
use super::map_reader::{MapReader, YamlNode};
use super::pool;
use super::route::{self, ReadRoute};
use super::settings::{number, set};
use super::units::{count, duration, size};
use super::{Access, Admin, Batching, Bind, MissedWrites, Pool, Shutdown, access, address};
use super::{ListenerTls, Protect, foreign, hosts, nodes, secret, tls, warnings};

const MOST_WORKERS: u64 = 1024;

const LEAST_MEMORY: u64 = 16 << 20;

const MOST_MEMORY: u64 = 1 << 40;

const MOST_MISSED: u64 = 100_000_000;

const MOST_LISTENERS: usize = 1024;

const MOST_SESSIONS: u64 = 10_000_000;

/// Names and what stands behind them, in the order of the file; `None` if they are unreadable, so that
/// nobody can say which names there are.
pub type Named<T> = Option<Vec<(Spanned<String>, T)>>;

/// A file. Where a value was a mistake, `None` or a stand-in for it.
#[derive(Debug)]
pub struct File {
    /// Traffic threads.
    pub workers: usize,
    /// Whether workers gather events.
    pub batching: Batching,
    /// What buffers hold together, in bytes, or no number where that was left out.
    pub memory_limit: Option<Spanned<Option<u64>>>,
    /// What is remembered of writes that failed.
    pub missed_writes: MissedWrites,
    /// `state_dir`.
    pub state_dir: Option<PathBuf>,
    /// Where this process runs.
    pub zone: Option<String>,
    /// In the order of the file; the default one where it has none.
    pub listeners: Vec<RawListener>,
    /// What the admin listener binds.
    pub admin: RawAdmin,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// The pools.
    pub pools: Named<Pool>,
    /// The routes; `None` for those with mistakes.
    pub routes: Named<Option<ReadRoute>>,
}

impl File {
    /// All routes that were typed without a mistake: those with a name, then those that stand at a listener.
    pub fn reads(&self) -> impl Iterator<Item = &ReadRoute> {
        let named = self.routes.iter().flatten().filter_map(|(_, read)| read.as_ref());
        let listeners = self.listeners.iter();
        named.chain(listeners.filter_map(|listener| listener.route.as_ref()?.value.as_ref()))
    }
}

/// Where clients connect.
#[derive(Debug)]
pub struct RawListener {
    /// Its address.
    pub bind: Option<Spanned<Bind>>,
    /// Where its requests go, or nothing if that was left out.
    pub route: Option<Spanned<Option<ReadRoute>>>,
    /// Sessions it holds at once.
    pub max_connections: usize,
    /// `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Who may connect.
    pub access: Access,
    /// What encrypts its connections.
    pub tls: Option<Arc<ListenerTls>>,
}

/// Reads the whole file.
pub fn read(root: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> File {
    let folder = diagnostics.folder();
    let mut keys = root.keys(diagnostics);
    let workers = keys.value("workers", workers).unwrap_or(1);
    let batching = keys
        .value("batching", choose(choices::BATCHING))
        .unwrap_or(Batching::WhenBusy);
    let memory = |text: &str| size(LEAST_MEMORY..=MOST_MEMORY)(text).map(Some);
    let memory_limit = keys.spanned_or("memory_limit", memory, unplaced(None));
    let mut missed_dir = None;
    let missed_writes = keys.get("missed_writes", |value, diagnostics| {
        let missed;
        (missed, missed_dir) = missed_writes(value, diagnostics);
        Some(missed)
    });
    let missed_writes = missed_writes.unwrap_or_default();
    let state_dir = keys.value("state_dir", |text| directory::writable(text, &folder));
    let zone = keys.value("zone", zone);
    let mut listeners = keys.get("listeners", listeners);
    let admin = keys.get("admin", admin).unwrap_or_else(|| RawAdmin {
        bind: Some(unplaced(Admin::default().bind)),
        settings: Admin::default(),
    });
    let shutdown = keys.get("shutdown", shutdown).unwrap_or_default();
    let pools = keys.get("pools", pools);
    let mut routes = keys.get("routes", routes);
    let has = ["listeners", "routes"].map(|key| keys.has(key));
    keys.require(
        "pools",
        Problem::new("there are no pools").hint("add `pools:` with a pool and its nodes"),
    );
    keys.translate(foreign::FILE);
    let misspelt = keys.finish();
    if let (Some(location), None) = (missed_dir, &state_dir) {
        let pools = pools.iter().flatten();
        let pools = pools.map(|(name, pool)| (name.value.as_str(), pool));
        warnings::forgotten_nodes(&location, pools, diagnostics);
    }
    if !has[0] && !misspelt.contains(&"listeners") {
        listeners = Some(vec![default_listener(Location {
            path: "listeners".to_owned(),
            ..root.location()
        })]);
    }
    if !has[1] && !misspelt.contains(&"routes") {
        routes = Some(Vec::new());
    }
    File {
        workers,
        batching,
        memory_limit,
        missed_writes,
        state_dir,
        zone,
        listeners: listeners.unwrap_or_default(),
        admin,
        shutdown,
        pools,
        routes,
    }
}

/// What is remembered of failed writes, and where the directory was typed.
fn missed_writes(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> (MissedWrites, Option<Location>) {
    let mut missed = MissedWrites::default();
    let folder = diagnostics.folder();
    let mut keys = value.keys(diagnostics);
    set(&mut missed.max, number(&mut keys, "max", 1..=MOST_MISSED));
    let dir = keys.at("dir", |text| directory::writable(text, &folder));
    keys.finish();
    let (dir, location) = dir.map(|dir| (dir.value, dir.location)).unzip();
    missed.dir = dir;
    (missed, location)
}

/// The listener of a file without listeners; its mistakes stand at `location`.
fn default_listener(location: Location) -> RawListener {
    let default = super::Listener::new(super::Route::Name(String::new()));
    RawListener {
        bind: Some(Spanned {
            value: default.bind,
            location: location.clone(),
        }),
        route: Some(Spanned {
            value: None,
            location,
        }),
        max_connections: default.max_connections,
        idle_timeout: default.idle_timeout,
        access: default.access,
        tls: default.tls,
    }
}

fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned {
        value,
        location: Location::default(),
    }
}

fn workers(text: &str) -> Result<usize, Problem> {
    if text == "auto" {
        return Ok(std::thread::available_parallelism().map_or(1, NonZero::get));
    }
    let workers = count(1..=MOST_WORKERS)(text).map_err(|problem| {
        let hint = problem.hint.unwrap_or_default();
        Problem {
            reason: problem.reason,
            hint: Some(format!("{hint}, or write auto for one per core")),
        }
    })?;
    Ok(usize::try_from(workers).expect("a thousand is less than 2^16"))
}

/// A name, or that of an environment variable that has it: all pods share one file, but not one zone.
fn zone(text: &str) -> Result<String, Problem> {
    let Some(variable) = text.strip_prefix('$') else {
        return nodes::name(text);
    };
    let value = std::env::var(variable).map_err(|_| {
        let problem = Problem::new(format!("the environment has no {}", quote(variable)));
        problem.hint("set it to the zone this process runs in, or write the zone here")
    })?;
    nodes::name(&value)
}

fn listeners(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<RawListener>> {
    let items = value.items(diagnostics)?;
    if items.is_empty() {
        let problem =
            Problem::new("there are no listeners").hint("leave the key out for one on 127.0.0.1:11211");
        diagnostics.add(&value.location(), problem);
    }
    if items.len() > MOST_LISTENERS {
        let problem = Problem::new(format!("there are {} listeners", items.len()));
        diagnostics.add(
            &value.location(),
            problem.hint(format!("{MOST_LISTENERS} are the most")),
        );
    }
    Some(
        items
            .iter()
            .take(MOST_LISTENERS)
            .map(|item| listener(item, diagnostics))
            .collect(),
    )
}

fn listener(item: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> RawListener {
    let default = super::Listener::new(super::Route::Name(String::new()));
    let mut keys = item.keys(diagnostics);
    let bind = Spanned {
        value: default.bind,
        location: item.location(),
    };
    let route = Spanned {
        value: None,
        location: Location {
            path: format!("{}.route", item.location().path),
            ..item.location()
        },
    };
    let mut listener = RawListener {
        bind: keys.spanned_or("bind", address::listener, bind),
        route: listener_route(&mut keys, route),
        max_connections: number(&mut keys, "max_connections", 1..=MOST_SESSIONS)
            .unwrap_or(default.max_connections),
        idle_timeout: keys
            .value("idle_timeout", duration)
            .filter(|idle| !idle.is_zero()),
        access: default.access,
        tls: None,
    };
    listener.tls = tls_of(&mut keys, listener.bind.as_ref());
    listener.access = access::read(&mut keys, listener.bind.as_ref().map(|bind| &bind.value));
    keys.translate(foreign::LISTENER);
    let misspelt = keys.finish();
    listener.bind = listener.bind.filter(|_| !misspelt.contains(&"bind"));
    listener.route = listener.route.filter(|_| !misspelt.contains(&"route"));
    listener
}

fn tls_of(keys: &mut MapReader<'_, '_>, bind: Option<&Spanned<Bind>>) -> Option<Arc<ListenerTls>> {
    if let Some(Bind::Unix(_)) = bind.map(|bind| &bind.value) {
        let problem = Problem::new("a unix socket is not encrypted");
        keys.reject(
            "tls",
            problem.hint("TLS is for TCP ports: `mode` and `group` say who may connect"),
        );
        return None;
    }
    keys.get("tls", tls::read_listener).map(Arc::new)
}

/// The HTTP listener.
#[derive(Debug)]
pub struct RawAdmin {
    /// Its address; `None` if it is invalid.
    pub bind: Option<Spanned<SocketAddr>>,
    /// The rest of its settings.
    pub settings: Admin,
}

fn admin(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<RawAdmin> {
    let mut settings = Admin::default();
    let mut keys = value.keys(diagnostics);
    let bind = keys.spanned_or("bind", address::admin, unplaced(settings.bind));
    set(&mut settings.hosts, keys.get("hosts", hosts::read));
    settings.token = keys.get("token", secret::read_or_false);
    if let Some(Spanned { value, location }) = keys.at("protect", choose(choices::PROTECT)) {
        settings.protect = value;
        if value == Protect::All && !keys.has("token") {
            let problem = Problem::new("there is no token to protect it with");
            keys.diagnostic_at(&location, problem.hint("add `token: {file: PATH}`"));
        }
    }
    keys.finish();
    Some(RawAdmin { bind, settings })
}

fn shutdown(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Shutdown> {
    let mut shutdown = Shutdown::default();
    let mut keys = value.keys(diagnostics);
    set(&mut shutdown.delay, keys.value("delay", duration));
    set(&mut shutdown.drain, keys.value("drain", duration));
    keys.finish();
    Some(shutdown)
}

fn pools(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Named<Pool> {
    let entries = value.entries(diagnostics, |text| nodes::name(text).map(drop))?;
    if entries.is_empty() {
        diagnostics.add(
            &value.location(),
            Problem::new("there are no pools").hint("add one with its nodes"),
        );
        return None;
    }
    Some(
        entries
            .into_iter()
            .map(|(name, value)| (name, pool::read(&value, diagnostics)))
            .collect(),
    )
}

fn routes(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Named<Option<ReadRoute>> {
    let entries = value.entries(diagnostics, |text| nodes::name(text).map(drop))?;
    let read = |(name, value): (Spanned<String>, YamlNode<'_>)| (name, route::read(&value, diagnostics));
    Some(entries.into_iter().map(read).collect())
}

/// The route that was typed, `default` where none was, `None` if it holds a mistake.
fn listener_route(
    keys: &mut MapReader<'_, '_>,
    default: Spanned<Option<ReadRoute>>,
) -> Option<Spanned<Option<ReadRoute>>> {
    let raw = keys.get("route", |value, diagnostics| {
        let read = route::read(value, diagnostics)?;
        Some(Spanned {
            value: Some(read),
            location: value.location(),
        })
    });
    if keys.has("route") { raw } else { Some(default) }
}
