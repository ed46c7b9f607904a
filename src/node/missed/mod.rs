//! Writes that a node missed, after which it may hold a value older than the failed write.
//!
//! A write that fails leaves the old value in place, or is executed after all, long after its client was
//! told that it failed, and replaces a newer value. So its key is recorded for that node, by all workers
//! together, until it was deleted there *after* every copy of the write that may still be in flight. Until
//! then the node counts as down for that key (see `link::missed`): a read is a miss, or goes to the next
//! route of a `failover`, and a write fails.
//!
//! ```text
//!                 refused, not one byte sent ───────────────────────┐
//!   a write fails ┤                                                 ▼        deleted by control
//!                 └ sent: in flight ──┬─ a late reply came ──────▶ ready ──────────────────────▶ forgotten
//!                                     └─ its link broke ─▶ settling ─┘  └ failed again: from the start
//! ```
//!
//! Why no old value is read, through this Ringway and at this node:
//!
//! 1. A key is recorded before the client can read that its write failed: both happen in one turn of the
//!    worker, and the record is visible to all workers.
//! 2. A delete that is answered has removed whatever was there when it was executed. Later values come from
//!    writes that were executed after it: from newer ones, or from copies that were still in flight.
//! 3. A copy is in flight if a byte of it was sent and its reply did not arrive. While its link lives, the
//!    late reply tells that it was executed. A broken link was reset, so nothing that this side held is
//!    delivered; but the node may have received bytes that it has not processed, and a stopped process
//!    processes them when it continues. It does so as soon as it runs, so such a key *settles* first: it is
//!    deleted once the node has answered every probe at once for [`SETTLE`], all of it after the link
//!    broke.
//! 4. A key that fails again while its delete is in flight stays recorded: failures are numbered, and a
//!    delete only ends those that it was sent for.
//! 5. A client's set or delete serves as the delete, if nothing else is in flight when it is sent, it
//!    succeeds, and no other write of the key failed meanwhile.
//!
//! An unnecessary delete costs one hit and nothing else, so in doubt the key is deleted: after touch and
//! gat, which leave no old value but an old expiry, and if the write may have been executed after all.
//!
//! What is not guaranteed: other processes that write to the node record only their own failed writes, so a
//! read through another process may find the old value until this one has deleted it. And point 3 relies on
//! time, not on order: it does not cover a node that answers probes for two seconds while one of its own
//! threads does not run at all, or a relay on the way that holds bytes for longer.
//!
//! With `missed_writes.dir` each change is written to the [`journal`](crate::journal) under the same lock,
//! and the client reads that its write failed once that is on disk. What an earlier process left counts as
//! sent over links that broke when this process started, and as failed then: whether a node was restarted
//! before is not considered, because the clocks of two processes may differ.
//!
//! The keys that a node holds in place of nodes that are out of the ring, its *copies*, are recorded in the
//! same structure and the same budget, and become missed when the ring assigns the keys to another owner
//! (see [`copying`] and [`Missed::sweep`]).
//!
//! If more keys were missed than may be recorded ([`MissedBudget`]), or a flush_all failed, the node counts as
//! down for *all* keys, and it is flushed in the same way as a key is deleted: once nothing is in flight
//! and all has settled.

pub mod copying;
mod keys;
pub mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::journal::record::{Change, Record};
use crate::journal::{Commit, Journal};
use crate::protocol::{Command, Request};
use keys::{CopyNoted, Kept, MissedKeys};
pub use keys::{Due, DueFlush};

/// How long a node must have answered at once before the bytes that a broken link left there count as
/// processed.
pub const SETTLE: Duration = Duration::from_secs(2);

/// The number of copies to check against a new ring before the lock is released for other threads.
const SWEEP: usize = 1000;

/// The limits of what all nodes of a process may record.
#[derive(Debug)]
pub struct MissedBudget {
    /// The maximum number of keys of one node.
    max: AtomicUsize,
    /// The maximum number of bytes of all keys of all nodes.
    max_bytes: AtomicUsize,
    bytes: Arc<AtomicUsize>,
    /// The journal, if there is one (`missed_writes.dir`).
    journal: OnceLock<Arc<Journal>>,
}

