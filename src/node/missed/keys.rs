//! The keys that one node missed: a pure structure, which takes times as arguments.
//!
//! A missed key is in `ready` if it may be deleted, in `settling` if it may be soon, and in neither while a
//! write of it or its delete is in flight. Entries are checked when they leave a queue: a later failure may
//! have changed where they belong.
//!
//! A key may be missed, a copy (held in place of the key's primary node), or both. A copy costs requests
//! nothing until the ring changes and the node is no longer the key's owner: then it is missed like a
//! failed write.

mod copies;

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;

pub use copies::CopyNoted;
use copies::FallbackCopy;

use super::{MissedBudget, SETTLE};
use crate::journal::record::Change;

/// The approximate overhead of a key beside its bytes.
const ENTRY: usize = 192;

/// A key that must be deleted.
#[derive(Debug, Clone)]
pub struct Due {
    /// The plain key.
    pub key: Bytes,
    /// The number of the failure because of which it is deleted.
    failure: u64,
}

/// A flush that the node must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFlush {
    /// The number of the failure because of which it is flushed.
    failure: u64,
    /// Whether a client requested it; otherwise more was missed than could be recorded.
    pub is_asked: bool,
}

/// The result of recording a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was recorded before, or all keys count as missing.
    Already,
    /// It was recorded now.
    New,
    /// All keys count as missing from now on, because a flush_all failed.
    AllKeys,
    /// There was no room: all keys count as missing from now on.
    Overflow,
}

/// What one node missed, and its copies of other nodes' keys.
#[derive(Debug, Default)]
pub struct MissedKeys {
    keys: HashMap<Bytes, KeyState>,
    /// Set if all keys count as missing; then keys are not recorded separately.
    all: Option<DueFlush>,
    /// Keys that may be deleted.
    ready: VecDeque<Bytes>,
    /// Keys whose link broke at this time, the earliest first.
    settling: VecDeque<(Instant, Bytes)>,
    /// The number of failures so far, which numbers them.
    failures: u64,
    last_failure: Option<Instant>,
    /// The last time that a link broke with a write in flight.
    last_break: Option<Instant>,
    /// The number of writes that may still be executed.
    on_their_way: u64,
    bytes: usize,
    /// The number of missed keys.
    missed: usize,
    /// The number of copies.
    copies: usize,
    /// Every copy, and keys that were one.
    copied: VecDeque<Bytes>,
    /// The number of the newest ring that copies were checked against.
    ring: u64,
}

#[derive(Debug)]
struct KeyState {
    /// The number of the last failure; 0 if the key is not missed.
    failure: u64,
    /// Set if the node holds the key in place of its primary node.
    copy: Option<FallbackCopy>,
    on_their_way: u32,
    /// The last time that a link broke with a write of this key in flight.
    broke_at: Option<Instant>,
    /// Whether the key is in a queue, or its delete is in flight.
    is_placed: bool,
    /// The number of clients' writes in flight that clear the key once they are done.
    clearing: u32,
    /// Whether another write failed behind those, so that their values must be deleted.
    is_refused: bool,
}

impl KeyState {
    fn new() -> KeyState {
        KeyState {
            failure: 0,
            copy: None,
            on_their_way: 0,
            broke_at: None,
            is_placed: false,
            clearing: 0,
            is_refused: false,
        }
    }

    fn is_missed(&self) -> bool {
        self.failure > 0
    }

    /// Whether a delete that is sent now might be executed before something that must be deleted.
    fn must_wait(&self) -> bool {
        self.on_their_way > 0 || (self.is_refused && self.clearing > 0)
    }
}

impl MissedKeys {
    /// Returns true if nothing is missed.
    pub fn is_empty(&self) -> bool {
        self.missed == 0 && self.all.is_none()
    }

    /// The number of missed keys that are recorded separately.
    pub fn keys(&self) -> usize {
        self.missed
    }

    /// The number of bytes that all entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all keys count as missing.
    pub fn is_all(&self) -> bool {
        self.all.is_some()
    }

    /// Whether `key` counts as missing.
    pub fn has(&self, key: &[u8]) -> bool {
        self.all.is_some() || self.keys.get(key).is_some_and(KeyState::is_missed)
    }

    /// Records a failed write of `key`, or of every key if `key` is empty. `is_sent`: it may still be
    /// executed.
    pub fn remember(&mut self, key: &[u8], is_sent: bool, now: Instant, budget: &MissedBudget) -> Kept {
        self.failures += 1;
        self.last_failure = Some(now);
        self.on_their_way += u64::from(is_sent);
        if let Some(all) = &mut self.all {
            all.failure = self.failures;
            return Kept::Already;
        }
        if key.is_empty() {
            self.miss_all(true, budget);
            return Kept::AllKeys;
        }
        if !self.enter(key, budget) {
            self.miss_all(false, budget);
            return Kept::Overflow;
        }
        let entry = self.keys.get_mut(key).expect("it was put there");
        let is_new = !entry.is_missed();
        entry.failure = self.failures;
        entry.on_their_way += u32::from(is_sent);
        self.missed += usize::from(is_new);
        self.place(key);
        if is_new { Kept::New } else { Kept::Already }
    }

