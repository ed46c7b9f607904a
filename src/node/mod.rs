//! The far side: nodes, and the links that lead to them.
//!
//! A [`Node`] is what all workers share of one memcached: its identity, its health, its counters. It
//! lives as long as the configuration names it, across reloads.

pub mod embedded;
pub mod membership;
pub mod missed;
pub mod version;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{self, Address};
use crate::counter::Counter;
use crate::health::{Health, State};
use crate::metrics::NodeShard;
use crate::protocol::{Command, Request};
use embedded::Embedded;
use membership::Membership;
use missed::{Budget, Missed};

/// One node of one pool.
#[derive(Debug)]
pub struct Node {
    /// The pool's name.
    pub pool: String,
    /// Its name, or else its address: unique in the pool.
    pub label: String,
    /// Where it is.
    pub address: Address,
    /// The name server that knows its name; `None`: those of this machine.
    pub resolver: Option<SocketAddr>,
    /// What kind of node it is, with what that kind needs.
    pub kind: Kind,
    /// One for each worker, by the worker's index.
    shards: Box<[NodeShard]>,
    /// Whether it may stand in its ring.
    pub membership: Membership,
    /// Writes that failed there. A node that takes its place at another address takes it over.
    pub missed: Arc<Missed>,
    /// What the times of its health are counted from.
    born: Instant,
    health: Mutex<Watched>,
    state: AtomicU8,
    is_failing: AtomicBool,
    ejections: AtomicU64,
}

/// The health of a node, with what operators ask of it.
#[derive(Debug)]
struct Watched {
    machine: Health,
    /// When its state changed last.
    since: SystemTime,
    /// Why a request, a connection or a probe failed last.
    last_error: Option<String>,
}

/// The two kinds of node.
#[derive(Debug)]
pub enum Kind {
    /// A memcached that links lead to.
    Remote(Remote),
    /// A cache in this process.
    Embedded(Embedded),
}

/// What is known of a memcached beyond its address.
#[derive(Debug, Default)]
pub struct Remote {
    /// What its host name stands for now; empty until it is known. Links read it.
    pub resolved: ArcSwap<Vec<SocketAddr>>,
    /// How often that became something else.
    moves: AtomicU64,
    /// The links that are open now, by where they lead.
    leads: Mutex<BTreeMap<SocketAddr, u64>>,
    /// The version it gave last, such as `1.6.18`; empty until it is known.
    pub version: ArcSwap<String>,
    /// How many bytes an item may have there (`memcached -I`); 0 until it is known.
    pub item_size_max: AtomicU64,
    /// It may have stale items: one was left through this process, or a reply told of one.
    pub has_stale: AtomicBool,
}

impl Remote {
    /// From now on its name stands for `addresses`. Links to others are opened anew.
    pub fn lead_to(&self, addresses: Vec<SocketAddr>) {
        self.resolved.store(Arc::new(addresses));
        self.moves.fetch_add(1, Release);
    }

    /// How often its name came to stand for something else. Read before the addresses, and seen unchanged later, it
    /// says that they still hold.
    #[inline]
    pub fn moves(&self) -> u64 {
        self.moves.load(Acquire)
    }

    /// True if its name stands for something, and not for `peer`.
    pub fn left(&self, peer: SocketAddr) -> bool {
        let resolved = self.resolved.load();
        !resolved.is_empty() && !resolved.contains(&peer)
    }

    /// The links that are open now, by where they lead; those over a unix socket are not in it.
    pub fn leads(&self) -> BTreeMap<SocketAddr, u64> {
        self.leads.lock().expect("no holder panics").clone()
    }

    /// Counts a link that leads to `peer`.
    pub fn enter(&self, peer: SocketAddr) {
        let mut leads = self.leads.lock().expect("no holder panics");
        *leads.entry(peer).or_default() += 1;
    }

    /// A link that led to `peer` is closed.
    pub fn leave(&self, peer: SocketAddr) {
        let mut leads = self.leads.lock().expect("no holder panics");
        if let Some(links) = leads.get_mut(&peer) {
            *links -= 1;
            if *links == 0 {
                leads.remove(&peer);
            }
        }
    }
}

impl Node {
    /// A node as `settings` describes it, in the pool named `pool`, counted by `workers` workers.
    /// What it misses is remembered within `budget`.
    pub fn new(
        pool: &str,
        settings: &config::Node,
        health: &config::Health,
        workers: usize,
        budget: &Arc<Budget>,
    ) -> Node {
        let kind = match settings.address {
            Address::Embedded(bytes) => Kind::Embedded(Embedded::new(bytes)),
            _ => Kind::Remote(Remote::default()),
        };
        Node {
            pool: pool.to_owned(),
            label: settings.label(),
            address: settings.address.clone(),
            resolver: settings.resolver(),
            shards: (0..workers).map(|_| NodeShard::default()).collect(),
            membership: Membership::default(),
            missed: Arc::new(Missed::new(
                pool,
                &settings.label(),
                budget.clone(),
                matches!(kind, Kind::Remote(_)),
            )),
            kind,
            born: Instant::now(),
            health: Mutex::new(Watched {
                machine: Health::new(health.limits()),
                since: SystemTime::now(),
                last_error: None,
            }),
            state: AtomicU8::new(State::Up as u8),
            is_failing: AtomicBool::new(false),
            ejections: AtomicU64::new(0),
        }
    }

