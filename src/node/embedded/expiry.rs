//! When items end: by their own deadlines and by `flush_all`. Pure: the time is an argument.
//!
//! Times are whole seconds of the cache's clock (see `clock.rs`), because memcached's clock has whole
//! seconds. The rules are those of memcached 1.6.18 (`realtime` in memcached.c, `item_is_flushed` in
//! items.c and `process_flush_all_command` in proto_text.c).

/// The maximum time to live; a larger number is a Unix time (`REALTIME_MAXDELTA` in memcached.h).
pub(super) const MAX_DELTA: i64 = 60 * 60 * 24 * 30;

/// The second from which an item is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline(u64);

impl Deadline {
    /// A deadline that never passes.
    pub(super) const NEVER: Deadline = Deadline(u64::MAX);

    /// Interprets a client's `exptime` at `now`: 0 means never, a negative number at once, a number of up
    /// to 30 days that many seconds from now, and a larger number is a Unix time.
    pub(super) fn new(exptime: i64, now: u64) -> Deadline {
        match exptime {
            0 => Deadline::NEVER,
            ..0 => Deadline(0),
            1..=MAX_DELTA => Deadline(now.saturating_add(exptime.unsigned_abs())),
            _ => Deadline(exptime.unsigned_abs()),
        }
    }

    /// Returns true from the deadline's second on.
    pub(super) fn has_passed(self, now: u64) -> bool {
        self.0 <= now
    }

    /// Whether this deadline comes before `limit`; false if `limit` is never or has passed.
    pub(super) fn is_within(self, limit: Deadline, now: u64) -> bool {
        limit != Deadline::NEVER && !limit.has_passed(now) && self < limit
    }

    /// The seconds left; `None` if the item never ends. After the deadline the number wraps around 32 bits,
    /// as memcached's does.
    pub(super) fn seconds_left(self, now: u64) -> Option<u32> {
        (self != Deadline::NEVER).then_some((self.0 as u32).wrapping_sub(now as u32))
    }
}

/// The effect of past `flush_all` commands, and the pending delayed one. A later delayed one replaces one
/// that is still pending.
///
/// In memcached, a delayed flush can bring back items that an earlier flush removed, if their memory has
/// not been reused yet. Here what is gone stays gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlushMark {
    /// Items stored under a lower number are gone. Distinguishes items before and after a flush in the same
    /// second.
    before_number: u64,
    /// Items stored before this second are gone.
    before: u64,
    /// Items stored before this second will be gone then; for memcached "then" is the second before it.
    moment: u64,
}

impl FlushMark {
    /// No flush yet.
    pub(super) const NONE: FlushMark = FlushMark {
        before_number: 0,
        before: 0,
        moment: u64::MAX,
    };

    /// Returns the state after `flush_all delay` at `now`, where `number` is higher than that of each item
    /// stored so far. A delay of 0, below 0, or of a Unix time in the past means now.
    pub(super) fn then(self, delay: i64, now: u64, number: u64) -> FlushMark {
        let moment = if delay > 0 {
            Deadline::new(delay, now).0
        } else {
            now
        };
        // A delay of 1 took effect a second early, but only on items stored up to then.
        let acted_early = self.moment > now && is_due(self.moment, now);
        let before_number = if acted_early || is_due(moment, now) {
            number
        } else {
            self.before_number
        };
        let before = if self.moment <= now { self.moment } else { 0 };
        FlushMark {
            before_number,
            before: before.max(self.before),
            moment,
        }
    }

    /// Whether a flush removed an item that was stored at `stored_at` under `number`.
    pub(super) fn took(self, stored_at: u64, number: u64, now: u64) -> bool {
        number < self.before_number
            || stored_at < self.before
            || (is_due(self.moment, now) && stored_at < self.moment)
    }
}

fn is_due(moment: u64, now: u64) -> bool {
    moment <= now.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn an_exptime_is_a_time_to_live_up_to_30_days_and_a_unix_time_above() {
        let month = MAX_DELTA as u64;
        let table = [
            (0, NOW + 10 * month, false),
            (-1, NOW, true),
            (i64::MIN, NOW, true),
            (1, NOW, false),
            (1, NOW + 1, true),
            (MAX_DELTA, NOW + month - 1, false),
            (MAX_DELTA, NOW + month, true),
            (MAX_DELTA + 1, NOW, true),
            (NOW as i64, NOW, true),
            (NOW as i64 + 1, NOW, false),
            (NOW as i64 + 1, NOW + 1, true),
            (i64::MAX, NOW + 10 * month, false),
        ];
        for (exptime, later, passed) in table {
            let deadline = Deadline::new(exptime, NOW);
            assert_eq!(deadline.has_passed(later), passed, "{exptime} at {later}");
        }
    }

    #[test]
    fn a_flush_takes_what_was_stored_before_its_moment() {
        // Columns: the delay; the time of storing relative to NOW; its number (the flush's is 10); when it
        // is looked for, relative to NOW.
        let table = [
            (0, 0, 9, 0, true),
            (0, 0, 11, 0, false),
            (0, 1, 11, 1, false),
            (-5, 0, 9, 0, true),
            (-5, 0, 11, 0, false),
            // memcached's quirk: a delay of 1 acts at once, and on the whole second.
            (1, 0, 9, 0, true),
            (1, 0, 11, 0, true),
            (1, 1, 11, 1, false),
            (3, 0, 9, 1, false),
            (3, 0, 9, 2, true),
            (3, 2, 11, 2, true),
            (3, 3, 11, 3, false),
            (NOW as i64 + 3, 0, 9, 1, false),
            (NOW as i64 + 3, 0, 9, 2, true),
            (MAX_DELTA + 1, 0, 9, 0, true),
            (MAX_DELTA + 1, 0, 11, 0, false),
        ];
        for (delay, stored, number, seen, took) in table {
            let flush = FlushMark::NONE.then(delay, NOW, 10);
            let found = flush.took(NOW + stored, number, NOW + seen);
            assert_eq!(
                found, took,
                "flush_all {delay}: stored {stored}, number {number}, seen {seen}"
            );
        }
    }

    #[test]
    fn a_later_flush_takes_the_place_of_one_to_come() {
        let now = FlushMark::NONE.then(100, NOW, 10).then(0, NOW, 11);
        assert!(now.took(NOW, 9, NOW));
        assert!(!now.took(NOW + 1, 12, NOW + 200));
        // As in memcached, items stored after the later flush stay.
        let early = FlushMark::NONE.then(1, NOW, 10).then(0, NOW, 12);
        assert!(early.took(NOW, 11, NOW));
        assert!(!early.took(NOW, 13, NOW));
        let early = FlushMark::NONE.then(1, NOW, 10).then(100, NOW, 12);
        assert!(early.took(NOW, 11, NOW) && !early.took(NOW, 13, NOW));
        let later = FlushMark::NONE.then(100, NOW, 10).then(200, NOW, 11);
        assert!(!later.took(NOW, 9, NOW + 100));
        assert!(later.took(NOW, 9, NOW + 200));
    }

    #[test]
    fn what_a_flush_took_does_not_come_back() {
        let at_once = FlushMark::NONE.then(0, NOW, 10).then(100, NOW, 11);
        assert!(at_once.took(NOW, 9, NOW));
        assert!(!at_once.took(NOW, 12, NOW));
        let delayed = FlushMark::NONE.then(5, NOW, 10).then(100, NOW + 9, 11);
        assert!(delayed.took(NOW + 4, 9, NOW + 9));
        assert!(!delayed.took(NOW + 5, 9, NOW + 9));
    }
}