    /// Makes an entry for `key` if there is none. Returns false if there is no room for it.
    fn enter(&mut self, key: &[u8], budget: &MissedBudget) -> bool {
        if self.keys.contains_key(key) {
            return true;
        }
        if !budget.take(self.keys.len(), cost(key)) {
            return false;
        }
        self.bytes += cost(key);
        self.keys.insert(Bytes::copy_from_slice(key), KeyState::new());
        true
    }

    /// Makes all keys count as missing. Returns false if they already did.
    pub fn miss_everything(&mut self, now: Instant, budget: &MissedBudget) -> bool {
        if self.all.is_some() {
            return false;
        }
        self.failures += 1;
        self.last_failure = Some(now);
        self.miss_all(false, budget);
        true
    }

    fn miss_all(&mut self, is_asked: bool, budget: &MissedBudget) {
        self.forget_all(budget);
        self.all = Some(DueFlush {
            failure: self.failures,
            is_asked,
        });
    }

    fn forget_all(&mut self, budget: &MissedBudget) {
        budget.give_back(self.bytes);
        self.bytes = 0;
        self.keys = HashMap::new();
        (self.missed, self.copies) = (0, 0);
        self.copied = VecDeque::new();
        self.ready = VecDeque::new();
        self.settling = VecDeque::new();
    }

    /// Puts `key` into its queue, if it belongs to one.
    fn place(&mut self, key: &[u8]) {
        let Some((key, entry)) = self.keys.get_key_value(key) else {
            return;
        };
        if !entry.is_missed() || entry.is_placed || entry.must_wait() {
            return;
        }
        match entry.broke_at {
            Some(at) => self.settling.push_back((at, key.clone())),
            None => self.ready.push_back(key.clone()),
        }
        let key = key.clone();
        self.keys.get_mut(&key).expect("it is there").is_placed = true;
    }

    /// Records that a write of `key` is no longer in flight.
    pub fn settle(&mut self, key: &[u8], is_broken: bool, now: Instant, budget: &MissedBudget) {
        debug_assert!(self.on_their_way > 0, "nothing was on its way");
        self.on_their_way = self.on_their_way.saturating_sub(1);
        if is_broken {
            self.last_break = Some(now);
        }
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        entry.on_their_way = entry.on_their_way.saturating_sub(1);
        if is_broken {
            entry.broke_at = Some(now);
        }
        self.place(key);
        self.tidy(key, budget);
    }

    /// Takes up to `most` keys whose deletes will be executed after everything that was in flight.
    pub fn take(&mut self, now: Instant, calm_since: Option<Instant>, most: usize) -> Vec<Due> {
        self.let_settle(now, calm_since);
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(key) = self.ready.pop_front()
        {
            let Some(entry) = self.keys.get_mut(&key).filter(|entry| entry.is_missed()) else {
                continue;
            };
            let is_settled = entry.broke_at.is_none_or(|at| has_settled(at, now, calm_since));
            if !entry.must_wait() && is_settled {
                let failure = entry.failure;
                taken.push(Due { key, failure });
                continue;
            }
            // It failed again while it was in the queue.
            entry.is_placed = false;
            self.place(&key);
        }
        taken
    }

    /// Returns `key` if a write of it sent now will be executed after everything that was in flight. That write
    /// counts as clearing the key until it is [answered](MissedKeys::end_clearing).
    pub fn begin_clearing(&mut self, key: &[u8]) -> Option<Due> {
        let (key, _) = self.keys.get_key_value(key)?;
        let key = key.clone();
        let entry = self.keys.get_mut(&key).filter(|entry| entry.is_missed())?;
        if entry.must_wait() || entry.broke_at.is_some() {
            return None;
        }
        entry.clearing += 1;
        let failure = entry.failure;
        Some(Due { key, failure })
    }

    /// Records that a client's write that was to clear `due` was answered; `is_done`: the node executed it. Returns
    /// true if the key is forgotten now.
    pub fn end_clearing(&mut self, due: &Due, is_done: bool, budget: &MissedBudget) -> bool {
        if let Some(entry) = self.keys.get_mut(&due.key) {
            entry.clearing = entry.clearing.saturating_sub(1);
        }
        let is_forgotten = is_done && self.deleted(due, budget);
        self.place(&due.key);
        self.tidy(&due.key, budget);
        is_forgotten
    }

    /// Records that a write of `key` failed, without being sent, because the key is missed. A write in flight that
    /// clears the key came before it, so its value must not be read either.
    pub fn refused(&mut self, key: &[u8]) {
        let is_clearing = |entry: &&mut KeyState| entry.is_missed() && entry.clearing > 0;
        if let Some(entry) = self.keys.get_mut(key).filter(is_clearing) {
            self.failures += 1;
            entry.failure = self.failures;
            entry.is_refused = true;
        }
    }

