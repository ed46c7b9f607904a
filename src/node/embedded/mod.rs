//! An in-process cache that answers as memcached 1.6.18 does, shared by all workers.
//!
//! Each request is atomic: it holds the lock of the one `CacheShard` that contains its key, so no increment is
//! lost and no cas id is assigned twice, unless clients choose their own. The cache stays within its size,
//! computed as key, value and [`ITEM_OVERHEAD`] for each item. Parsing requests and writing replies is left
//! to the protocol, except for the lines of meta commands; `get` and `gets` are answered alike, with the
//! cas id. The module `meta` lists what those commands can do that 1.6.18 cannot.
//!
//! Differences from memcached: the largest item is half a shard, instead of 1 MiB; items that have ended
//! are removed when they are requested or their space is needed, no crawler looks for them; a `flush_all`
//! with a Unix time in the past flushes now, even if that time is before the start; and items removed by a
//! flush do not come back when a delayed one follows.

mod clock;
mod expiry;
mod growing;
mod meta;
mod meta_change;
mod meta_request;
mod shard;
mod stored;
mod write;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use quick_cache::DefaultHashBuilder;

use crate::protocol::numbers::NON_NUMERIC;
use crate::protocol::{Command, MAX_KEY, Reply, Request};
use clock::WallClock;
use expiry::Deadline;
use growing::Growing;
use shard::CacheShard;
use write::{StoreOutcome, StoreRequest, counted};

/// The overhead of an item beside its key and its value, in bytes: its entries in the tables, and the
/// allocator's overhead.
pub const ITEM_OVERHEAD: u64 = 200;

/// The minimum size of a shard in bytes, if the cache has as much. More shards let more workers in at once,
/// but limit the size of items.
const MIN_SHARD: u64 = 16 << 20;

/// The maximum number of shards: more gain nothing, because there are fewer workers.
const MAX_SHARDS: u64 = 16;

const TOO_LARGE: &str = "SERVER_ERROR object too large for cache";

/// An in-process cache, bounded by its size in bytes.
#[derive(Debug)]
pub struct Embedded {
    /// Their number is a power of two.
    shards: Box<[Mutex<CacheShard>]>,
    hasher: DefaultHashBuilder,
    /// The last number assigned to an item, which is its cas id unless the client chose one. Incremented
    /// under a shard's lock, so that numbers of the same key grow.
    last_number: AtomicU64,
    max_item: u64,
    /// The maximum size of a value in bytes, checked by commands that combine two values.
    max_value: AtomicUsize,
    clock: WallClock,
}

impl Embedded {
    /// Returns a cache of at most `bytes`. An item, with its key and [`ITEM_OVERHEAD`], may take half of
    /// `bytes` below 32 MiB, and at least 8 MiB above.
    pub fn new(bytes: u64) -> Embedded {
        let count = 1 << (bytes / MIN_SHARD).clamp(1, MAX_SHARDS).ilog2();
        let share = bytes / count;
        Embedded {
            shards: (0..count).map(|_| Mutex::new(CacheShard::new(share))).collect(),
            hasher: DefaultHashBuilder::default(),
            last_number: AtomicU64::new(0),
            max_item: share / 2,
            max_value: AtomicUsize::new(usize::MAX),
            clock: WallClock::new(),
        }
    }

    /// Sets the maximum size of values that commands may produce.
    pub fn limit_values(&self, bytes: usize) {
        self.max_value.store(bytes, Relaxed);
    }

    /// Executes one request and answers as memcached would.
    pub fn execute(&self, request: &Request<'_>) -> Reply {
        self.execute_at(request, self.clock.now())
    }

    /// [`execute`](Embedded::execute) at the time `now`, in seconds of the cache's clock: Unix seconds,
    /// unless the system clock was set since the cache was made.
    pub fn execute_at(&self, request: &Request<'_>, now: u64) -> Reply {
        match request.command {
            Command::Get | Command::Gets => self.get(request, now),
            Command::Gat | Command::Gats | Command::Touch => self.touch(request, now),
            Command::Set
            | Command::Add
            | Command::Replace
            | Command::Cas
            | Command::Append
            | Command::Prepend => self.store(request, now),
            Command::Incr | Command::Decr => self.count(request, now),
            Command::Delete => self.delete(request, now),
            Command::FlushAll => self.flush(request.exptime, now),
            Command::MetaGet
            | Command::MetaSet
            | Command::MetaDelete
            | Command::MetaArithmetic
            | Command::MetaDebug => self.meta(request, now),
        }
    }

    /// The number of items, including those that have ended and were not removed yet.
    pub fn items(&self) -> u64 {
        self.sum(CacheShard::len)
    }

