//! The miss-ratio curve of a pool: which share of its reads would hit with more memory, or with less.
//!
//! ```text
//!   a read of key k ─▶ how many bytes of other items were used since k was? ─▶ it hits in a cache that holds them
//! ```
//!
//! That distance is measured for a sample of the keys, chosen by their hashes, and scaled by the size of the sample
//! (SHARDS: Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC Construction with SHARDS", FAST 2015). At most
//! [`MAX_KEYS`] keys are followed: with more, the sample becomes smaller, so memory and work are bounded whatever the
//! number of keys.
//!
//! It is the curve of a cache that drops the item that was not used for longest. memcached is close to that.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use xxhash_rust::xxh3::xxh3_64;

/// The maximum number of keys that are followed.
pub const MAX_KEYS: usize = 6144;
/// The places in time before they are numbered anew.
const PLACES: usize = 4 * MAX_KEYS;
/// What memcached keeps of an item beside its key and its value, in bytes, about.
const HEADER: u64 = 56;
/// The size of an item before it is known.
const UNKNOWN: u64 = 256;
/// Buckets of distances for each doubling, the first bound, and their number: up to 64 TiB.
const STEPS: u32 = 8;
const FIRST: u64 = 64 << 10;
const BUCKETS: usize = 30 * STEPS as usize;
/// What remains of every count after a second: half of it after an hour.
const DECAY: f64 = 0.999_807_5;
/// The reads that a curve needs before it says anything.
const FEWEST: f64 = 1000.0;

/// The hash that decides whether a key is followed.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// What a request did to a key that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It was read; with the size of its value, if it was there.
    Read(Option<u64>),
    /// It was written; with the size of the request.
    Write(u64),
    /// It was deleted.
    Delete,
}

/// One use of a key that is followed.
#[derive(Debug, Clone, Copy)]
pub struct Traced {
    /// The fingerprint of the pool's name.
    pub pool: u32,
    /// The hash of the key.
    pub hash: u64,
    /// The size of the key.
    pub key: usize,
    /// What was done.
    pub done: Use,
}

/// What one worker noted in the present second.
#[derive(Debug, Default)]
pub struct Traces(RefCell<Vec<Traced>>);

impl Traces {
    /// The maximum number of notes of a second; further ones are lost, and fewer keys are followed from then on.
    pub const MOST: usize = 4096;

    /// Notes a use.
    pub fn push(&self, traced: Traced) {
        let mut noted = self.0.borrow_mut();
        if noted.len() < Traces::MOST {
            noted.push(traced);
        }
    }

    /// Ends the second. Returns what was noted.
    pub fn take(&self) -> Vec<Traced> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

/// The miss-ratio curve of one pool.
#[derive(Debug)]
pub struct Curve {
    /// Keys with a smaller hash are followed.
    below: u64,
    keys: HashMap<u64, Followed>,
    /// The hashes of all followed keys, so that the largest is known.
    hashes: BTreeSet<u64>,
    /// The bytes of the items by their last use: sums over ranges of places, as Fenwick has them.
    sums: Box<[u64]>,
    /// The place of the next use.
    next: usize,
    /// The bytes of all followed items.
    bytes: u64,
    /// The reads by their distance, scaled to all keys.
    reads: Box<[f64]>,
    /// Reads of keys that were not read or written before, scaled.
    first: f64,
    /// All reads, as they were counted.
    counted: f64,
    /// Of them those that hit.
    hits: f64,
}

/// A key that is followed.
#[derive(Debug, Clone, Copy)]
struct Followed {
    /// The place of its last use.
    place: usize,
    /// The size of its item.
    size: u64,
}

impl Default for Curve {
    fn default() -> Curve {
        Curve {
            below: u64::MAX,
            keys: HashMap::with_capacity(MAX_KEYS + 1),
            hashes: BTreeSet::new(),
            sums: vec![0; PLACES + 1].into(),
            next: 0,
            bytes: 0,
            reads: vec![0.0; BUCKETS].into(),
            first: 0.0,
            counted: 0.0,
            hits: 0.0,
        }
    }
}

impl Curve {
    /// Keys with a hash below this are followed.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// The part of all keys that are followed.
    pub fn rate(&self) -> f64 {
        self.below as f64 / u64::MAX as f64
    }

    /// Halves the sample: there is more to follow than can be handed over.
    pub fn halve(&mut self) {
        self.shrink(self.below / 2);
    }

    /// Learns from a use of the key with the hash `hash`, of `key` bytes.
    pub fn learn(&mut self, hash: u64, key: usize, done: Use) {
        if hash >= self.below {
            return;
        }
        let known = self.keys.get(&hash).copied();
        let item = |value: u64| value + key as u64 + HEADER;
        let size = match (done, known) {
            (Use::Delete, Some(known)) => return self.forget(hash, known),
            (Use::Delete, None) => return,
            (Use::Read(Some(value)) | Use::Write(value), _) => item(value),
            (Use::Read(None), Some(known)) => known.size,
            (Use::Read(None), None) => self.bytes.checked_div(self.keys.len() as u64).unwrap_or(UNKNOWN),
        };
        if matches!(done, Use::Read(_)) {
            let weight = 1.0 / self.rate();
            match known {
                Some(known) => {
                    let later = self.bytes - self.sum_to(known.place);
                    let distance = later as f64 * weight + size as f64;
                    self.reads[bucket(distance)] += weight;
                }
                None => self.first += weight,
            }
        }
        if let Some(known) = known {
            self.forget(hash, known);
        }
        self.follow(hash, size);
    }

