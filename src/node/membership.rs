//! Whether a node may be in its pool's ring, regardless of its health: whether an operator drained it, and
//! whether it has left the ring and was not admitted again.
//!
//! A node that left the ring may hold values that were changed elsewhere since. So it comes back only when
//! control has cleared it, or an operator [admits](Membership::admit) it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// The membership of one node in its ring.
#[derive(Debug, Default)]
pub struct Membership {
    is_drained: AtomicBool,
    left_at: Mutex<Option<Instant>>,
    rejoins: AtomicU64,
    flushes: AtomicU64,
}

impl Membership {
    /// Returns true while an operator has drained the node, so that it takes no keys.
    pub fn is_drained(&self) -> bool {
        self.is_drained.load(Relaxed)
    }

    /// Drains the node, or ends that.
    pub fn set_drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Relaxed);
    }

    /// When the node left the ring; `None` if it did not, or was admitted since.
    pub fn left_at(&self) -> Option<Instant> {
        *self.left_at.lock().expect("no holder panics")
    }

    /// Records that the ring is without the node. Returns false and changes nothing if it had left before.
    pub fn leave(&self, now: Instant) -> bool {
        let mut left_at = self.left_at.lock().expect("no holder panics");
        let leaves = left_at.is_none();
        left_at.get_or_insert(now);
        leaves
    }

    /// Lets the node back into the ring. Returns false if it had not left.
    pub fn admit(&self) -> bool {
        let was_out = self.left_at.lock().expect("no holder panics").take().is_some();
        self.rejoins.fetch_add(u64::from(was_out), Relaxed);
        was_out
    }

    /// Whether only its health can keep the node out of the ring.
    pub fn may_stand(&self) -> bool {
        !self.is_drained() && self.left_at().is_none()
    }

    /// Counts a flush of the node before it came back.
    pub fn count_flush(&self) {
        self.flushes.fetch_add(1, Relaxed);
    }

    /// The number of times that the node came back to the ring.
    pub fn rejoins(&self) -> u64 {
        self.rejoins.load(Relaxed)
    }

    /// The number of times that the node was flushed before it came back.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Relaxed)
    }
}
