//! Requests that wait for a link to open: owned copies, since the buffers they came in move on, or the bytes
//! that a connection left unwritten when it broke.

use std::collections::VecDeque;
use std::ops::AddAssign;

use bytes::Bytes;

use crate::link::expected::ExpectedReply;
use crate::link::pending_reply::{Failing, PendingReply};
use crate::node::missed::write::Write;
use crate::protocol::dialect::Dialect;
use crate::protocol::owned::{OwnedRead, OwnedRequest};
use crate::protocol::{Command, Failure, Request};

/// Requests that an empty queue keeps room for.
const KEEP: usize = 256;

/// Requests that wait, oldest first.
#[derive(Debug, Default)]
pub struct QueuedRequests {
    waiting: VecDeque<QueuedRequest>,
    /// Of all of them.
    lengths: Lengths,
}

/// Bytes of what requests say.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    /// What is no value.
    words: usize,
    /// Values, and of what was written for a node all that is to be written.
    values: usize,
}

/// A request that waits, and who waits for its reply.
#[derive(Debug)]
pub struct QueuedRequest {
    /// The request.
    pub request: Queued,
    /// Who waits.
    pub pending: PendingReply,
}

/// The forms of a request that waits. Most are reads, and take no more room than they need.
#[derive(Debug)]
pub enum Queued {
    /// A copy of a read, to be said in whatever dialect the node turns out to know.
    Read(OwnedRead),
    /// A copy of any other request.
    Copied(Box<OwnedRequest>),
    /// Bytes in one dialect, and no other will do.
    EncodedRequest(Box<EncodedRequest>),
}

// One waits for each request while a node is away.
const _: () = assert!(size_of::<QueuedRequest>() <= 96);

/// A request as it was written for a node.
#[derive(Debug)]
pub struct EncodedRequest {
    /// What it was written in.
    pub dialect: Dialect,
    /// The command, as `dialect` has it.
    pub command: Command,
    /// The plain key.
    pub key: Bytes,
    /// What its reply must look like.
    pub expected: ExpectedReply,
    /// It is the only key of a line that reads keys.
    pub is_in_line: bool,
    /// All its bytes, in order.
    pub pieces: Vec<Bytes>,
}

impl Queued {
    /// A copy of `request`.
    pub fn of(request: &Request<'_>) -> Queued {
        match request.command {
            Command::Get | Command::Gets | Command::MetaGet | Command::MetaDebug => {
                Queued::Read(OwnedRead::of(request))
            }
            _ => Queued::Copied(Box::new(OwnedRequest::new(request))),
        }
    }

    /// The request, unless only its bytes in one dialect are left.
    pub fn request(&self) -> Result<Request<'_>, &EncodedRequest> {
        match self {
            Queued::Read(read) => Ok(read.request()),
            Queued::Copied(owned) => Ok(owned.request()),
            Queued::EncodedRequest(encoded) => Err(encoded),
        }
    }

    /// What of it may change an item. Of an mg only one is written again as it was that does more than read.
    pub fn write(&self) -> Write<'_> {
        match self.request() {
            Ok(request) => Write::from(&request),
            Err(encoded) => Write {
                command: encoded.command,
                key: &encoded.key,
                flags: if encoded.command == Command::MetaGet {
                    b"T"
                } else {
                    b""
                },
            },
        }
    }

    fn lengths(&self) -> Lengths {
        match self {
            Queued::Read(read) => Lengths {
                words: read.words_len(),
                values: 0,
            },
            Queued::Copied(owned) => Lengths {
                words: size_of::<OwnedRequest>() + owned.words_len(),
                values: owned.value_len(),
            },
            Queued::EncodedRequest(encoded) => Lengths {
                words: size_of::<EncodedRequest>() + encoded.key.len(),
                values: encoded.pieces.iter().map(Bytes::len).sum(),
            },
        }
    }
}

impl AddAssign for Lengths {
    fn add_assign(&mut self, other: Lengths) {
        self.words += other.words;
        self.values += other.values;
    }
}

impl QueuedRequests {
    /// Puts a request at the end.
    pub fn push(&mut self, request: Queued, pending: PendingReply) {
        self.lengths += request.lengths();
        self.waiting.push_back(QueuedRequest { request, pending });
    }

    /// Puts all of `later` at the end.
    pub fn append(&mut self, mut later: QueuedRequests) {
        self.lengths += later.lengths;
        self.waiting.append(&mut later.waiting);
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of all that they say, and of memory that those which are no reads take.
    pub fn bytes(&self) -> usize {
        self.lengths.words + self.lengths.values
    }

    /// Bytes of what they say that is no value.
    pub fn words(&self) -> usize {
        self.lengths.words
    }

    /// Bytes of memory that they keep.
    pub fn held(&self) -> usize {
        self.waiting.capacity() * size_of::<QueuedRequest>() + self.bytes()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the oldest is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.pending.deadline)
    }

    /// Takes the oldest.
    pub fn take(&mut self) -> Option<QueuedRequest> {
        let oldest = self.waiting.pop_front()?;
        let lengths = oldest.request.lengths();
        self.lengths.words -= lengths.words;
        self.lengths.values -= lengths.values;
        if self.waiting.is_empty() && self.waiting.capacity() > KEEP {
            self.waiting = VecDeque::new();
        }
        Some(oldest)
    }

    /// Fails for `failure` those that are due by `until`; all where that is `u64::MAX`. None of them was sent.
    pub fn expire(&mut self, until: u64, failure: Failure, at: Failing<'_>) {
        while self.next_deadline().is_some_and(|deadline| deadline <= until)
            && let Some(QueuedRequest { request, pending }) = self.take()
        {
            at.shard.in_flight.sub(1);
            pending.fail(request.write(), failure, false, at);
        }
    }
}