    /// Whether `settings` in the pool named `pool` means this very node, so that a reload keeps it.
    pub fn is(&self, pool: &str, settings: &config::Node) -> bool {
        self.pool == pool
            && self.address == settings.address
            && self.label == settings.label()
            && self.resolver == settings.resolver()
    }

    /// The ring is without it.
    pub fn leave(&self, now: Instant) {
        if self.membership.leave(now) && self.is_remote() {
            self.missed.note_membership(true);
        }
    }

    /// It may stand in the ring again.
    pub fn admit(&self) {
        if self.membership.admit() && self.is_remote() {
            self.missed.note_membership(false);
        }
    }

    /// What it holds may be old, and it takes keys all the same: nothing of it is read any more.
    pub fn forget_items(&self) {
        match &self.kind {
            Kind::Embedded(cache) => drop(cache.execute(&Request::new(Command::FlushAll, b""))),
            Kind::Remote(_) => self.missed.miss_everything(),
        }
    }

    /// True if it is a memcached, and not a cache in this process.
    pub fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Remote(_))
    }

    /// The counters of the worker with this index.
    pub fn shard(&self, worker: usize) -> &NodeShard {
        &self.shards[worker]
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, counter: impl Fn(&NodeShard) -> &Counter) -> u64 {
        self.shards
            .iter()
            .fold(0, |sum, shard| sum.wrapping_add(counter(shard).get()))
    }

    /// The counters of all workers.
    pub fn shards(&self) -> &[NodeShard] {
        &self.shards
    }

    /// How the node is seen now.
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Up,
            1 => State::Suspect,
            2 => State::Down,
            _ => State::Probation,
        }
    }

    /// How many times it went down.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// A connection or a request failed, for `reason`.
    pub fn failed(&self, reason: &str) {
        self.note_error(reason);
        self.observe(reason, |health| health.failed(self.born.elapsed()));
    }

    /// A request was answered. Costs one load where the node is up.
    #[inline]
    pub fn answered(&self) {
        if self.is_failing.load(Relaxed) {
            self.observe("answered", Health::answered);
        }
    }

    /// A probe failed, for `reason`.
    pub fn probe_failed(&self, reason: &str) {
        self.note_error(reason);
        self.observe(reason, |health| health.probe_failed(self.born.elapsed()));
    }

    /// When its state changed last, or when it came into the configuration.
    pub fn since(&self) -> SystemTime {
        self.watched().since
    }

    /// Why a request, a connection or a probe failed last; `None` if none failed yet. It stays when the node is up
    /// again.
    pub fn last_error(&self) -> Option<String> {
        self.watched().last_error.clone()
    }

    fn note_error(&self, reason: &str) {
        let mut watched = self.watched();
        if watched.last_error.as_deref() != Some(reason) {
            watched.last_error = Some(reason.to_owned());
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.health.lock().expect("no holder panics")
    }

    /// A probe was answered.
    pub fn probed(&self) {
        self.observe("probe answered", |health| health.probed(self.born.elapsed()));
    }

    /// It is far slower than its peers, or no longer so.
    pub fn slow(&self, is_slow: bool) {
        self.observe("slower than its peers", |health| health.slow(is_slow));
        if is_slow {
            warn!(
                pool = self.pool,
                node = self.label,
                "node far slower than its peers"
            );
        } else {
            info!(
                pool = self.pool,
                node = self.label,
                "node as fast as its peers again"
            );
        }
    }

    /// How long to wait for the next probe, before jitter.
    pub fn until_probe(&self) -> Duration {
        self.watched().machine.until_probe()
    }

    /// Takes new limits after a reload.
    pub fn configure(&self, health: &config::Health) {
        self.watched().machine.configure(health.limits());
    }

    fn observe(&self, reason: &str, event: impl FnOnce(&mut Health)) {
        let mut watched = self.watched();
        let health = &mut watched.machine;
        let before = health.state();
        event(health);
        let after = health.state();
        self.state.store(after as u8, Relaxed);
        self.is_failing.store(health.is_failing(), Relaxed);
        if before != after {
            watched.since = SystemTime::now();
        }
        if before.takes_requests() && !after.takes_requests() {
            self.ejections.fetch_add(1, Relaxed);
            warn!(
                pool = self.pool,
                node = self.label,
                state = after.name(),
                reason,
                "node down"
            );
        } else if !before.takes_requests() && after.takes_requests() {
            info!(
                pool = self.pool,
                node = self.label,
                state = after.name(),
                "node up"
            );
        }
    }
}
