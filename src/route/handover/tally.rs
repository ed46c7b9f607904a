//! What the handovers of a pool count: reads of moved keys, and copies.

use crate::counter::Counter;
use crate::route::counters::{Event, Tally};

/// Reads of moved keys by the owner that had them, and copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The new owner had the key.
    pub new: u64,
    /// Only the old owner had it.
    pub old: u64,
    /// Neither had it.
    pub none: u64,
    /// Values that were copied to the new owner.
    pub copied: u64,
}

/// The owner that had a key which was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The new one.
    New,
    /// Only the old one.
    Old,
    /// Neither.
    None,
}

/// The counters for the handovers of one pool, kept across handovers: one shard per worker.
#[derive(Debug)]
pub struct HandoverTally(Box<[TallyShard]>);

/// One worker's counters.
#[derive(Debug, Default)]
struct TallyShard {
    new: Counter,
    old: Counter,
    none: Counter,
    copied: Counter,
}

impl HandoverTally {
    /// Returns counters for this number of workers.
    pub fn new(workers: usize) -> HandoverTally {
        HandoverTally((0..workers).map(|_| TallyShard::default()).collect())
    }

    /// Counts a read of a moved key by the worker with this index.
    pub fn count_read(&self, worker: usize, found: Owner) {
        let shard = &self.0[worker];
        match found {
            Owner::New => shard.new.add(1),
            Owner::Old => shard.old.add(1),
            Owner::None => shard.none.add(1),
        }
    }

    /// The sums over all workers.
    pub fn counts(&self) -> Counts {
        let sum = |counter: fn(&TallyShard) -> &Counter| {
            let counts = self.0.iter().map(|shard| counter(shard).get());
            counts.fold(0, u64::wrapping_add)
        };
        Counts {
            new: sum(|shard| &shard.new),
            old: sum(|shard| &shard.old),
            none: sum(|shard| &shard.none),
            copied: sum(|shard| &shard.copied),
        }
    }
}

impl Tally for HandoverTally {
    fn count(&self, worker: usize, event: Event) {
        // What a read finds is counted once its reply is known.
        if event == Event::Filled {
            self.0[worker].copied.add(1);
        }
    }
}
