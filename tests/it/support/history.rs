//! What clients wrote to some keys, when, and whether it was answered; each value that is read is held against it.
//!
//! A value is wrong where a later write or delete of its key was answered before the read began. Later is what began
//! after the value's own write was answered. A write that got no answer may take effect at any time.
//!
//! Where a value is wrong, the test fails with everything that was noted since that value's write: requests for the
//! key, and what happened to nodes and processes.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

/// How many events are kept to tell of.
const EVENTS: usize = 20_000;

/// The writes to all keys.
pub struct History {
    begun: Instant,
    keys: Vec<Mutex<Vec<Change>>>,
    events: Mutex<VecDeque<Event>>,
}

/// Something that happened to one key, or, without one, to all.
struct Event {
    at: u128,
    key: Option<usize>,
    what: String,
}

/// One write or delete.
#[derive(Debug, Clone)]
struct Change {
    /// The value, which nobody else writes; empty for a delete.
    value: String,
    begin: u128,
    /// `None`: it was not answered, or not yet.
    end: Option<u128>,
}

/// A change that has begun.
pub struct Begun {
    key: usize,
    index: usize,
}

impl History {
    /// Of so many keys. Each had the value that `first` makes of its index.
    pub fn new(keys: usize, first: impl Fn(usize) -> String) -> History {
        let before = |index| {
            vec![Change {
                value: first(index),
                begin: 0,
                end: Some(0),
            }]
        };
        History {
            begun: Instant::now(),
            keys: (0..keys).map(|index| Mutex::new(before(index))).collect(),
            events: Mutex::default(),
        }
    }

    /// The time, in nanoseconds.
    pub fn now(&self) -> u128 {
        self.begun.elapsed().as_nanos()
    }

    /// Notes what happened to one key, or to all.
    pub fn note(&self, key: impl Into<Option<usize>>, what: String) {
        let mut events = self.events.lock().expect("no panics");
        if events.len() == EVENTS {
            events.pop_front();
        }
        let (at, key) = (self.now(), key.into());
        events.push_back(Event { at, key, what });
    }

    /// A write of `value` begins, or a delete where that is empty.
    pub fn begin(&self, key: usize, value: &str) -> Begun {
        let mut changes = self.keys[key].lock().expect("no panics");
        changes.push(Change {
            value: value.to_owned(),
            begin: self.now(),
            end: None,
        });
        Begun {
            key,
            index: changes.len() - 1,
        }
    }

    /// It was answered as done.
    pub fn done(&self, begun: &Begun) {
        self.keys[begun.key].lock().expect("no panics")[begun.index].end = Some(self.now());
    }

    /// Fails the test where `value` may not be read any more by a read of `key` that began at `begin`.
    pub fn check(&self, key: usize, value: &str, begin: u128) {
        let changes = self.keys[key].lock().expect("no panics");
        let written = changes
            .iter()
            .find(|change| change.value == value && !value.is_empty());
        let written = written.unwrap_or_else(|| panic!("{value:?} was never written to key {key}"));
        let Some(end) = written.end else { return };
        let is_later = |change: &&Change| change.begin > end && change.end.is_some_and(|end| end < begin);
        if let Some(later) = changes.iter().find(is_later) {
            let events = self.events_of(key, written.begin);
            panic!("key {key}: {written:?} was read at {begin}, after {later:?}:\n{events}");
        }
    }

    /// What happened to `key` since then, and before that to all keys, in the order of time, a line for each event.
    fn events_of(&self, key: usize, since: u128) -> String {
        let events = self.events.lock().expect("no panics");
        let is_of_it = |event: &&Event| match event.key {
            Some(other) => event.at >= since && other == key,
            None => true,
        };
        let line = |event: &Event| format!("{:>12} µs  {}\n", event.at / 1000, event.what);
        events.iter().filter(is_of_it).map(line).collect()
    }
}

/// A source of random numbers, each below the end that is asked for; one seed gives the same ones each time.
pub fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |end| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    }
}
