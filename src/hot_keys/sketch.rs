//! A heavy-hitters sketch of fixed size: Space-Saving in buckets of eight places.
//!
//! A key belongs to one bucket. If it is there, its weight grows. If not, it takes the place of the lightest
//! key of the bucket and inherits its weight, so that keys that come often stay and keys that come once are
//! soon replaced. Beside its weight, a place has the figures of its own key since the key is there.
//!
//! Error bound, with W for the weight that a bucket received, decayed as its places are:
//!
//! - a place's weight is at least the true weight of its key, and at most W / 8 more;
//! - a key whose true weight is more than W / 8 is in its bucket;
//! - a place's figures are at most the true figures of its key, and miss at most what the weight has more.
//!
//! With B buckets, W is about 1 / B of all requests, so every key with more than about 1 / (8 B) of all
//! requests is found.

use super::Figures;
use crate::protocol::{MAX_KEY, fingerprint};

/// The places of a bucket.
const WAYS: usize = 8;

/// Places of less weight are emptied when the sketch decays.
const FORGOTTEN: f64 = 1e-3;

/// A sketch of the heaviest keys.
#[derive(Debug)]
pub struct Sketch {
    /// A power of two.
    buckets: usize,
    places: Box<[Place]>,
    figures: Box<[Figures]>,
    keys: Box<[Key]>,
}

/// What is compared to find a key. Those of a bucket are together in memory, apart from their long keys.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    tag: u64,
    weight: f64,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    length: u8,
    bytes: [u8; MAX_KEY],
}

impl Sketch {
    /// Returns an empty sketch of `places` places, rounded up to a power of two.
    pub fn new(places: usize) -> Sketch {
        let buckets = places.div_ceil(WAYS).next_power_of_two();
        let places = buckets * WAYS;
        Sketch {
            buckets,
            places: vec![Place::default(); places].into(),
            figures: vec![Figures::default(); places].into(),
            keys: vec![Key::EMPTY; places].into(),
        }
    }

    /// Adds `weight` and `figures` to `key` of `pool`.
    #[inline]
    pub fn add(&mut self, pool: u32, key: &[u8], weight: f64, figures: Figures) {
        let tag = u64::from(fingerprint(key)) << 32 | u64::from(pool);
        let first = self.bucket(tag) * WAYS;
        let places = &mut self.places[first..first + WAYS];
        let mut lightest = 0;
        for way in 0..WAYS {
            if places[way].tag == tag && self.keys[first + way].bytes() == key {
                places[way].weight += weight;
                self.figures[first + way] += figures;
                return;
            }
            if places[way].weight < places[lightest].weight {
                lightest = way;
            }
        }
        places[lightest].tag = tag;
        places[lightest].weight += weight;
        self.figures[first + lightest] = figures;
        self.keys[first + lightest].set(key);
    }

    /// Multiplies every weight and figure by `factor`.
    pub fn decay(&mut self, factor: f64) {
        for (index, place) in self.places.iter_mut().enumerate() {
            place.weight *= factor;
            self.figures[index] *= factor;
            if place.weight < FORGOTTEN {
                *place = Place::default();
                self.figures[index] = Figures::default();
                self.keys[index] = Key::EMPTY;
            }
        }
    }

    /// The keys, each with its pool and its figures, in no order.
    pub fn keys(&self) -> impl Iterator<Item = (u32, &[u8], Figures)> {
        let places = self.places.iter().zip(&self.keys).zip(&self.figures);
        let used = places.filter(|((place, _), _)| place.weight > 0.0);
        used.map(|((place, key), figures)| (place.tag as u32, key.bytes(), *figures))
    }

    /// The number of bytes that it holds.
    pub fn held(&self) -> usize {
        self.places.len() * (size_of::<Place>() + size_of::<Figures>() + size_of::<Key>())
    }

    #[inline]
    fn bucket(&self, tag: u64) -> usize {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        (tag.wrapping_mul(MULTIPLIER) >> 32) as usize & (self.buckets - 1)
    }
}

impl Key {
    const EMPTY: Key = Key {
        length: 0,
        bytes: [0; MAX_KEY],
    };

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn set(&mut self, key: &[u8]) {
        let key = &key[..key.len().min(MAX_KEY)];
        self.bytes[..key.len()].copy_from_slice(key);
        self.length = key.len() as u8;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::hot_keys::Access;

    fn one() -> Figures {
        Figures::of(Access::Read, 1.0)
    }

    #[test]
    fn weights_and_figures_stay_within_their_bounds() {
        let mut sketch = Sketch::new(64);
        let (mut exact, mut received) = (HashMap::<Vec<u8>, f64>::new(), HashMap::<usize, f64>::new());
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..50_000 {
            // A third of all requests is for five keys, the rest for any of ten thousand.
            let number = if random.u8(..3) == 0 {
                random.u32(..5)
            } else {
                random.u32(..10_000)
            };
            let key = format!("key:{number}").into_bytes();
            let tag = u64::from(fingerprint(&key)) << 32 | 1;
            sketch.add(1, &key, 1.0, one());
            *received.entry(sketch.bucket(tag)).or_default() += 1.0;
            *exact.entry(key).or_default() += 1.0;
            if round % 1000 == 999 {
                sketch.decay(0.9);
                exact
                    .values_mut()
                    .chain(received.values_mut())
                    .for_each(|weight| *weight *= 0.9);
            }
        }
        let mut found = 0;
        for (index, place) in sketch.places.iter().enumerate() {
            let key = sketch.keys[index].bytes();
            let (truth, bound) = (exact[key], received[&(index / WAYS)] / WAYS as f64);
            let (weight, own) = (place.weight, sketch.figures[index].reads);
            assert!(
                weight >= truth - 1e-6 && weight <= truth + bound + 1e-6,
                "{weight} {truth}"
            );
            assert!(
                own <= truth + 1e-6 && own >= truth - bound - 1e-6,
                "{own} {truth}"
            );
            found += usize::from(truth > bound);
        }
        for (key, truth) in &exact {
            let bucket = sketch.bucket(u64::from(fingerprint(key)) << 32 | 1);
            let is_heavy = *truth > received[&bucket] / WAYS as f64;
            assert!(!is_heavy || sketch.keys().any(|(_, other, _)| other == key));
        }
        assert!(found >= 5, "{found}");
    }

    #[test]
    fn keys_of_two_pools_are_apart_and_what_is_not_asked_for_any_more_is_forgotten() {
        let mut sketch = Sketch::new(8);
        sketch.add(1, b"k", 1.0, one());
        sketch.add(2, b"k", 1.0, one());
        let mut pools: Vec<u32> = sketch.keys().map(|(pool, _, _)| pool).collect();
        pools.sort_unstable();
        assert_eq!(pools, [1, 2]);
        (0..100).for_each(|_| sketch.decay(0.9));
        assert_eq!(sketch.keys().count(), 0);
    }
}
