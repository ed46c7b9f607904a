//! Nodes, as all parts of Ringway see them.
//!
//! A [`Node`] is what all workers share of one memcached: its identity, its health, its counters. It lives
//! as long as the configuration names it, across reloads.

pub mod embedded;
pub mod flush_timer;
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
use crate::insight::slow_log;
use crate::metrics::NodeShard;
use crate::node::flush_timer::FlushTimer;
use crate::protocol::{Command, Request};
use embedded::Embedded;
use membership::Membership;
use missed::{Missed, MissedBudget};

/// One node of one pool.
#[derive(Debug)]
pub struct Node {
    /// The pool's name.
    pub pool: String,
    /// Its name, or its address if it has none: unique in the pool.
    pub label: String,
    /// Its address.
    pub address: Address,
    /// The name server for its name; `None` for those of this machine.
    pub resolver: Option<SocketAddr>,
    /// The kind of node, with the state that this kind needs.
    pub kind: Kind,
    /// One per worker, by the worker's index.
    shards: Box<[NodeShard]>,
    /// Requests that took this long are slow, in microseconds; control follows the pool's median.
    pub slow_above: AtomicU64,
    /// Keys with a smaller hash are noted for the pool's miss-ratio curve; 0 if there is none.
    pub traced_below: AtomicU64,
    /// Whether it may be in its ring.
    pub membership: Membership,
    /// Writes that failed there. A node that replaces this one at another address takes them over.
    pub missed: Arc<Missed>,
    /// The origin of the times in its health.
    born: Instant,
    health: Mutex<HealthRecord>,
    state: AtomicU8,
    is_failing: AtomicBool,
    ejections: AtomicU64,
}

/// The health of a node, and its history.
#[derive(Debug)]
struct HealthRecord {
    machine: Health,
    /// When its state last changed.
    since: SystemTime,
    /// The reason of the last failed request, connection or probe.
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

/// The state of a memcached beyond its address.
#[derive(Debug, Default)]
pub struct Remote {
    /// The addresses that its host name resolves to; empty until known. Links read it.
    pub resolved: ArcSwap<Vec<SocketAddr>>,
    /// The number of times that `resolved` changed.
    moves: AtomicU64,
    /// The number of open links to each address.
    leads: Mutex<BTreeMap<SocketAddr, u64>>,
    /// The version it last reported, such as `1.6.18`; empty until known.
    pub version: ArcSwap<String>,
    /// The maximum size of an item there in bytes (`memcached -I`); 0 until known.
    pub item_size_max: AtomicU64,
    /// The delayed flush_all that is pending, if it is a Valkey or Redis.
    pub flush: FlushTimer,
    /// Whether it may have stale items: one was left through this process, or a reply mentioned one.
    pub has_stale: AtomicBool,
}

impl Remote {
    /// Sets the addresses that its name resolves to. Links to other addresses are replaced.
    pub fn lead_to(&self, addresses: Vec<SocketAddr>) {
        self.resolved.store(Arc::new(addresses));
        self.moves.fetch_add(1, Release);
    }

    /// The number of times that the addresses changed. If it is read before the addresses and unchanged
    /// later, they are still valid.
    #[inline]
    pub fn moves(&self) -> u64 {
        self.moves.load(Acquire)
    }

    /// Returns true if its name resolves to any address, and not to `peer`.
    pub fn left(&self, peer: SocketAddr) -> bool {
        let resolved = self.resolved.load();
        !resolved.is_empty() && !resolved.contains(&peer)
    }

    /// The number of open links to each address; links over a unix socket are not counted.
    pub fn leads(&self) -> BTreeMap<SocketAddr, u64> {
        self.leads.lock().expect("no holder panics").clone()
    }

    /// Counts a link to `peer`.
    pub fn enter(&self, peer: SocketAddr) {
        let mut leads = self.leads.lock().expect("no holder panics");
        *leads.entry(peer).or_default() += 1;
    }

