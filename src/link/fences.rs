//! Fences: keys whose write failed before it was sent, behind requests of the same link that are still outstanding.
//!
//! Among those may be an earlier write of the same key, whose value would be older than the write that failed. Links
//! have no order between them, so the delete of the key ([`missed`](crate::node::missed)), which has a connection of its
//! own, must wait until all requests that were outstanding are answered: until the fence is *passed*.
//!
//! ```text
//!   set k 1 ─▶ in flight      set k 2: busy, fails ─▶ k is missed, fence at the end of what was written
//!   STORED  ◀─ answered: the fence is passed ─▶ k may be deleted
//! ```

use std::collections::HashMap;

use bytes::Bytes;

/// The approximate overhead of a fence beside its key.
const ENTRY: usize = 64;
/// The offset of a fence behind requests that are queued, which have no offset yet.
const BEHIND_QUEUE: u64 = u64::MAX;

/// The fences of one link.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// For each key, the offset among all bytes of the connection that outstanding requests must have reached.
    keys: HashMap<Bytes, u64>,
    held: usize,
}

impl Fences {
    /// Sets a fence for `key`: behind the byte at `offset`, or behind what is queued if that is `None`. Returns true if
    /// the key had none.
    pub fn set(&mut self, key: &[u8], offset: Option<u64>) -> bool {
        let offset = offset.unwrap_or(BEHIND_QUEUE);
        if let Some(fence) = self.keys.get_mut(key) {
            *fence = offset;
            return false;
        }
        self.held += ENTRY + key.len();
        self.keys.insert(Bytes::copy_from_slice(key), offset);
        true
    }

    /// What was queued is written now, before the byte at `end`.
    pub fn written(&mut self, end: u64) {
        let queued = self.keys.values_mut().filter(|fence| **fence == BEHIND_QUEUE);
        queued.for_each(|fence| *fence = end);
    }

    /// The connection is gone, and what was outstanding is queued again.
    pub fn queued_again(&mut self) {
        self.keys.values_mut().for_each(|fence| *fence = BEHIND_QUEUE);
    }

    /// Takes the keys whose fences are passed if the oldest outstanding request begins at `oldest`.
    pub fn take_passed(&mut self, oldest: u64) -> Vec<Bytes> {
        let passed = self.keys.extract_if(|_, fence| *fence <= oldest);
        let passed: Vec<Bytes> = passed.map(|(key, _)| key).collect();
        self.held -= passed.iter().map(|key| ENTRY + key.len()).sum::<usize>();
        passed
    }

    /// Takes all keys: nothing is outstanding.
    pub fn take_all(&mut self) -> Vec<Bytes> {
        self.take_passed(u64::MAX)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` has one.
    pub fn has(&self, key: &[u8]) -> bool {
        self.keys.contains_key(key)
    }

    /// The number of bytes of memory that they take.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_passed_once_what_was_outstanding_is_answered() {
        let mut fences = Fences::default();
        assert!(fences.set(b"a", Some(100)) && fences.set(b"b", Some(200)));
        assert!(fences.has(b"a") && !fences.has(b"c"));
        assert!(fences.take_passed(99).is_empty());
        assert_eq!(fences.take_passed(100), [&b"a"[..]]);
        assert!(!fences.set(b"b", Some(300)), "it moves");
        assert!(fences.take_passed(200).is_empty());
        assert_eq!(fences.take_all(), [&b"b"[..]]);
        assert!(fences.is_empty() && fences.held() == 0);
    }

    #[test]
    fn what_is_queued_passes_only_once_it_was_written_and_answered() {
        let mut fences = Fences::default();
        fences.set(b"a", None);
        assert!(fences.take_passed(1 << 40).is_empty());
        fences.written(50);
        assert_eq!(fences.take_passed(50), [&b"a"[..]]);
        fences.set(b"b", Some(10));
        fences.queued_again();
        assert!(fences.take_passed(10).is_empty());
        assert_eq!(fences.take_all(), [&b"b"[..]]);
    }
}
