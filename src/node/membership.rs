//! Whether a node may stand in its pool's ring, whatever its health: what an operator said, and whether it has
//! left and not been let in again.
//!
//! A node that left the ring may hold values that were changed elsewhere since. So it comes back only when
//! somebody [admits](Membership::admit) it: control after it was cleared, or an operator.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// How one node stands to its ring.
#[derive(Debug, Default)]
pub struct Membership {
    is_drained: AtomicBool,
    left_at: Mutex<Option<Instant>>,
    rejoins: AtomicU64,
    flushes: AtomicU64,
}

impl Membership {
    /// True while an operator wants it to take no keys.
    pub fn is_drained(&self) -> bool {
        self.is_drained.load(Relaxed)
    }

    /// An operator wants it to take no keys, or wants it to take them again.
    pub fn set_drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Relaxed);
    }

    /// When it left the ring; `None` if it did not, or was admitted since.
    pub fn left_at(&self) -> Option<Instant> {
        *self.left_at.lock().expect("no holder panics")
    }

    /// The ring is without it. A node that left before left then, and false is returned.
    pub fn leave(&self, now: Instant) -> bool {
        let mut left_at = self.left_at.lock().expect("no holder panics");
        let leaves = left_at.is_none();
        left_at.get_or_insert(now);
        leaves
    }

    /// It may stand in the ring again. False if it did before.
    pub fn admit(&self) -> bool {
        let was_out = self.left_at.lock().expect("no holder panics").take().is_some();
        self.rejoins.fetch_add(u64::from(was_out), Relaxed);
        was_out
    }

    /// Whether nothing but its health can keep it out of the ring.
    pub fn may_stand(&self) -> bool {
        !self.is_drained() && self.left_at().is_none()
    }

    /// It was flushed before it came back.
    pub fn count_flush(&self) {
        self.flushes.fetch_add(1, Relaxed);
    }

    /// Times that it came back to the ring.
    pub fn rejoins(&self) -> u64 {
        self.rejoins.load(Relaxed)
    }

    /// Times that it was flushed before it came back.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Relaxed)
    }
}
