//! Writes that a node missed: what may keep a value there that is older than a write which failed.
//!
//! A write that fails leaves the old value where it is, or arrives after all, long after its client was told that it
//! failed, and takes the place of a newer one. So its key is remembered for that node, by all workers together, until
//! it was deleted there *after* every copy of the write that may still be on its way. Until then, for that key, the node
//! counts as down (see `link::missed`): a read is a miss, or goes on to where a `failover` leads, and a write fails.
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
//! 5. A set or a delete of a client serves as the delete, if nothing else is on its way when it is sent, and it is
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
//! With `missed_writes.dir` each change is written to the [`journal`](crate::journal) under the same lock, and the client
//! reads that its write failed when that is on disk. What an earlier process left counts as sent over links that broke
//! when this one began, and as failed then: whether a node was restarted before is not asked, since the clocks of two
//! processes may differ by a step.
//!
//! What a node holds in place of nodes that are out of the ring, its *copies*, is remembered in the same structure and
//! the same budget, and becomes missed when the ring says that the keys are no longer its own (see [`copying`] and
//! [`Missed::sweep`]).
//!
//! Where more keys were missed than may be remembered ([`Budget`]), or a flush_all failed, the node counts as down for
//! *all* keys, and it is flushed as a key is deleted: when nothing is on its way and all has settled.

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
use keys::{Copied, Kept, Keys};
pub use keys::{Due, Flush};

/// So long a node must have answered at once before what a broken link left there counts as carried out.
pub const SETTLE: Duration = Duration::from_secs(2);

/// Copies that are held against a new ring before another thread gets its turn.
const SWEEP: usize = 1000;

/// What all nodes of a process may remember.
#[derive(Debug)]
pub struct Budget {
    /// Keys of one node.
    max: AtomicUsize,
    /// Bytes of all keys of all nodes.
    max_bytes: AtomicUsize,
    bytes: Arc<AtomicUsize>,
    /// Where it is written too; nowhere without `missed_writes.dir`.
    journal: OnceLock<Arc<Journal>>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            max: AtomicUsize::new(usize::MAX),
            max_bytes: AtomicUsize::new(usize::MAX),
            bytes: Arc::default(),
            journal: OnceLock::new(),
        }
    }
}

impl Budget {
    /// Takes other limits: keys of each node, and bytes of all.
    pub fn configure(&self, max: usize, max_bytes: usize) {
        self.max.store(max, Relaxed);
        self.max_bytes.store(max_bytes, Relaxed);
    }

    /// From now on all that is remembered and forgotten is written to `journal` too. The first call counts.
    pub fn write_to(&self, journal: Arc<Journal>) {
        let _kept_if_there_is_one = self.journal.set(journal);
    }

    /// Where it is written too.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.get()
    }

    /// The bytes that are taken now.
    pub fn bytes(&self) -> &Arc<AtomicUsize> {
        &self.bytes
    }

    /// Whether a node that remembers `keys` may remember one more of `bytes`, which are taken then.
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
    /// Changes are written to the budget's journal: what the node holds outlives the process.
    is_durable: bool,
    /// There is something to delete.
    pub wake: Notify,
    replayed: AtomicU64,
    overflows: AtomicU64,
    copy_overflows: AtomicU64,
}

/// A copy that is on its way to a fallback node.
#[derive(Debug)]
pub struct Noted {
    /// What is to be waited for before the client may know that it was done.
    pub commit: Option<Commit>,
    /// It must be [settled](Missed::settle). False if there was no room to remember it.
    pub is_remembered: bool,
    /// The ring has changed since it was sent: it is to be deleted.
    pub is_late: bool,
}

impl Missed {
    /// Nothing, within `budget`. It is that of the node `node` of `pool`, and is written to the
    /// budget's journal under these names, if it `is_durable`: what an embedded node holds ends with the process.
    pub fn new(pool: &str, node: &str, budget: Arc<Budget>, is_durable: bool) -> Missed {
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

    /// Whether anything is remembered: the one look that a request costs while all is well.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.is_any.load(Acquire)
    }

    /// Whether `request` is not to be sent now, since its key is remembered.
    #[cold]
    pub fn bars(&self, request: &Request<'_>) -> bool {
        request.command != Command::FlushAll && self.lock().has(request.key)
    }

    /// The key of `request` as one that a write of it may clear, if it is remembered and nothing of it is on its way.
    #[cold]
    pub fn clearable(&self, key: &[u8]) -> Option<Due> {
        self.lock().clearable(key)
    }