    /// Learns how many reads there were in a second, and how many of them hit; the older ones weigh less from then on.
    pub fn count(&mut self, reads: u64, hits: u64) {
        self.reads.iter_mut().for_each(|reads| *reads *= DECAY);
        self.first *= DECAY;
        self.counted = self.counted * DECAY + reads as f64;
        self.hits = self.hits * DECAY + hits as f64;
    }

    /// All reads; the older ones count less.
    pub fn reads(&self) -> f64 {
        self.counted
    }

    /// The share of all reads that hit; `None` before there were enough.
    pub fn measured(&self) -> Option<f64> {
        (self.counted >= FEWEST).then(|| self.hits / self.counted)
    }

    /// Returns the share of reads that would hit in a cache of `bytes`; `None` before there were enough.
    pub fn hit_ratio(&self, bytes: f64) -> Option<f64> {
        if self.counted < FEWEST {
            return None;
        }
        let mut hits = 0.0;
        for (index, reads) in self.reads.iter().enumerate() {
            let (low, high) = (bound(index.wrapping_sub(1)), bound(index));
            // Within a bucket distances count as spread evenly.
            let part = ((bytes - low) / (high - low)).clamp(0.0, 1.0);
            hits += reads * part;
        }
        let sampled = self.reads.iter().sum::<f64>() + self.first;
        // A sample without the hottest keys has too few reads, and one with them too many: these are hits of any cache.
        let hits = hits + (self.counted - sampled);
        Some((hits / self.counted).clamp(0.0, 1.0))
    }

    /// Returns the size of the cache that would hit as often as was measured, in bytes; `None` if any larger one hits no
    /// more often, or nothing is known yet.
    pub fn present(&self) -> Option<f64> {
        let measured = self.measured()?;
        let sizes = (0..BUCKETS).map(bound);
        let mut sizes = sizes.skip_while(|size| self.hit_ratio(*size).is_some_and(|ratio| ratio < measured));
        sizes.next()
    }

    /// The bytes of all items, scaled from those that are followed.
    pub fn items(&self) -> f64 {
        self.bytes as f64 / self.rate()
    }

    /// The memory that it holds, in bytes, about.
    pub fn held(&self) -> usize {
        let entry = size_of::<u64>() + size_of::<Followed>() + 1;
        let keys = self.keys.capacity() * 8 / 7 * entry;
        // Nodes of the tree are at least half full.
        let hashes = self.hashes.len() * 2 * size_of::<u64>();
        size_of::<Curve>() + keys + hashes + (self.sums.len() + self.reads.len()) * size_of::<u64>()
    }

    fn follow(&mut self, hash: u64, size: u64) {
        if self.next == PLACES {
            self.renumber();
        }
        let place = self.next;
        self.next += 1;
        self.add(place, size as i64);
        self.bytes += size;
        self.keys.insert(hash, Followed { place, size });
        self.hashes.insert(hash);
        if self.keys.len() > MAX_KEYS {
            let largest = self.hashes.last().copied().unwrap_or(0);
            self.shrink(largest);
        }
    }

    fn forget(&mut self, hash: u64, known: Followed) {
        self.add(known.place, -(known.size as i64));
        self.bytes -= known.size;
        self.keys.remove(&hash);
        self.hashes.remove(&hash);
    }

    /// Follows only keys with a hash below `below` from now on.
    fn shrink(&mut self, below: u64) {
        self.below = below.max(1);
        while let Some(hash) = self.hashes.last().copied().filter(|hash| *hash >= self.below) {
            let known = self.keys[&hash];
            self.forget(hash, known);
        }
    }

    /// Gives the followed keys the first places, in the order of their last use.
    fn renumber(&mut self) {
        let mut keys: Vec<(&u64, &mut Followed)> = self.keys.iter_mut().collect();
        keys.sort_by_key(|(_, key)| key.place);
        let mut sizes = Vec::with_capacity(keys.len());
        for (place, (_, key)) in keys.into_iter().enumerate() {
            key.place = place;
            sizes.push(key.size);
        }
        self.sums.fill(0);
        self.next = sizes.len();
        for (place, size) in sizes.into_iter().enumerate() {
            self.add(place, size as i64);
        }
    }

    /// Adds to the size at `place`.
    fn add(&mut self, place: usize, size: i64) {
        let mut index = place + 1;
        while index < self.sums.len() {
            self.sums[index] = self.sums[index].wrapping_add_signed(size);
            index += index & index.wrapping_neg();
        }
    }

    /// The sum of the sizes up to `place`.
    fn sum_to(&self, place: usize) -> u64 {
        let (mut index, mut sum) = (place + 1, 0_u64);
        while index > 0 {
            sum = sum.wrapping_add(self.sums[index]);
            index &= index - 1;
        }
        sum
    }
}

/// The upper bound of a bucket in bytes; that of the one before the first is 0.
fn bound(index: usize) -> f64 {
    match index {
        usize::MAX => 0.0,
        index => FIRST as f64 * (index as f64 / f64::from(STEPS)).exp2(),
    }
}

/// The bucket of a distance in bytes.
fn bucket(distance: f64) -> usize {
    let steps = (distance / FIRST as f64).log2() * f64::from(STEPS);
    (steps.ceil().max(0.0) as usize).min(BUCKETS - 1)
}
