//! One worker's view of the snapshot: its routes, and the worker's own links to each node.
//!
//! Once per batch of requests a worker checks for a new snapshot. It then keeps the links of nodes that
//! remain, creates links to new ones, and ends the others, which first finish their outstanding requests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::config::{self, Batching, Bind};
use crate::hot_keys::Sampler;
use crate::link::set::Links;
use crate::metrics::WorkerShard;
use crate::protocol::{Command, Request};
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::route::handover::{self, MovingKey};
use crate::route::{Call, Owners, Pool, Route};
use crate::runtime::coalesce;
use crate::runtime::local::Local;
use crate::runtime::memory::{Memory, MemoryBudget};
use crate::runtime::shared_text::SharedTexts;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The context of one worker.
#[derive(Debug)]
pub struct WorkerContext {
    /// The state that all workers share.
    pub state: Arc<State>,
    /// What the worker's sessions and links share.
    pub local: Rc<Local>,
    /// Whether the worker is draining: no new connections, and sessions end once nothing is outstanding.
    pub is_draining: Cell<bool>,
    cache: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    current: RefCell<Rc<ActiveRoutes>>,
    sessions: RefCell<HashMap<usize, Rc<ReplyQueue>>>,
    next_session: Cell<usize>,
}

/// A snapshot with one worker's links to its nodes.
#[derive(Debug)]
pub struct ActiveRoutes {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// By node index of the snapshot.
    links: RefCell<Vec<Links>>,
    /// The number of times that sessions may have got other links to a node. A session with outstanding
    /// requests of an older generation waits, because its requests could overtake each other on two links.
    pub links_generation: u64,
    /// The route of each listener, also of removed ones, for their last sessions.
    routes: Vec<ListenerRoute>,
}

/// The route of one listener.
#[derive(Debug)]
struct ListenerRoute {
    bind: Bind,
    route: Route,
    /// The route as configured.
    raw: config::Route,
}

impl ActiveRoutes {
    /// Returns the route of the listener bound to `bind`; `None` if it and its pool are gone.
    #[inline]
    pub fn route(&self, bind: &Bind) -> Option<&Route> {
        self.routes
            .iter()
            .find(|entry| entry.bind == *bind)
            .map(|entry| &entry.route)
    }

    /// Sends `request` to the snapshot's node with this index, or fails it at once if the node is down.
    #[inline]
    pub fn send(&self, node: usize, request: &Request<'_>, slot: ReplySlot, pool: &Pool, session: usize) {
        let links = &self.links.borrow()[node];
        if !links.node.state().takes_requests() && !pool.fails_open(&self.snapshot.nodes) {
            return links.refuse(request, slot, session);
        }
        // A flush_all has no key that a node could be the fallback of.
        if pool.is_fallback(node, request.key) && request.command != Command::FlushAll {
            let mut room = Vec::new();
            let capped = pool.capped(request, &mut room);
            return links.send_as_fallback(&capped, slot, &pool.settings, session, pool.fallback());
        }
        links.send(request, slot, &pool.settings, session);
    }

    /// Sends `request`, whose key moves between `owners` in the handover of `pool`, as `call`.
    pub fn hand_over(
        &self,
        pool: &Arc<Pool>,
        owners: Owners,
        request: &Request<'_>,
        slot: ReplySlot,
        call: Call,
        session: usize,
    ) {
        let key = MovingKey {
            pool: pool.clone(),
            owners,
        };
        handover::send(key, request, slot, call, |request, slot| {
            self.send(pool.nodes[owners.new], request, slot, pool, session);
        });
    }

    /// Like [`ActiveRoutes::send`], for keys of a multi-get of which this node is the primary one. Each has its number
    /// in the session's `queue`. Returns false if nothing was done: then [`ActiveRoutes::send`] must.
    pub fn send_keys<'k>(
        &self,
        node: usize,
        command: Command,
        keys: impl ExactSizeIterator<Item = (&'k [u8], u32)>,
        queue: &Rc<ReplyQueue>,
        pool: &Pool,
        session: usize,
    ) -> bool {
        let links = &self.links.borrow()[node];
        links.node.state().takes_requests() && links.send_keys(command, keys, queue, &pool.settings, session)
    }

    /// Sends `request`, a plain delete of a key in a handover, to one of the key's owners; unlike [`ActiveRoutes::send`]
    /// also if the node missed a write of the key or refused the last connection. Only a node that is down, or cannot
    /// be reached now, does not get it.
    pub fn send_delete(
        &self,
        node: usize,
        request: &Request<'_>,
        slot: ReplySlot,
        pool: &Pool,
        session: usize,
    ) {
        let links = &self.links.borrow()[node];
        let is_down = !links.node.state().takes_requests() && !pool.fails_open(&self.snapshot.nodes);
        if is_down || pool.is_fallback(node, request.key) {
            return self.send(node, request, slot, pool, session);
        }
        links.send_delete(request, slot, &pool.settings, session);
    }
}

impl WorkerContext {
    /// Returns the context of the worker with index `worker`. Must be called on its thread, inside its
    /// `LocalRuntime`.
    pub fn new(state: Arc<State>, worker: usize) -> WorkerContext {
        let mut cache = Cache::new(state.snapshot.clone());
        let snapshot = cache.load().clone();
        let memory = Rc::new(Memory::new(state.workers[worker].clone()));
        let local = Rc::new(Local {
            worker,
            in_progress: MemoryBudget::new(&memory),
            hot_keys: Sampler::new(state.workers.len()),
            taps: state.taps.clone(),
            texts: Rc::new(SharedTexts::new(MemoryBudget::new(&memory))),
            memory,
            ..Local::default()
        });
        let current = Rc::new(compile(&snapshot, None, &local));
        WorkerContext {
            state,
            local,
            is_draining: Cell::new(false),
            cache: RefCell::new(cache),
            current: RefCell::new(current),
            sessions: RefCell::default(),
            next_session: Cell::new(0),
        }
    }