    /// The bytes that the items take, with [`ITEM_OVERHEAD`] for each.
    pub fn bytes(&self) -> u64 {
        self.sum(CacheShard::bytes)
    }

    /// The maximum number of bytes that items may take.
    pub fn capacity(&self) -> u64 {
        self.sum(CacheShard::capacity)
    }

    /// The number of items evicted before they had ended.
    pub fn evictions(&self) -> u64 {
        self.sum(CacheShard::evictions)
    }

    fn get(&self, request: &Request<'_>, now: u64) -> Reply {
        let found = self.shard(request.key).fetch(request.key, now);
        found.map_or(Reply::NotFound, |stored| Reply::Value(stored.into_item()))
    }

    fn touch(&self, request: &Request<'_>, now: u64) -> Reply {
        let mut shard = self.shard(request.key);
        let Some(mut stored) = shard.find(request.key, now) else {
            return Reply::NotFound;
        };
        stored.note_hit(now);
        stored.deadline = self.deadline(request.exptime, now);
        if request.command != Command::Touch {
            stored.settle();
        }
        shard.update(&stored);
        match request.command {
            Command::Touch => Reply::Done,
            _ => Reply::Value(stored.into_item()),
        }
    }

    fn delete(&self, request: &Request<'_>, now: u64) -> Reply {
        let mut shard = self.shard(request.key);
        if shard.find(request.key, now).is_none() {
            return Reply::NotFound;
        }
        shard.remove(request.key);
        Reply::Done
    }

    fn store(&self, request: &Request<'_>, now: u64) -> Reply {
        let written = self.write(
            &StoreRequest {
                command: request.command,
                key: request.key,
                value: request.value,
                flags: request.flags,
                deadline: self.deadline(request.exptime, now),
                // Append and prepend would compare it too.
                cas: if request.command == Command::Cas {
                    request.cas
                } else {
                    0
                },
                new_cas: None,
                may_be_stale: false,
                is_base64: false,
                vivify: None,
            },
            now,
        );
        match written {
            StoreOutcome::Stored { .. } => Reply::Done,
            StoreOutcome::NotStored => Reply::NotStored,
            StoreOutcome::Exists => Reply::Exists,
            StoreOutcome::NotFound => Reply::NotFound,
            StoreOutcome::TooLarge => {
                // memcached too drops the old value after a failed set rather than keep a stale one.
                if request.command == Command::Set {
                    self.shard(request.key).remove(request.key);
                }
                refused(TOO_LARGE)
            }
        }
    }

    fn count(&self, request: &Request<'_>, now: u64) -> Reply {
        let mut shard = self.shard(request.key);
        let Some(old) = shard.find(request.key, now) else {
            return Reply::NotFound;
        };
        let is_incr = request.command == Command::Incr;
        let Some((number, stored)) = counted(&mut shard, old, is_incr, request.delta) else {
            return refused(NON_NUMERIC);
        };
        shard.put(stored.numbered(self.next_number(), None, now), now);
        Reply::Number(number)
    }

    fn flush(&self, delay: i64, now: u64) -> Reply {
        // Takes all locks, always in this order, so that concurrent flushes leave all shards alike.
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        let number = self.next_number();
        let delay = self.clock.translate(delay);
        for shard in &mut shards {
            shard.flush = shard.flush.then(delay, now, number);
        }
        Reply::Done
    }

    fn deadline(&self, exptime: i64, now: u64) -> Deadline {
        Deadline::new(self.clock.translate(exptime), now)
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, CacheShard> {
        let index = self.hasher.hash_one(key) as usize & (self.shards.len() - 1);
        lock(&self.shards[index])
    }

    fn fits(&self, key: &[u8], length: usize) -> bool {
        let is_within = key.len() <= MAX_KEY && length <= self.max_value.load(Relaxed);
        is_within && (key.len() + length) as u64 + ITEM_OVERHEAD <= self.max_item
    }

    /// The maximum number of bytes of memory for the value of `key`, including room to grow.
    fn max_growing(&self, key: &[u8]) -> usize {
        let beside = ITEM_OVERHEAD as usize + key.len() + size_of::<Growing>();
        let max = usize::try_from(self.max_item).unwrap_or(usize::MAX);
        max.saturating_sub(beside).min(self.max_value.load(Relaxed))
    }

    fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Relaxed) + 1
    }

    fn sum(&self, figure: impl Fn(&CacheShard) -> u64) -> u64 {
        self.shards.iter().map(|shard| figure(&lock(shard))).sum()
    }
}

fn refused(line: &'static str) -> Reply {
    Reply::Error(Bytes::from_static(line.as_bytes()))
}

fn lock(shard: &Mutex<CacheShard>) -> MutexGuard<'_, CacheShard> {
    shard.lock().expect("no holder panics")
}
