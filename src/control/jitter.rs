//! Randomises intervals, so that processes do not act at the same moment.

use std::time::Duration;

/// Returns `interval`, changed at random by up to a tenth.
pub fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
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
