//! Requests that wait for a link to open: owned copies, since the buffers they came in move on, or the bytes
//! that a connection left unwritten when it broke.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::expected::Form;
use crate::link::pending_reply::{Failing, Waiter};
use crate::node::missed::write::Write;
use crate::protocol::dialect::Dialect;
use crate::protocol::{Command, Failure, Meta, Request};

/// Requests that an empty queue keeps room for.
const KEEP: usize = 256;

/// Requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct Parked {
    waiting: VecDeque<Waiting>,
    /// Of all that they say.
    bytes: usize,
    /// Of that, what is no value.
    words: usize,
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
    /// It is the only key of a line that reads keys.
    pub is_in_line: bool,
    /// All its bytes, in order.
    pub pieces: Vec<Bytes>,
}

impl Owned {
    /// Copies `request`: its words into one piece of memory; its value is shared where it can be.
    pub fn new(request: &Request<'_>) -> Owned {
        let (key, meta) = words(request);
        Owned {
            command: request.command,
            key,
            flags: request.flags,
            exptime: request.exptime,
            cas: request.cas,
            delta: request.delta,
            value: match request.block {
                Some(block) => block.slice_ref(request.value),
                None => Bytes::copy_from_slice(request.value),
            },
            meta,
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

/// The key of `request`, and what was typed of a meta command, in one piece of memory. A typed key that is the plain
/// one is not copied again.
fn words(request: &Request<'_>) -> (Bytes, Option<OwnedMeta>) {
    let Some(meta) = &request.meta else {
        return (Bytes::copy_from_slice(request.key), None);
    };
    let typed_key = if meta.key == request.key { b"" } else { meta.key };
    let mut all = Bytes::from([request.key, typed_key, meta.flags].concat());
    let key = all.split_to(request.key.len());
    let typed_key = all.split_to(typed_key.len());
    let meta = OwnedMeta {
        key: if typed_key.is_empty() {
            key.clone()
        } else {
            typed_key
        },
        flags: all,
        is_binary: meta.is_binary,
    };
    (key, Some(meta))
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

    /// Bytes of what it says that is no value.
    fn words(&self) -> usize {
        match self {
            What::Owned(owned) => owned.request().words(),
            What::Written(written) => written.key.len(),
        }
    }

    /// Bytes of all that it says.
    fn bytes(&self) -> usize {
        match self {
            What::Owned(owned) => owned.request().words() + owned.value.len(),
            What::Written(written) => {
                written.key.len() + written.pieces.iter().map(Bytes::len).sum::<usize>()
            }
        }
    }
}

impl Parked {
    /// Puts a request at the end.
    pub fn push(&mut self, what: What, waiter: Waiter) {
        self.bytes += what.bytes();
        self.words += what.words();
        self.waiting.push_back(Waiting { what, waiter });
    }

    /// Puts all of `later` at the end.
    pub fn append(&mut self, mut later: Parked) {
        self.bytes += later.bytes;
        self.words += later.words;
        self.waiting.append(&mut later.waiting);
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of all that they say.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of what they say that is no value.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Bytes of memory that they keep.
    pub fn held(&self) -> usize {
        self.waiting.capacity() * size_of::<Waiting>() + self.bytes
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
        self.words -= oldest.what.words();
        if self.waiting.is_empty() && self.waiting.capacity() > KEEP {
            self.waiting = VecDeque::new();
        }
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