    fn let_settle(&mut self, now: Instant, calm_since: Option<Instant>) {
        while let Some((at, _)) = self.settling.front()
            && has_settled(*at, now, calm_since)
            && let Some((_, key)) = self.settling.pop_front()
        {
            self.ready.push_back(key);
        }
    }

    /// Records that the node answered the delete of `due`. Returns true if the key is forgotten now.
    pub fn deleted(&mut self, due: &Due, budget: &MissedBudget) -> bool {
        let Some(entry) = self.keys.get_mut(&due.key) else {
            return false;
        };
        if entry.failure != due.failure {
            entry.is_placed = false;
            self.place(&due.key);
            return false;
        }
        self.forget(&due.key, budget);
        true
    }

    /// Makes `key` no longer missed.
    fn forget(&mut self, key: &[u8], budget: &MissedBudget) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        self.missed -= usize::from(entry.is_missed());
        entry.failure = 0;
        entry.broke_at = None;
        entry.is_placed = false;
        entry.is_refused = false;
        self.tidy(key, budget);
    }

    /// Removes the entry of `key` if it is no longer needed.
    fn tidy(&mut self, key: &[u8], budget: &MissedBudget) {
        let is_idle = |entry: &KeyState| {
            !entry.is_missed() && entry.copy.is_none() && entry.on_their_way == 0 && entry.clearing == 0
        };
        if self.keys.get(key).is_some_and(is_idle) {
            self.keys.remove(key);
            self.bytes -= cost(key);
            budget.give_back(cost(key));
        }
        if self.keys.is_empty() {
            self.forget_all(budget);
        }
    }

    /// Records that the delete of `due` was not answered.
    pub fn not_deleted(&mut self, due: &Due) {
        if let Some(entry) = self.keys.get_mut(&due.key) {
            entry.is_placed = false;
            self.place(&due.key);
        }
    }

    /// Returns the flush that the node must get, if it will be executed after everything that was in
    /// flight.
    pub fn flush_due(&self, now: Instant, calm_since: Option<Instant>) -> Option<DueFlush> {
        let is_settled = self.last_break.is_none_or(|at| has_settled(at, now, calm_since));
        self.all.filter(|_| self.on_their_way == 0 && is_settled)
    }

    /// Records that the node answered the flush_all of `flush`. Returns true if nothing is recorded now.
    pub fn flushed(&mut self, flush: DueFlush) -> bool {
        self.all.take_if(|all| all.failure == flush.failure).is_some()
    }

    /// Records that the node started, empty, at this time. Returns true if that cleared anything.
    pub fn restarted(&mut self, at: Instant, budget: &MissedBudget) -> bool {
        let has_nothing = self.on_their_way == 0 && self.last_failure.is_some_and(|failure| failure < at);
        let was_any = has_nothing && !self.is_empty();
        if has_nothing {
            self.clear(budget);
        }
        was_any
    }

    /// Clears everything that is missed. Copies stay: they may be newer than what cleared the node.
    fn clear(&mut self, budget: &MissedBudget) {
        self.all = None;
        for key in self.to_vec() {
            self.forget(&key, budget);
        }
        self.ready = VecDeque::new();
        self.settling = VecDeque::new();
    }

    /// Accepts the node although it missed writes that were not recorded. Returns true if there were any.
    pub fn accept(&mut self) -> bool {
        self.all.take().is_some()
    }

    /// Applies a journal record of an earlier process. Its writes may still be executed.
    pub fn recover(&mut self, change: Change<'_>, now: Instant, budget: &MissedBudget) {
        match change {
            Change::Missed(key) => self.recover_failure(key, now, budget),
            Change::Copied(key) => self.recover_copy(key, now, budget),
            Change::FlushMissed => self.recover_failure(b"", now, budget),
            Change::Overflowed => {
                self.recover_failure(b"", now, budget);
                self.miss_all(false, budget);
            }
            Change::Deleted(key) => self.forget(key, budget),
            Change::Cleared => self.clear(budget),
            Change::Left | Change::Admitted => {}
        }
    }

    fn recover_failure(&mut self, key: &[u8], now: Instant, budget: &MissedBudget) {
        self.remember(key, true, now, budget);
        self.settle(key, true, now, budget);
    }

    /// The state of all keys, if all count as missing.
    pub fn all(&self) -> Option<DueFlush> {
        self.all
    }

    /// Every missed key that is recorded separately.
    pub fn to_vec(&self) -> Vec<Bytes> {
        self.some(KeyState::is_missed)
    }

    fn some(&self, is_wanted: impl Fn(&KeyState) -> bool) -> Vec<Bytes> {
        let wanted = self.keys.iter().filter(|(_, entry)| is_wanted(entry));
        wanted.map(|(key, _)| key.clone()).collect()
    }
}

fn cost(key: &[u8]) -> usize {
    ENTRY + key.len()
}

/// Whether everything that a link left behind when it broke at `broke_at` has been executed, or never will
/// be.
fn has_settled(broke_at: Instant, now: Instant, calm_since: Option<Instant>) -> bool {
    calm_since.is_some_and(|calm| calm.max(broke_at) + SETTLE <= now)
}

#[cfg(test)]
mod tests;
