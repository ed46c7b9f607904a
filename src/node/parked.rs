//! Requests that wait for a link to open: owned copies, since the buffers they came in move on.

use std::collections::VecDeque;

use bytes::Bytes;

use super::slots::Slot;
use crate::metrics::NodeShard;
use crate::protocol::{Command, Failure, Meta, Reply, Request};

/// Requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct Parked {
    waiting: VecDeque<Waiting>,
    /// Of their values.
    bytes: usize,
}

/// A request that waits, and where its reply goes.
#[derive(Debug)]
pub struct Waiting {
    /// The request.
    pub owned: Owned,
    /// Where its reply goes.
    pub slot: Slot,
    /// When it was read, in microseconds of the worker's clock.
    pub started: u64,
    /// When it is due.
    pub deadline: u64,
}

/// A copy of a request.
#[derive(Debug)]
pub struct Owned {
    command: Command,
    key: Bytes,
    flags: u32,
    exptime: i64,
    cas: u64,
    delta: u64,
    value: Bytes,
    /// Of a meta command: its key and its flags as they were typed, and whether a binary client asks.
    meta: Option<(Bytes, Bytes, bool)>,
}

impl Owned {
    /// Copies `request`; its value is shared where it can be.
    fn new(request: &Request<'_>) -> Owned {
        Owned {
            command: request.command,
            key: Bytes::copy_from_slice(request.key),
            flags: request.flags,
            exptime: request.exptime,
            cas: request.cas,
            delta: request.delta,
            value: match request.block {
                Some(block) => block.slice_ref(request.value),
                None => Bytes::copy_from_slice(request.value),
            },
            meta: request.meta.map(|meta| {
                (
                    Bytes::copy_from_slice(meta.key),
                    Bytes::copy_from_slice(meta.flags),
                    meta.is_binary,
                )
            }),
        }
    }

    /// The request, as it was.
    pub fn request(&self) -> Request<'_> {
        Request {
            command: self.command,
            key: &self.key,
            flags: self.flags,
            exptime: self.exptime,
            cas: self.cas,
            delta: self.delta,
            value: &self.value,
            meta: self.meta.as_ref().map(|(key, flags, is_binary)| Meta {
                key,
                flags,
                is_binary: *is_binary,
            }),
            block: Some(&self.value),
        }
    }
}

impl Parked {
    /// Copies `request` to the end.
    pub fn push(&mut self, request: &Request<'_>, slot: Slot, started: u64, deadline: u64) {
        self.bytes += request.value.len();
        let owned = Owned::new(request);
        self.waiting.push_back(Waiting {
            owned,
            slot,
            started,
            deadline,
        });
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of their values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True where none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the oldest is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.deadline)
    }

    /// Takes the oldest.
    pub fn take(&mut self) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.owned.value.len();
        Some(oldest)
    }

    /// Fails for `failure` those that are due by `until`; all where that is `u64::MAX`.
    pub fn expire(&mut self, until: u64, failure: Failure, now: u64, shard: &NodeShard) -> usize {
        let due = self
            .waiting
            .iter()
            .take_while(|waiting| waiting.deadline <= until)
            .count();
        for waiting in self.waiting.drain(..due) {
            self.bytes -= waiting.owned.value.len();
            let reply = Reply::Failed(failure);
            shard.in_flight.sub(1);
            shard.count(waiting.owned.command, &reply, now.saturating_sub(waiting.started));
            waiting.slot.fill(reply);
        }
        due
    }
}
