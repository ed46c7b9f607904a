//! Latencies in buckets of 1.6 %: fine enough for any quantile, small enough to stay in the CPU's cache.

use std::time::Duration;

/// Each power of two of nanoseconds is split into 64 buckets.
const SPLIT_BITS: u32 = 6;
const SPLIT: u64 = 1 << SPLIT_BITS;
/// Longer times than 2^36 ns, 69 s, count as that.
const LONGEST: u64 = (1 << 36) - 1;
const BUCKETS: usize = bucket(LONGEST) + 1;

/// A count of requests by how long they took.
#[derive(Debug, Clone)]
pub struct Latency {
    buckets: Vec<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
        }
    }
}

impl Latency {
    /// Counts `count` requests that took as long as each other.
    pub fn record(&mut self, elapsed: Duration, count: u64) {
        let nanos = (elapsed.as_nanos() as u64).min(LONGEST);
        self.buckets[bucket(nanos)] += count;
    }

    /// The time within which `share` (0 to 1) of the requests were answered, in microseconds, at most 1.6 % above
    /// the truth. 0 when nothing was recorded.
    pub fn quantile(&self, share: f64) -> f64 {
        let total: u64 = self.buckets.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return upper_bound(index) as f64 / 1e3;
            }
        }
        0.0
    }
}

const fn bucket(nanos: u64) -> usize {
    if nanos < SPLIT {
        return nanos as usize;
    }
    let shift = 63 - nanos.leading_zeros() - SPLIT_BITS;
    ((shift as u64 * SPLIT) + (nanos >> shift)) as usize
}

fn upper_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SPLIT {
        return bucket;
    }
    let shift = bucket / SPLIT - 1;
    ((bucket - shift * SPLIT + 1) << shift) - 1
}