impl Default for MissedBudget {
    fn default() -> MissedBudget {
        MissedBudget {
            max: AtomicUsize::new(usize::MAX),
            max_bytes: AtomicUsize::new(usize::MAX),
            bytes: Arc::default(),
            journal: OnceLock::new(),
        }
    }
}

impl MissedBudget {
    /// Sets the limits: keys of each node, and bytes of all.
    pub fn configure(&self, max: usize, max_bytes: usize) {
        self.max.store(max, Relaxed);
        self.max_bytes.store(max_bytes, Relaxed);
    }

    /// Writes every later change to `journal` too. Only the first call has an effect.
    pub fn write_to(&self, journal: Arc<Journal>) {
        let _kept_if_there_is_one = self.journal.set(journal);
    }

    /// The journal, if there is one.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.get()
    }

    /// The number of bytes in use.
    pub fn bytes(&self) -> &Arc<AtomicUsize> {
        &self.bytes
    }

    /// Reserves `bytes` for one more key of a node that has `keys`. Returns false if that exceeds a limit.
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

/// What one node missed. Shared by all workers, and only used after failures.
#[derive(Debug)]
pub struct Missed {
    pool: String,
    node: String,
    is_any: AtomicBool,
    keys: Mutex<MissedKeys>,
    budget: Arc<MissedBudget>,
    /// Whether changes are written to the budget's journal, because the node's items outlive the process.
    is_durable: bool,
    /// Notified when there is something to delete.
    pub wake: Notify,
    replayed: AtomicU64,
    overflows: AtomicU64,
    copy_overflows: AtomicU64,
}

/// A copy that is in flight to a fallback node.
#[derive(Debug)]
pub struct Noted {
    /// The commit to wait for before the client may read that the write succeeded.
    pub commit: Option<Commit>,
    /// Whether it must be [settled](Missed::settle). False if there was no room to record it.
    pub is_remembered: bool,
    /// Whether the ring has changed since it was sent, so that it must be deleted.
    pub is_late: bool,
}

impl Missed {
    /// Returns an empty record within `budget`, of the node `node` of `pool`. It is written to the budget's
    /// journal under these names if it `is_durable`: the items of an embedded node end with the process.
    pub fn new(pool: &str, node: &str, budget: Arc<MissedBudget>, is_durable: bool) -> Missed {
        Missed {
            pool: pool.to_owned(),
            node: node.to_owned(),
            is_any: AtomicBool::new(false),
            keys: Mutex::default(),
            budget,
            is_durable,
            wake: Notify::new(),
            replayed: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            copy_overflows: AtomicU64::new(0),
        }
    }

