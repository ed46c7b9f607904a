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

use crate::link::byte_queue::Said;
use crate::link::expected::Form;
use crate::link::pending_reply::{Failing, Waiter};
use crate::link::queued::{Typed, Words, Written};
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Failure, Request};
use crate::reply::slot::Slot;

/// Entries that an empty queue keeps room for.
const KEEP: usize = 4096;

/// The queue of one link.
#[derive(Debug)]
pub struct Fifo {
    owed: VecDeque<Owed>,
    /// What the entries hold of their requests, one after the other.
    said: Said,
    /// For each line that reads keys, oldest first, how many of its keys are in `owed`. 0: only `END` is still
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
pub enum Place {
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
pub(super) struct Owed {
    /// `None`: abandoned.
    pub(super) slot: Option<Slot>,
    pub(super) command: Command,
    pub(super) operation: Operation,
    pub(super) form: Form,
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
    typed_key: u16,
    typed_flags: u16,
    /// When the request was read, in microseconds of the worker's clock.
    pub(super) started: u64,
    deadline: u64,
    /// Where its first byte stands among all that went to the connection.
    begins: u64,
}

// One waits for each request.
const _: () = assert!(size_of::<Owed>() <= 64);

impl Owed {
    /// Who waits for it; `None`: it was abandoned, as it is from now on.
    fn take_waiter(&mut self) -> Option<Waiter> {
        Some(Waiter {
            slot: self.slot.take()?,
            operation: self.operation,
            started: self.started,
            deadline: self.deadline,
            is_retry: self.is_retry,
        })
    }

    /// The request, of which `own` is what was said.
    fn write<'a>(&self, own: &'a [u8]) -> Write<'a> {
        let flags = own.len() - usize::from(self.typed_flags);
        Write {
            command: self.command,
            key: &own[..usize::from(self.key)],
            flags: &own[flags..],
        }
    }