    /// Counts out a closed link to `peer`.
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
    /// Returns a node as described by `settings`, in the pool named `pool`, with counters for `workers`
    /// workers and the `budget` for recording what it misses.
    pub fn new(
        pool: &str,
        settings: &config::Node,
        health: &config::Health,
        workers: usize,
        budget: &Arc<MissedBudget>,
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
            slow_above: AtomicU64::new(slow_log::OFF),
            traced_below: AtomicU64::new(0),
            membership: Membership::default(),
            missed: Arc::new(Missed::new(
                pool,
                &settings.label(),
                budget.clone(),
                matches!(kind, Kind::Remote(_)),
            )),
            kind,
            born: Instant::now(),
            health: Mutex::new(HealthRecord {
                machine: Health::new(health.limits()),
                since: SystemTime::now(),
                last_error: None,
            }),
            state: AtomicU8::new(State::Up as u8),
            is_failing: AtomicBool::new(false),
            ejections: AtomicU64::new(0),
        }
    }

    /// Whether `settings` in the pool named `pool` describe this node, so that a reload keeps it.
    pub fn is(&self, pool: &str, settings: &config::Node) -> bool {
        self.pool == pool
            && self.address == settings.address
            && self.label == settings.label()
            && self.resolver == settings.resolver()
    }

    /// Records that the ring is without the node.
    pub fn leave(&self, now: Instant) {
        if self.membership.leave(now) && self.is_remote() {
            self.missed.note_membership(true);
        }
    }

    /// Lets the node back into the ring.
    pub fn admit(&self) {
        if self.membership.admit() && self.is_remote() {
            self.missed.note_membership(false);
        }
    }

    /// Discards the node's items, which may be old, when it takes keys all the same: none of them is read
    /// any more.
    pub fn forget_items(&self) {
        match &self.kind {
            Kind::Embedded(cache) => drop(cache.execute(&Request::new(Command::FlushAll, b""))),
            Kind::Remote(_) => self.missed.miss_everything(),
        }
    }

    /// Returns true if it is a memcached, and not a cache in this process.
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

    /// The state of its health.
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Up,
            1 => State::Suspect,
            2 => State::Down,
            _ => State::Probation,
        }
    }

    /// The number of times that it went down.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// Records a failed connection or request, with the `reason`.
    pub fn failed(&self, reason: &str) {
        self.note_error(reason);
        self.observe(reason, |health| health.failed(self.born.elapsed()));
    }

    /// Records an answered request. Costs one load if the node is up.
    #[inline]
    pub fn answered(&self) {
        if self.is_failing.load(Relaxed) {
            self.observe("answered", Health::answered);
        }
    }

    /// Records a failed probe, with the `reason`.
    pub fn probe_failed(&self, reason: &str) {
        self.note_error(reason);
        self.observe(reason, |health| health.probe_failed(self.born.elapsed()));
    }

    /// When its state last changed, or when it came into the configuration.
    pub fn since(&self) -> SystemTime {
        self.watched().since
    }

    /// The reason of the last failed request, connection or probe; `None` if none failed yet. It is kept
    /// when the node is up again.
    pub fn last_error(&self) -> Option<String> {
        self.watched().last_error.clone()
    }

    fn note_error(&self, reason: &str) {
        let mut watched = self.watched();
        if watched.last_error.as_deref() != Some(reason) {
            watched.last_error = Some(reason.to_owned());
        }
    }

    fn watched(&self) -> MutexGuard<'_, HealthRecord> {
        self.health.lock().expect("no holder panics")
    }

    /// Records an answered probe.
    pub fn probed(&self) {
        self.observe("probe answered", |health| health.probed(self.born.elapsed()));
    }

    /// Records whether it is far slower than its peers.
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

    /// The time until the next probe, before jitter.
    pub fn until_probe(&self) -> Duration {
        self.watched().machine.until_probe()
    }

    /// Sets new limits after a reload.
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