    /// Returns the running snapshot with this worker's links. Call it once per batch of requests.
    #[inline]
    pub fn current(&self) -> Rc<ActiveRoutes> {
        self.local.memory.look();
        self.local.is_tapped.set(self.local.taps.is_open());
        let mut cache = self.cache.borrow_mut();
        let latest = cache.load();
        if !Arc::ptr_eq(latest, &self.current.borrow().snapshot) {
            let next = Rc::new(compile(latest, Some(&self.current.borrow()), &self.local));
            *self.current.borrow_mut() = next;
        }
        self.current.borrow().clone()
    }

    /// Like [`WorkerContext::current`], but does not check for a new snapshot: requests in the middle of a
    /// batch stay on the same links.
    #[inline]
    pub fn running(&self) -> Rc<ActiveRoutes> {
        self.current.borrow().clone()
    }

    /// The worker's counters.
    #[inline]
    pub fn shard(&self) -> &WorkerShard {
        &self.state.workers[self.local.worker]
    }

    /// Hands over the rates of the hottest keys, the slow requests and the uses of keys that are followed. Called once a second.
    pub fn report(&self) {
        let summary = self.local.hot_keys.summarize(self.local.clock.now());
        self.state.hot_keys.summaries[self.local.worker].store(Arc::new(summary));
        let traces = self.local.traces.take();
        if !traces.is_empty() {
            self.state.traces.lock().expect("no holder panics").push(traces);
        }
        let slow = self.local.slow.take();
        if !slow.is_empty() {
            self.state.slow.lock().expect("no holder panics").add(slow);
        }
    }

    /// Whether sessions of the listener bound to `bind` must end once nothing is outstanding.
    pub fn is_ending(&self, bind: &Bind) -> bool {
        self.is_draining.get() || self.current.borrow().snapshot.listener(bind).is_none()
    }

    /// Counts a new session and returns its number.
    pub fn enter(&self, reply_queue: &Rc<ReplyQueue>) -> usize {
        let number = self.next_session.get();
        self.next_session.set(number + 1);
        self.sessions.borrow_mut().insert(number, reply_queue.clone());
        self.shard().sessions.add(1);
        coalesce::enter();
        self.shard().sessions_total.add(1);
        number
    }

    /// Removes the session with this number.
    pub fn leave(&self, number: usize) {
        self.sessions.borrow_mut().remove(&number);
        self.shard().sessions.sub(1);
        coalesce::leave();
    }

    /// Wakes every link, so that it checks whether its address is still valid.
    pub fn wake_links(&self) {
        let current = self.current();
        current.links.borrow().iter().for_each(Links::wake);
    }

    /// Wakes every session, so that it checks whether it must end.
    pub fn wake_sessions(&self) {
        for reply_queue in self.sessions.borrow().values() {
            reply_queue.wake();
        }
    }
}

fn compile(snapshot: &Arc<Snapshot>, previous: Option<&ActiveRoutes>, local: &Rc<Local>) -> ActiveRoutes {
    local.memory.set_limit(snapshot.config.memory_of_a_worker());
    local
        .memory
        .set_besides(snapshot.missed.bytes(), snapshot.config.workers);
    local.hot_keys.set_delimiter(snapshot.config.admin.key_delimiter);
    coalesce::allow(snapshot.config.batching == Batching::WhenBusy);
    let mut kept: HashMap<*const (), Links> = HashMap::new();
    if let Some(previous) = previous {
        let links = previous.links.take();
        kept = links
            .into_iter()
            .map(|links| (Arc::as_ptr(&links.node).cast(), links))
            .collect();
    }
    let mut links_generation = previous.map_or(0, |previous| previous.links_generation);
    let mut links: Vec<Option<Links>> = snapshot.nodes.iter().map(|_| None).collect();
    for pool in snapshot.pools.values() {
        let settings = Rc::new(pool.settings.clone());
        for index in pool.all_nodes() {
            let node = &snapshot.nodes[index];
            links[index] = Some(match kept.remove(&Arc::as_ptr(node).cast()) {
                Some(mut kept) => {
                    links_generation += u64::from(kept.configure(&settings));
                    kept
                }
                None => Links::new(node, local, &settings),
            });
        }
    }
    let links = links
        .into_iter()
        .map(|links| links.expect("every node is in a pool"))
        .collect();
    ActiveRoutes {
        snapshot: snapshot.clone(),
        links: RefCell::new(links),
        links_generation,
        routes: routes(snapshot, previous),
    }
}

fn routes(snapshot: &Snapshot, previous: Option<&ActiveRoutes>) -> Vec<ListenerRoute> {
    let listeners = snapshot.listeners.iter();
    let mut routes: Vec<ListenerRoute> = listeners
        .map(|listener| ListenerRoute {
            bind: listener.settings.bind.clone(),
            route: listener.route.clone(),
            raw: listener.settings.route.clone(),
        })
        .collect();
    for entry in previous.into_iter().flat_map(|previous| &previous.routes) {
        if snapshot.listener(&entry.bind).is_some() {
            continue;
        }
        let route = match &entry.route {
            Route::Pool(pool) => snapshot.pools.get(&pool.name).cloned().map(Route::Pool),
            Route::Policy(_) => snapshot.compile(&entry.raw, &entry.bind),
        };
        routes.extend(route.map(|route| ListenerRoute {
            bind: entry.bind.clone(),
            route,
            raw: entry.raw.clone(),
        }));
    }
    routes
}
