//! One part of the cache: items bounded by their total size, and which of them are alive.
//!
//! It never exceeds its capacity and never finds an item that has ended. Eviction is left to
//! [`quick_cache`]: a kind of CLOCK-Pro, which keeps frequently requested items and withstands scans. The
//! meaning of commands and locking are left to the caller.

use std::ops::DerefMut;

use bytes::Bytes;
use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use super::expiry::FlushMark;
use super::stored::Stored;

/// The item size from which the number of remembered keys of recently evicted items is computed.
const TYPICAL_ITEM: u64 = 1024;

/// A bounded set of items.
#[derive(Debug)]
pub(super) struct CacheShard {
    items: Cache<Bytes, Stored, Size, DefaultHashBuilder, Evict>,
    pub(super) flush: FlushMark,
    evictions: u64,
}

impl CacheShard {
    /// Returns an empty shard with a `capacity` in bytes.
    pub(super) fn new(capacity: u64) -> CacheShard {
        let estimated_items = usize::try_from(capacity / TYPICAL_ITEM).unwrap_or(usize::MAX);
        CacheShard {
            items: Cache::with(
                estimated_items,
                capacity,
                Size,
                DefaultHashBuilder::default(),
                Evict,
            ),
            flush: FlushMark::NONE,
            evictions: 0,
        }
    }

    /// Returns the item under `key`; if it has ended, removes it instead.
    pub(super) fn find(&mut self, key: &[u8], now: u64) -> Option<Stored> {
        let stored = self.items.get(key)?;
        if stored.is_alive(self.flush, now) {
            return Some(stored.clone());
        }
        self.items.remove(key);
        None
    }

    /// Like [`find`](CacheShard::find), for a reply with the value: marks the item as read.
    pub(super) fn fetch(&mut self, key: &[u8], now: u64) -> Option<Stored> {
        let mut stored = self.find(key, now)?;
        if stored.note_hit(now) | stored.settle() {
            self.update(&stored);
        }
        Some(stored)
    }

    /// Stores an item, which must be [`numbered`](Stored::numbered), in place of the one under its key.
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

    /// Updates the item under this key, except its value.
    pub(super) fn update(&mut self, changed: &Stored) {
        if let Some(mut stored) = self.items.peek_mut(changed.key()) {
            stored.follow(changed);
        }
    }

    /// Returns the item under this key for changes in place, which must not change its weight.
    pub(super) fn in_place(&mut self, key: &[u8]) -> Option<impl DerefMut<Target = Stored> + '_> {
        self.items.peek_mut(key)
    }

    /// Removes the item under `key`.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.items.remove(key);
    }

    /// The number of items, including those that have ended unnoticed.
    pub(super) fn len(&self) -> u64 {
        self.items.len() as u64
    }

    /// The bytes that the items take.
    pub(super) fn bytes(&self) -> u64 {
        self.items.weight()
    }

    /// The maximum number of bytes that items may take.
    pub(super) fn capacity(&self) -> u64 {
        self.items.capacity()
    }

    /// The number of items evicted before they had ended.
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

/// Counts evictions.
#[derive(Debug)]
struct Evict;

#[derive(Debug, Default)]
struct Leavers {
    flush: Option<FlushMark>,
    now: u64,
    alive: u64,
}

impl Lifecycle<Bytes, Stored> for Evict {
    type RequestState = Leavers;

    // Not `on_evict`, which is also called for items replaced by a new value under their own key.
    fn before_evict(&self, leavers: &mut Leavers, _key: &Bytes, stored: &mut Stored) {
        if leavers
            .flush
            .is_some_and(|flush| stored.is_alive(flush, leavers.now))
        {
            leavers.alive += 1;
        }
    }
}
