//! Copies: the keys that a fallback node holds in place of primary nodes that are out of the ring.
//!
//! A copy is valid as long as the ring assigns its key to this node. When the ring changes all copies are
//! checked against it, and those whose key has another owner become missed, so that they are deleted before
//! they are read again. A write sent by a ring that is older than the last one checked becomes missed at
//! once.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

use super::{MissedBudget, MissedKeys};

/// The result of recording a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyNoted {
    /// It was recorded before.
    Already,
    /// It was recorded now.
    New,
    /// The ring has changed since it was sent here, so it must be deleted.
    Late,
    /// There was no room: only its expiry bounds its life.
    Overflow,
}

/// A copy on a fallback node.
#[derive(Debug, Clone, Copy)]
pub(super) struct FallbackCopy {
    /// When it will have expired at the latest; `None` if it may never.
    expires: Option<Instant>,
}

impl MissedKeys {
    /// The number of recorded copies.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// Records a write of `key` that is sent here in place of its primary node by the ring with the number
    /// `ring`, and whose item will have expired by `expires`. Unless there is no room it counts as in
    /// flight until it is [settled](MissedKeys::settle).
    pub fn copy(
        &mut self,
        key: &[u8],
        ring: u64,
        expires: Option<Instant>,
        now: Instant,
        budget: &MissedBudget,
    ) -> CopyNoted {
        if let Some(all) = &mut self.all {
            // A flush that is in flight may be executed before this write.
            self.failures += 1;
            all.failure = self.failures;
            self.on_their_way += 1;
            return CopyNoted::Already;
        }
        self.let_expire(now, budget);
        if !self.enter(key, budget) {
            return CopyNoted::Overflow;
        }
        self.on_their_way += 1;
        let (key, _) = self.keys.get_key_value(key).expect("it was put there");
        let key = key.clone();
        let entry = self.keys.get_mut(&key).expect("it was put there");
        entry.on_their_way += 1;
        if ring < self.ring {
            self.miss_copy(&key, now);
            return CopyNoted::Late;
        }
        match &mut entry.copy {
            Some(copy) => {
                copy.expires = copy.expires.zip(expires).map(|(old, new)| old.max(new));
                CopyNoted::Already
            }
            None => {
                entry.copy = Some(FallbackCopy { expires });
                self.copies += 1;
                self.copied.push_back(key);
                CopyNoted::New
            }
        }
    }

    /// Makes the copy of `key` count as missed.
    fn miss_copy(&mut self, key: &[u8], now: Instant) {
        self.failures += 1;
        self.last_failure = Some(now);
        let entry = self.keys.get_mut(key).expect("the caller found it");
        self.missed += usize::from(!entry.is_missed());
        entry.failure = self.failures;
        self.place(key);
    }

    /// Forgets some copies that have expired. Each new copy checks two old ones, so all are checked in
    /// turn.
    fn let_expire(&mut self, now: Instant, budget: &MissedBudget) {
        for _ in 0..2 {
            let Some(key) = self.copied.pop_front() else {
                return;
            };
            if !self.is_over(&key, now) {
                self.copied.push_back(key);
                continue;
            }
            self.end_copy(&key);
            self.tidy(&key, budget);
        }
    }

    /// Returns true if `key` is not a copy, or one that has expired.
    fn is_over(&self, key: &[u8], now: Instant) -> bool {
        let Some(entry) = self.keys.get(key) else {
            return true;
        };
        let has_expired = |copy: FallbackCopy| copy.expires.is_some_and(|expires| expires < now);
        entry
            .copy
            .is_none_or(|copy| has_expired(copy) && entry.on_their_way == 0)
    }

    fn end_copy(&mut self, key: &[u8]) {
        if self
            .keys
            .get_mut(key)
            .is_some_and(|entry| entry.copy.take().is_some())
        {
            self.copies -= 1;
        }
    }

    /// Begins to check copies against the ring with the number `ring`. Returns all copies; each must be
    /// given to [`MissedKeys::sweep`].
    pub fn begin_sweep(&mut self, ring: u64) -> VecDeque<Bytes> {
        self.ring = self.ring.max(ring);
        std::mem::take(&mut self.copied)
    }

    /// Checks the copy `key` against the new ring: unless the node still `is_owner` it becomes missed, and
    /// true is returned.
    pub fn sweep(&mut self, key: Bytes, is_owner: bool, now: Instant, budget: &MissedBudget) -> bool {
        if self.is_over(&key, now) {
            self.end_copy(&key);
            self.tidy(&key, budget);
            return false;
        }
        if is_owner {
            self.copied.push_back(key);
            return false;
        }
        self.end_copy(&key);
        self.miss_copy(&key, now);
        true
    }

    /// Recovers a copy of an earlier process. It counts as broken off now: its write may still be executed.
    pub(super) fn recover_copy(&mut self, key: &[u8], now: Instant, budget: &MissedBudget) {
        if self.copy(key, self.ring, None, now, budget) != CopyNoted::Overflow {
            self.settle(key, true, now, budget);
        }
    }

    /// Every copy.
    pub fn copies_to_vec(&self) -> Vec<Bytes> {
        self.some(|entry| entry.copy.is_some())
    }
}
