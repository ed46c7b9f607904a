//! What a link owes: requests that were written and whose replies have not come, oldest first.
//!
//! memcached answers one connection in the order of its requests, so the first reply belongs to the first
//! request, and the key that it brings back proves it. A request that takes too long is *abandoned*: its
//! slot is answered, its place stays, and the late reply is dropped when it comes, so the requests behind
//! it go on undisturbed.
//!
//! The keys, and of meta reads all that was typed, stand in one queue of bytes beside the entries: they come
//! and go in the same order, so an entry needs only their lengths.
//!
//! No socket and no clock: bytes and times come in as arguments. How replies find their requests stands in
//! `receive.rs`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::link::byte_queue::ByteQueue;
use crate::link::expected::ExpectedReply;
use crate::link::pending_reply::{Failing, PendingReply};
use crate::link::queued::EncodedRequest;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::owned::{RawMeta, Words};
use crate::protocol::{Command, Failure, Request};
use crate::reply::slot::ReplySlot;

/// Entries that an empty queue keeps room for.
const KEEP: usize = 4096;

/// The queue of one link.
#[derive(Debug)]
pub struct InFlightQueue {
    entries: VecDeque<InFlight>,
    /// What the entries hold of their requests, one after the other.
    text: ByteQueue,
    /// For each line that reads keys, oldest first, how many of its keys are in `entry`. 0: only `END` is still
    /// to come.
    pub(super) lines: VecDeque<u32>,
    /// Entries whose slot was answered without them.
    pub(super) abandoned: usize,
    /// Keys of abandoned writes whose late replies came.
    late: Vec<Bytes>,
    /// A reply told of a stale item.
    pub(super) has_seen_stale: bool,
    /// Bytes of a reply that are to be passed over.
    pub(super) skip: usize,
    /// Larger values are passed over too, for now.
    pub(super) room: usize,
    /// Bytes that the reply takes, at least, of which a part has come; 0 if none has.
    pub(super) needs: usize,
}

/// What a request asks on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A reply of its own.
    Own,
    /// A reply of its own that does not bring the key back.
    Keyless,
    /// A key, the first of a line that reads keys.
    NewLine,
    /// One more key of the line before.
    SameLine,
}

/// A request whose reply is to come.
#[derive(Debug)]
pub(super) struct InFlight {
    /// `None`: abandoned.
    pub(super) slot: Option<ReplySlot>,
    pub(super) command: Command,
    pub(super) operation: Operation,
    pub(super) expected: ExpectedReply,
    pub(super) is_retry: bool,
    /// It was abandoned, and is remembered as a write that the node missed.
    is_missed: bool,
    is_in_line: bool,
    /// A meta read: what was typed of it stands behind its key.
    is_meta: bool,
    /// A binary client asks, by a meta command.
    is_binary: bool,
    /// Bytes of the plain key, and behind it of what was typed of a meta read: its key, unless it is the plain one,
    /// and its flags, which come in a line of 16 KiB at most.
    key: u16,
    raw_key: u16,
    raw_flags: u16,
    /// When the request was read, in microseconds of the worker's clock.
    pub(super) started: u64,
    deadline: u64,
    /// Where its first byte stands among all that went to the connection.
    start_offset: u64,
}

// One waits for each request.
const _: () = assert!(size_of::<InFlight>() <= 64);

impl InFlight {
    /// Who waits for it; `None`: it was abandoned, as it is from now on.
    fn take_pending(&mut self) -> Option<PendingReply> {
        Some(PendingReply {
            slot: self.slot.take()?,
            operation: self.operation,
            started: self.started,
            deadline: self.deadline,
            is_retry: self.is_retry,
        })
    }

    /// The request, of which `own` is what was said.
    fn write<'a>(&self, own: &'a [u8]) -> Write<'a> {
        let flags = own.len() - usize::from(self.raw_flags);
        Write {
            command: self.command,
            key: &own[..usize::from(self.key)],
            flags: &own[flags..],
        }
    }

    fn text_len(&self) -> usize {
        [self.key, self.raw_key, self.raw_flags]
            .map(usize::from)
            .iter()
            .sum()
    }
}

