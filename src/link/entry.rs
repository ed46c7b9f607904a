//! One request in flight: what its link keeps until the reply arrives.

use std::rc::Rc;

use crate::link::expected::ExpectedReply;
use crate::link::pending_reply::PendingReply;
use crate::link::run_keys::NewKey;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::owned::Words;
use crate::protocol::resp::form::Expected;
use crate::protocol::{Command, Request};
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;

/// How a request's reply is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A reply of its own.
    Own,
    /// A reply of its own that does not return the key.
    Keyless,
    /// The first key of a multi-get line.
    NewLine,
    /// Another key of the same multi-get line.
    SameLine,
}

/// A request whose reply is outstanding.
#[derive(Debug)]
pub(super) struct InFlight {
    /// `None` if abandoned.
    pub(super) slot: Option<ReplySlot>,
    pub(super) command: Command,
    pub(super) operation: Operation,
    pub(super) expected: ExpectedReply,
    pub(super) is_retry: bool,
    pub(super) is_sampled: bool,
    /// Whether it was abandoned and recorded as a write that the node missed.
    pub(super) is_missed: bool,
    pub(super) is_in_line: bool,
    /// Whether it is a meta read, whose text is behind its key.
    pub(super) is_meta: bool,
    /// Whether it is a meta command of a binary client.
    pub(super) is_binary: bool,
    /// The number of keys, if it is a run (see `run_keys.rs`); 0 otherwise.
    pub(super) run: u16,
    /// The length of the plain key, unless it is a run, followed in the text by a meta read's own key, unless that is
    /// the plain one, and its flags, all from a line of at most 16 KiB.
    pub(super) key: u16,
    pub(super) raw_key: u16,
    pub(super) raw_flags: u16,
    /// When the request was read, in microseconds of the worker's clock.
    pub(super) started: u64,
    pub(super) deadline: u64,
    /// The offset of its first byte among all bytes sent on the connection.
    pub(super) start_offset: u64,
}

// There is one for each outstanding request.
const _: () = assert!(size_of::<InFlight>() <= 64);

impl InFlight {
    /// Returns a request without a key.
    #[inline]
    pub(super) fn new(
        command: Command,
        expected: ExpectedReply,
        pending: PendingReply,
        start_offset: u64,
    ) -> InFlight {
        InFlight {
            slot: Some(pending.slot),
            command,
            operation: pending.operation,
            expected,
            is_retry: pending.is_retry,
            is_sampled: pending.is_sampled,
            is_missed: false,
            is_in_line: false,
            is_meta: false,
            is_binary: false,
            run: 0,
            key: 0,
            raw_key: 0,
            raw_flags: 0,
            started: pending.started,
            deadline: pending.deadline,
            start_offset,
        }
    }

    /// Returns a run of one key.
    #[inline]
    pub(super) fn run(command: Command, key: &NewKey<'_>, start_offset: u64) -> InFlight {
        let (queue, number) = key.slot;
        let request = &Request::new(command, b"");
        let pending = PendingReply {
            slot: ReplySlot::Key(queue.clone(), number),
            operation: Operation::of(request),
            started: key.started,
            deadline: key.deadline,
            is_retry: false,
            is_sampled: key.is_sampled,
        };
        InFlight {
            is_in_line: true,
            run: 1,
            ..InFlight::new(command, ExpectedReply::of(request), pending, start_offset)
        }
    }

    /// Whether the run can take a key from `queue` that was read at `started`.
    #[inline]
    pub(super) fn can_grow(&self, queue: &Rc<ReplyQueue>, started: u64) -> bool {
        let is_same = matches!(&self.slot, Some(ReplySlot::Key(own, _)) if Rc::ptr_eq(own, queue));
        (1..u16::MAX).contains(&self.run) && is_same && !self.is_sampled && self.started == started
    }

    /// Takes the pending reply and so abandons the entry; `None` if it was abandoned before.
    pub(super) fn take_pending(&mut self) -> Option<PendingReply> {
        Some(PendingReply {
            slot: self.slot.take()?,
            operation: self.operation,
            started: self.started,
            deadline: self.deadline,
            is_retry: self.is_retry,
            is_sampled: self.is_sampled,
        })
    }

    /// Returns the request as a [`Write`]; `own` is its part of the text.
    pub(super) fn write<'a>(&self, own: &'a [u8]) -> Write<'a> {
        let flags = own.len() - usize::from(self.raw_flags);
        Write {
            command: self.command,
            key: &own[..usize::from(self.key)],
            flags: &own[flags..],
        }
    }

    pub(super) fn text_len(&self) -> usize {
        [self.key, self.raw_key, self.raw_flags]
            .map(usize::from)
            .iter()
            .sum()
    }
}

/// A request that was unanswered when the connection broke.
#[derive(Debug)]
pub struct Unanswered {
    /// The command.
    pub command: Command,
    /// The plain key, and the text of a meta read.
    pub words: Words,
    /// The expected form of its reply.
    pub expected: ExpectedReply,
    /// Whether its reply is part of a multi-get line's, which ends with `END`.
    pub is_in_line: bool,
    /// What its reply means, if it comes from a Valkey or Redis.
    pub answer: Option<Expected>,
    /// `None` if abandoned.
    pub pending: Option<PendingReply>,
    /// The offset of its first byte among all bytes sent on the connection.
    pub start_offset: u64,
}
