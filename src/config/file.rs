//! What the operator typed: the file as a whole, section by section.
//!
//! Every value in it is good by itself, with its default where it was left out. What several places must
//! agree on (names, addresses that are bound) is left to [`super::resolve`].

use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

use super::choices::{self, choose};
use super::directory;
use super::error::{At, Flaw, Mistakes, Place, quote};
use super::keys::{Keys, Typed};
use super::pool::{self, number, set};
use super::route::{self, Read};
use super::units::{count, duration, size};
use super::{Access, Admin, Batching, Bind, MissedWrites, Pool, Shutdown, access, address};
use super::{foreign, hosts, nodes};

const MOST_WORKERS: u64 = 1024;

const LEAST_MEMORY: u64 = 16 << 20;

const MOST_MEMORY: u64 = 1 << 40;

const MOST_MISSED: u64 = 100_000_000;

const MOST_LISTENERS: usize = 1024;

const MOST_SESSIONS: u64 = 10_000_000;

/// Names and what stands behind them, in the order of the file; `None` if they are unreadable, so that
/// nobody can say which names there are.
pub type Named<T> = Option<Vec<(At<String>, T)>>;

/// A file. Where a value was a mistake, `None` or a stand-in for it.
#[derive(Debug)]
pub struct File {
    /// Traffic threads.
    pub workers: usize,
    /// Whether workers gather events.
    pub batching: Batching,
    /// What buffers hold together, in bytes, or no number where that was left out.
    pub memory_limit: Option<At<Option<u64>>>,
    /// What is remembered of writes that failed.
    pub missed_writes: MissedWrites,
    /// Where this process runs.
    pub zone: Option<String>,
    /// In the order of the file; the default one where it has none.
    pub listeners: Vec<Listener>,
    /// What the admin listener binds.
    pub admin: Option<At<SocketAddr>>,
    /// The names under which the admin listener may be asked.
    pub admin_hosts: Vec<String>,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// The pools.
    pub pools: Named<Pool>,
    /// The routes; `None` for those with mistakes.
    pub routes: Named<Option<Read>>,
}

impl File {
    /// All routes that were typed without a mistake: those with a name, then those that stand at a listener.
    pub fn reads(&self) -> impl Iterator<Item = &Read> {
        let named = self.routes.iter().flatten().filter_map(|(_, read)| read.as_ref());
        let listeners = self.listeners.iter();
        named.chain(listeners.filter_map(|listener| listener.route.as_ref()?.value.as_ref()))
    }
}

/// Where clients connect.
#[derive(Debug)]
pub struct Listener {
    /// Its address.
    pub bind: Option<At<Bind>>,
    /// Where its requests go, or nothing if that was left out.
    pub route: Option<At<Option<Read>>>,
    /// Sessions it holds at once.
    pub max_connections: usize,
    /// `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Who may connect.
    pub access: Access,
}

