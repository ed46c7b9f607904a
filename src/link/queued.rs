//! Requests that wait for a link to open: owned copies, because their read buffers move on, or the bytes
//! that a broken connection left unwritten.

use std::collections::VecDeque;
use std::ops::AddAssign;

use bytes::Bytes;

use crate::link::expected::ExpectedReply;
use crate::link::pending_reply::{Failing, PendingReply};
use crate::node::missed::write::Write;
use crate::protocol::dialect::Dialect;
use crate::protocol::owned::{OwnedRead, OwnedRequest};
use crate::protocol::resp::form::Expected;
use crate::protocol::{Command, Failure, Request};

/// The capacity that an empty queue keeps, in requests.
const KEEP: usize = 256;

/// Queued requests, oldest first.
#[derive(Debug, Default)]
pub struct QueuedRequests {
    waiting: VecDeque<QueuedRequest>,
    /// The sum over all requests.
    lengths: Lengths,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    /// Everything but values.
    words: usize,
    /// Values, and all bytes of encoded requests.
    values: usize,
}

/// A queued request, and the recipient of its reply.
#[derive(Debug)]
pub struct QueuedRequest {
    /// The request.
    pub request: Queued,
    /// The recipient of its reply.
    pub pending: PendingReply,
}

/// The forms of a queued request. Most are reads, which take no more memory than they need.
#[derive(Debug)]
pub enum Queued {
    /// A copy of a read, which can be written in any dialect.
    Read(OwnedRead),
    /// A copy of any other request.
    Copied(Box<OwnedRequest>),
    /// The bytes of a request in one dialect, which fit no other.
    EncodedRequest(Box<EncodedRequest>),
}

// There is one for each request while a node is away.
const _: () = assert!(size_of::<QueuedRequest>() <= 96);

/// A request as it was written for a node.
#[derive(Debug)]
pub struct EncodedRequest {
    /// The dialect that it was written in.
    pub dialect: Dialect,
    /// The command in terms of `dialect`.
    pub command: Command,
    /// The plain key.
    pub key: Bytes,
    /// The expected form of its reply.
    pub expected: ExpectedReply,
    /// Whether it is the only key of a multi-get line.
    pub is_in_line: bool,
    /// What its reply means, if it comes from a Valkey or Redis.
    pub answer: Option<Expected>,
    /// All its bytes, in order.
    pub pieces: Vec<Bytes>,
}

impl Queued {
    /// Returns a copy of `request`.
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

    /// Returns the request as a [`Write`]. An mg is only ever encoded if it does more than read.
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
    /// Appends a request.
    pub fn push(&mut self, request: Queued, pending: PendingReply) {
        self.lengths += request.lengths();
        self.waiting.push_back(QueuedRequest { request, pending });
    }

    /// Appends all of `later`.
    pub fn append(&mut self, mut later: QueuedRequests) {
        self.lengths += later.lengths;
        self.waiting.append(&mut later.waiting);
    }

    /// The number of queued requests.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The number of bytes of their words and values, plus the memory of those that are not reads.
    pub fn bytes(&self) -> usize {
        self.lengths.words + self.lengths.values
    }

    /// The number of bytes of their words.
    pub fn words(&self) -> usize {
        self.lengths.words
    }

    /// The number of bytes of memory that they keep.
    pub fn held(&self) -> usize {
        self.waiting.capacity() * size_of::<QueuedRequest>() + self.bytes()
    }

    /// Whether the queue is empty.
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

    /// Fails with `failure` those that are due by `until`, or all if that is `u64::MAX`. None of them was
    /// sent.
    pub fn expire(&mut self, until: u64, failure: Failure, at: Failing<'_>) {
        while self.next_deadline().is_some_and(|deadline| deadline <= until)
            && let Some(QueuedRequest { request, pending }) = self.take()
        {
            at.shard.in_flight.sub(1);
            pending.fail(request.write(), failure, false, at);
        }
    }
}
