//! Chance, for what must not happen everywhere at the same moment: SplitMix64, seeded for each thread.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    // Every `RandomState` has keys of its own, so the hash of nothing is a random number.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(()));
}

/// A number from 0 to below `end`, which is not 0.
pub fn below(end: u64) -> u64 {
    next() % end
}

/// A number from 0.0 to 1.0.
pub fn share() -> f64 {
    next() as f64 / u64::MAX as f64
}

/// From now on this thread draws the numbers of `seed`: for a simulation that is to be the same again.
pub fn seed(seed: u64) {
    STATE.set(seed);
}

fn next() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_numbers_again_and_they_are_spread() {
        let draw = || -> Vec<u64> {
            seed(7);
            (0..1000).map(|_| below(10)).collect()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        for digit in 0..10 {
            let times = drawn.iter().filter(|&&other| other == digit).count();
            assert!((50..150).contains(&times), "{digit} came {times} times");
        }
        assert!((0..100).all(|_| (0.0..=1.0).contains(&share())));
    }
}
