//! What the buffers of one worker hold together, and who may hold more.
//!
//! ```text
//!   0 ────────── for whoever asks ──────────▶ ¾ ── for those who hold little ──▶ limit ── for nobody
//! ```
//!
//! Each session and each link has an [`MemoryBudget`] of the bytes that it holds. Up to three quarters of the
//! worker's limit anyone may hold more. The last quarter is shared out: an account may hold its share of it,
//! so whoever holds little is served while the greedy are refused. Who is refused, and what it is told, is for
//! the account's owner; nothing that is held already is taken away.
//!
//! One thread owns all of it: a few cells, and a counter that others may read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::metrics::WorkerShard;

/// The least share, in bytes: one read buffer.
const MIN_SHARE: usize = 64 << 10;

/// The buffers of one worker.
#[derive(Debug)]
pub struct Memory {
    limit: Cell<usize>,
    budgets: Cell<usize>,
    /// What others hold of the process's memory, and how many workers share that.
    besides: RefCell<(Arc<AtomicUsize>, usize)>,
    /// This worker's part of that, as it was at the last look.
    part: Cell<usize>,
    /// Its `buffered` is the sum of all accounts.
    shard: Arc<WorkerShard>,
}

impl Memory {
    /// Without a limit until one is set; the sum is kept in `shard`.
    pub fn new(shard: Arc<WorkerShard>) -> Memory {
        Memory {
            limit: Cell::new(usize::MAX),
            budgets: Cell::new(0),
            besides: RefCell::new((Arc::default(), 1)),
            part: Cell::new(0),
            shard,
        }
    }

    /// Takes another limit, in bytes. What is held above it stays until it is given back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// From now on `bytes`, which is held by nobody here, counts too: this worker's part, of so many `workers`.
    pub fn set_besides(&self, bytes: &Arc<AtomicUsize>, workers: usize) {
        *self.besides.borrow_mut() = (bytes.clone(), workers);
        self.look();
    }

    /// Looks how much is held besides: once for each batch, for it changes only where nodes fail.
    #[inline]
    pub fn look(&self) {
        let (besides, workers) = &*self.besides.borrow();
        self.part.set(besides.load(Relaxed) / workers);
    }

    /// True while buffers that are empty may be kept: they never take more than a quarter, so to refuse
    /// somebody for the sake of empty buffers is never needed.
    #[inline]
    pub fn is_below_low_watermark(&self) -> bool {
        self.total() <= self.limit.get() / 4
    }

    /// Bytes that all accounts hold, and this worker's part of what is held besides.
    #[inline]
    pub fn total(&self) -> usize {
        self.shard.buffered.get() as usize + self.part.get()
    }

    /// Up to here anyone may hold more.
    #[inline]
    fn free(&self) -> usize {
        let limit = self.limit.get();
        limit - limit / 4
    }

    /// What one account may hold beyond that.
    fn share(&self) -> usize {
        (self.limit.get() / 4 / self.budgets.get().max(1)).max(MIN_SHARE)
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(Arc::default())
    }
}

/// The bytes that one session or link holds. Dropping it gives them back.
#[derive(Debug)]
pub struct MemoryBudget {
    memory: Rc<Memory>,
    held: Cell<usize>,
}

impl MemoryBudget {
    /// An account that holds nothing yet.
    pub fn new(memory: &Rc<Memory>) -> MemoryBudget {
        memory.budgets.set(memory.budgets.get() + 1);
        MemoryBudget {
            memory: memory.clone(),
            held: Cell::new(0),
        }
    }

    /// Its owner holds so many bytes now.
    #[inline]
    pub fn set(&self, bytes: usize) {
        let before = self.held.replace(bytes);
        let more = (bytes as u64).wrapping_sub(before as u64);
        self.memory.shard.buffered.add(more);
    }

    /// Its owner holds so many bytes more.
    #[inline]
    pub fn add(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
        self.memory.shard.buffered.add(bytes as u64);
    }

    /// Its owner gave back so many bytes.
    #[inline]
    pub fn sub(&self, bytes: usize) {
        self.set(self.held.get() - bytes);
    }

