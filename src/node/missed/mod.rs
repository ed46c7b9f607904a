//! Writes that a node missed: what may keep a value there that is older than a write which failed.
//!
//! A write that fails leaves the old value where it is, or arrives after all, long after its client was told that it
//! failed, and takes the place of a newer one. So its key is remembered for that node, by all workers together, until
//! it was deleted there *after* every copy of the write that may still be on its way. Until then, for that key, the node
//! counts as down (see [`pass`]): a read is a miss, or goes on to where a `failover` leads, and a write fails.
//!
//! ```text
//!                 refused, not one byte sent ───────────────────────┐
//!   a write fails ┤                                                 ▼        deleted by control
//!                 └ sent: on its way ─┬─ a late reply came ──────▶ ready ──────────────────────▶ forgotten
//!                                     └─ its link broke ─▶ settling ─┘  └ failed again: from the start
//! ```
//!
//! Why no old value is read, through this Ringway and at this node:
//!
//! 1. A key is remembered before the client can read that its write failed: both happen in one turn of the worker,
//!    and what is remembered is there for all workers.
//! 2. A delete that is answered has removed whatever was there when it was carried out. What comes later comes from
//!    writes that were carried out after it: from those that are no older, or from copies that were still on their way.
//! 3. A copy on its way is one of which a byte was sent and whose reply did not come. Where its link lives the late
//!    reply says that it was carried out. Where the link broke it was reset, so nothing more comes of what this side
//!    held; but the node may have bytes of it that it has not carried out, and a stopped process carries them out when
//!    it goes on. It does so as soon as it runs: so such a key *settles* first. It is deleted when the node has
//!    answered one question after the other, each at once, for [`SETTLE`], all of it after the link broke.
//! 4. A key that fails again while its delete is on its way stays remembered: each failure has a number, and a delete
//!    ends only what it was sent for.
//!
//! 5. A set or a delete of a client serves as the delete, where nothing else is on its way when it is sent, and it is
//!    answered as done.
//!
//! A delete that comes too late costs one hit and nothing else, so wherever it is doubtful the key is deleted: after
//! touch and gat, which leave no old value but an old expiry, and where the write may have been carried out after all.
//!
//! What does not hold: whoever else writes to the node remembers its own failed writes only, so a read through another
//! process may find the old value until this one has deleted it. And 3 is about time, not about order: a node that
//! answers probes for two seconds, while one of its own threads does not run at all, is beyond it; so is a relay
//! between that keeps bytes for longer.
//!
//! Where more keys were missed than may be remembered ([`Budget`]), or a flush_all failed, the node counts as down for
//! *all* keys, and it is flushed as a key is deleted: when nothing is on its way and all has settled.

mod keys;
pub mod pass;
pub mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

pub use keys::{Due, Flush};
use keys::{Kept, Keys};
use write::Write;

use super::slots::Slot;
use crate::log_limit::LogLimit;
use crate::protocol::{Command, Failure, Reply, Request};

/// So long a node must have answered at once before what a broken link left there counts as carried out.
pub const SETTLE: Duration = Duration::from_secs(2);

/// At most one line of the log in so long says that a node missed too much.
const OVERFLOW_LOG: Duration = Duration::from_secs(10);

/// What all nodes of a process may remember.
#[derive(Debug)]
pub struct Budget {
    /// Keys of one node.
    max: AtomicUsize,
    /// Bytes of all keys of all nodes.
    max_bytes: AtomicUsize,
    bytes: Arc<AtomicUsize>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            max: AtomicUsize::new(usize::MAX),
            max_bytes: AtomicUsize::new(usize::MAX),
            bytes: Arc::default(),
        }
    }
}

impl Budget {
    /// Takes other limits: keys of each node, and bytes of all.
    pub fn configure(&self, max: usize, max_bytes: usize) {
        self.max.store(max, Relaxed);
        self.max_bytes.store(max_bytes, Relaxed);
    }

    /// The bytes that are taken now.
    pub fn bytes(&self) -> &Arc<AtomicUsize> {
        &self.bytes
    }

