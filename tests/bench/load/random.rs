//! A deterministic source of numbers (xorshift64*): one seed gives one run's choice of keys, on every machine.

/// A stream of pseudo-random numbers. Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Streams of different seeds are unrelated, neighbours too.
    pub fn new(seed: u64) -> Self {
        // xorshift needs a state other than 0, and similar states start out alike.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    /// Any 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from 0 to `bound` - 1; `bound` is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of a product is uniform enough and needs no division.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