/// A request whose reply did not come before the connection broke.
#[derive(Debug)]
pub struct Unanswered {
    /// The command.
    pub command: Command,
    /// The plain key, and what was typed of a meta read.
    pub words: Words,
    /// What its reply must look like.
    pub expected: ExpectedReply,
    /// Its reply ends with `END`.
    pub is_in_line: bool,
    /// `None`: abandoned.
    pub pending: Option<PendingReply>,
    /// Where its first byte stands among all that went to the connection.
    pub start_offset: u64,
}

impl Default for InFlightQueue {
    fn default() -> InFlightQueue {
        InFlightQueue {
            entries: VecDeque::new(),
            text: ByteQueue::default(),
            lines: VecDeque::new(),
            abandoned: 0,
            late: Vec::new(),
            has_seen_stale: false,
            skip: 0,
            room: usize::MAX,
            needs: 0,
        }
    }
}

impl InFlightQueue {
    /// Until the next call, values of more than `room` bytes are passed over as what the link is too busy for.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Notes that `request` was written, from the byte at `start_offset` among all that went to the connection.
    #[inline]
    pub fn push(
        &mut self,
        request: &Request<'_>,
        framing: Framing,
        pending: PendingReply,
        start_offset: u64,
    ) {
        let mut entry = self.new_entry(
            request.command,
            request.key,
            ExpectedReply::of(request),
            pending,
            start_offset,
        );
        entry.is_in_line = self.joins_line(framing);
        entry.expected.hides_key |= framing == Framing::Keyless;
        if let Command::MetaGet | Command::MetaDebug = request.command
            && let Some(meta) = &request.meta
        {
            let raw_key = meta.other_key(request.key);
            if !raw_key.is_empty() {
                self.text.push(raw_key);
            }
            self.text.push(meta.flags);
            debug_assert!(
                meta.flags.len() <= usize::from(u16::MAX),
                "longer lines are refused"
            );
            entry.is_meta = true;
            entry.raw_key = raw_key.len() as u16;
            entry.raw_flags = meta.flags.len() as u16;
            entry.is_binary = meta.is_binary;
        }
        self.entries.push_back(entry);
    }

    /// Notes that the bytes of `encoded` were put from the byte at `start_offset` on.
    pub fn push_written(&mut self, encoded: &EncodedRequest, pending: PendingReply, start_offset: u64) {
        let framing = if encoded.is_in_line {
            Framing::NewLine
        } else {
            Framing::Own
        };
        let mut entry = self.new_entry(
            encoded.command,
            &encoded.key,
            encoded.expected,
            pending,
            start_offset,
        );
        entry.is_in_line = self.joins_line(framing);
        self.entries.push_back(entry);
    }

    /// Whether the entry that is to be pushed is a key of a line.
    #[inline]
    fn joins_line(&mut self, framing: Framing) -> bool {
        match (framing, self.lines.back_mut()) {
            (Framing::Own | Framing::Keyless, _) => return false,
            (Framing::SameLine, Some(keys)) => *keys += 1,
            _ => self.lines.push_back(1),
        }
        true
    }

    #[inline]
    fn new_entry(
        &mut self,
        command: Command,
        key: &[u8],
        expected: ExpectedReply,
        pending: PendingReply,
        start_offset: u64,
    ) -> InFlight {
        self.text.push(key);
        InFlight {
            slot: Some(pending.slot),
            command,
            operation: pending.operation,
            expected,
            is_retry: pending.is_retry,
            is_missed: false,
            is_in_line: false,
            is_meta: false,
            is_binary: false,
            key: key.len() as u16,
            raw_key: 0,
            raw_flags: 0,
            started: pending.started,
            deadline: pending.deadline,
            start_offset,
        }
    }

    /// Bytes that are kept of what requests say.
    pub fn words(&self) -> usize {
        self.text.bytes().len()
    }

    /// Bytes of memory that the queue keeps.
    pub fn held(&self) -> usize {
        self.entries.capacity() * size_of::<InFlight>() + self.text.held()
    }

