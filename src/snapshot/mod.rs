//! The compiled configuration that workers read: listeners → routes → pools → rings → nodes.
//!
//! A snapshot never changes. A reload builds the next one from a new [`Config`] and the previous snapshot,
//! so that remaining nodes and listeners keep their identity, health and counters.

mod handover;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::config::{self, Bind, Config};

use crate::node::Node;
use crate::node::missed::MissedBudget;
use crate::route::policy::compile::{AllCounters, AllStates, Compiler};
use crate::route::toolkit::writes::Writes;
use crate::route::{Pool, Route};
use crate::runtime::logins::Logins;

/// Everything that a worker needs to forward a request.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration that it was built from.
    pub config: Config,
    /// Every node of every pool; a pool refers to them by index.
    pub nodes: Vec<Arc<Node>>,
    /// In the order of the configuration's listeners.
    pub listeners: Vec<Listener>,
    /// The pools by name.
    pub pools: BTreeMap<String, Arc<Pool>>,
    /// The memory budget for records of failed writes; kept across reloads.
    pub missed: Arc<MissedBudget>,
    /// The counters of each route's policies; kept across reloads.
    pub counters: AllCounters,
    /// The states of policies; kept across reloads.
    states: AllStates,
    /// The writes of policies that keep or share replies, if there is such a policy; kept across reloads.
    pub writes: Option<Arc<Writes>>,
    /// Its number among all that were published; 0 of the first one, with which the process starts.
    number: AtomicU64,
}

/// A listener with the route its requests take.
#[derive(Debug)]
pub struct Listener {
    /// Its settings.
    pub settings: config::Listener,
    /// The route of its requests.
    pub route: Route,
    /// Kept across reloads.
    pub counters: Arc<ListenerCounters>,
}

/// The counters of one listener.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Open sessions.
    pub open: AtomicUsize,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections refused because of `max_connections`.
    pub refused: AtomicU64,
    /// Failed accepts, for example for lack of file descriptors.
    pub accept_errors: AtomicU64,
    /// Authentications of clients.
    pub logins: Logins,
}

impl Snapshot {
    /// Compiles `config`. Nodes and listeners that are also in `previous` are kept. Nodes that may not take
    /// keys now are left out of their ring.
    pub fn build(config: Config, previous: Option<&Snapshot>) -> Snapshot {
        let mut nodes = Vec::new();
        let mut pools = BTreeMap::new();
        let known = known(previous);
        let missed = previous.map_or_else(Arc::default, |previous| previous.missed.clone());
        missed.configure(config.missed_writes.max, config.memory_of_missed_writes());
        for (name, settings) in &config.pools {
            let first = nodes.len();
            for node in &settings.nodes {
                nodes.push(keep_or_make(
                    name,
                    node,
                    settings,
                    config.workers,
                    &known,
                    &missed,
                ));
            }
            let before = previous.and_then(|previous| previous.pools.get(name));
            let mut pool = Pool::compile(
                name,
                settings,
                first,
                &nodes[first..],
                before.map(|before| &**before),
            );
            pool.tally = handover::tally(settings, before, config.workers);
            if let Some(going) = handover::going(settings, before, &pool) {
                let make =
                    |node: &config::Node| keep_or_make(name, node, settings, config.workers, &known, &missed);
                pool.handover = Some(Box::new(going.compile(&pool, &mut nodes, make)));
            }
            pools.insert(name.clone(), Arc::new(pool));
        }
        let mut compiler = compiler(&config, &pools, previous);
        let mut listener = |settings: &config::Listener| Listener {
            settings: settings.clone(),
            route: compiler
                .compile(&settings.route, &settings.bind)
                .expect("every name of a proved configuration leads somewhere"),
            counters: counters_of(&settings.bind, previous),
        };
        let listeners = config.listeners.iter().map(&mut listener).collect();
        let (counters, states, writes) = (compiler.counters, compiler.states, compiler.writes);
        Snapshot {
            config,
            nodes,
            listeners,
            pools,
            missed,
            counters,
            states,
            writes,
            number: AtomicU64::new(0),
        }
    }

