//! The memory of one worker's buffers, and which sessions and links may hold more.
//!
//! ```text
//!   0 ──────────── for all ────────────▶ ¾ ──── for accounts within their share ────▶ limit ──── for none
//! ```
//!
//! Each session and each link has a [`MemoryBudget`] that accounts for the bytes it holds. Up to three
//! quarters of the worker's limit every account may hold more. The last quarter is divided: an account may
//! hold its share of it, so accounts that hold little are served while large ones are refused. What to
//! refuse, and with which answer, is left to the account's owner; memory that is already held is never
//! taken away.
//!
//! One thread owns all of it: a few cells, and a counter that other threads may read.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::metrics::WorkerShard;

/// The minimum share, in bytes: one read buffer.
const MIN_SHARE: usize = 64 << 10;

/// The buffers of one worker.
#[derive(Debug)]
pub struct Memory {
    limit: Cell<usize>,
    budgets: Cell<usize>,
    /// The process-wide memory outside of any account, and the number of workers among which it is divided.
    besides: RefCell<(Arc<AtomicUsize>, usize)>,
    /// This worker's part of that, as of the last [`Memory::look`].
    part: Cell<usize>,
    /// Its `buffered` is the sum of all accounts.
    shard: Arc<WorkerShard>,
}

impl Memory {
    /// Returns an account without a limit, which is set later; the sum is kept in `shard`.
    pub fn new(shard: Arc<WorkerShard>) -> Memory {
        Memory {
            limit: Cell::new(usize::MAX),
            budgets: Cell::new(0),
            besides: RefCell::new((Arc::default(), 1)),
            part: Cell::new(0),
            shard,
        }
    }

    /// Sets the limit, in bytes. Memory held above it stays until it is given back.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// From now on `bytes`, which belongs to no account here, counts too, divided among `workers`.
    pub fn set_besides(&self, bytes: &Arc<AtomicUsize>, workers: usize) {
        *self.besides.borrow_mut() = (bytes.clone(), workers);
        self.look();
    }

    /// Refreshes the memory outside of any account: once per batch is enough, because it changes only if
    /// nodes fail.
    #[inline]
    pub fn look(&self) {
        let (besides, workers) = &*self.besides.borrow();
        self.part.set(besides.load(Relaxed) / workers);
    }

    /// Returns true while empty buffers may be kept. They never take more than a quarter of the limit, so
    /// no account is ever refused for the sake of empty buffers.
    #[inline]
    pub fn is_below_low_watermark(&self) -> bool {
        self.total() <= self.limit.get() / 4
    }

    /// The number of bytes that all accounts hold, with this worker's part of the memory outside of them.
    #[inline]
    pub fn total(&self) -> usize {
        self.shard.buffered.get() as usize + self.part.get()
    }

    /// The total up to which every account may hold more.
    #[inline]
    fn free(&self) -> usize {
        let limit = self.limit.get();
        limit - limit / 4
    }

    /// The number of bytes that one account may hold beyond that.
    fn share(&self) -> usize {
        (self.limit.get() / 4 / self.budgets.get().max(1)).max(MIN_SHARE)
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(Arc::default())
    }
}

/// The account of one session or link. Dropping it gives its bytes back.
#[derive(Debug)]
pub struct MemoryBudget {
    memory: Rc<Memory>,
    held: Cell<usize>,
}

impl MemoryBudget {
    /// Returns an empty account.
    pub fn new(memory: &Rc<Memory>) -> MemoryBudget {
        memory.budgets.set(memory.budgets.get() + 1);
        MemoryBudget {
            memory: memory.clone(),
            held: Cell::new(0),
        }
    }

    /// Sets the number of bytes that the owner holds.
    #[inline]
    pub fn set(&self, bytes: usize) {
        let before = self.held.replace(bytes);
        let more = (bytes as u64).wrapping_sub(before as u64);
        self.memory.shard.buffered.add(more);
    }

    /// Adds to the number of bytes that the owner holds.
    #[inline]
    pub fn add(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
        self.memory.shard.buffered.add(bytes as u64);
    }

    /// Subtracts from the number of bytes that the owner holds.
    #[inline]
    pub fn sub(&self, bytes: usize) {
        self.set(self.held.get() - bytes);
    }

    /// Whether the account may hold `bytes` more; with 0, whether it is within its budget.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.memory.total().saturating_add(bytes) <= self.memory.free()
            || self.held.get().saturating_add(bytes) <= self.most()
    }

    /// The maximum number of bytes that the account may hold in all, given what others hold.
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

    /// Whether the account exceeds its share while the total is above three quarters of the limit.
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