    fn said(&self) -> usize {
        [self.key, self.typed_key, self.typed_flags]
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
    pub form: Form,
    /// Its reply ends with `END`.
    pub is_in_line: bool,
    /// `None`: abandoned.
    pub waiter: Option<Waiter>,
    /// Where its first byte stands among all that went to the connection.
    pub begins: u64,
}

impl Default for Fifo {
    fn default() -> Fifo {
        Fifo {
            owed: VecDeque::new(),
            said: Said::default(),
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

impl Fifo {
    /// Until the next call, values of more than `room` bytes are passed over as what the link is too busy for.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Notes that `request` was written, from the byte at `begins` among all that went to the connection.
    #[inline]
    pub fn push(&mut self, request: &Request<'_>, place: Place, waiter: Waiter, begins: u64) {
        let mut owed = self.owe(request.command, request.key, Form::of(request), waiter, begins);
        owed.is_in_line = self.place(place);
        owed.form.hides_key |= place == Place::Keyless;
        if let Command::MetaGet | Command::MetaDebug = request.command
            && let Some(meta) = &request.meta
        {
            let typed_key = meta.other_key(request.key);
            if !typed_key.is_empty() {
                self.said.push(typed_key);
            }
            self.said.push(meta.flags);
            debug_assert!(
                meta.flags.len() <= usize::from(u16::MAX),
                "longer lines are refused"
            );
            owed.is_meta = true;
            owed.typed_key = typed_key.len() as u16;
            owed.typed_flags = meta.flags.len() as u16;
            owed.is_binary = meta.is_binary;
        }
        self.owed.push_back(owed);
    }

    /// Notes that the bytes of `written` were put from the byte at `begins` on.
    pub fn push_written(&mut self, written: &Written, waiter: Waiter, begins: u64) {
        let place = if written.is_in_line {
            Place::NewLine
        } else {
            Place::Own
        };
        let mut owed = self.owe(written.command, &written.key, written.form, waiter, begins);
        owed.is_in_line = self.place(place);
        self.owed.push_back(owed);
    }

    /// Whether the entry that is to be pushed is a key of a line.
    #[inline]
    fn place(&mut self, place: Place) -> bool {
        match (place, self.lines.back_mut()) {
            (Place::Own | Place::Keyless, _) => return false,
            (Place::SameLine, Some(keys)) => *keys += 1,
            _ => self.lines.push_back(1),
        }
        true
    }

    #[inline]
    fn owe(&mut self, command: Command, key: &[u8], form: Form, waiter: Waiter, begins: u64) -> Owed {
        self.said.push(key);
        Owed {
            slot: Some(waiter.slot),
            command,
            operation: waiter.operation,
            form,
            is_retry: waiter.is_retry,
            is_missed: false,
            is_in_line: false,
            is_meta: false,
            is_binary: false,
            key: key.len() as u16,
            typed_key: 0,
            typed_flags: 0,
            started: waiter.started,
            deadline: waiter.deadline,
            begins,
        }
    }

    /// Bytes that are kept of what requests say.
    pub fn words(&self) -> usize {
        self.said.bytes().len()
    }

    /// Bytes of memory that the queue keeps.
    pub fn held(&self) -> usize {
        self.owed.capacity() * size_of::<Owed>() + self.said.held()
    }

    /// Requests that were written and not answered, abandoned ones too.
    pub fn len(&self) -> usize {
        self.owed.len()
    }

    /// Whether no reply is to come.
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty() && self.lines.is_empty()
    }

    /// Bytes that the reply takes, at least, of which a part has come; 0 if none has.
    pub fn needs(&self) -> usize {
        self.needs
    }

    /// The oldest request.
    #[inline]
    pub(super) fn front(&self) -> Option<&Owed> {
        self.owed.front()
    }

    /// The plain key of the oldest request.
    #[inline]
    pub(super) fn front_key(&self) -> &[u8] {
        let length = self.owed.front().map_or(0, |owed| owed.key);
        &self.said.bytes()[..usize::from(length)]
    }

    /// Whether what comes next belongs to a line that reads keys.
    #[inline]
    pub(super) fn is_in_line(&self) -> bool {
        match self.lines.front() {
            None => false,
            Some(0) => true,
            Some(_) => self.owed.front().is_some_and(|owed| owed.is_in_line),
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
        let mut said = self.said.bytes();
        self.owed
            .iter()
            .take(self.left_in_line() as usize)
            .position(|owed| {
                let (own, rest) = said.split_at(owed.key.into());
                said = rest;
                own == key
            })
    }

    /// Requests whose late replies are to be dropped.
    pub fn abandoned(&self) -> usize {
        self.abandoned
    }

    /// When the oldest request was read that is still to be answered or dropped.
    pub fn oldest(&self) -> Option<u64> {
        self.owed.front().map(|owed| owed.started)
    }

    /// When the next request is due that was not abandoned.
    pub fn next_deadline(&self) -> Option<u64> {
        self.owed
            .iter()
            .find(|owed| owed.slot.is_some())
            .map(|owed| owed.deadline)
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Owed> {
        let owed = self.owed.pop_front()?;
        if owed.is_missed {
            let key = &self.said.bytes()[..owed.key.into()];
            self.late.push(Bytes::copy_from_slice(key));
        }
        self.said.pass(owed.said());
        if self.owed.is_empty() && self.owed.capacity() > KEEP {
            self.owed = VecDeque::new();
        }
        Some(owed)
    }

    /// Keys of abandoned writes whose late replies came since the last call.
    #[inline]
    pub fn take_late(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.late)
    }

    /// Abandons every request that is due. Returns how many.
    pub fn expire(&mut self, at: Failing<'_>) -> usize {
        let mut said = self.said.bytes();
        let due = self
            .owed
            .iter_mut()
            .take_while(|owed| owed.slot.is_none() || owed.deadline <= at.now);
        let mut expired = 0;
        for owed in due {
            let (own, rest) = said.split_at(owed.said());
            said = rest;
            if let Some(waiter) = owed.take_waiter() {
                owed.is_missed = waiter.fail(owed.write(own), Failure::Timeout, true, at);
                expired += 1;
            }
        }
        self.abandoned += expired;
        expired
    }

    /// The connection is gone: every request that is still owed fails for `failure`. Returns the keys of writes that
    /// the node may still carry out, those that were abandoned before too.
    pub fn fail_all(&mut self, failure: Failure, at: Failing<'_>) -> Vec<Bytes> {
        let Fifo { owed, said, .. } = std::mem::take(self);
        at.shard.in_flight.sub(owed.len() as u64);
        let mut on_their_way = Vec::new();
        let mut said = said.take();
        for mut owed in owed {
            let own = said.split_to(owed.said());
            if let Some(waiter) = owed.take_waiter() {
                owed.is_missed = waiter.fail(owed.write(&own), failure, true, at);
            }
            if owed.is_missed {
                on_their_way.push(own.slice(..usize::from(owed.key)));
            }
        }
        on_their_way
    }

    /// The connection is gone: takes all that is still owed, oldest first.
    pub fn take_all(&mut self) -> Vec<Unanswered> {
        let fifo = std::mem::take(self);
        let mut said = fifo.said.take();
        let unanswered = |mut owed: Owed| {
            let typed = owed.is_meta.then_some(Typed {
                key: owed.typed_key,
                is_binary: owed.is_binary,
            });
            let words = Words::new(said.split_to(owed.said()), owed.key, typed);
            let waiter = owed.take_waiter();
            Unanswered {
                command: owed.command,
                words,
                form: owed.form,
                is_in_line: owed.is_in_line,
                waiter,
                begins: owed.begins,
            }
        };
        fifo.owed.into_iter().map(unanswered).collect()
    }
}
