//! Chooses one request in [`PERIOD`], at random distances.

use std::cell::Cell;

use super::PERIOD;

/// Says which requests of one worker are sampled.
#[derive(Debug)]
pub struct Pace {
    /// The number of requests before the next one that is sampled.
    skip: Cell<u32>,
    random: Cell<u32>,
}

impl Pace {
    /// Counts a request. Returns true if it is sampled.
    #[inline(always)]
    pub fn is_due(&self) -> bool {
        let skip = self.skip.get();
        if skip > 0 {
            self.skip.set(skip - 1);
            return false;
        }
        self.skip.set(self.distance());
        true
    }

    /// Returns the number of requests to skip: `PERIOD - 1` on average.
    #[cold]
    #[inline(never)]
    fn distance(&self) -> u32 {
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random.set(random);
        ((u64::from(random) * u64::from(2 * PERIOD - 1)) >> 32) as u32
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            skip: Cell::new(0),
            random: Cell::new(0x9e37_79b9),
        }
    }
}
