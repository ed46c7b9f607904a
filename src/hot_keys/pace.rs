//! Chooses one request in [`PERIOD`], at random distances, and fewer while there are very many.

use std::cell::Cell;

use super::PERIOD;

/// At most one request in so many is chosen, a power of two times [`PERIOD`].
const LONGEST: u32 = 16 * PERIOD;

/// Requests that are chosen between two calls of [`Pace::adapt`], if there are many: twice as many are too many.
const ENOUGH: u32 = 20_000;

/// Says which requests of one worker are sampled.
#[derive(Debug)]
pub struct Pace {
    /// The number of requests before the next one that is sampled.
    skip: Cell<u32>,
    random: Cell<u32>,
    /// One request in this many is sampled.
    period: Cell<u32>,
    /// Requests that were sampled since the period was looked at.
    sampled: Cell<u32>,
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

    /// The number of requests that one which is sampled stands for.
    pub fn period(&self) -> u32 {
        self.period.get()
    }

    /// Chooses the period by what was sampled since the last call.
    pub fn adapt(&self) {
        let (sampled, period) = (self.sampled.take(), self.period.get());
        if sampled > 2 * ENOUGH {
            self.period.set((2 * period).min(LONGEST));
        } else if sampled < ENOUGH / 2 {
            self.period.set((period / 2).max(PERIOD));
        }
    }

    /// Returns the number of requests to skip: `period - 1` on average.
    #[cold]
    #[inline(never)]
    fn distance(&self) -> u32 {
        self.sampled.set(self.sampled.get() + 1);
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random.set(random);
        ((u64::from(random) * u64::from(2 * self.period.get() - 1)) >> 32) as u32
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            skip: Cell::new(0),
            random: Cell::new(0x9e37_79b9),
            period: Cell::new(PERIOD),
            sampled: Cell::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `requests` are sampled, and for how many those stand.
    fn second(pace: &Pace, requests: u32) -> (u32, u32) {
        let sampled = (0..requests).filter(|_| pace.is_due()).count() as u32;
        let stands_for = sampled * pace.period();
        pace.adapt();
        (sampled, stands_for)
    }

    #[test]
    fn of_many_requests_fewer_are_sampled_and_each_stands_for_more() {
        let pace = Pace::default();
        assert!(second(&pace, 100_000).0.abs_diff(6250) < 500);
        for _ in 0..5 {
            let (_, stands_for) = second(&pace, 3_000_000);
            assert!(stands_for.abs_diff(3_000_000) < 100_000, "{stands_for}");
        }
        assert!(second(&pace, 3_000_000).0 <= 2 * ENOUGH + 1000);
        for _ in 0..5 {
            second(&pace, 100_000);
        }
        assert_eq!(pace.period(), PERIOD);
    }
}