/// Reads the whole file.
pub fn read(root: &Typed<'_>, mistakes: &mut Mistakes) -> File {
    let mut keys = root.keys(mistakes);
    let workers = keys.value("workers", workers).unwrap_or(1);
    let batching = keys
        .value("batching", choose(choices::BATCHING))
        .unwrap_or(Batching::WhenBusy);
    let memory = |text: &str| size(LEAST_MEMORY..=MOST_MEMORY)(text).map(Some);
    let memory_limit = keys.at_or("memory_limit", memory, unplaced(None));
    let missed_writes = keys.get("missed_writes", missed_writes).unwrap_or_default();
    let zone = keys.value("zone", zone);
    let mut listeners = keys.get("listeners", listeners);
    let (admin, admin_hosts) = keys
        .get("admin", admin)
        .unwrap_or_else(|| (Some(unplaced(Admin::default().bind)), Vec::new()));
    let shutdown = keys.get("shutdown", shutdown).unwrap_or_default();
    let pools = keys.get("pools", pools);
    let mut routes = keys.get("routes", routes);
    let has = ["listeners", "routes"].map(|key| keys.has(key));
    keys.require(
        "pools",
        Flaw::new("there are no pools").hint("add `pools:` with a pool and its nodes"),
    );
    keys.translate(foreign::FILE);
    let misspelt = keys.finish();
    if !has[0] && !misspelt.contains(&"listeners") {
        listeners = Some(vec![default_listener(Place {
            path: "listeners".to_owned(),
            ..root.place()
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
        zone,
        listeners: listeners.unwrap_or_default(),
        admin,
        admin_hosts,
        shutdown,
        pools,
        routes,
    }
}

fn missed_writes(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<MissedWrites> {
    let mut missed = MissedWrites::default();
    let folder = mistakes.folder();
    let mut keys = value.keys(mistakes);
    set(&mut missed.max, number(&mut keys, "max", 1..=MOST_MISSED));
    missed.dir = keys.value("dir", |text| directory::writable(text, &folder));
    keys.finish();
    Some(missed)
}

/// The listener of a file without listeners; its mistakes stand at `place`.
fn default_listener(place: Place) -> Listener {
    let default = super::Listener::new(super::Route::Name(String::new()));
    Listener {
        bind: Some(At {
            value: default.bind,
            place: place.clone(),
        }),
        route: Some(At { value: None, place }),
        max_connections: default.max_connections,
        idle_timeout: default.idle_timeout,
        access: default.access,
    }
}

fn unplaced<T>(value: T) -> At<T> {
    At {
        value,
        place: Place::default(),
    }
}

fn workers(text: &str) -> Result<usize, Flaw> {
    if text == "auto" {
        return Ok(std::thread::available_parallelism().map_or(1, NonZero::get));
    }
    let workers = count(1..=MOST_WORKERS)(text).map_err(|flaw| {
        let hint = flaw.hint.unwrap_or_default();
        Flaw {
            reason: flaw.reason,
            hint: Some(format!("{hint}, or write auto for one per core")),
        }
    })?;
    Ok(usize::try_from(workers).expect("a thousand is less than 2^16"))
}

/// A name, or that of an environment variable that has it: all pods share one file, but not one zone.
fn zone(text: &str) -> Result<String, Flaw> {
    let Some(variable) = text.strip_prefix('$') else {
        return nodes::name(text);
    };
    let value = std::env::var(variable).map_err(|_| {
        let flaw = Flaw::new(format!("the environment has no {}", quote(variable)));
        flaw.hint("set it to the zone this process runs in, or write the zone here")
    })?;
    nodes::name(&value)
}

fn listeners(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Vec<Listener>> {
    let items = value.items(mistakes)?;
    if items.is_empty() {
        let flaw = Flaw::new("there are no listeners").hint("leave the key out for one on 127.0.0.1:11211");
        mistakes.add(&value.place(), flaw);
    }
    if items.len() > MOST_LISTENERS {
        let flaw = Flaw::new(format!("there are {} listeners", items.len()));
        mistakes.add(
            &value.place(),
            flaw.hint(format!("{MOST_LISTENERS} are the most")),
        );
    }
    Some(
        items
            .iter()
            .take(MOST_LISTENERS)
            .map(|item| listener(item, mistakes))
            .collect(),
    )
}

fn listener(item: &Typed<'_>, mistakes: &mut Mistakes) -> Listener {
    let default = super::Listener::new(super::Route::Name(String::new()));
    let mut keys = item.keys(mistakes);
    let bind = At {
        value: default.bind,
        place: item.place(),
    };
    let route = At {
        value: None,
        place: Place {
            path: format!("{}.route", item.place().path),
            ..item.place()
        },
    };
    let mut listener = Listener {
        bind: keys.at_or("bind", address::listener, bind),
        route: listener_route(&mut keys, route),
        max_connections: number(&mut keys, "max_connections", 1..=MOST_SESSIONS)
            .unwrap_or(default.max_connections),
        idle_timeout: keys
            .value("idle_timeout", duration)
            .filter(|idle| !idle.is_zero()),
        access: default.access,
    };
    listener.access = access::read(&mut keys, listener.bind.as_ref().map(|bind| &bind.value));
    keys.translate(foreign::LISTENER);
    let misspelt = keys.finish();
    listener.bind = listener.bind.filter(|_| !misspelt.contains(&"bind"));
    listener.route = listener.route.filter(|_| !misspelt.contains(&"route"));
    listener
}

fn admin(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<(Option<At<SocketAddr>>, Vec<String>)> {
    let mut keys = value.keys(mistakes);
    let bind = keys.at_or("bind", address::admin, unplaced(Admin::default().bind));
    let hosts = keys.get("hosts", hosts::read).unwrap_or_default();
    keys.finish();
    Some((bind, hosts))
}

fn shutdown(value: &Typed<'_>, mistakes: &mut Mistakes) -> Option<Shutdown> {
    let mut shutdown = Shutdown::default();
    let mut keys = value.keys(mistakes);
    set(&mut shutdown.delay, keys.value("delay", duration));
    set(&mut shutdown.drain, keys.value("drain", duration));
    keys.finish();
    Some(shutdown)
}

fn pools(value: &Typed<'_>, mistakes: &mut Mistakes) -> Named<Pool> {
    let entries = value.entries(mistakes, |text| nodes::name(text).map(drop))?;
    if entries.is_empty() {
        mistakes.add(
            &value.place(),
            Flaw::new("there are no pools").hint("add one with its nodes"),
        );
        return None;
    }
    Some(
        entries
            .into_iter()
            .map(|(name, value)| (name, pool::read(&value, mistakes)))
            .collect(),
    )
}

fn routes(value: &Typed<'_>, mistakes: &mut Mistakes) -> Named<Option<Read>> {
    let entries = value.entries(mistakes, |text| nodes::name(text).map(drop))?;
    let read = |(name, value): (At<String>, Typed<'_>)| (name, route::read(&value, mistakes));
    Some(entries.into_iter().map(read).collect())
}

/// The route that was typed, `default` where none was, `None` if it holds a mistake.
fn listener_route(keys: &mut Keys<'_, '_>, default: At<Option<Read>>) -> Option<At<Option<Read>>> {
    let typed = keys.get("route", |value, mistakes| {
        let read = route::read(value, mistakes)?;
        Some(At {
            value: Some(read),
            place: value.place(),
        })
    });
    if keys.has("route") { typed } else { Some(default) }
}
