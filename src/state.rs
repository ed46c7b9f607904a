//! What the whole process shares: the running snapshot, the phase of life, and what each worker counts.
//!
//! Workers read the snapshot; control publishes the next one. Neither knows the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::diff::Difference;
use crate::discovery::status::Status;
use crate::metrics::WorkerShard;
use crate::snapshot::Snapshot;

/// The life of the process, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Listeners are not all bound yet.
    Starting,
    /// Ready.
    Serving,
    /// Told to stop: not ready, but still serving as before (`shutdown.delay`).
    Leaving,
    /// No new connections; what is owed is answered (`shutdown.drain`).
    Draining,
}

/// How the last reload went.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// Configurations taken, without the first.
    pub succeeded: u64,
    /// Configurations refused.
    pub failed: u64,
    /// When the running configuration was taken.
    pub taken_at: Option<SystemTime>,
    /// The mistakes of the last configuration, if it was refused; empty if it was taken.
    pub diagnostics: Vec<String>,
    /// What the running configuration changed of the one before; `None` until a reload changed something, and
    /// shortly after it did.
    pub difference: Option<Difference>,
}

/// What the admin listener refused or cut.
#[derive(Debug, Default)]
pub struct AdminCounters {
    /// Requests for a foreign host or from a foreign page, and those without a good `Host`.
    pub foreign: AtomicU64,
    /// Requests and connections that came while all places were busy.
    pub busy: AtomicU64,
    /// Connections whose client did not take an answer in time.
    pub late: AtomicU64,
    /// Idle or slow connections that made way for new ones.
    pub displaced: AtomicU64,
}

/// What all threads share.
#[derive(Debug)]
pub struct State {
    /// When the process began to serve.
    pub started: Instant,
    /// The running configuration, compiled.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Says that there is another snapshot, or that nodes lead elsewhere; the value is how often.
    pub changed: watch::Sender<u64>,
    /// How many snapshots were published: the number of the running one's rings.
    rings: AtomicU64,
    /// Where in its life the process is.
    pub phase: watch::Sender<Phase>,
    /// By worker index.
    pub workers: Box<[Arc<WorkerShard>]>,
    /// How reloads went.
    pub reloads: Mutex<Reloads>,
    /// The pools that discover their nodes, by name.
    pub discovery: Mutex<BTreeMap<String, Status>>,
    /// What the admin listener refused.
    pub admin: AdminCounters,
}

impl State {
    /// The state of a process that begins with `snapshot`.
    pub fn new(snapshot: Snapshot) -> State {
        let workers = (0..snapshot.config.workers).map(|_| Arc::default()).collect();
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
        }
    }

    /// Makes `next` the running snapshot and tells everyone. Nodes that are not in its rings have left them, and what
    /// nodes hold in place of others is held against them before a worker sees them.
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

    /// Tells everyone that something changed that they look at.
    pub fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }
}
