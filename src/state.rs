//! Process-wide state: the running snapshot, the phase, and each worker's counters.
//!
//! Workers read the snapshot; control publishes the next one. Neither depends on the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::diff::Difference;
use crate::discovery::status::Status;
use crate::hot_keys::{Ranking, Summary};
use crate::insight::miss_ratio::{Curve, Traced};
use crate::insight::slow_log::SlowLog;
use crate::metrics::WorkerShard;
use crate::net::succession::Succession;
use crate::runtime::taps::Taps;
use crate::snapshot::Snapshot;

/// A phase in the life of the process, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not all listeners are bound yet.
    Starting,
    /// Ready.
    Serving,
    /// Asked to stop: not ready, but still serving as before (`shutdown.delay`).
    Leaving,
    /// No new connections; outstanding requests are answered (`shutdown.drain`).
    Draining,
}

/// The history of reloads.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// The number of configurations applied, not counting the first.
    pub succeeded: u64,
    /// The number of configurations refused.
    pub failed: u64,
    /// When the running configuration was applied.
    pub taken_at: Option<SystemTime>,
    /// The diagnostics of the last configuration if it was refused; empty if it was applied.
    pub diagnostics: Vec<String>,
    /// How the running configuration differs from the one before; `None` until a reload changed something,
    /// and shortly after it did.
    pub difference: Option<Difference>,
}

/// What the admin listener refused or closed.
#[derive(Debug, Default)]
pub struct AdminCounters {
    /// Requests for a foreign host or from a foreign page, and those without a valid `Host`.
    pub foreign: AtomicU64,
    /// Requests without the token that they need.
    pub unauthorized: AtomicU64,
    /// Requests and connections refused because the maximum was in use.
    pub busy: AtomicU64,
    /// Connections whose client did not take an answer in time.
    pub late: AtomicU64,
    /// Idle or slow connections closed in favour of new ones.
    pub displaced: AtomicU64,
}

/// How workers hand over the rates of their hottest keys.
#[derive(Debug)]
pub struct HotKeys {
    /// Asks every worker for a new summary.
    pub second: watch::Sender<()>,
    /// The last summary of each worker, by worker index.
    pub summaries: Box<[ArcSwap<Summary>]>,
    /// All of them, merged.
    pub ranking: ArcSwap<Ranking>,
}

/// The state that all threads share.
#[derive(Debug)]
pub struct State {
    /// When the process began to serve.
    pub started: Instant,
    /// The running configuration, compiled.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Signals that the snapshot changed, or that a node resolves to other addresses; the value is a
    /// sequence number.
    pub changed: watch::Sender<u64>,
    /// The number of snapshots published, which is the number of the running one's rings.
    rings: AtomicU64,
    /// The phase of the process.
    pub phase: watch::Sender<Phase>,
    /// Each worker's counters, by worker index.
    pub workers: Box<[Arc<WorkerShard>]>,
    /// The history of reloads.
    pub reloads: Mutex<Reloads>,
    /// The pools that discover their nodes, by name.
    pub discovery: Mutex<BTreeMap<String, Status>>,
    /// What the admin listener refused.
    pub admin: AdminCounters,
    /// What the process inherited, and what it leaves to the one that takes its place.
    pub succession: Succession,
    /// The number of sessions that came from the process before.
    pub sessions_taken_over: AtomicU64,
    /// The hottest keys.
    pub hot_keys: HotKeys,
    /// The live views of single requests.
    pub taps: Arc<Taps>,
    /// What workers noted for the miss-ratio curves, a list for each worker and second, until control takes it.
    pub traces: Mutex<Vec<Vec<Traced>>>,
    /// The miss-ratio curves, by pool.
    pub curves: Mutex<BTreeMap<String, Curve>>,
    /// The last slow requests.
    pub slow: Mutex<SlowLog>,
}

impl State {
    /// Returns the state of a process that begins with `snapshot`.
    pub fn new(snapshot: Snapshot) -> State {
        let workers = (0..snapshot.config.workers).map(|_| Arc::default()).collect();
        let summaries = (0..snapshot.config.workers).map(|_| ArcSwap::default()).collect();
        State {
            started: Instant::now(),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            changed: watch::Sender::new(0),
            rings: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Starting),
            workers,
            reloads: Mutex::default(),
            discovery: Mutex::default(),
            admin: AdminCounters::default(),
            succession: Succession::default(),
            sessions_taken_over: AtomicU64::new(0),
            hot_keys: HotKeys {
                second: watch::Sender::new(()),
                summaries,
                ranking: ArcSwap::default(),
            },
            taps: Arc::default(),
            traces: Mutex::default(),
            curves: Mutex::default(),
            slow: Mutex::default(),
        }
    }

    /// Makes `next` the running snapshot and notifies all subscribers. Nodes that are not in its rings have
    /// left them; what nodes hold as fallbacks is recorded as missed before a worker sees the new rings.
    pub fn publish(&self, next: Snapshot) {
        // A node may have left its ring, or come back, since it was built.
        let is_stale = next.pools.values().any(|pool| pool.is_stale(&next.nodes));
        let next = if is_stale {
            Snapshot::build(next.config.clone(), Some(&next))
        } else {
            next
        };
        let now = tokio::time::Instant::now();
        next.outsiders().for_each(|node| node.leave(now));
        next.begin(self.rings.fetch_add(1, Relaxed) + 1, &self.snapshot.load());
        self.snapshot.store(Arc::new(next));
        self.tell();
    }

    /// Notifies all subscribers of a change.
    pub fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }
}
