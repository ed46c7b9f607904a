//! What the soak did and saw, in numbers.

use std::cell::Cell;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Count(Cell<u64>);

impl Count {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get() + n);
    }

    /// The number as it stands.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// All numbers.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests that were answered; one without a reply is answered by the next.
    pub requests: Count,
    pub hits: Count,
    pub misses: Count,
    /// Requests answered with an error.
    pub errors: Count,
    /// Reads, and answers of counters, that were held against what was known to be there.
    pub quiescent: Count,
    /// Of those, the ones that did not find what was there. A read of a node that is late is a miss.
    pub lost: Count,
    /// Sessions that came and went.
    pub visits: Count,
    /// Of those, the ones that broke off in the middle of something.
    pub broken_off: Count,
    pub kills: Count,
    pub stops: Count,
    pub reloads: Count,
    pub refused: Count,
}
