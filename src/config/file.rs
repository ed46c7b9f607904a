//! The file as a whole, as it is written.
//!
//! Every value in it is valid by itself, or replaced by its default if it is missing or invalid. What several places
//! must agree on (names, addresses that are bound) is left to [`super::resolve`].

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::{Diagnostics, Location, Problem, Spanned, quote};
use super::kind::{Kind, duration, number, size, word, words};
use super::listeners::{self, RawListener};
use super::map_reader::YamlNode;
use super::route::{self, ReadRoute};
use super::rows::{Section, mapping, section};
use super::units::count;
use super::{Admin, Bind, Pool, address, admin, directory, foreign, nodes, pool, schema, warnings};

const MAX_WORKERS: u64 = 1024;

const MIN_MEMORY: u64 = 16 << 20;

const MAX_MEMORY: u64 = 1 << 40;

const MAX_MISSED: u64 = 100_000_000;

/// All bounds of the histograms in which durations are counted.
const MAX_BUCKETS: u64 = crate::histogram::BUCKETS as u64 - 1;

/// Names and what they name, in the order of the file; `None` if they are unreadable, so that it is unknown which names
/// there are.
pub type Named<T> = Option<Vec<(Spanned<String>, T)>>;

section! {
    /// The keys at the top of the file.
    #[derive(Debug)]
    pub struct Keys {
        /// Traffic threads; `auto` means one for each core. A change needs a restart.
        workers: usize = 1, workers();
        /// A busy worker gathers events before it handles them; `never` handles each event as it comes.
        batching: Batching = Batching::WhenBusy, word();
        /// Bytes that all buffers for requests and values in transit hold together; the default is larger if
        /// `max_value_size` needs it.
        memory_limit: Option<u64> = None, size(MIN_MEMORY..=MAX_MEMORY).optional();
        /// What is remembered of failed writes.
        missed_writes: MissedWrites = MissedWrites::default(), mapping();
        /// A directory that keeps the discovered nodes and the state of handovers across restarts. It must exist and be
        /// used by this process only; a relative path starts at the file's folder.
        state_dir: Option<PathBuf> = None, directory::kind().optional();
        /// A unix socket, `unix:/path`, through which the next process replaces this one without losing a reply. A
        /// change needs a restart.
        takeover: Option<PathBuf> = None, address::takeover_kind().optional();
        /// Where this process runs: a name, or `$VARIABLE` of its environment. Routes may prefer pools of this zone.
        zone: Option<String> = None, zone().optional();
        /// Where clients connect.
        listeners: Option<Vec<RawListener>> = None, listeners::kind();
        /// The HTTP listener.
        admin: Admin = Admin::default(), admin::kind();
        /// How many series `/metrics` has.
        metrics: Metrics = Metrics::default(), mapping();
        /// What happens after SIGTERM.
        shutdown: Shutdown = Shutdown::default(), mapping();
        /// Nodes under one ring, by name.
        pools: Named<Pool> = None, pools();
        /// The name of a pool or of another route, or a policy.
        routes: Named<Option<ReadRoute>> = None, routes();
    }
}

section! {
    /// What is remembered of writes that failed, until their keys are deleted on the nodes that missed them.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MissedWrites {
        /// How many keys of failed writes are remembered for each node, from 1 to 100000000.
        max: usize = 1_000_000, number(1..=MAX_MISSED);
        /// A directory that keeps these keys across restarts. It must exist and be used by this process only; a
        /// relative path starts at the file's folder. A change needs a restart.
        dir: Option<PathBuf> = None, directory::kind().optional();
    }
}

section! {
    /// How many series `/metrics` has.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Metrics {
        /// Metrics of single nodes: `basic` has a few for each and sums the others over the pool, `full` has all, `off`
        /// has none.
        nodes: NodeSeries = NodeSeries::Basic, word();
        /// The number of bounds in a pool's latency histograms, from 1 to 20, evenly spread from 16 µs to 8.4 s.
        buckets: usize = MAX_BUCKETS as usize, number(1..=MAX_BUCKETS);
    }
}

words! {
    /// Which metrics have series for each node.
    pub enum NodeSeries {
        /// All that are counted for each node.
        Full = "full",
        /// Few; the others are summed over the pool.
        Basic = "basic",
        /// None; what can be summed is summed over the pool.
        Off = "off",
    }
}

section! {
    /// How the process ends after SIGTERM.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Shutdown {
        /// After SIGTERM, how long Ringway keeps serving while `/readyz` says that it is not ready.
        delay: Duration = Duration::ZERO, duration();
        /// How long it then waits for outstanding replies, at most.
        drain: Duration = Duration::from_secs(10), duration();
    }
}

words! {
    /// Whether a worker gathers events before it handles them, see `runtime::coalesce`.
    pub enum Batching {
        /// If it is busy.
        WhenBusy = "when-busy",
        /// It handles each event as it comes.
        Never = "never",
    }
}

/// A file.
#[derive(Debug)]
pub struct File {
    /// Its keys; if it has no listeners, with the default one.
    pub keys: Keys,
    /// The location of `memory_limit`, if it is there.
    pub memory_limit: Option<Location>,
    /// The location of `takeover`, if it is there.
    pub takeover: Option<Location>,
    /// What the admin listener binds; `None` if that is invalid.
    pub admin: Option<Spanned<Bind>>,
}

