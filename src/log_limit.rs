//! Keeps a log line that can repeat from filling the log: one line in each interval, with the number of those
//! held back since the last.
//!
//! Pure: the time is an argument, counted from any moment that the caller keeps to. It may be shared by threads;
//! two that ask at the very same moment may rarely both be let through.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Lets one line through in each interval.
#[derive(Debug)]
pub struct LogLimit {
    interval: Duration,
    /// Milliseconds: no line before this moment.
    next: AtomicU64,
    held_back: AtomicU64,
}

impl LogLimit {
    /// At most one line in each `interval`; the first passes at once.
    pub const fn new(interval: Duration) -> LogLimit {
        LogLimit {
            interval,
            next: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// `Some` if the line may be written now: how many were held back since the last one. `None` holds it back.
    pub fn allow(&self, now: Duration) -> Option<u64> {
        let now = now.as_millis() as u64;
        if now < self.next.load(Relaxed) {
            self.held_back.fetch_add(1, Relaxed);
            return None;
        }
        self.next.store(now + self.interval.as_millis() as u64, Relaxed);
        Some(self.held_back.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_each_interval_and_tells_how_many_did_not() {
        let limit = LogLimit::new(Duration::from_secs(10));
        let seconds = [0, 1, 9, 10, 11, 35, 36];
        let passed = seconds.map(|second| limit.allow(Duration::from_secs(second)));
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1), None]);
    }
}
