//! What one worker counts of keys: a sample of its requests, in sketches that only it writes.

use std::cell::RefCell;

use super::pace::Pace;
use super::sketch::Sketch;
use super::{DECAY, Figures};
use crate::metrics::Class;
use crate::protocol::fingerprint;
use crate::protocol::operation::Operation;

/// The places of all workers' sketches of keys, for each of the two orders; those of prefixes have a quarter.
const PLACES: usize = 512;
/// The fewest places of one worker's sketch of keys.
const MIN_PLACES: usize = 128;
/// The keys, and a quarter as many prefixes, that a worker reports in each of the two orders.
const REPORTED: usize = 64;

/// What a request does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It changes or removes.
    Write,
}

impl Access {
    /// Returns what `operation` does to its key.
    pub fn of(operation: Operation) -> Access {
        match Class::of(operation) {
            Class::Read => Access::Read,
            Class::Write | Class::Delete => Access::Write,
        }
    }
}

/// Samples the requests of one worker.
#[derive(Debug)]
pub struct Sampler {
    pace: Pace,
    counts: RefCell<Counts>,
}

#[derive(Debug)]
struct Counts {
    /// A prefix ends with the first of these in a key; `None`: there are no prefixes.
    delimiter: Option<u8>,
    keys: [Sketch; 2],
    prefixes: [Sketch; 2],
    /// All requests, by pool.
    totals: Vec<(u32, Figures)>,
    /// The seconds in which they were counted, decayed as the counts are.
    seconds: f64,
    /// The time of the last summary in microseconds.
    since: u64,
}

/// The rates of the keys that one worker was asked for most, by the second.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Keys; one may be there twice.
    pub keys: Vec<Rate>,
    /// Prefixes, each with the delimiter that ends it; one may be there twice.
    pub prefixes: Vec<Rate>,
    /// All requests of each pool.
    pub totals: Vec<(u32, Figures)>,
}

/// The rates of one key.
#[derive(Debug, Clone)]
pub struct Rate {
    /// The fingerprint of the pool's name.
    pub pool: u32,
    /// The key, or the prefix.
    pub key: Box<[u8]>,
    /// By the second.
    pub figures: Figures,
}

impl Sampler {
    /// Returns the sampler of one of `workers` workers.
    pub fn new(workers: usize) -> Sampler {
        let places = (PLACES / workers.max(1)).max(MIN_PLACES);
        let pair = |places| [Sketch::new(places), Sketch::new(places)];
        Sampler {
            pace: Pace::default(),
            counts: RefCell::new(Counts {
                delimiter: None,
                keys: pair(places),
                prefixes: pair(places / 4),
                totals: Vec::new(),
                seconds: 0.0,
                since: 0,
            }),
        }
    }

    /// Sets the byte that ends a prefix.
    pub fn set_delimiter(&self, delimiter: Option<u8>) {
        self.counts.borrow_mut().delimiter = delimiter;
    }

    /// Counts a request. Returns true if it is sampled: it must be passed to [`Sampler::record`] once the size of
    /// its value is known.
    #[inline(always)]
    pub fn is_due(&self) -> bool {
        self.pace.is_due()
    }

    /// Records a request for `key` to a node of `pool`, with the number of `bytes` of its value. A flush_all, which
    /// has no key, is not recorded.
    #[cold]
    #[inline(never)]
    pub fn record(&self, pool: &str, key: &[u8], access: Access, bytes: usize) {
        if key.is_empty() {
            return;
        }
        let pool = fingerprint(pool.as_bytes());
        // It stands for all of a period.
        let (bytes, period) = ((key.len() + bytes) as f64, f64::from(self.pace.period()));
        let mut figures = Figures::of(access, bytes);
        figures *= period;
        let counts = &mut *self.counts.borrow_mut();
        match counts.totals.iter_mut().find(|(known, _)| *known == pool) {
            Some((_, total)) => *total += figures,
            None => counts.totals.push((pool, figures)),
        }
        let prefix = counts
            .delimiter
            .and_then(|delimiter| memchr::memchr(delimiter, key));
        for (order, weight) in [period, bytes * period].into_iter().enumerate() {
            counts.keys[order].add(pool, key, weight, figures);
            if let Some(end) = prefix {
                counts.prefixes[order].add(pool, &key[..=end], weight, figures);
            }
        }
    }

    /// Returns the rates at `now`, in microseconds of the worker's clock, and lets all counts decay. Called
    /// once a second.
    pub fn summarize(&self, now: u64) -> Summary {
        self.pace.adapt();
        let counts = &mut *self.counts.borrow_mut();
        counts.seconds += now.saturating_sub(counts.since) as f64 / 1e6;
        counts.since = now;
        let factor = 1.0 / counts.seconds.max(1e-3);
        let mut totals = counts.totals.clone();
        totals.iter_mut().for_each(|(_, total)| *total *= factor);
        let summary = Summary {
            keys: top(&counts.keys, REPORTED, factor),
            prefixes: top(&counts.prefixes, REPORTED / 4, factor),
            totals,
        };
        counts.decay();
        summary
    }

    /// The number of bytes that its sketches hold.
    pub fn held(&self) -> usize {
        let counts = self.counts.borrow();
        counts.keys.iter().chain(&counts.prefixes).map(Sketch::held).sum()
    }
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler::new(1)
    }
}

impl Counts {
    fn decay(&mut self) {
        let sketches = self.keys.iter_mut().chain(&mut self.prefixes);
        sketches.for_each(|sketch| sketch.decay(DECAY));
        self.totals.iter_mut().for_each(|(_, total)| *total *= DECAY);
        // A pool that a reload removed.
        self.totals.retain(|(_, total)| total.requests() > 1e-3);
        self.seconds *= DECAY;
    }
}

fn top([by_requests, by_bytes]: &[Sketch; 2], count: usize, factor: f64) -> Vec<Rate> {
    let mut rates = Vec::with_capacity(2 * count);
    rates.extend(heaviest(by_requests, count, Figures::requests));
    rates.extend(heaviest(by_bytes, count, Figures::bytes));
    rates.iter_mut().for_each(|rate| rate.figures *= factor);
    rates
}

fn heaviest(sketch: &Sketch, count: usize, weight: fn(&Figures) -> f64) -> impl Iterator<Item = Rate> {
    let mut keys: Vec<_> = sketch.keys().collect();
    keys.sort_unstable_by(|(_, _, one), (_, _, other)| weight(other).total_cmp(&weight(one)));
    keys.truncate(count);
    keys.into_iter().map(|(pool, key, figures)| Rate {
        pool,
        key: key.into(),
        figures,
    })
}
