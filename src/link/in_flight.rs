//! A link's in-flight queue: requests that were written and whose replies have not arrived, oldest first.
//!
//! memcached answers the requests of a connection in order, so the first reply belongs to the first
//! request, and the key that it returns proves it. A request that takes too long is *abandoned*: its slot
//! is filled with a failure but its entry stays, and the late reply is dropped when it arrives, so the
//! requests behind it are not disturbed.
//!
//! The keys, and the text of meta reads, are in one queue of bytes beside the entries: they come and go in
//! the same order, so an entry only needs their lengths.
//!
//! No sockets and no clocks: bytes and times are arguments. `receive.rs` matches replies to requests. Files beside this
//! one: `line` for multi-get lines, `lost` for requests whose replies do not come.

mod line;
mod lost;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::hot_keys::Access;
use crate::insight::outcome;
use crate::link::entry::{Framing, InFlight};
use crate::link::expected::ExpectedReply;
use crate::link::note::{Note, Notes};
use crate::link::pending_reply::PendingReply;
use crate::link::queued::EncodedRequest;
use crate::link::resp_replies::RespReplies;
use crate::link::run_keys::{NewKey, RunKey, RunKeys};
use crate::link::sent_times::SentTimes;
use crate::protocol::{Command, Reply, Request};
use crate::reply::keys::ArrivedKey;
use crate::reply::slot::ReplySlot;
use crate::runtime::byte_queue::ByteQueue;

/// The capacity that an empty queue keeps, in entries.
const KEEP: usize = 4096;
/// The capacity that empty text keeps, in bytes.
const KEEP_TEXT: usize = 64 << 10;

/// The in-flight queue of one link.
#[derive(Debug)]
pub struct InFlightQueue {
    pub(super) entries: VecDeque<InFlight>,
    /// The text of all entries, concatenated.
    pub(super) text: ByteQueue<KEEP_TEXT>,
    /// The keys of entries that are runs.
    pub(super) runs: RunKeys,
    /// Keys of a run while their replies are received, kept for its memory.
    pub(super) arrived: Vec<ArrivedKey>,
    /// For each multi-get line, oldest first, the number of its keys that are still in `entries`. 0: only
    /// `END` is outstanding.
    pub(super) lines: VecDeque<u32>,
    /// The number of abandoned entries.
    pub(super) abandoned: usize,
    /// Keys of abandoned writes whose late replies arrived.
    late: Vec<Bytes>,
    /// When requests were handed to the connection.
    pub(super) sent: SentTimes,
    /// Requests that something is to be told of.
    pub(super) notes: Notes,
    /// Whether a reply mentioned a stale item.
    pub(super) has_seen_stale: bool,
    /// For a Valkey or Redis.
    pub(super) resp: RespReplies,
    /// The number of bytes of a reply that are still to be skipped.
    pub(super) skip: usize,
    /// Values above this size are skipped for now, for lack of memory.
    pub(super) room: usize,
    /// The minimum size of the reply that has partly arrived; 0 if none has.
    pub(super) needs: usize,
}

impl Default for InFlightQueue {
    fn default() -> InFlightQueue {
        InFlightQueue {
            entries: VecDeque::new(),
            text: ByteQueue::default(),
            runs: RunKeys::default(),
            arrived: Vec::new(),
            lines: VecDeque::new(),
            abandoned: 0,
            late: Vec::new(),
            sent: SentTimes::default(),
            notes: Notes::default(),
            has_seen_stale: false,
            resp: RespReplies::default(),
            skip: 0,
            room: usize::MAX,
            needs: 0,
        }
    }
}

impl InFlightQueue {
    /// The offsets of the requests that begin at `offset` or before it, the last first.
    pub(super) fn starts_until(&self, offset: u64) -> impl Iterator<Item = u64> {
        let index = self.entries.partition_point(|entry| entry.start_offset <= offset);
        self.entries.range(..index).rev().map(|entry| entry.start_offset)
    }

