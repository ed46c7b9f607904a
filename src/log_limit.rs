//! Rate-limits a log line: one per interval, with the number of those suppressed since the last.
//!
//! Pure: the time is an argument, measured from an arbitrary origin that the caller keeps constant. Threads
//! may share one; two that ask at the very same moment may on rare occasions both be allowed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Allows one line per interval.
#[derive(Debug)]
pub struct LogLimit {
    interval: Duration,
    /// The time before which no line is allowed, in milliseconds.
    next: AtomicU64,
    held_back: AtomicU64,
}

impl LogLimit {
    /// Returns a limit of one line per `interval`; the first is allowed at once.
    pub const fn new(interval: Duration) -> LogLimit {
        LogLimit {
            interval,
            next: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// Returns the number of lines suppressed since the last one if a line may be written now, otherwise
    /// `None`.
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
