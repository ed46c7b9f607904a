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
//! No socket and no clock: bytes and times come in as arguments.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};

use super::form::Form;
use super::parked::{OwnedMeta, Written};
use super::slots::Slot;
use super::waiter::Waiter;
use crate::metrics::NodeShard;
use crate::protocol::dialect::Dialect;
use crate::protocol::meta::{Names, is_unsayable};
use crate::protocol::numbers::parse_u64;
use crate::protocol::reply::{self, Frame, Read, Status};
use crate::protocol::{Command, Failure, Item, MetaReply, Reply, Request};

/// An empty queue of keys larger than this is not kept, in bytes.
const KEEP: usize = 64 << 10;

/// The link is out of step: what came is no reply, or a reply to another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desync;

/// The queue of one link.
#[derive(Debug)]
pub struct Fifo {
    owed: VecDeque<Owed>,
    /// What the entries hold of their requests, one after the other.
    said: BytesMut,
    /// Entries whose slot was answered without them.
    abandoned: usize,
    /// Bytes of a reply that are to be passed over.
    skip: usize,
    /// Larger values are passed over too, for now.
    room: usize,
}

#[derive(Debug)]
struct Owed {
    /// `None`: abandoned.
    slot: Option<Slot>,
    command: Command,
    form: Form,
    is_retry: bool,
    /// A binary client asks, by a meta command.
    is_binary: bool,
    /// Bytes of the plain key, and behind it of what was typed of a meta read: its key and its flags.
    key: u32,
    typed_key: u32,
    typed_flags: u32,
    /// When the request was read, in microseconds of the worker's clock.
    started: u64,
    deadline: u64,
    /// Where its first byte stands among all that went to the connection.
    begins: u64,
}

impl Owed {
    fn said(&self) -> usize {
        (self.key + self.typed_key + self.typed_flags) as usize
    }
}

/// A request whose reply did not come before the connection broke.
#[derive(Debug)]
pub struct Unanswered {
    /// The command.
    pub command: Command,
    /// The plain key.
    pub key: Bytes,
    /// What its reply must look like.
    pub form: Form,
    /// What was typed, of a meta read.
    pub meta: Option<OwnedMeta>,
    /// `None`: abandoned.
    pub waiter: Option<Waiter>,
    /// Where its first byte stands among all that went to the connection.
    pub begins: u64,
}