    /// Remembers that a write of `key` failed. `is_sent`: a byte of it was written, so it may still arrive, and must be
    /// [settled](Missed::settle). Returns the commit that the client must not be answered before, if there is one.
    #[cold]
    pub fn remember(&self, key: &[u8], is_sent: bool) -> Option<Commit> {
        let mut keys = self.lock();
        let kept = keys.remember(key, is_sent, Instant::now(), &self.budget);
        self.is_any.store(true, Release);
        match kept {
            Kept::Already => {}
            Kept::New => self.write(Change::Missed(key)),
            Kept::RequestOrigin => self.write(Change::FlushMissed),
            Kept::Overflow => {
                self.overflows.fetch_add(1, Relaxed);
                self.write(Change::Overflowed);
            }
        }
        drop(keys);
        self.wake.notify_one();
        // What it adds nothing to may be on its way to the disk too.
        self.commit()
    }

    /// Remembers that a write of `key` is sent to the node in place of the key's primary node, by the ring with the
    /// number `ring`, and that what it leaves has expired by `expires`.
    pub fn copy(&self, key: &[u8], ring: u64, expires: Option<Instant>) -> Noted {
        let mut keys = self.lock();
        let copied = keys.copy(key, ring, expires, Instant::now(), &self.budget);
        match copied {
            Copied::Already => {}
            Copied::New => self.write(Change::Copied(key)),
            Copied::Late => self.write(Change::Missed(key)),
            Copied::Overflow => drop(self.copy_overflows.fetch_add(1, Relaxed)),
        }
        self.note(&keys);
        drop(keys);
        let is_remembered = copied != Copied::Overflow;
        Noted {
            commit: self.commit(),
            is_remembered,
            is_late: copied == Copied::Late,
        }
    }

    /// What is written to the journal now, if that is to be waited for: that another node has left its ring, perhaps.
    pub fn commit(&self) -> Option<Commit> {
        self.budget.journal()?.commit()
    }

    /// The ring with the number `ring` is about to be used, in which the node is the owner of the keys for which
    /// `is_owner`. Copies of other keys are missed from now on, also those that are sent by an older ring.
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

    /// Nobody knows what of the node's items is old: every key counts as missing until it was flushed.
    pub fn miss_everything(&self) {
        let mut keys = self.lock();
        if keys.miss_everything(Instant::now(), &self.budget) {
            self.write(Change::Overflowed);
        }
        self.note(&keys);
        drop(keys);
        self.wake.notify_one();
    }

    /// Writes a change to the journal, in the hands of who holds what changed.
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

    /// The node has left its ring, or stands in it again: a process after this one must know.
    pub fn note_membership(&self, has_left: bool) {
        self.write(if has_left { Change::Left } else { Change::Admitted });
    }

    /// Takes what the journal of an earlier process said.
    pub fn recover(&self, change: Change<'_>) {
        let mut keys = self.lock();
        keys.recover(change, Instant::now(), &self.budget);
        self.note(&keys);
    }

    /// Gives `each` all that is remembered, as records from which [`Missed::recover`] makes it again.
    ///
    /// # Errors
    /// As `each` gives them.
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

    /// A write of `key` that was on its way is so no more: its late reply came, or its link `is_broken`.
    #[cold]
    pub fn settle(&self, key: &[u8], is_broken: bool) {
        self.lock().settle(key, is_broken, Instant::now(), &self.budget);
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
        for due in batch {
            if keys.deleted(due, &self.budget) {
                self.write(Change::Deleted(&due.key));
            }
        }
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
        if keys.flushed(flush) {
            self.write(Change::Cleared);
        }
        self.note(&keys);
    }

    /// The node was started at this time, empty, or later.
    pub fn restarted(&self, at: Instant) {
        let mut keys = self.lock();
        if keys.restarted(at, &self.budget) {
            self.write(Change::Cleared);
        }
        self.note(&keys);
    }

    /// An operator takes the node as it is though it missed more than was remembered.
    pub fn accept(&self) {
        let mut keys = self.lock();
        if keys.accept() {
            self.write(Change::Cleared);
        }
        self.note(&keys);
    }

    /// True if `key` counts as missing.
    pub fn has(&self, key: &[u8]) -> bool {
        self.lock().has(key)
    }

    /// Keys that are held in place of other nodes, and remembered.
    pub fn copies(&self) -> usize {
        self.lock().copies()
    }

    /// Copies that there was no room to remember.
    pub fn copy_overflows(&self) -> u64 {
        self.copy_overflows.load(Relaxed)
    }

    /// Keys that are remembered.
    pub fn keys(&self) -> usize {
        self.lock().keys()
    }

    /// Whether all keys count as missing.
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

/// How the journal says that all keys count as missing.
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
