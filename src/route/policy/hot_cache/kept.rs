//! What one worker keeps: values of hot keys, within a bound on their memory and their age.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::protocol::{Item, Reply};
use crate::route::toolkit::writes::Version;

/// The memory that an entry takes beside its key, twice, and its value.
const ENTRY: usize = 256;

/// How a request reads. What one form of read finds is not what another one would: only meta clients see
/// that an item is stale, and only binary ones need its cas id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As classic clients do.
    Classic,
    /// As binary clients do.
    Binary,
    /// As meta clients do.
    Meta,
}

/// A reply that can be given again.
#[derive(Debug, Clone)]
pub enum Value {
    /// The key is missing.
    Miss,
    /// The item; whether its client flags are known.
    Hit(Item, bool),
}

/// A value, and how long it may be given.
#[derive(Debug)]
struct Entry {
    value: Value,
    /// The state of the key when the read began that brought it.
    version: Version,
    refresh_at: Instant,
    expires: Instant,
}

/// The outcome of a look-up.
#[derive(Debug)]
pub enum Found {
    /// This is the value.
    Fresh(Value),
    /// The caller must read the value again; others get the present one meanwhile.
    Due,
    /// There is no value that may be given.
    Nothing,
}

/// The values that one worker keeps.
#[derive(Debug)]
pub struct Kept {
    /// By form.
    entries: [HashMap<Arc<[u8]>, Entry>; 3],
    /// Every entry in the order in which they expire; also those that were replaced since.
    queue: VecDeque<(Instant, Form, Arc<[u8]>, usize)>,
    bytes: usize,
    limit: usize,
}

impl Value {
    /// Returns the value in a copy of its own: received bytes share larger buffers.
    pub fn of_item(key: &[u8], flags: Option<u32>, cas: u64, data: &[u8]) -> Value {
        let block = Bytes::from([key, data].concat());
        let item = Item::joined(block, key.len() as u8, flags.unwrap_or_default(), cas);
        Value::Hit(item, flags.is_some())
    }

    /// Returns it as a reply.
    pub fn reply(self) -> Reply {
        match self {
            Value::Miss => Reply::NotFound,
            Value::Hit(item, _) => Reply::Value(item),
        }
    }

    fn size(&self) -> usize {
        match self {
            Value::Miss => 0,
            Value::Hit(item, _) => item.size(),
        }
    }
}

impl Kept {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Kept {
        Kept {
            entries: Default::default(),
            queue: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Looks for a value of `key`, whose state is `version`; `None` while it is being written.
    pub fn look(&mut self, form: Form, key: &[u8], version: Option<Version>, now: Instant) -> Found {
        let Some(entry) = self.entries[form as usize].get_mut(key) else {
            return Found::Nothing;
        };
        if Some(entry.version) != version || entry.expires <= now {
            return Found::Nothing;
        }
        if entry.refresh_at <= now {
            // The caller is the one that reads it again.
            entry.refresh_at = entry.expires;
            return Found::Due;
        }
        Found::Fresh(entry.value.clone())
    }

    /// Keeps `value` of `key` until `expiry` has passed since `began`. `version` is the state of the key at
    /// that moment.
    pub fn keep(
        &mut self,
        form: Form,
        key: &[u8],
        value: Value,
        version: Version,
        began: Instant,
        expiry: Duration,
    ) {
        let cost = ENTRY + 2 * key.len() + value.size();
        if cost > self.limit {
            return;
        }
        let expires = began + expiry;
        self.make_room(cost, began);
        let key: Arc<[u8]> = key.into();
        self.queue.push_back((expires, form, key.clone(), cost));
        self.bytes += cost;
        let entry = Entry {
            value,
            version,
            refresh_at: began + expiry / 2,
            expires,
        };
        self.entries[form as usize].insert(key, entry);
    }

    /// Removes what has expired, and then the oldest entries until one of `cost` bytes fits.
    fn make_room(&mut self, cost: usize, now: Instant) {
        while let Some((expires, ..)) = self.queue.front()
            && (*expires <= now || self.bytes + cost > self.limit)
        {
            let (expires, form, key, cost) = self.queue.pop_front().expect("it is the front");
            self.bytes -= cost;
            let entries = &mut self.entries[form as usize];
            if entries.get(&key).is_some_and(|entry| entry.expires <= expires) {
                entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::toolkit::writes::Writes;

    #[test]
    fn it_holds_no_more_than_it_may_and_forgets_the_oldest_first() {
        let version = Writes::default().version(b"k").expect("nothing is written");
        let (began, expiry) = (Instant::now(), Duration::from_secs(1));
        let mut kept = Kept::new(4 * (ENTRY + 1000));
        let value = |key: &str| Value::of_item(key.as_bytes(), Some(0), 0, &[b'v'; 900]);
        let has = |kept: &mut Kept, key: &str, now| {
            matches!(
                kept.look(Form::Classic, key.as_bytes(), Some(version), now),
                Found::Fresh(_)
            )
        };
        for number in 0..10 {
            let key = format!("k{number}");
            kept.keep(Form::Classic, key.as_bytes(), value(&key), version, began, expiry);
            assert!(kept.bytes <= kept.limit);
            assert!(has(&mut kept, &key, began));
        }
        assert!(!has(&mut kept, "k0", began) && has(&mut kept, "k8", began));
        let huge = Value::of_item(b"huge", None, 0, &vec![b'v'; 10_000]);
        kept.keep(Form::Classic, b"huge", huge, version, began, expiry);
        assert!(!has(&mut kept, "huge", began) && has(&mut kept, "k9", began));
        // What was kept again outlives its first entry in the queue.
        let later = began + expiry / 4;
        kept.keep(Form::Classic, b"k9", value("k9"), version, later, expiry);
        let after = began + expiry;
        kept.keep(Form::Meta, b"m", Value::Miss, version, after, expiry);
        assert_eq!(kept.entries[0].len(), 1);
        assert!(matches!(
            kept.look(Form::Classic, b"k9", Some(version), after),
            Found::Due
        ));
        assert!(has(&mut kept, "k9", after), "another one reads it again");
        assert_eq!(kept.bytes, 2 * ENTRY + 4 + 900 + 2);
    }
}