    /// Whether anything is recorded: the only check that a request pays for while all is well.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.is_any.load(Acquire)
    }

    /// Whether `request` must not be sent now, because its key is recorded.
    #[cold]
    pub fn bars(&self, request: &Request<'_>) -> bool {
        request.command != Command::FlushAll && self.lock().has(request.key)
    }

    /// Returns `key` if it is recorded and a write of it, sent now, may clear it because nothing of it is
    /// in flight. Once that write is answered it must be [ended](Missed::end_clearing).
    #[cold]
    pub fn begin_clearing(&self, key: &[u8]) -> Option<Due> {
        self.lock().begin_clearing(key)
    }

    /// Records that a write that was to clear `due` was answered; `is_done`: the node executed it.
    #[cold]
    pub fn end_clearing(&self, due: Due, is_done: bool) {
        let mut keys = self.lock();
        if keys.end_clearing(&due, is_done, &self.budget) {
            self.write(Change::Deleted(&due.key));
        }
        self.note(&keys);
    }

    /// Records that a write of `key` failed because the key is recorded.
    #[cold]
    pub fn refused(&self, key: &[u8]) {
        self.lock().refused(key);
    }

    /// Records a failed write of `key`. `is_sent`: a byte of it was written, so it may still arrive, and
    /// must be [settled](Missed::settle). Returns the commit to wait for before the client is answered, if
    /// there is one.
    #[cold]
    pub fn remember(&self, key: &[u8], is_sent: bool) -> Option<Commit> {
        let mut keys = self.lock();
        let kept = keys.remember(key, is_sent, Instant::now(), &self.budget);
        self.is_any.store(true, Release);
        match kept {
            Kept::Already => {}
            Kept::New => self.write(Change::Missed(key)),
            Kept::AllKeys => self.write(Change::FlushMissed),
            Kept::Overflow => {
                self.overflows.fetch_add(1, Relaxed);
                self.write(Change::Overflowed);
            }
        }
        drop(keys);
        self.wake.notify_one();
        // An earlier record of the same key may still be on its way to the disk.
        self.commit()
    }

    /// Records a write of `key` that is sent to the node in place of the key's primary node, by the ring
    /// with the number `ring`, and whose item will have expired by `expires`.
    pub fn copy(&self, key: &[u8], ring: u64, expires: Option<Instant>) -> Noted {
        let mut keys = self.lock();
        let copied = keys.copy(key, ring, expires, Instant::now(), &self.budget);
        match copied {
            CopyNoted::Already => {}
            CopyNoted::New => self.write(Change::Copied(key)),
            CopyNoted::Late => self.write(Change::Missed(key)),
            CopyNoted::Overflow => drop(self.copy_overflows.fetch_add(1, Relaxed)),
        }
        self.note(&keys);
        drop(keys);
        let is_remembered = copied != CopyNoted::Overflow;
        Noted {
            commit: self.commit(),
            is_remembered,
            is_late: copied == CopyNoted::Late,
        }
    }

    /// Returns the commit of what is being written to the journal now, if any: it may say that another node
    /// left its ring.
    pub fn commit(&self) -> Option<Commit> {
        self.budget.journal()?.commit()
    }

    /// Checks all copies against the ring with the number `ring`, which is about to be used. Copies of keys
    /// that the node does not own in it (`is_owner`) become missed, also those that an older ring sends
    /// later.
    pub fn sweep(&self, ring: u64, is_owner: impl Fn(&[u8]) -> bool) {
        let mut copied = self.lock().begin_sweep(ring);
        let mut is_any = false;
        while !copied.is_empty() {
            let batch = copied.drain(..SWEEP.min(copied.len()));
            let judged: Vec<(Bytes, bool)> = batch.map(|key| (key.clone(), is_owner(&key))).collect();
            let mut keys = self.lock();
            let now = Instant::now();
            for (key, is_owner) in judged {
                if keys.sweep(key.clone(), is_owner, now, &self.budget) {
                    self.write(Change::Missed(&key));
                    is_any = true;
                }
            }
            self.note(&keys);
        }
        if is_any {
            self.wake.notify_one();
        }
    }

    /// Makes every key count as missing until the node was flushed, because nothing is known about the age
    /// of its items.
    pub fn miss_everything(&self) {
        let mut keys = self.lock();
        if keys.miss_everything(Instant::now(), &self.budget) {
            self.write(Change::Overflowed);
        }
        self.note(&keys);
        drop(keys);
        self.wake.notify_one();
    }

    /// Writes a change to the journal, while the caller holds the lock on what changed.
    fn write(&self, change: Change<'_>) {
        if let Some(journal) = self.budget.journal().filter(|_| self.is_durable) {
            journal.append(&self.record(change));
        }
    }

    fn record<'a>(&'a self, change: Change<'a>) -> Record<'a> {
        Record {
            pool: &self.pool,
            node: &self.node,
            change,
        }
    }

    /// Records that the node has left its ring, or is in it again, for later processes.
    pub fn note_membership(&self, has_left: bool) {
        self.write(if has_left { Change::Left } else { Change::Admitted });
    }

    /// Applies a journal record of an earlier process.
    pub fn recover(&self, change: Change<'_>) {
        let mut keys = self.lock();
        keys.recover(change, Instant::now(), &self.budget);
        self.note(&keys);
    }

    /// Passes `each` everything that is recorded, as records from which [`Missed::recover`] restores it.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn tell<E>(&self, mut each: impl FnMut(Record<'_>) -> Result<(), E>) -> Result<(), E> {
        let keys = self.lock();
        let (all, all_keys, copies) = (keys.all(), keys.to_vec(), keys.copies_to_vec());
        drop(keys);
        if let Some(flush) = all {
            each(self.record(overflow_or_flush(flush.is_asked)))?;
        }
        copies
            .iter()
            .try_for_each(|key| each(self.record(Change::Copied(key))))?;
        all_keys
            .iter()
            .try_for_each(|key| each(self.record(Change::Missed(key))))
    }

    /// Records that a write of `key` is no longer in flight: its late reply came, or its link `is_broken`.
    #[cold]
    pub fn settle(&self, key: &[u8], is_broken: bool) {
        self.lock().settle(key, is_broken, Instant::now(), &self.budget);
        self.wake.notify_one();
    }

    /// Takes up to `most` keys that may be deleted now. Each must be given back to [`Missed::deleted`] or
    /// [`Missed::not_deleted`]. The node has answered at once since `calm_since`.
    pub fn take(&self, calm_since: Option<Instant>, most: usize) -> Vec<Due> {
        self.lock().take(Instant::now(), calm_since, most)
    }

    /// Records that the node has answered these deletes.
    pub fn deleted(&self, batch: &[Due]) {
        self.replayed.fetch_add(batch.len() as u64, Relaxed);
        let mut keys = self.lock();
        for due in batch {
            if keys.deleted(due, &self.budget) {
                self.write(Change::Deleted(&due.key));
            }
        }
        self.note(&keys);
    }

    /// Records that the outcome of these deletes is unknown.
    pub fn not_deleted(&self, batch: &[Due]) {
        let mut keys = self.lock();
        batch.iter().for_each(|due| keys.not_deleted(due));
    }

    /// Returns the flush that the node must get, if it may be sent now.
    pub fn flush_due(&self, calm_since: Option<Instant>) -> Option<DueFlush> {
        self.lock().flush_due(Instant::now(), calm_since)
    }

    /// Records that the node has answered the flush_all of `flush`.
    pub fn flushed(&self, flush: DueFlush) {
        let mut keys = self.lock();
        if keys.flushed(flush) {
            self.write(Change::Cleared);
        }
        self.note(&keys);
    }

    /// Records that the node was started empty at this time or later.
    pub fn restarted(&self, at: Instant) {
        let mut keys = self.lock();
        if keys.restarted(at, &self.budget) {
            self.write(Change::Cleared);
        }
        self.note(&keys);
    }

    /// Accepts the node by an operator's decision, although it missed more than was recorded.
    pub fn accept(&self) {
        let mut keys = self.lock();
        if keys.accept() {
            self.write(Change::Cleared);
        }
        self.note(&keys);
    }

    /// Returns true if `key` counts as missing.
    pub fn has(&self, key: &[u8]) -> bool {
        self.lock().has(key)
    }

    /// The number of recorded copies.
    pub fn copies(&self) -> usize {
        self.lock().copies()
    }

    /// The number of copies that there was no room to record.
    pub fn copy_overflows(&self) -> u64 {
        self.copy_overflows.load(Relaxed)
    }

    /// The number of recorded keys.
    pub fn keys(&self) -> usize {
        self.lock().keys()
    }

    /// Whether all keys count as missing.
    pub fn is_all(&self) -> bool {
        self.lock().is_all()
    }

    /// The number of keys that were deleted on the node.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Relaxed)
    }

    /// The number of times that more was missed than may be recorded.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Relaxed)
    }

    fn note(&self, keys: &MissedKeys) {
        self.is_any.store(!keys.is_empty(), Release);
    }

    fn lock(&self) -> MutexGuard<'_, MissedKeys> {
        self.keys.lock().expect("no holder panics")
    }
}

/// Returns the journal's record for "all keys count as missing".
fn overflow_or_flush(is_asked: bool) -> Change<'static> {
    match is_asked {
        true => Change::FlushMissed,
        false => Change::Overflowed,
    }
}

impl Default for Missed {
    fn default() -> Missed {
        Missed::new("", "", Arc::default(), true)
    }
}

impl Drop for Missed {
    fn drop(&mut self) {
        let bytes = self.lock().bytes();
        self.budget.give_back(bytes);
    }
}
