//! The keys of runs. A run is several keys of multi-gets that one session sent to a node in one turn, one after the
//! other: they share an entry of the link's in-flight queue, because there are many of them.
//!
//! Replies that come as expected are given to the keys of a run as they arrive. For anything else, such as a timeout or
//! a broken connection, runs are split first into entries of a key each.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::reply::queue::ReplyQueue;

/// The capacity that an empty queue keeps, in keys.
const KEEP: usize = 8192;

/// A key that is sent.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// The queue in which its reply is delivered, and its number there.
    pub slot: (&'a Rc<ReplyQueue>, u32),
    /// When the request was read, in microseconds of the worker's clock.
    pub started: u64,
    /// When the reply is due.
    pub deadline: u64,
    /// Whether it is counted when the reply arrives.
    pub is_sampled: bool,
}

/// The keys of all runs of a link, oldest first.
#[derive(Debug, Default)]
pub(super) struct RunKeys {
    keys: VecDeque<RunKey>,
    /// The number of runs.
    runs: usize,
}

/// A key of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunKey {
    /// Its number in the session's queue.
    pub(super) number: u32,
    /// Its length in bytes.
    pub(super) length: u16,
}

impl RunKeys {
    /// Appends a key to the last run, or to a new one.
    #[inline]
    pub(super) fn push(&mut self, key: RunKey, begins: bool) {
        self.runs += usize::from(begins);
        self.keys.push_back(key);
    }

    /// Removes the oldest `count` keys. `ends`: they are the last of their run. Returns the sum of their lengths.
    #[inline]
    pub(super) fn pass(&mut self, count: usize, ends: bool) -> usize {
        self.runs -= usize::from(ends);
        let length = self.keys.drain(..count).map(|key| usize::from(key.length)).sum();
        if self.keys.is_empty() && self.keys.capacity() > KEEP {
            self.keys = VecDeque::new();
        }
        length
    }

    /// The oldest `count` keys.
    #[inline]
    pub(super) fn first(&self, count: usize) -> impl Iterator<Item = &RunKey> {
        self.keys.range(..count)
    }

    /// Whether there is no run.
    pub(super) fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// The number of keys beyond the first of each run.
    #[inline]
    pub(super) fn further(&self) -> usize {
        self.keys.len() - self.runs
    }

    /// The oldest key.
    #[inline]
    pub(super) fn front(&self) -> Option<RunKey> {
        self.keys.front().copied()
    }

    /// The length of the oldest key.
    #[inline]
    pub(super) fn front_length(&self) -> usize {
        self.front().map_or(0, |key| key.length.into())
    }

    /// The keys, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RunKey> {
        self.keys.iter()
    }

    /// The number of bytes of memory that it keeps.
    pub(super) fn held(&self) -> usize {
        self.keys.capacity() * size_of::<RunKey>()
    }
}
