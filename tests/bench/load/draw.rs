//! How keys and sizes are drawn from the stream of numbers.

use super::random::Random;
use super::workload::Popularity;

impl Random {
    /// A place among `count`.
    pub fn place(&mut self, popularity: Popularity, count: usize) -> usize {
        match popularity {
            Popularity::Even => self.below(count),
            Popularity::Zipf => self.zipf_below(count),
        }
    }

    /// A number from 0 to 1, 1 left out.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from 0 to `bound` - 1, 0 the most often, 1 half as often, 2 a third as often, and so on, or nearly
    /// so; `bound` is at least 1.
    fn zipf_below(&mut self, bound: usize) -> usize {
        // A power with an even exponent lies between k and k + 1 with a chance of ln(1 + 1 / k): no table needed.
        let rank = (bound as f64 + 1.0).powf(self.fraction()) as usize - 1;
        rank.min(bound - 1)
    }
}
