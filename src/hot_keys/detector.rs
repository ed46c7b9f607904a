//! Which keys one worker's clients read often, for policies that act on hot keys.
//!
//! Unlike the sampler, it counts the reads that reach a policy, whether a node is asked or not: a key whose
//! value the policy has stays hot. One request in 16 is looked at, and rates are those of the last ten seconds
//! or so. Time is an argument.

use std::collections::HashMap;

use super::pace::Pace;
use super::sketch::Sketch;
use super::{Access, DECAY, Figures, PERIOD};

/// The places of its sketch, about 300 bytes each.
const PLACES: usize = 256;

/// A second in microseconds.
const SECOND: u64 = 1_000_000;

/// Counts the reads of one worker.
#[derive(Debug)]
pub struct Detector {
    pace: Pace,
    sketch: Sketch,
    /// The rate of each key, by stream, as it was at the last look.
    rates: HashMap<u32, HashMap<Box<[u8]>, f64>>,
    /// The seconds in which reads were counted, decayed as the counts are.
    seconds: f64,
    /// The time of the last look in microseconds.
    since: u64,
}

impl Detector {
    /// Returns a detector that begins to count at `now`, in microseconds.
    pub fn new(now: u64) -> Detector {
        Detector {
            pace: Pace::default(),
            sketch: Sketch::new(PLACES),
            rates: HashMap::new(),
            seconds: 0.0,
            since: now,
        }
    }

    /// Counts a read of `key` at `now`, and returns how often a second the key is read; 0 if that is not known.
    /// A stream is a policy: it counts apart from others.
    #[inline]
    pub fn count(&mut self, stream: u32, key: &[u8], now: u64) -> f64 {
        if self.pace.is_due() {
            self.sketch.add(stream, key, 1.0, Figures::of(Access::Read, 0.0));
        }
        if now.saturating_sub(self.since) >= SECOND {
            self.look(now);
        }
        let rates = self.rates.get(&stream);
        rates.and_then(|rates| rates.get(key)).copied().unwrap_or(0.0)
    }

    /// Turns counts into rates, and lets them decay.
    #[cold]
    fn look(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.since) as f64 / SECOND as f64;
        self.since = now;
        self.seconds += elapsed;
        let factor = f64::from(PERIOD) / self.seconds;
        self.rates.clear();
        for (stream, key, figures) in self.sketch.keys() {
            let rates = self.rates.entry(stream).or_default();
            rates.insert(key.into(), figures.reads * factor);
        }
        let kept = DECAY.powf(elapsed);
        self.sketch.decay(kept);
        self.seconds *= kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `hot` a thousand times and a thousand other keys once, in each of `seconds`.
    fn read(detector: &mut Detector, seconds: std::ops::Range<u64>) {
        for second in seconds {
            for read in 0..1000 {
                let now = second * SECOND + read * 1000;
                detector.count(1, b"hot", now);
                detector.count(1, format!("cold:{read}").as_bytes(), now);
            }
        }
    }

    #[test]
    fn a_hot_key_has_its_rate_after_a_second_and_loses_it_when_it_cools() {
        let mut detector = Detector::new(0);
        read(&mut detector, 0..1);
        let rate = detector.count(1, b"hot", SECOND);
        assert!((500.0..1500.0).contains(&rate), "{rate}");
        read(&mut detector, 1..20);
        let rate = detector.count(1, b"hot", 20 * SECOND);
        assert!((850.0..1150.0).contains(&rate), "{rate}");
        assert!(detector.count(1, b"cold:7", 20 * SECOND) < 50.0);
        assert_eq!(detector.count(2, b"hot", 20 * SECOND), 0.0, "another stream");
        // For a minute nobody reads it.
        let rate = detector.count(1, b"other", 80 * SECOND);
        assert_eq!(rate, 0.0);
        read(&mut detector, 80..81);
        assert!(detector.count(1, b"hot", 82 * SECOND) < 1000.0);
    }
}
