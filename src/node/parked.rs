//! Requests that wait for a link to open: owned copies, since the buffers they came in move on, or the bytes
//! that a connection left unwritten when it broke.

use std::collections::VecDeque;

use bytes::Bytes;

use super::form::Form;
use super::missed::write::Write;
use super::waiter::{Failing, Waiter};
use crate::protocol::dialect::Dialect;
use crate::protocol::{Command, Failure, Meta, Request};

/// Requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct Parked {
    waiting: VecDeque<Waiting>,
    /// Of their values, and of those that were written.
    bytes: usize,
}

/// A request that waits, and who waits for its reply.
#[derive(Debug)]
pub struct Waiting {
    /// The request.
    pub what: What,
    /// Who waits.
    pub waiter: Waiter,
}

/// The two forms of a request that waits.
#[derive(Debug)]
pub enum What {
    /// A copy, to be said in whatever dialect the node turns out to know.
    Owned(Owned),
    /// Bytes in one dialect, and no other will do.
    Written(Written),
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
    meta: Option<OwnedMeta>,
    is_one_of_many: bool,
}

/// What a meta command says, as it was typed.
#[derive(Debug, Clone)]
pub struct OwnedMeta {
    /// The key.
    pub key: Bytes,
    /// The flags.
    pub flags: Bytes,
    /// A binary client asks.
    pub is_binary: bool,
}

/// A request as it was written for a node.
#[derive(Debug)]
pub struct Written {
    /// What it was written in.
    pub dialect: Dialect,
    /// The command, as `dialect` has it.
    pub command: Command,
    /// The plain key.
    pub key: Bytes,
    /// What its reply must look like.
    pub form: Form,
    /// All its bytes, in order.
    pub pieces: Vec<Bytes>,
}

impl Owned {
    /// Copies `request`; its value is shared where it can be.
    pub fn new(request: &Request<'_>) -> Owned {
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
            meta: request.meta.map(|meta| OwnedMeta {
                key: Bytes::copy_from_slice(meta.key),
                flags: Bytes::copy_from_slice(meta.flags),
                is_binary: meta.is_binary,
            }),
            is_one_of_many: request.is_one_of_many,
        }
    }

    /// A read of `key`, which says no more than what `meta` says.
    pub fn read(command: Command, key: Bytes, meta: Option<OwnedMeta>) -> Owned {
        Owned {
            command,
            key,
            flags: 0,
            exptime: 0,
            cas: 0,
            delta: 0,
            value: Bytes::new(),
            meta,
            is_one_of_many: false,
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
            meta: self.meta.as_ref().map(|meta| Meta {
                key: &meta.key,
                flags: &meta.flags,
                is_binary: meta.is_binary,
            }),
            block: Some(&self.value),
            is_one_of_many: self.is_one_of_many,
        }
    }
}

impl What {
    /// What is to be done.
    pub fn command(&self) -> Command {
        match self {
            What::Owned(owned) => owned.command,
            What::Written(written) => written.command,
        }
    }

    /// What of it may change an item. Of an mg only one is written again as it was that does more than read.
    pub fn write(&self) -> Write<'_> {
        match self {
            What::Owned(owned) => Write::from(&owned.request()),
            What::Written(written) => Write {
                command: written.command,
                key: &written.key,
                flags: if written.command == Command::MetaGet {
                    b"T"
                } else {
                    b""
                },
            },
        }
    }

    /// Bytes of its value, or of all of it where it was written.
    fn bytes(&self) -> usize {
        match self {
            What::Owned(owned) => owned.value.len(),
            What::Written(written) => written.pieces.iter().map(Bytes::len).sum(),
        }
    }
}

impl Parked {
    /// Puts a request at the end.
    pub fn push(&mut self, what: What, waiter: Waiter) {
        self.bytes += what.bytes();
        self.waiting.push_back(Waiting { what, waiter });
    }

    /// Puts all of `later` at the end.
    pub fn append(&mut self, mut later: Parked) {
        self.bytes += later.bytes;
        self.waiting.append(&mut later.waiting);
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of their values, and of those that were written.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True where none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the oldest is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.waiter.deadline)
    }

    /// Takes the oldest.
    pub fn take(&mut self) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.what.bytes();
        Some(oldest)
    }

    /// Fails for `failure` those that are due by `until`; all where that is `u64::MAX`. None of them was sent.
    pub fn expire(&mut self, until: u64, failure: Failure, at: Failing<'_>) {
        while self.next_deadline().is_some_and(|deadline| deadline <= until)
            && let Some(Waiting { what, waiter }) = self.take()
        {
            at.shard.in_flight.sub(1);
            waiter.fail(what.write(), failure, false, at);
        }
    }
}
