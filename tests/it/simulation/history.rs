//! What may be read of one key: one client alone writes it, so its own requests say.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

/// The past of one key.
#[derive(Debug, Default)]
pub struct History {
    /// What the last write that was acknowledged left there: its number; `None`: nothing.
    last: Option<u64>,
    /// Writes whose outcome nobody knows, and that may still be carried out.
    unknown: BTreeSet<u64>,
    /// Writes that failed, each with the moment when that was known.
    failed: BTreeMap<u64, Instant>,
    /// Every write there ever was.
    written: BTreeSet<u64>,
}

impl History {
    /// Write `number` was sent.
    pub fn sent(&mut self, number: u64) {
        self.written.insert(number);
    }

    /// Write `number` was acknowledged.
    pub fn stored(&mut self, number: u64) {
        self.last = Some(number);
    }

    /// A delete was acknowledged, or failed, which comes to the same for what may be read.
    pub fn deleted(&mut self) {
        self.last = None;
    }

    /// Nobody knows whether write `number` was carried out, or will be.
    pub fn unknown(&mut self, number: u64) {
        self.unknown.insert(number);
    }

    /// Write `number` failed, as the client knows since `at`: who asks from then on reads neither its value nor an
    /// older one.
    pub fn failed(&mut self, number: u64, at: Instant) {
        self.last = None;
        self.failed.insert(number, at);
        self.unknown.retain(|&unknown| unknown > number);
    }

    /// Why the value of write `found` must not be the answer to a read that was sent at `sent`, if so. A miss always
    /// may, where nodes fail. Where keys move to other nodes and back, a node may have kept what was replaced elsewhere.
    pub fn objection(
        &self,
        found: Option<u64>,
        sent: Instant,
        may_miss: bool,
        may_be_old: bool,
    ) -> Option<String> {
        // The node may have answered the read before the write was given up.
        let is_of_its_time = |number| self.failed.get(&number).is_some_and(|&known| sent < known);
        match found {
            None if may_miss || self.last.is_none() => None,
            None => Some(format!("a miss, but {:?} was stored", self.last)),
            Some(number) if !self.written.contains(&number) => {
                Some(format!("{number} was never written here"))
            }
            Some(number) if self.last == Some(number) || self.unknown.contains(&number) || may_be_old => None,
            Some(number) if is_of_its_time(number) => None,
            Some(number) => Some(format!("{number}, but {:?} came after it", self.last)),
        }
    }
}
