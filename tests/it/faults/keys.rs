//! Keys whose values can be checked: each value names its key and says which of its writes it is, over and
//! over, so that a wrong value, or half of one, is seen whoever reads it.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::support::client::shown;

/// A large value has at least so many bytes: it comes in several pieces.
const LARGE: usize = 20_000;

/// One key. Only one session writes it; all read it.
pub struct Key {
    /// The key.
    pub name: String,
    /// Whether its node is the one with the fault.
    pub is_sick: bool,
    /// Its values are large.
    is_large: bool,
    /// The last write that was begun; writes count from 1.
    tried: AtomicU32,
    /// The last write that was answered as stored.
    stored: AtomicU32,
}

impl Key {
    /// A key that nothing was written to. One in 16 by `index` has large values.
    pub fn new(index: usize, name: String, is_sick: bool) -> Key {
        Key {
            name,
            is_sick,
            is_large: index % 16 == 7,
            tried: AtomicU32::new(0),
            stored: AtomicU32::new(0),
        }
    }

    /// Begins a write: its number and its value.
    pub fn write(&self) -> (u32, String) {
        let number = self.tried.fetch_add(1, SeqCst) + 1;
        (number, self.value(number))
    }

    /// Notes that the write with this number was answered as stored.
    pub fn note_stored(&self, number: u32) {
        self.stored.store(number, SeqCst);
    }

    /// How many writes were begun.
    pub fn tried(&self) -> u32 {
        self.tried.load(SeqCst)
    }

    /// The last write that was stored.
    pub fn stored(&self) -> u32 {
        self.stored.load(SeqCst)
    }

    /// Fails the test where `value` with `flags` was never written to this key, or, where its node has no
    /// fault, is older than the write `at_least`. The number of a write is its flags, too.
    pub fn check(&self, flags: u32, value: &[u8], at_least: u32) {
        let name = &self.name;
        assert!(
            value == self.value(flags).as_bytes(),
            "a wrong value for {name} with flags {flags}: {}",
            shown(value)
        );
        assert!(
            (1..=self.tried()).contains(&flags),
            "{name} was never written so often as {flags} times"
        );
        assert!(
            self.is_sick || flags >= at_least,
            "{name} is {flags} again after {at_least} was stored"
        );
    }

    fn value(&self, number: u32) -> String {
        let unit = format!("{}={number};", self.name);
        let times = if self.is_large { LARGE / unit.len() + 1 } else { 3 };
        unit.repeat(times)
    }
}