impl Default for Fifo {
    fn default() -> Fifo {
        Fifo {
            owed: VecDeque::new(),
            said: BytesMut::new(),
            abandoned: 0,
            skip: 0,
            room: usize::MAX,
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
    pub fn push(&mut self, request: &Request<'_>, waiter: Waiter, begins: u64) {
        let mut owed = self.owe(request.command, request.key, Form::of(request), waiter, begins);
        if let Command::MetaGet | Command::MetaDebug = request.command
            && let Some(meta) = &request.meta
        {
            self.said.extend_from_slice(meta.key);
            self.said.extend_from_slice(meta.flags);
            owed.typed_key = meta.key.len() as u32;
            owed.typed_flags = meta.flags.len() as u32;
            owed.is_binary = meta.is_binary;
        }
        self.owed.push_back(owed);
    }

    /// Notes that the bytes of `written` were put from the byte at `begins` on.
    pub fn push_written(&mut self, written: &Written, waiter: Waiter, begins: u64) {
        let owed = self.owe(written.command, &written.key, written.form, waiter, begins);
        self.owed.push_back(owed);
    }

    #[inline]
    fn owe(&mut self, command: Command, key: &[u8], form: Form, waiter: Waiter, begins: u64) -> Owed {
        self.said.extend_from_slice(key);
        Owed {
            slot: Some(waiter.slot),
            command,
            form,
            is_retry: waiter.is_retry,
            is_binary: false,
            key: key.len() as u32,
            typed_key: 0,
            typed_flags: 0,
            started: waiter.started,
            deadline: waiter.deadline,
            begins,
        }
    }

    /// Requests that were written and not answered, abandoned ones too.
    pub fn len(&self) -> usize {
        self.owed.len()
    }

    /// True where no reply is to come.
    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
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

    /// Takes every whole reply from the front of `buffer` and fills its slot. Values of more than
    /// `max_value` bytes are passed over and fail. True where a reply came before its request was abandoned.
    ///
    /// # Errors
    /// [`Desync`]: the link must be closed. Slots filled before that are right.
    pub fn receive(
        &mut self,
        buffer: &mut BytesMut,
        dialect: Dialect,
        max_value: usize,
        now: u64,
        shard: &NodeShard,
    ) -> Result<bool, Desync> {
        let mut is_answered = false;
        loop {
            if self.skip > 0 {
                let step = self.skip.min(buffer.len());
                buffer.advance(step);
                self.skip -= step;
            }
            if buffer.is_empty() {
                return Ok(is_answered);
            }
            let reply = match reply::read(buffer, max_value.min(self.room)) {
                Read::Partial(_) if self.owed.is_empty() => return Err(Desync),
                Read::Partial(_) => return Ok(is_answered),
                Read::Garbage => return Err(Desync),
                Read::TooLarge(length) => {
                    self.skip = length;
                    Reply::Failed(if self.room < max_value {
                        Failure::Busy
                    } else {
                        Failure::TooLarge
                    })
                }
                Read::Whole(frame) => self.check(buffer, frame, dialect)?,
            };
            let owed = self.pop().ok_or(Desync)?;
            shard.in_flight.sub(1);
            match owed.slot {
                Some(slot) => {
                    is_answered = true;
                    let reply = match owed.command {
                        Command::MetaGet if owed.is_retry => believed(reply),
                        _ => reply,
                    };
                    shard.count(owed.command, &reply, now.saturating_sub(owed.started));
                    slot.fill(reply);
                }
                None => self.abandoned -= 1,
            }
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<Owed> {
        let owed = self.owed.pop_front()?;
        self.said.advance(owed.said());
        if self.said.is_empty() && self.said.capacity() > KEEP {
            self.said = BytesMut::new();
        }
        Some(owed)
    }

    /// Takes `frame` from `buffer`, once it is sure that it answers the oldest request.
    #[inline]
    fn check(&self, buffer: &mut BytesMut, frame: Frame, dialect: Dialect) -> Result<Reply, Desync> {
        let owed = self.owed.front().ok_or(Desync)?;
        let wanted = &self.said[..owed.key as usize];
        let plain_key = plain_key(buffer, &frame)?;
        let is_key_right = match plain_key.as_deref().unwrap_or(&buffer[frame.key.clone()]) {
            b"" if !must_bring_key(owed.command, frame.status, dialect) => true,
            key if key == wanted => true,
            // No line can carry such a key, so it was not asked for.
            _ if owed.command.is_meta() && is_unsayable(wanted) => true,
            key => frame.status == Status::Debug && is_in_base64(key, wanted),
        };
        let is_form_right =
            !owed.command.is_meta() || frame.status == Status::Error || reply::is_meta(buffer);
        let is_own = is_key_right && owed.form.fits(&frame, buffer);
        if !frame.answers(owed.command) || !is_own || !is_form_right {
            return Err(Desync);
        }
        let reply = match frame.status {
            Status::Error => Reply::Error(Bytes::copy_from_slice(&buffer[frame.data])),
            _ if owed.command.is_meta() => return Ok(Reply::Meta(take_meta(buffer, frame))),
            Status::Value if owed.command.is_read() => {
                let block = buffer.split_to(frame.length).freeze();
                let key = plain_key.map_or_else(|| block.slice(frame.key), Bytes::from);
                let data = block.slice(frame.data);
                return Ok(Reply::Value(Item {
                    key,
                    flags: frame.flags,
                    cas: frame.cas,
                    data,
                }));
            }
            // decr leaves spaces where the number became shorter.
            Status::Value => Reply::Number(parse_u64(buffer[frame.data].trim_ascii_end()).ok_or(Desync)?),
            Status::Number(number) => Reply::Number(number),
            Status::Done => Reply::Done,
            Status::NotStored => Reply::NotStored,
            Status::Exists => Reply::Exists,
            Status::Miss | Status::NotFound => Reply::NotFound,
            Status::Version | Status::Debug => return Err(Desync),
        };
        buffer.advance(frame.length);
        Ok(reply)
    }

    /// Abandons every request that is due at `now`. Returns how many.
    pub fn expire(&mut self, now: u64, shard: &NodeShard) -> usize {
        let due = self
            .owed
            .iter_mut()
            .take_while(|owed| owed.slot.is_none() || owed.deadline <= now);
        let mut expired = 0;
        for owed in due {
            if let Some(slot) = owed.slot.take() {
                let reply = Reply::Failed(Failure::Timeout);
                shard.count(owed.command, &reply, now.saturating_sub(owed.started));
                slot.fill(reply);
                expired += 1;
            }
        }
        self.abandoned += expired;
        expired
    }

    /// The connection is gone: every request that is still owed fails for `failure`.
    pub fn fail_all(&mut self, failure: Failure, now: u64, shard: &NodeShard) {
        shard.in_flight.sub(self.owed.len() as u64);
        for owed in self.owed.drain(..) {
            if let Some(slot) = owed.slot {
                let reply = Reply::Failed(failure);
                shard.count(owed.command, &reply, now.saturating_sub(owed.started));
                slot.fill(reply);
            }
        }
        *self = Fifo::default();
    }

    /// The connection is gone: takes all that is still owed, oldest first.
    pub fn take_all(&mut self) -> Vec<Unanswered> {
        let fifo = std::mem::take(self);
        let mut said = fifo.said.freeze();
        let mut take = |length: u32| said.split_to(length as usize);
        let unanswered = |owed: Owed| Unanswered {
            command: owed.command,
            key: take(owed.key),
            form: owed.form,
            meta: Some(OwnedMeta {
                key: take(owed.typed_key),
                flags: take(owed.typed_flags),
                is_binary: owed.is_binary,
            })
            .filter(|meta| !meta.key.is_empty()),
            waiter: owed.slot.map(|slot| Waiter {
                slot,
                started: owed.started,
                deadline: owed.deadline,
                is_retry: owed.is_retry,
            }),
            begins: owed.begins,
        };
        fifo.owed.into_iter().map(unanswered).collect()
    }
}

/// The reply to an mg that was sent twice, unless it says that another client fills the item anew (`Z`): that
/// may mean the first try, whose reply nobody read, and then everybody would wait for nobody.
#[cold]
fn believed(reply: Reply) -> Reply {
    match &reply {
        Reply::Meta(meta) if Names::of(&meta.line).has(b'Z') => Reply::Failed(Failure::Closed),
        _ => reply,
    }
}

/// True where the reply to `command` brings back its key, if it is the reply to it.
fn must_bring_key(command: Command, status: Status, dialect: Dialect) -> bool {
    match status {
        Status::Error => false,
        Status::Value => true,
        // me has no way to ask for the key of a miss.
        Status::Miss if command == Command::MetaDebug => false,
        _ => dialect == Dialect::Meta && command != Command::FlushAll,
    }
}

/// The key in `frame`, where it stands there in base64: one that was stored so is shown so to everyone.
fn plain_key(buffer: &[u8], frame: &Frame) -> Result<Option<Vec<u8>>, Desync> {
    if !frame.is_base64 {
        return Ok(None);
    }
    STANDARD
        .decode(&buffer[frame.key.clone()])
        .map(Some)
        .map_err(|_| Desync)
}

/// me shows a key that was stored in base64 so, too, but does not say that it does.
fn is_in_base64(key: &[u8], wanted: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|key| key == wanted)
}

fn take_meta(buffer: &mut BytesMut, frame: Frame) -> MetaReply {
    let block = buffer.split_to(frame.length).freeze();
    let has_value = frame.status == Status::Value;
    let line_end = if has_value { frame.data.start } else { frame.length } - 2;
    let key = match frame.status {
        Status::Debug => 0..0,
        _ if frame.key.is_empty() => 0..0,
        _ => frame.key.start - 2..frame.key.end,
    };
    MetaReply {
        line: block.slice(..line_end),
        key,
        data: has_value.then(|| block.slice(frame.data)),
    }
}