    /// Returns the pool that stands for `pool`, which may be one of an earlier snapshot; `None` if that was removed.
    #[inline]
    pub fn running<'a>(&'a self, pool: &'a Arc<Pool>) -> Option<&'a Arc<Pool>> {
        if pool.is_of(self.number.load(Relaxed)) {
            return Some(pool);
        }
        self.pools.get(&pool.name)
    }

    /// Activates its rings, numbered `number`, in place of those of `previous`.
    pub fn begin(&self, number: u64, previous: &Snapshot) {
        self.number.store(number, Relaxed);
        for (name, pool) in &self.pools {
            let stood = |node: &Arc<Node>| previous.has_in_ring(name, node);
            pool.begin(number, &self.nodes, stood);
        }
    }

    /// Returns true if its rings were in use and `node` takes keys in that of the pool `pool`.
    fn has_in_ring(&self, pool: &str, node: &Arc<Node>) -> bool {
        let is_node = |&target: &usize| Arc::ptr_eq(&self.nodes[target], node);
        let pool = self.pools.get(pool).filter(|pool| pool.has_begun());
        pool.is_some_and(|pool| pool.targets.iter().any(is_node))
    }

    /// Returns the listener bound to `bind`, with its index.
    pub fn listener(&self, bind: &Bind) -> Option<(usize, &Listener)> {
        self.listeners
            .iter()
            .enumerate()
            .find(|(_, listener)| listener.settings.bind == *bind)
    }

    /// Returns the nodes that are in no ring.
    pub fn outsiders(&self) -> impl Iterator<Item = &Node> {
        let outsiders = self.pools.values().flat_map(|pool| pool.outsiders());
        outsiders.map(|index| &*self.nodes[index])
    }

    /// Compiles `route` as the listener bound to `bind` would; `None` if it names an undefined route or
    /// pool.
    pub fn compile(&self, route: &config::Route, bind: &Bind) -> Option<Route> {
        compiler(&self.config, &self.pools, Some(self)).compile(route, bind)
    }

    /// Compiles the route or pool called `name` as the first listener would; `None` if undefined.
    pub fn route(&self, name: &str) -> Option<Route> {
        let first = self.listeners.first()?;
        self.compile(&config::Route::Name(name.to_owned()), &first.settings.bind)
    }
}

fn compiler<'a>(
    config: &'a Config,
    pools: &'a BTreeMap<String, Arc<Pool>>,
    previous: Option<&'a Snapshot>,
) -> Compiler<'a> {
    Compiler {
        routes: &config.routes,
        pools,
        previous: previous.map(|previous| &previous.counters),
        counters: AllCounters::new(),
        previous_states: previous.map_or(&[], |previous| &previous.states),
        states: AllStates::new(),
        zone: config.zone.as_deref(),
        workers: config.workers,
        writes: previous.and_then(|previous| previous.writes.clone()),
    }
}

/// Maps pool name and node label to the nodes of `previous`.
fn known(previous: Option<&Snapshot>) -> HashMap<(&str, &str), &Arc<Node>> {
    let nodes = previous.into_iter().flat_map(|previous| &previous.nodes);
    nodes
        .map(|node| ((node.pool.as_str(), node.label.as_str()), node))
        .collect()
}

fn keep_or_make(
    pool: &str,
    node: &config::Node,
    settings: &config::Pool,
    workers: usize,
    known: &HashMap<(&str, &str), &Arc<Node>>,
    missed: &Arc<MissedBudget>,
) -> Arc<Node> {
    let kept = known.get(&(pool, node.label().as_str())).copied();
    match kept.filter(|kept| kept.is(pool, node)) {
        Some(kept) => {
            kept.configure(&settings.health);
            kept.clone()
        }
        None => {
            let mut made = Node::new(pool, node, &settings.health, workers, missed);
            if let Some(replaced) = kept.filter(|replaced| replaced.is_remote() && made.is_remote()) {
                made.missed = replaced.missed.clone();
            }
            Arc::new(made)
        }
    }
}

fn counters_of(bind: &Bind, previous: Option<&Snapshot>) -> Arc<ListenerCounters> {
    previous
        .and_then(|previous| previous.listener(bind))
        .map(|(_, listener)| listener.counters.clone())
        .unwrap_or_default()
}
