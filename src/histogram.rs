//! A histogram of durations with fixed buckets, cheap enough to record each request.

use crate::counter::Counter;

/// The number of buckets. Bounds double from 16 µs; the last bucket takes the rest (above 8.4 s).
pub const BUCKETS: usize = 21;

/// Counts durations in buckets whose bounds double: 16 µs, 32 µs, … 8.39 s, and one for the rest.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_micros: Counter,
}

impl Histogram {
    /// Returns the inclusive upper bound of bucket `index` in seconds; `None` for the last, which has none.
    pub fn bound(index: usize) -> Option<f64> {
        (index + 1 < BUCKETS).then(|| (16u64 << index) as f64 / 1e6)
    }

    /// Records one duration, in microseconds.
    #[inline]
    pub fn record(&self, micros: u64) {
        self.record_many(micros, 1);
    }

    /// Records `count` durations of this many microseconds.
    #[inline]
    pub fn record_many(&self, micros: u64, count: u64) {
        let bits = (64 - (micros.saturating_sub(1) >> 4).leading_zeros()) as usize;
        self.buckets[bits.min(BUCKETS - 1)].add(count);
        self.sum_micros.add(micros.wrapping_mul(count));
    }

    /// The count in each bucket, not cumulative.
    pub fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|index| self.buckets[index].get())
    }

    /// The sum of all durations in seconds.
    pub fn sum(&self) -> f64 {
        self.sum_micros.get() as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lands_in_the_first_bucket_whose_bound_holds_it() {
        for micros in [0, 1, 15, 16, 17, 32, 33, 1000, 8_388_608, 8_388_609, u64::MAX / 2] {
            let histogram = Histogram::default();
            histogram.record(micros);
            let landed = histogram
                .counts()
                .iter()
                .position(|&n| n == 1)
                .expect("one record");
            let expected = (0..BUCKETS)
                .find(|&index| Histogram::bound(index).is_none_or(|bound| micros as f64 / 1e6 <= bound))
                .expect("the last bucket takes all");
            assert_eq!(landed, expected, "{micros} µs");
        }
    }
}
