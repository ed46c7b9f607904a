//! Which node has each key, ring after ring, and which nodes were ever down: what a client may hold against an answer.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

/// The places of all keys. Without any, no key moves and no node fails.
#[derive(Debug, Default)]
pub struct Places {
    /// The number of the newest ring.
    ring: Cell<u64>,
    /// The nodes of each key, each with the ring in which it got the key.
    owners: RefCell<HashMap<String, Vec<(u64, String)>>>,
    /// The nodes that were down.
    failed: RefCell<HashSet<String>>,
}

impl Places {
    /// The number of the newest ring.
    pub fn ring(&self) -> u64 {
        self.ring.get()
    }

    /// There is another ring, in which `owner` says who has a key of `keys`. Returns the number of those that moved.
    pub fn change(&self, keys: impl Iterator<Item = String>, owner: impl Fn(&str) -> String) -> usize {
        self.ring.set(self.ring.get() + 1);
        let mut owners = self.owners.borrow_mut();
        let mut moved = 0;
        for key in keys {
            let now = owner(&key);
            let past = owners.entry(key).or_default();
            if past.last().is_none_or(|(_, last)| *last != now) {
                moved += usize::from(!past.is_empty());
                past.push((self.ring.get(), now));
            }
        }
        moved
    }

    /// The node is down, or may soon be.
    pub fn fails(&self, node: &str) {
        self.failed.borrow_mut().insert(node.to_owned());
    }

    /// Whether the key got another node after `ring`.
    pub fn has_moved(&self, key: &str, ring: u64) -> bool {
        let owners = self.owners.borrow();
        let last = owners.get(key).and_then(|past| past.last());
        last.is_some_and(|(since, _)| *since > ring)
    }

    /// Whether a node that has the key, or had it in `ring` or later, was ever down.
    pub fn may_fail(&self, key: &str, ring: u64) -> bool {
        let (owners, failed) = (self.owners.borrow(), self.failed.borrow());
        let past = owners.get(key).map_or(&[][..], Vec::as_slice);
        let first = past.iter().rposition(|(since, _)| *since <= ring).unwrap_or(0);
        past[first..].iter().any(|(_, node)| failed.contains(node))
    }
}