    /// Requests that were written and not answered, abandoned ones too.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no reply is to come.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lines.is_empty()
    }

    /// Bytes that the reply takes, at least, of which a part has come; 0 if none has.
    pub fn needs(&self) -> usize {
        self.needs
    }

    /// The oldest request.
    #[inline]
    pub(super) fn front(&self) -> Option<&InFlight> {
        self.entries.front()
    }

    /// The plain key of the oldest request.
    #[inline]
    pub(super) fn front_key(&self) -> &[u8] {
        let length = self.entries.front().map_or(0, |entry| entry.key);
        &self.text.bytes()[..usize::from(length)]
    }

    /// Whether what comes next belongs to a line that reads keys.
    #[inline]
    pub(super) fn is_in_line(&self) -> bool {
        match self.lines.front() {
            None => false,
            Some(0) => true,
            Some(_) => self.entries.front().is_some_and(|entry| entry.is_in_line),
        }
    }

    /// The keys that are left of the line whose reply comes next.
    #[inline]
    pub(super) fn left_in_line(&self) -> u32 {
        self.lines.front().copied().unwrap_or(0)
    }

    /// How many keys of the line stand before the next one that is `key`; `None` if none is.
    #[inline]
    pub(super) fn find_in_line(&self, key: &[u8]) -> Option<usize> {
        if self.left_in_line() > 0 && self.front_key() == key {
            return Some(0);
        }
        let mut text = self.text.bytes();
        self.entries
            .iter()
            .take(self.left_in_line() as usize)
            .position(|entry| {
                let (own, rest) = text.split_at(entry.key.into());
                text = rest;
                own == key
            })
    }

    /// Requests whose late replies are to be dropped.
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// When the oldest request was read that is still to be answered or dropped.
    pub fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.started)
    }

    /// When the next request is due that was not abandoned.
    pub fn next_deadline(&self) -> Option<u64> {
        self.entries
            .iter()
            .find(|entry| entry.slot.is_some())
            .map(|entry| entry.deadline)
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<InFlight> {
        let entry = self.entries.pop_front()?;
        if entry.is_missed {
            let key = &self.text.bytes()[..entry.key.into()];
            self.late.push(Bytes::copy_from_slice(key));
        }
        self.text.pass(entry.text_len());
        if self.entries.is_empty() && self.entries.capacity() > KEEP {
            self.entries = VecDeque::new();
        }
        Some(entry)
    }

    /// Keys of abandoned writes whose late replies came since the last call.
    #[inline]
    pub fn take_late(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.late)
    }

    /// Abandons every request that is due. Returns how many.
    pub fn expire(&mut self, at: Failing<'_>) -> usize {
        let mut text = self.text.bytes();
        let due = self
            .entries
            .iter_mut()
            .take_while(|entry| entry.slot.is_none() || entry.deadline <= at.now);
        let mut expired = 0;
        for entry in due {
            let (own, rest) = text.split_at(entry.text_len());
            text = rest;
            if let Some(pending) = entry.take_pending() {
                entry.is_missed = pending.fail(entry.write(own), Failure::Timeout, true, at);
                expired += 1;
            }
        }
        self.abandoned += expired;
        expired
    }

    /// The connection is gone: every request that is still owed fails for `failure`. Returns the keys of writes that
    /// the node may still carry out, those that were abandoned before too.
    pub fn fail_all(&mut self, failure: Failure, at: Failing<'_>) -> Vec<Bytes> {
        let InFlightQueue { entries, text, .. } = std::mem::take(self);
        at.shard.in_flight.sub(entries.len() as u64);
        let mut on_their_way = Vec::new();
        let mut text = text.take();
        for mut entry in entries {
            let own = text.split_to(entry.text_len());
            if let Some(pending) = entry.take_pending() {
                entry.is_missed = pending.fail(entry.write(&own), failure, true, at);
            }
            if entry.is_missed {
                on_their_way.push(own.slice(..usize::from(entry.key)));
            }
        }
        on_their_way
    }

    /// The connection is gone: takes all that is still owed, oldest first.
    pub fn take_all(&mut self) -> Vec<Unanswered> {
        let in_flight = std::mem::take(self);
        let mut text = in_flight.text.take();
        let unanswered = |mut entry: InFlight| {
            let raw = entry.is_meta.then_some(RawMeta {
                key: entry.raw_key,
                is_binary: entry.is_binary,
            });
            let words = Words::new(text.split_to(entry.text_len()), entry.key, raw);
            let pending = entry.take_pending();
            Unanswered {
                command: entry.command,
                words,
                expected: entry.expected,
                is_in_line: entry.is_in_line,
                pending,
                start_offset: entry.start_offset,
            }
        };
        in_flight.entries.into_iter().map(unanswered).collect()
    }
}