    /// The offset of the oldest request.
    pub(super) fn first_start(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.start_offset)
    }

    /// The offsets of the requests that begin after `offset`.
    pub(super) fn starts_after(&self, offset: u64) -> impl Iterator<Item = u64> {
        let index = self.entries.partition_point(|entry| entry.start_offset <= offset);
        self.entries.range(index..).map(|entry| entry.start_offset)
    }

    /// Sets the size above which values are skipped because the link is too busy, until the next call.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Appends `request`, which was written at `start_offset` among all bytes of the connection.
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

    /// Appends `key`, which was written at `start_offset`, to the last run or to a new one.
    #[inline]
    pub fn push_key(
        &mut self,
        command: Command,
        key: &[u8],
        framing: Framing,
        new: NewKey<'_>,
        start_offset: u64,
    ) {
        let (queue, number) = new.slot;
        self.text.push(key);
        self.joins_line(framing);
        let last = self.entries.back_mut().filter(|last| {
            framing == Framing::SameLine && !new.is_sampled && last.can_grow(queue, new.started)
        });
        let own = RunKey {
            number,
            length: key.len() as u16,
        };
        self.runs.push(own, last.is_none());
        if let Some(last) = last {
            last.run += 1;
            return;
        }
        if new.is_sampled {
            self.sent.sample(start_offset);
        }
        self.entries.push_back(InFlight::run(command, &new, start_offset));
    }

    /// Whether the oldest request is a run.
    #[inline]
    pub(super) fn is_run(&self) -> bool {
        self.entries.front().is_some_and(|entry| entry.run > 0)
    }

    /// Removes the first `count` keys of the run that is the oldest request.
    #[inline]
    pub(super) fn pass_keys(&mut self, count: u16) {
        let Some(run) = self.entries.front_mut() else {
            return;
        };
        debug_assert!(
            self.lines.front() >= Some(&count.into()),
            "they are of the oldest line"
        );
        run.run -= count;
        let ends = run.run == 0;
        self.text.pass(self.runs.pass(count.into(), ends));
        if let Some(left) = self.lines.front_mut() {
            *left -= u32::from(count);
        }
        if ends {
            self.entries.pop_front();
        }
    }

    /// Appends `encoded`, whose bytes were written at `start_offset`.
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
        if let Some(expected) = &encoded.answer {
            self.resp.push(expected.clone(), None);
        }
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
        if pending.is_sampled {
            self.sent.sample(start_offset);
        }
        InFlight {
            key: key.len() as u16,
            ..InFlight::new(command, expected, pending, start_offset)
        }
    }

    /// The number of bytes of text.
    pub fn words(&self) -> usize {
        self.text.len()
    }

    /// The number of bytes of memory that the queue keeps.
    pub fn held(&self) -> usize {
        self.entries.capacity() * size_of::<InFlight>()
            + self.runs.held()
            + self.arrived.capacity() * size_of::<ArrivedKey>()
            + self.text.held()
            + self.resp.held()
    }

    /// The number of unanswered requests, abandoned ones included.
    pub fn len(&self) -> usize {
        self.entries.len() + self.runs.further()
    }

    /// Whether no reply is outstanding.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lines.is_empty()
    }

    /// The minimum size of the reply that has partly arrived; 0 if none has.
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
        &self.text.bytes()[..self.front_length()]
    }

    /// The length of the plain key of the oldest request.
    #[inline]
    fn front_length(&self) -> usize {
        match self.entries.front() {
            None => 0,
            Some(entry) if entry.run > 0 => self.runs.front_length(),
            Some(entry) => entry.key.into(),
        }
    }

    /// The text of the oldest request.
    pub(super) fn front_text(&self) -> &[u8] {
        let length = self.entries.front().map_or(0, InFlight::text_len);
        &self.text.bytes()[..length]
    }

    /// The number of requests whose late replies will be dropped.
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// When the oldest outstanding request was read, abandoned ones included.
    pub fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.started)
    }

    /// When the next request that was not abandoned is due. `is_mixed`: some may be due after later ones.
    pub fn next_deadline(&self, is_mixed: bool) -> Option<u64> {
        let waiting = self.entries.iter().filter(|entry| entry.slot.is_some());
        let mut deadlines = waiting.map(|entry| entry.deadline);
        match is_mixed {
            true => deadlines.min(),
            false => deadlines.next(),
        }
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

    /// Takes the keys of abandoned writes whose late replies arrived since the last call.
    #[inline]
    pub fn take_late(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.late)
    }

    /// Notes the oldest request, to which `reply` arrived at `now`; the bytes of all requests end at `end`. `is_traced`:
    /// its key is one of those that the miss-ratio curve is drawn from.
    #[cold]
    pub(super) fn note(&mut self, reply: &Reply, now: u64, end: u64, is_traced: bool) {
        let Some(entry) = self.entries.front() else {
            return;
        };
        let next = match entry.run {
            0 => self.entries.get(1).map_or(end, |next| next.start_offset),
            _ => entry.start_offset + self.runs.front_length() as u64 + 1,
        };
        let (times, is_timed) = self.sent.take(entry.start_offset, entry.started, now);
        let is_read = Access::of(entry.operation) == Access::Read;
        let note = Note {
            operation: entry.operation,
            is_counted: entry.is_sampled && is_read,
            is_timed,
            is_traced,
            is_retry: entry.is_retry,
            times: entry.slot.is_some().then_some(times),
            read: reply.value_len(),
            sent: next.saturating_sub(entry.start_offset) as usize,
            outcome: outcome(entry.operation, reply),
            slot: match &entry.slot {
                Some(ReplySlot::Queue(queue, number)) => Some((queue.clone(), *number)),
                _ => None,
            },
        };
        self.notes.push(&self.text.bytes()[..self.front_length()], note);
    }
}
