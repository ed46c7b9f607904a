//! How much of what clients read lately was still at the old owners: an estimate of what is left to copy.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::tally::Counts;

/// What counts as lately.
const LATELY: Duration = Duration::from_secs(30);
/// The time between two counts that are kept.
const APART: Duration = Duration::from_secs(1);

/// The counts of the last moments, the oldest first.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(Instant, Counts)>);

impl Recent {
    /// Keeps the `counts` of `now`, unless others were kept a moment ago.
    pub fn keep(&mut self, now: Instant, counts: Counts) {
        if self.0.back().is_some_and(|(at, _)| now - *at < APART) {
            return;
        }
        self.0.push_back((now, counts));
        // One that is older than that stays, to count from.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= LATELY) {
            self.0.pop_front();
        }
    }

    /// Returns the share of the reads that found a value, until `counts`, that found it at an old owner alone. `None` if
    /// there were none.
    pub fn still_old(&self, counts: Counts) -> Option<f64> {
        let before = self.0.front().map_or(Counts::default(), |(_, counts)| *counts);
        let old = counts.old.saturating_sub(before.old);
        let found = old + counts.new.saturating_sub(before.new);
        (found > 0).then(|| old as f64 / found as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_estimated_from_the_last_reads() {
        let counts = |new, old| Counts {
            new,
            old,
            ..Counts::default()
        };
        let start = Instant::now();
        let mut recent = Recent::default();
        assert_eq!(recent.still_old(counts(0, 0)), None);
        assert_eq!(recent.still_old(counts(0, 10)), Some(1.0));
        for second in 0..120 {
            let at = start + Duration::from_secs(second);
            recent.keep(at, counts(second * 9, 1000 + second));
            recent.keep(at + Duration::from_millis(100), counts(1 << 40, 1 << 40));
        }
        assert_eq!(recent.still_old(counts(120 * 9, 1120)), Some(0.1));
        assert_eq!(
            recent.still_old(counts(119 * 9, 1119)),
            Some(0.1),
            "of the last half minute alone"
        );
        assert!(recent.0.len() <= 32);
    }
}
