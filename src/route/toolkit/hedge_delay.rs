//! How long the first is given before a second one is asked besides: as long as it takes in 95 of 100 cases.
//!
//! That time is not measured but found: each request says whether its reply came in time. One that did not makes the
//! time longer, one that did makes it shorter by a nineteenth of that; so it comes to rest where one of twenty is
//! late. It needs no clock and one number for each worker.

use std::time::Duration;

use crate::route::counters::Shard;

/// Microseconds, before anything is known.
const BEGINNING: u64 = 10_000;
/// Timers know no shorter time.
const SHORTEST: u64 = 1_000;
/// Who is that slow is not waited for by reads.
const LONGEST: u64 = 10_000_000;
/// The part that one reply in time takes off; nineteen of them make up for one that was late.
const PART: u64 = 320;

/// As it stands.
pub fn now(counters: &Shard) -> Duration {
    Duration::from_micros(microseconds(counters))
}

/// A reply came in time, or did not.
pub fn learn(counters: &Shard, in_time: bool) {
    let micros = microseconds(counters);
    let changed = match in_time {
        true => micros - micros / PART,
        false => micros + 19 * micros / PART,
    };
    counters.patience.set(changed.clamp(SHORTEST, LONGEST));
}

fn microseconds(counters: &Shard) -> u64 {
    match counters.patience.get() {
        0 => BEGINNING,
        micros => micros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_to_rest_where_one_of_twenty_is_late() {
        // Replies take 2 to 42 ms, one as often as the other: 95 of 100 come within 40 ms.
        let counters = Shard::default();
        let mut millis = 0;
        for _ in 0..20_000 {
            millis = (millis + 17) % 41;
            let in_time = Duration::from_millis(2 + millis) <= now(&counters);
            learn(&counters, in_time);
        }
        let rest = now(&counters).as_millis();
        assert!((37..=43).contains(&rest), "{rest} ms");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let counters = Shard::default();
        for _ in 0..10_000 {
            learn(&counters, true);
        }
        assert_eq!(now(&counters), Duration::from_millis(1));
        for _ in 0..10_000 {
            learn(&counters, false);
        }
        assert_eq!(now(&counters), Duration::from_secs(10));
    }
}
