//! How long a hedged read waits for the first replica before it asks a second one: an online estimate of
//! the time within which 95 of 100 replies come (stochastic quantile tracking).
//!
//! The time is not measured. Each request reports whether its reply came in time: a late one lengthens the
//! delay by 19 steps, any other shortens it by one, so it settles at the point at which one reply of twenty
//! is late. That takes no clock, and one number per worker.

use std::time::Duration;

use crate::route::toolkit::state::StateShard;

/// The initial delay, in microseconds.
const INITIAL: u64 = 10_000;
/// The minimum: timers are no finer.
const MIN: u64 = 1_000;
/// The maximum: a slower replica has failed its requests long before.
const MAX: u64 = 10_000_000;
/// One step is the delay divided by this.
const STEPS: u64 = 320;

/// Returns the delay.
pub fn now(state: &StateShard) -> Duration {
    Duration::from_micros(microseconds(state))
}

/// Updates the estimate with whether a reply came within the delay.
pub fn learn(state: &StateShard, in_time: bool) {
    let micros = microseconds(state);
    let changed = match in_time {
        true => micros - micros / STEPS,
        false => micros + 19 * micros / STEPS,
    };
    state.hedge_delay.set(changed.clamp(MIN, MAX));
}

fn microseconds(state: &StateShard) -> u64 {
    match state.hedge_delay.get() {
        0 => INITIAL,
        micros => micros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_to_rest_where_one_of_twenty_is_late() {
        // Reply times are uniform from 2 to 42 ms: 95 of 100 come within 40 ms.
        let state = StateShard::default();
        let mut millis = 0;
        for _ in 0..20_000 {
            millis = (millis + 17) % 41;
            let in_time = Duration::from_millis(2 + millis) <= now(&state);
            learn(&state, in_time);
        }
        let rest = now(&state).as_millis();
        assert!((37..=43).contains(&rest), "{rest} ms");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let state = StateShard::default();
        for _ in 0..10_000 {
            learn(&state, true);
        }
        assert_eq!(now(&state), Duration::from_millis(1));
        for _ in 0..10_000 {
            learn(&state, false);
        }
        assert_eq!(now(&state), Duration::from_secs(10));
    }
}
