//! One part of the cache: items bounded by their bytes, and which of them are still alive.
//!
//! It promises that the bytes never pass the capacity and that an item which has ended is not found. Who
//! leaves when room is needed is left to [`quick_cache`]: a kind of CLOCK-Pro, which keeps what is asked for
//! often and withstands scans. What commands mean is left to the caller, and so is the lock.

use std::ops::DerefMut;

use bytes::Bytes;
use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use super::expiry::Flush;
use super::stored::Stored;

/// The item size that the number of remembered keys, lately evicted, is reckoned from.
const TYPICAL_ITEM: u64 = 1024;

/// A bounded set of items.
#[derive(Debug)]
pub(super) struct Shard {
    items: Cache<Bytes, Stored, Size, DefaultHashBuilder, Evict>,
    pub(super) flush: Flush,
    evictions: u64,
}

impl Shard {
    /// An empty one that holds `capacity` bytes.
    pub(super) fn new(capacity: u64) -> Shard {
        let estimated_items = usize::try_from(capacity / TYPICAL_ITEM).unwrap_or(usize::MAX);
        Shard {
            items: Cache::with(
                estimated_items,
                capacity,
                Size,
                DefaultHashBuilder::default(),
                Evict,
            ),
            flush: Flush::NONE,
            evictions: 0,
        }
    }

    /// The item under `key`, unless it has ended; then it is dropped.
    pub(super) fn find(&mut self, key: &[u8], now: u64) -> Option<Stored> {
        let stored = self.items.get(key)?;
        if stored.is_alive(self.flush, now) {
            return Some(stored.clone());
        }
        self.items.remove(key);
        None
    }

    /// As [`find`](Shard::find), for a reply with the value: notes that the item is read.
    pub(super) fn fetch(&mut self, key: &[u8], now: u64) -> Option<Stored> {
        let mut stored = self.find(key, now)?;
        if stored.note_hit(now) | stored.settle() {
            self.update(&stored);
        }
        Some(stored)
    }

    /// Puts an item, which is [`numbered`](Stored::numbered), in the place of what was there under its key.
    pub(super) fn put(&mut self, stored: Stored, now: u64) {
        let key = stored.shared_key();
        let mut leavers = Leavers {
            flush: Some(self.flush),
            now,
            alive: 0,
        };
        self.items.insert_with_lifecycle(key, stored, &mut leavers);
        self.evictions += leavers.alive;
    }

    /// Notes what changed of the item under this key, but for its value.
    pub(super) fn update(&mut self, changed: &Stored) {
        if let Some(mut stored) = self.items.peek_mut(changed.key()) {
            stored.follow(changed);
        }
    }

    /// The item under this key, in its place. What changes must not change what it weighs.
    pub(super) fn in_place(&mut self, key: &[u8]) -> Option<impl DerefMut<Target = Stored> + '_> {
        self.items.peek_mut(key)
    }

    /// Drops what is under `key`.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.items.remove(key);
    }

    /// How many items there are, those that have ended unnoticed among them.
    pub(super) fn len(&self) -> u64 {
        self.items.len() as u64
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.items.weight()
    }

    /// The bytes that they may take.
    pub(super) fn capacity(&self) -> u64 {
        self.items.capacity()
    }

    /// How many items left to make room before they had ended.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }
}

/// Weighs an item by its bytes.
#[derive(Debug)]
struct Size;

impl Weighter<Bytes, Stored> for Size {
    fn weight(&self, _key: &Bytes, stored: &Stored) -> u64 {
        stored.weight()
    }
}

/// Counts who leaves to make room.
#[derive(Debug)]
struct Evict;

#[derive(Debug, Default)]
struct Leavers {
    flush: Option<Flush>,
    now: u64,
    alive: u64,
}

impl Lifecycle<Bytes, Stored> for Evict {
    type RequestState = Leavers;

    // Not `on_evict`: that is told of items too that gave way to a new value under their own key.
    fn before_evict(&self, leavers: &mut Leavers, _key: &Bytes, stored: &mut Stored) {
        if leavers
            .flush
            .is_some_and(|flush| stored.is_alive(flush, leavers.now))
        {
            leavers.alive += 1;
        }
    }
}
