//! Spreads what would otherwise happen at the same moment everywhere.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// `interval`, or up to a tenth less or more.
pub fn jittered(interval: Duration) -> Duration {
    // Every `RandomState` has keys of its own, so the hash of nothing is a random number.
    let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
    interval.mul_f64(0.9 + 0.2 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_interval_stays_within_a_tenth_and_is_not_always_the_same() {
        let interval = Duration::from_secs(10);
        let drawn: Vec<Duration> = (0..100).map(|_| jittered(interval)).collect();
        assert!(drawn.iter().all(|d| (9.0..=11.0).contains(&d.as_secs_f64())));
        assert!(drawn.iter().any(|d| *d != drawn[0]));
    }
}