    /// True where a node that remembers `keys` may remember one more of `bytes`, which are taken then.
    fn take(&self, keys: usize, bytes: usize) -> bool {
        let is_room = keys < self.max.load(Relaxed)
            && self.bytes.load(Relaxed).saturating_add(bytes) <= self.max_bytes.load(Relaxed);
        if is_room {
            self.bytes.fetch_add(bytes, Relaxed);
        }
        is_room
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// What one node missed. Shared by all workers, and touched only where something failed.
#[derive(Debug)]
pub struct Missed {
    pool: String,
    node: String,
    is_any: AtomicBool,
    keys: Mutex<Keys>,
    budget: Arc<Budget>,
    /// There is something to delete.
    pub wake: Notify,
    replayed: AtomicU64,
    overflows: AtomicU64,
    /// What the time of the log limit is counted from.
    born: Instant,
    overflow_log: LogLimit,
}

impl Missed {
    /// Nothing, within `budget`. The log calls the node `node` of `pool`.
    pub fn new(pool: &str, node: &str, budget: Arc<Budget>) -> Missed {
        Missed {
            pool: pool.to_owned(),
            node: node.to_owned(),
            is_any: AtomicBool::new(false),
            keys: Mutex::default(),
            budget,
            wake: Notify::new(),
            replayed: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            born: Instant::now(),
            overflow_log: LogLimit::new(OVERFLOW_LOG),
        }
    }

    /// True where anything is remembered: the one look that a request costs while all is well.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.is_any.load(Acquire)
    }

    /// True where `request` is not to be sent now, since its key is remembered.
    #[cold]
    pub fn bars(&self, request: &Request<'_>) -> bool {
        request.command != Command::FlushAll && self.lock().has(request.key)
    }

    /// The key of `request` as one that a write of it may clear, where it is remembered and nothing of it is on its way.
    #[cold]
    pub fn clearable(&self, key: &[u8]) -> Option<Due> {
        self.lock().clearable(key)
    }

    /// Fills the slot of a request that failed, after what it missed is remembered. `is_sent`: a byte of it was
    /// written, so it may still arrive. True where it was, and must be [settled](Missed::settle).
    #[cold]
    pub fn fail(&self, slot: Slot, write: Write<'_>, failure: Failure, is_sent: bool) -> bool {
        let is_asked = !matches!(failure, Failure::Unsupported | Failure::Missed);
        let is_missed = is_asked && write.changes();
        if is_missed {
            self.remember(write.key, is_sent);
        }
        slot.fill(Reply::Failed(failure));
        is_missed && is_sent
    }

    fn remember(&self, key: &[u8], is_sent: bool) {
        let mut keys = self.lock();
        let kept = keys.remember(key, is_sent, Instant::now(), &self.budget);
        self.is_any.store(true, Release);
        drop(keys);
        if kept == Kept::Overflow {
            self.note_overflow();
        }
        self.wake.notify_one();
    }

    fn note_overflow(&self) {
        self.overflows.fetch_add(1, Relaxed);
        if let Some(held_back) = self.overflow_log.allow(self.born.elapsed()) {
            warn!(
                pool = self.pool,
                node = self.node,
                held_back,
                "node missed more writes than are remembered: all of its keys are misses until it is flushed or admitted"
            );
        }
    }

    /// A write of `key` that was on its way is so no more: its late reply came, or its link `is_broken`.
    #[cold]
    pub fn settle(&self, key: &[u8], is_broken: bool) {
        self.lock().settle(key, is_broken, Instant::now());
        self.wake.notify_one();
    }

    /// Up to `most` keys that may be deleted now. Each must be given back to [`Missed::deleted`] or
    /// [`Missed::not_deleted`]. The node has answered at once since `calm_since`.
    pub fn take(&self, calm_since: Option<Instant>, most: usize) -> Vec<Due> {
        self.lock().take(Instant::now(), calm_since, most)
    }

    /// The node has answered the deletes of these.
    pub fn deleted(&self, batch: &[Due]) {
        self.replayed.fetch_add(batch.len() as u64, Relaxed);
        self.clear(batch);
    }

    /// These are deleted, or replaced.
    pub fn clear(&self, batch: &[Due]) {
        let mut keys = self.lock();
        batch.iter().for_each(|due| keys.deleted(due, &self.budget));
        self.note(&keys);
    }

    /// Nobody knows whether these were deleted.
    pub fn not_deleted(&self, batch: &[Due]) {
        let mut keys = self.lock();
        batch.iter().for_each(|due| keys.not_deleted(due));
    }

    /// Where the whole node is to be flushed, and may be now.
    pub fn flush_due(&self, calm_since: Option<Instant>) -> Option<Flush> {
        self.lock().flush_due(Instant::now(), calm_since)
    }

    /// The node has answered the flush_all of this.
    pub fn flushed(&self, flush: Flush) {
        let mut keys = self.lock();
        keys.flushed(flush);
        self.note(&keys);
    }

    /// The node was started at this time, empty, or later.
    pub fn restarted(&self, at: Instant) {
        let mut keys = self.lock();
        keys.restarted(at, &self.budget);
        self.note(&keys);
    }

    /// An operator takes the node as it is though it missed more than was remembered.
    pub fn accept(&self) {
        let mut keys = self.lock();
        keys.accept();
        self.note(&keys);
    }

    /// Keys that are remembered.
    pub fn keys(&self) -> usize {
        self.lock().keys()
    }

    /// True where all keys count as missing.
    pub fn is_all(&self) -> bool {
        self.lock().is_all()
    }

    /// Keys that were deleted on the node.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Relaxed)
    }

    /// Times that more was missed than may be remembered.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Relaxed)
    }

    fn note(&self, keys: &Keys) {
        self.is_any.store(!keys.is_empty(), Release);
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("no holder panics")
    }
}

impl Default for Missed {
    fn default() -> Missed {
        Missed::new("", "", Arc::default())
    }
}

impl Drop for Missed {
    fn drop(&mut self) {
        let bytes = self.lock().bytes();
        self.budget.give_back(bytes);
    }
}
