//! What one worker sees of the snapshot: the routes as they are, and its own links to each node.
//!
//! A worker looks once for each batch of requests whether there is a new snapshot. If so it takes over the
//! links of nodes that stayed, makes links to new ones, and lets go of the rest, which finish what they owe.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::config::{self, Batching, Bind};
use crate::link::set::Links;
use crate::metrics::WorkerShard;
use crate::protocol::Request;
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::route::{Pool, Route};
use crate::runtime::coalesce;
use crate::runtime::local::Local;
use crate::runtime::memory::{Memory, MemoryBudget};
use crate::runtime::shared_text::SharedTexts;
use crate::snapshot::Snapshot;
use crate::state::State;

/// What one worker sees.
#[derive(Debug)]
pub struct WorkerContext {
    /// What all workers share.
    pub state: Arc<State>,
    /// What the worker's sessions and links share.
    pub local: Rc<Local>,
    /// No new connections, and sessions end when they owe nothing.
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
    /// As the snapshot's nodes.
    links: RefCell<Vec<Links>>,
    /// Counts how often sessions may have got other links to a node. One that owes something under another number
    /// waits, or its requests could overtake each other on two links.
    pub links_generation: u64,
    /// Where the requests of each listener go; of a listener that was removed too, for its last sessions.
    routes: Vec<ListenerRoute>,
}

/// Where the requests of one listener go.
#[derive(Debug)]
struct ListenerRoute {
    bind: Bind,
    route: Route,
    /// As it was configured.
    raw: config::Route,
}

impl ActiveRoutes {
    /// Where the requests of the listener bound to `bind` go; `None` if it and its pool are gone.
    #[inline]
    pub fn route(&self, bind: &Bind) -> Option<&Route> {
        self.routes
            .iter()
            .find(|entry| entry.bind == *bind)
            .map(|entry| &entry.route)
    }

    /// Sends `request` to the snapshot's node with this index, or fails it at once where that is down.
    #[inline]
    pub fn send(&self, node: usize, request: &Request<'_>, slot: ReplySlot, pool: &Pool, session: usize) {
        let links = &self.links.borrow()[node];
        if !links.node.state().takes_requests() && !pool.fails_open(&self.snapshot.nodes) {
            return links.refuse(request, slot);
        }
        if pool.is_fallback(node, request.key) {
            let mut room = Vec::new();
            let capped = pool.capped(request, &mut room);
            return links.send_as_fallback(&capped, slot, &pool.settings, session, pool.fallback());
        }
        links.send(request, slot, &pool.settings, session);
    }
}

impl WorkerContext {
    /// The view of the worker with index `worker`. Must be made on its thread, inside its `LocalRuntime`.
    pub fn new(state: Arc<State>, worker: usize) -> WorkerContext {
        let mut cache = Cache::new(state.snapshot.clone());
        let snapshot = cache.load().clone();
        let memory = Rc::new(Memory::new(state.workers[worker].clone()));
        let local = Rc::new(Local {
            worker,
            in_progress: MemoryBudget::new(&memory),
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

    /// The running snapshot with this worker's links. One look for each batch of requests.
    #[inline]
    pub fn current(&self) -> Rc<ActiveRoutes> {
        self.local.memory.look();
        let mut cache = self.cache.borrow_mut();
        let latest = cache.load();
        if !Arc::ptr_eq(latest, &self.current.borrow().snapshot) {
            let next = Rc::new(compile(latest, Some(&self.current.borrow()), &self.local));
            *self.current.borrow_mut() = next;
        }
        self.current.borrow().clone()
    }

    /// The same, without a look whether there is a new one: what is in the middle of a batch goes on over the same
    /// links.
    #[inline]
    pub fn running(&self) -> Rc<ActiveRoutes> {
        self.current.borrow().clone()
    }

    /// The worker's counters.
    #[inline]
    pub fn shard(&self) -> &WorkerShard {
        &self.state.workers[self.local.worker]
    }

    /// Whether sessions of the listener bound to `bind` are to end when they owe nothing.
    pub fn is_ending(&self, bind: &Bind) -> bool {
        self.is_draining.get() || self.current.borrow().snapshot.listener(bind).is_none()
    }

    /// Counts a new session. Returns its number.
    pub fn enter(&self, reply_queue: &Rc<ReplyQueue>) -> usize {
        let number = self.next_session.get();
        self.next_session.set(number + 1);
        self.sessions.borrow_mut().insert(number, reply_queue.clone());
        self.shard().sessions.add(1);
        coalesce::enter();
        self.shard().sessions_total.add(1);
        number
    }

    /// The session with this number is gone.
    pub fn leave(&self, number: usize) {
        self.sessions.borrow_mut().remove(&number);
        self.shard().sessions.sub(1);
        coalesce::leave();
    }

    /// Wakes every link, so that it looks whether its address still holds.
    pub fn wake_links(&self) {
        let current = self.current();
        current.links.borrow().iter().for_each(Links::wake);
    }

    /// Wakes every session, so that it looks whether it is to end.
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
        for &index in &pool.nodes {
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