    /// Whether it may hold so many bytes more. With 0: where it holds no more than it may.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.memory.total().saturating_add(bytes) <= self.memory.free()
            || self.held.get().saturating_add(bytes) <= self.most()
    }

    /// The bytes that it may hold in all, as long as the others hold what they do.
    #[inline]
    pub fn most(&self) -> usize {
        let memory = &self.memory;
        let others = memory.total() - self.held.get();
        let free = memory.free().saturating_sub(others);
        if free >= memory.limit.get() / 4 {
            return free;
        }
        let left = memory.limit.get().saturating_sub(others);
        free.max(left.min(memory.share()))
    }

    /// Whether it is one of those that bring all together above three quarters of the limit.
    #[inline]
    pub fn is_over_quota(&self) -> bool {
        self.memory.total() > self.memory.free() && self.held.get() > self.memory.share()
    }
}

impl Default for MemoryBudget {
    fn default() -> MemoryBudget {
        MemoryBudget::new(&Rc::default())
    }
}

impl Drop for MemoryBudget {
    fn drop(&mut self) {
        self.set(0);
        self.memory.budgets.set(self.memory.budgets.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn memory(limit: usize) -> Rc<Memory> {
        let memory = Rc::new(Memory::default());
        memory.set_limit(limit);
        memory
    }

    #[test]
    fn what_an_account_held_is_given_back_when_it_goes() {
        let memory = memory(16 * MIB);
        let (one, other) = (MemoryBudget::new(&memory), MemoryBudget::new(&memory));
        one.set(5);
        one.add(2);
        other.set(10);
        other.set(3);
        assert_eq!(memory.total(), 10);
        drop(one);
        assert_eq!((memory.total(), memory.budgets.get()), (3, 1));
        drop(other);
        assert_eq!((memory.total(), memory.budgets.get()), (0, 0));
    }

    #[test]
    fn up_to_three_quarters_one_may_hold_it_all() {
        let memory = memory(16 * MIB);
        let (one, other) = (MemoryBudget::new(&memory), MemoryBudget::new(&memory));
        assert!(one.has_room(12 * MIB) && !one.has_room(12 * MIB + 1));
        one.set(12 * MIB);
        assert!(one.has_room(0) && !one.is_over_quota(), "it holds what it may");
        assert!(!one.has_room(1));
        assert_eq!((one.most(), other.most()), (12 * MIB, 2 * MIB));
    }

    #[test]
    fn the_last_quarter_is_for_those_who_hold_little() {
        let memory = memory(16 * MIB);
        let greedy = MemoryBudget::new(&memory);
        let others: Vec<MemoryBudget> = (0..3).map(|_| MemoryBudget::new(&memory)).collect();
        greedy.set(12 * MIB);
        for other in &others {
            assert!(
                other.has_room(MIB) && !other.has_room(MIB + 1),
                "a fourth of it each"
            );
            other.set(MIB);
            assert!(!other.is_over_quota());
        }
        assert!(greedy.is_over_quota() && !greedy.has_room(0));
        assert!(memory.total() < 16 * MIB, "all that were served fit");
    }

    #[test]
    fn at_the_limit_nobody_may_hold_more_but_what_is_held_stays() {
        let memory = memory(16 * MIB);
        let (one, other) = (MemoryBudget::new(&memory), MemoryBudget::new(&memory));
        one.set(8 * MIB);
        other.set(10 * MIB);
        let fresh = MemoryBudget::new(&memory);
        assert!(!fresh.has_room(1) && fresh.has_room(0) && !fresh.is_over_quota());
        assert!(!one.has_room(0) && !other.has_room(0));
        memory.set_limit(64 * MIB);
        assert!(
            fresh.has_room(MIB) && one.has_room(MIB),
            "a higher limit holds at once"
        );
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        let budget = MemoryBudget::default();
        budget.set(1 << 40);
        assert!(budget.has_room(1 << 40) && budget.memory.is_below_low_watermark());
    }
}
