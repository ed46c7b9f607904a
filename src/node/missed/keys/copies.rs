//! Copies: what a fallback node holds in place of primary nodes that are out of the ring.
//!
//! A copy is good as long as the ring says that its key belongs here. When the ring changes all copies are held against
//! it, and those whose key has another owner are missed from then on, so that they are deleted before they are read
//! again. A write that was sent by an older ring than the newest one that copies were held against is missed at once.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Budget, Keys};

/// What became of a copy that was to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It was remembered before.
    Already,
    /// It is from now on.
    New,
    /// The ring has changed since it was sent here, so it is to be deleted.
    Late,
    /// There was no room: only its expiry bounds it.
    Overflow,
}

/// A copy on a fallback node.
#[derive(Debug, Clone, Copy)]
pub(super) struct FallbackCopy {
    /// When it has expired at the latest; `None`: it need not expire.
    expires: Option<Instant>,
}

impl Keys {
    /// Copies that are remembered.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// A write of `key` is sent here in place of its primary node, by the ring with the number `ring`. What it leaves
    /// has expired by `expires`. Unless there is no room it counts as on its way, until it is
    /// [settled](Keys::settle).
    pub fn copy(
        &mut self,
        key: &[u8],
        ring: u64,
        expires: Option<Instant>,
        now: Instant,
        budget: &Budget,
    ) -> Copied {
        if let Some(all) = &mut self.all {
            // A flush that is on its way may come before this write.
            self.failures += 1;
            all.failure = self.failures;
            self.on_their_way += 1;
            return Copied::Already;
        }
        self.let_expire(now, budget);
        if !self.enter(key, budget) {
            return Copied::Overflow;
        }
        self.on_their_way += 1;
        let (key, _) = self.keys.get_key_value(key).expect("it was put there");
        let key = key.clone();
        let entry = self.keys.get_mut(&key).expect("it was put there");
        entry.on_their_way += 1;
        if ring < self.ring {
            self.miss_copy(&key, now);
            return Copied::Late;
        }
        match &mut entry.copy {
            Some(copy) => {
                copy.expires = copy.expires.zip(expires).map(|(old, new)| old.max(new));
                Copied::Already
            }
            None => {
                entry.copy = Some(FallbackCopy { expires });
                self.copies += 1;
                self.copied.push_back(key);
                Copied::New
            }
        }
    }

    /// The copy of `key` counts as missed.
    fn miss_copy(&mut self, key: &[u8], now: Instant) {
        self.failures += 1;
        self.last_failure = Some(now);
        let entry = self.keys.get_mut(key).expect("the caller found it");
        self.missed += usize::from(!entry.is_missed());
        entry.failure = self.failures;
        self.place(key);
    }

    /// Forgets some copies that have expired. Each new copy looks at two old ones, so all are looked at in turn.
    fn let_expire(&mut self, now: Instant, budget: &Budget) {
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

    /// True if `key` is no copy, or one that has expired.
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

    /// From now on the ring with the number `ring` says who owns a key. Returns all copies; each is to be given back to
    /// [`Keys::sweep`].
    pub fn begin_sweep(&mut self, ring: u64) -> VecDeque<Bytes> {
        self.ring = self.ring.max(ring);
        std::mem::take(&mut self.copied)
    }

    /// `key` was a copy when the ring changed. Unless the node `is_owner` still it is missed from now on. True then.
    pub fn sweep(&mut self, key: Bytes, is_owner: bool, now: Instant, budget: &Budget) -> bool {
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

    /// What was sent by a process that ended counts as broken off now: it may still be carried out.
    pub(super) fn recover_copy(&mut self, key: &[u8], now: Instant, budget: &Budget) {
        if self.copy(key, self.ring, None, now, budget) != Copied::Overflow {
            self.settle(key, true, now, budget);
        }
    }

    /// Every copy.
    pub fn copies_to_vec(&self) -> Vec<Bytes> {
        self.some(|entry| entry.copy.is_some())
    }
}
