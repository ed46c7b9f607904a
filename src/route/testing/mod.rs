//! Policies without a network: routes as a file defines them, over pools that answer as a test says.

#[cfg(test)]
mod caches;
#[cfg(test)]
pub mod handovers;
#[cfg(test)]
mod races;
#[cfg(test)]
mod races_for_hot_keys;
#[cfg(test)]
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::time::Instant;

use super::counters::Event;
use super::{Call, Forwarder, Handover, Pool, Route};
use crate::config;
use crate::node::Node;
use crate::protocol::{Command, Item, Meta, MetaReply, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::reply::slot::ReplySlot;
use crate::route::policy::compile::{AllCounters, AllStates, Compiler};
use crate::route::toolkit::state::PolicyState;
use crate::route::toolkit::writes::Writes;

/// The reply of a pool, or `None` if it replies only by [`Fake::answer`].
type Script = dyn Fn(&str, &Request<'_>) -> Option<Reply>;

/// A route over pools that follow a script.
pub struct Fake {
    pools: Rc<Pools>,
    /// The route.
    pub route: Route,
    counters: AllCounters,
}

struct Pools {
    script: Box<Script>,
    seen: RefCell<Vec<String>>,
    waiting: RefCell<Vec<(String, ReplySlot)>>,
}

impl Fake {
    /// Compiles the route in `yaml`, over the pools of [`compile`].
    pub fn new(yaml: &str, script: impl Fn(&str, &Request<'_>) -> Option<Reply> + 'static) -> Fake {
        Fake::over(compile(yaml), script)
    }

    /// The same, over a compiled route.
    pub fn over(
        (route, counters): (Route, AllCounters),
        script: impl Fn(&str, &Request<'_>) -> Option<Reply> + 'static,
    ) -> Fake {
        Fake {
            counters,
            route,
            pools: Rc::new(Pools {
                script: Box::new(script),
                seen: RefCell::default(),
                waiting: RefCell::default(),
            }),
        }
    }

    /// Sends `request` along the route.
    pub fn ask(&self, request: &Request<'_>) -> Answer {
        let call = Call {
            forwarder: self.pools.clone(),
            hold: None,
        };
        call.send(&self.route, request)
    }

    /// Returns the requests to pools since the last call, each after the pool's name.
    pub fn seen(&self) -> Vec<String> {
        self.pools.seen.take()
    }

    /// Answers the oldest request that is waiting in `pool`.
    pub fn answer(&self, pool: &str, reply: Reply) {
        let mut waiting = self.pools.waiting.borrow_mut();
        let index = waiting.iter().position(|(name, _)| name == pool);
        let (_, slot) = waiting.remove(index.expect("it was asked"));
        drop(waiting);
        slot.fill(reply);
    }

    /// Returns how often `event` was counted.
    pub fn count(&self, event: Event) -> u64 {
        let counters = self.counters.values();
        counters
            .map(|counters| counters.sum(|shard| &shard.events[event as usize]))
            .sum()
    }
}

/// A route and the pools under it, to be compiled for several processes.
pub struct Source {
    config: Arc<config::Config>,
    pools: BTreeMap<String, Arc<Pool>>,
}

impl Source {
    /// Reads the route in `yaml`, over the pools `a`, `b`, which is in the zone of the test, `c`, which takes
    /// values of 2 MiB, and `four`, which has four nodes.
    pub fn new(yaml: &str) -> Source {
        let config = parse(&format!(
            "zone: west\npools: {{a: {{nodes: [a:1]}}, b: {{nodes: [b:1], zone: west}}, \
             c: {{nodes: [c:1], max_value_size: 2MiB}}, \
             four: {{distribution: ringway, nodes: [d:1, e:1, f:1, g:1]}}}}\n\
             routes: {{default: {yaml}}}"
        ));
        let pools = config.pools.iter();
        let pools = pools.map(|(name, settings)| (name.clone(), Arc::new(compile_pool(name, settings))));
        Source {
            pools: pools.collect(),
            config: Arc::new(config),
        }
    }

    /// Reads the route in `yaml`, over `pool`, which is called `main`.
    pub fn over_main(yaml: &str, pool: &Arc<Pool>) -> Source {
        let text = format!("pools: {{main: {{nodes: [a:1]}}}}\nroutes: {{default: {yaml}}}");
        let source = Source {
            config: Arc::new(parse(&text)),
            pools: BTreeMap::new(),
        };
        source.with_main(pool)
    }

    /// Returns the same route over `pool`, which is called `main`.
    pub fn with_main(&self, pool: &Arc<Pool>) -> Source {
        Source {
            config: self.config.clone(),
            pools: BTreeMap::from([("main".to_owned(), pool.clone())]),
        }
    }

    /// Compiles the route for a process with these `writes`.
    pub fn compile(&self, writes: &Arc<Writes>) -> (Route, AllCounters) {
        let mut compiler = self.compiler(&[]);
        compiler.writes = Some(writes.clone());
        let listener = &self.config.listeners[0];
        let route = compiler.compile(&listener.route, &listener.bind).expect("good");
        (route, compiler.counters)
    }

    /// Compiles the route for a process whose policies had the states `previous`, and returns those that they have now.
    pub fn states(&self, previous: &[Arc<PolicyState>]) -> AllStates {
        let mut compiler = self.compiler(previous);
        let listener = &self.config.listeners[0];
        compiler.compile(&listener.route, &listener.bind).expect("good");
        compiler.states
    }

    /// Returns a compiler of the route, for a process whose policies had the states `previous`.
    pub fn compiler<'a>(&'a self, previous: &'a [Arc<PolicyState>]) -> Compiler<'a> {
        Compiler {
            routes: &self.config.routes,
            pools: &self.pools,
            previous: None,
            counters: AllCounters::new(),
            previous_states: previous,
            states: AllStates::new(),
            zone: self.config.zone.as_deref(),
            workers: 1,
            writes: None,
        }
    }
}

fn parse(text: &str) -> config::Config {
    config::parse(text, "test").unwrap_or_else(|error| panic!("{error}"))
}

fn compile_pool(name: &str, settings: &config::Pool) -> Pool {
    let node = |node| Arc::new(Node::new(name, node, &settings.health, 1, &Arc::default()));
    let nodes: Vec<Arc<Node>> = settings.nodes.iter().map(node).collect();
    Pool::compile(name, settings, 0, &nodes, None)
}

/// Compiles the route in `yaml`, over the pools of [`Source::new`].
pub fn compile(yaml: &str) -> (Route, AllCounters) {
    Source::new(yaml).compile(&Arc::default())
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pools")
    }
}

impl Forwarder for Pools {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        self.seen
            .borrow_mut()
            .push(format!("{} {}", pool.name, shown(request)));
        match (self.script)(&pool.name, request) {
            Some(reply) => slot.fill(reply),
            None => self.waiting.borrow_mut().push((pool.name.clone(), slot)),
        }
    }

    fn within(&self, _: &Handover) -> Rc<dyn Forwarder> {
        unreachable!("no pool is in a handover")
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Renders a request as one line: the command, the key, the expiry if there is one, the flags of a meta command.
fn shown(request: &Request<'_>) -> String {
    let key = request.meta.map_or(request.key, |meta| meta.key);
    let mut line = format!("{} {}", request.command.name(), key.escape_ascii());
    if request.exptime != 0 {
        line += &format!(" {}", request.exptime);
    }
    if let Some(meta) = request.meta.filter(|meta| !meta.flags.is_empty()) {
        line += &format!(" {}", meta.flags.escape_ascii());
    }
    line
}

/// Runs `test` on a worker's event loop, whose clock jumps to the next timer when there is nothing else to do.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    runtime.expect("an event loop").block_on(test);
}

/// Returns a request for `key`.
pub fn ask(command: Command, key: &str) -> Request<'_> {
    Request::new(command, key.as_bytes())
}

/// Returns a request for `key` that sets an expiry.
pub fn expiring(command: Command, key: &str, exptime: i64) -> Request<'_> {
    Request {
        exptime,
        ..ask(command, key)
    }
}

/// Returns a meta command on `key` with these `flags`.
pub fn meta<'a>(command: Command, key: &'a str, flags: &'a str) -> Request<'a> {
    Request {
        meta: Some(Meta {
            key: key.as_bytes(),
            flags: flags.as_bytes(),
            is_binary: false,
        }),
        ..ask(command, key)
    }
}

/// Returns the value that `request` reads, with this cas id.
pub fn value(request: &Request<'_>, data: &'static str, cas: u64) -> Reply {
    Reply::Value(Item::new(request.key.to_vec().into(), 0, cas, data.into()))
}

/// Returns the reply of a node that speaks meta, without a key.
pub fn line(text: &'static str) -> Reply {
    Reply::Meta(MetaReply::new(text, 0..0, None))
}