impl File {
    /// All routes that are written without a mistake: those with a name, then those at a listener.
    pub fn reads(&self) -> impl Iterator<Item = &ReadRoute> {
        let named = self.keys.routes.iter().flatten();
        let named = named.filter_map(|(_, read)| read.as_ref());
        named.chain(
            self.listeners()
                .filter_map(|listener| listener.route.as_ref()?.value.as_ref()),
        )
    }

    /// The listeners, in the order of the file.
    pub fn listeners(&self) -> impl Iterator<Item = &RawListener> {
        self.keys.listeners.iter().flatten()
    }

    /// The pools by name, in the order of the file.
    pub fn pools(&self) -> impl Iterator<Item = (&Spanned<String>, &Pool)> {
        self.keys.pools.iter().flatten().map(|(name, pool)| (name, pool))
    }
}

/// Reads the whole file.
pub fn read(root: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> File {
    let mut read = Keys::default();
    let mut keys = root.keys(diagnostics);
    read.read_rows(&mut keys);
    let place = |section: &str, key: &str| Some(root.find(section)?.find(key)?.location());
    let memory_limit = keys.location("memory_limit");
    let takeover = keys.location("takeover");
    let admin = keys.is_good("admin").then(|| Spanned {
        value: read.admin.bind.clone(),
        location: place("admin", "bind").unwrap_or_default(),
    });
    let [has_listeners, has_routes] = ["listeners", "routes"].map(|key| keys.has(key));
    keys.require(
        "pools",
        Problem::new("there are no pools").hint("add `pools:` with a pool and its nodes"),
    );
    keys.translate(foreign::FILE);
    let misspelt = keys.finish();
    if !has_listeners && !misspelt.contains(&"listeners") {
        read.listeners = Some(vec![RawListener::default_at(Location {
            path: "listeners".to_owned(),
            ..root.location()
        })]);
    }
    if !has_routes && !misspelt.contains(&"routes") {
        read.routes = Some(Vec::new());
    }
    let file = File {
        keys: read,
        memory_limit,
        takeover,
        admin,
    };
    let missed = file.keys.missed_writes.dir.as_ref();
    let dir = missed.and_then(|_| place("missed_writes", "dir"));
    if let (Some(dir), None) = (dir, &file.keys.state_dir) {
        let pools = file.pools().map(|(name, pool)| (name.value.as_str(), pool));
        warnings::forgotten_nodes(&dir, pools, diagnostics);
    }
    file
}

/// The JSON schema of a configuration.
pub fn schema() -> Value {
    let mut schema = schema::mapping(Keys::rows(), json!({ "required": ["pools"] }));
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Configuration of Ringway");
    schema["$defs"] = json!({ "route": route::schema() });
    schema
}

fn workers() -> Kind<usize> {
    let parse = |text: &str| {
        if text == "auto" {
            return Ok(std::thread::available_parallelism().map_or(1, NonZero::get));
        }
        let workers = count(1..=MAX_WORKERS)(text).map_err(|problem| {
            let hint = problem.hint.unwrap_or_default();
            Problem {
                reason: problem.reason,
                hint: Some(format!("{hint}, or write auto for one per core")),
            }
        })?;
        Ok(usize::try_from(workers).expect("a thousand is less than 2^16"))
    };
    let schema = || json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": MAX_WORKERS }] });
    Kind::text(parse, |workers| json!(workers), schema)
}

/// A name, or that of an environment variable that has it: all pods share one file, but not one zone.
fn zone() -> Kind<String> {
    let parse = |text: &str| {
        let Some(variable) = text.strip_prefix('$') else {
            return nodes::name(text);
        };
        let value = std::env::var(variable).map_err(|_| {
            let problem = Problem::new(format!("the environment has no {}", quote(variable)));
            problem.hint("set it to the zone this process runs in, or write the zone here")
        })?;
        nodes::name(&value)
    };
    Kind::text(parse, |zone| json!(zone), nodes::name_kind().schema)
}

/// The key `pools`, which is rendered from the validated ones.
fn pools() -> Kind<Named<Pool>> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| {
        let entries = value.entries(diagnostics, |text| nodes::name(text).map(drop))?;
        if entries.is_empty() {
            diagnostics.add(
                &value.location(),
                Problem::new("there are no pools").hint("add one with its nodes"),
            );
            return None;
        }
        let pools = entries.into_iter();
        Some(Some(
            pools
                .map(|(name, value)| (name, pool::read(&value, diagnostics)))
                .collect(),
        ))
    };
    Kind::new(
        read,
        |_| Value::Null,
        || {
            let mut pools = schema::named((nodes::name_kind().schema)(), pool::schema());
            pools["minProperties"] = json!(1);
            pools["type"] = json!("object");
            pools
        },
    )
}

/// The key `routes`, which is rendered from the validated ones.
fn routes() -> Kind<Named<Option<ReadRoute>>> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| {
        let entries = value.entries(diagnostics, |text| nodes::name(text).map(drop))?;
        let entries = entries.into_iter();
        let routes = entries.map(|(name, value)| (name, route::read(&value, diagnostics)));
        Some(Some(routes.collect()))
    };
    Kind::new(
        read,
        |_| Value::Null,
        || schema::named((nodes::name_kind().schema)(), (route::kind().schema)()),
    )
}
