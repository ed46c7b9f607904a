//! The cache's own clock. It starts at the system time and then counts elapsed seconds, so that setting the
//! system clock neither ends items early nor keeps them alive.
//!
//! Only an expiry that is a Unix time is compared with the system clock, once, when a command brings it: it
//! is translated to the cache's clock then.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::expiry::MAX_DELTA;

/// The system time when the cache was made, plus the seconds elapsed since then.
#[derive(Debug)]
pub(super) struct WallClock {
    started: Instant,
    /// The system time at `started`, since 1970.
    base: Duration,
}

impl WallClock {
    /// Returns a clock that shows the system time.
    pub(super) fn new() -> WallClock {
        WallClock {
            started: Instant::now(),
            base: machine_time(),
        }
    }

    /// The whole seconds of this clock.
    pub(super) fn now(&self) -> u64 {
        self.time().as_secs()
    }

    /// Translates `exptime` to this clock if it is a Unix time; a time to live is returned unchanged.
    pub(super) fn translate(&self, exptime: i64) -> i64 {
        if exptime <= MAX_DELTA {
            return exptime;
        }
        translate(exptime, machine_time(), self.time())
    }

    fn time(&self) -> Duration {
        self.base + self.started.elapsed()
    }
}

fn machine_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Translates the Unix time `exptime` to a clock that shows `own` when the system clock shows `machine`.
/// The result is still a Unix time, however far in the past it is.
fn translate(exptime: i64, machine: Duration, own: Duration) -> i64 {
    let ahead = (machine.as_secs_f64() - own.as_secs_f64()).round() as i64;
    exptime.saturating_sub(ahead).max(MAX_DELTA + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unix_time_follows_the_machines_clock() {
        let own = Duration::from_millis(1_800_000_000_900);
        let ago = |seconds: f64| own - Duration::from_secs_f64(seconds);
        let table = [
            (own, 1_800_000_060, 1_800_000_060),
            // Read a moment apart, the two clocks are the same.
            (own + Duration::from_millis(200), 1_800_000_060, 1_800_000_060),
            // The system clock was set back two hours, so the moment is two hours further away.
            (ago(7200.0), 1_799_992_860, 1_800_000_060),
            (own + Duration::from_secs(7200), 1_800_007_260, 1_800_000_060),
            (own, MAX_DELTA + 1, MAX_DELTA + 1),
            (own + Duration::from_secs(7200), MAX_DELTA + 1, MAX_DELTA + 1),
            (Duration::ZERO, i64::MAX, i64::MAX),
        ];
        for (machine, exptime, expected) in table {
            assert_eq!(
                translate(exptime, machine, own),
                expected,
                "{exptime} at {machine:?}"
            );
        }
        let clock = WallClock::new();
        for ttl in [i64::MIN, -1, 0, 1, MAX_DELTA] {
            assert_eq!(clock.translate(ttl), ttl);
        }
    }
}
