//! Matches the replies that arrive on a link to its requests: each goes to the oldest one, after a check
//! that it belongs to it.
//!
//! Most requests have a reply of their own. A multi-get line (see `multi_get.rs`) asks for several keys:
//! the node returns a value for each key that it has, in the order of the line, and then `END`. `run.rs` takes values
//! that arrive one after the other and are as expected; everything else is taken here.
//!
//! ```text
//!   get a b c      ◀─ VALUE a …   is a's
//!                  ◀─ VALUE c …   is c's, and b is a miss
//!                  ◀─ END         all remaining keys are misses
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};

use crate::insight::miss_ratio::hash;
use crate::link::entry::InFlight;
use crate::link::in_flight::InFlightQueue;
use crate::metrics::NodeShard;
use crate::node::missed::Missed;
use crate::protocol::dialect::Dialect;
use crate::protocol::meta::Names;
use crate::protocol::numbers::parse_u64;
use crate::protocol::reply::{self, Frame, Read, ReplyStatus};
use crate::protocol::{Command, Failure, Item, MetaReply, Reply};
use crate::reply::slot::ReplySlot;

/// The link is out of step: the bytes are not a reply, or a reply to another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desync;

/// The time of an arrival in microseconds of the worker's clock, and the counters.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The time.
    pub now: u64,
    /// The node's counters.
    pub shard: &'a NodeShard,
    /// Requests that took this long, in microseconds, are noted.
    pub noted_from: u64,
    /// Requests for keys with a smaller hash are noted; 0 if none is for that.
    pub traced_below: u64,
    /// The end of the requests' bytes among all bytes of the connection.
    pub end: u64,
    /// What the node missed.
    pub missed: &'a Missed,
}

impl Arrival<'_> {
    /// Whether a request must be noted when its reply arrives: it is sampled or took long.
    #[inline(always)]
    fn notes(&self, entry: &InFlight) -> bool {
        entry.is_sampled || self.now.saturating_sub(entry.started) >= self.noted_from
    }

    /// Whether `key` is one of those that the miss-ratio curve is drawn from.
    #[inline(always)]
    fn traces(&self, key: &[u8]) -> bool {
        self.traced_below > 0 && hash(key) < self.traced_below
    }
}

impl InFlightQueue {
    /// Takes every complete reply from the front of `buffer` and delivers it. Values of more than
    /// `max_value` bytes are skipped and their requests fail. Returns true if a reply arrived before its
    /// request was abandoned.
    ///
    /// # Errors
    /// [`Desync`]: the link must be closed. Replies delivered before that are valid.
    pub fn receive(
        &mut self,
        buffer: &mut BytesMut,
        dialect: Dialect,
        max_value: usize,
        arrival: &Arrival<'_>,
    ) -> Result<bool, Desync> {
        if dialect == Dialect::Resp {
            return self.receive_resp(buffer, max_value, arrival);
        }
        // While a large value is arriving, its line is parsed once and not again for each piece. Not if it
        // exceeds `room`: then it must be skipped now instead of being buffered.
        if buffer.len() < self.needs && self.needs <= self.room {
            return Ok(false);
        }
        let (mut is_answered, limit) = (false, max_value.min(self.room));
        self.needs = 0;
        loop {
            // The rest of a skipped value is discarded as it arrives, so it never takes memory.
            if self.skip > 0 {
                let step = self.skip.min(buffer.len());
                buffer.advance(step);
                self.skip -= step;
            }
            while self.receive_values(buffer, limit, arrival) {
                is_answered = true;
            }
            if buffer.is_empty() {
                return Ok(is_answered);
            }
            let (frame, failure) = match reply::read(buffer, limit) {
                // Bytes without an outstanding request belong to none: an extra reply, after which no
                // match can be trusted.
                Read::Partial(_) if self.is_empty() => return Err(Desync),
                Read::Partial(least) => {
                    self.needs = least;
                    return Ok(is_answered);
                }
                Read::Garbage => return Err(Desync),
                // The limit in force was memory and not the configuration, so the failure is
                // temporary.
                Read::TooLarge(frame) if self.room < max_value => (frame, Some(Failure::Busy)),
                Read::TooLarge(frame) => (frame, Some(Failure::TooLarge)),
                Read::Whole(frame) => (frame, None),
            };
            is_answered |= if self.is_in_line() {
                self.receive_in_line(buffer, frame, failure, arrival)?
            } else {
                self.receive_single(buffer, frame, failure, dialect, arrival)?
            };
        }
    }

    #[inline]
    fn receive_in_line(
        &mut self,
        buffer: &mut BytesMut,
        frame: Frame,
        failure: Option<Failure>,
        arrival: &Arrival<'_>,
    ) -> Result<bool, Desync> {
        match frame.status {
            ReplyStatus::Value if buffer.starts_with(b"VALUE") => {
                // Nodes answer in the order of the keys, so the keys before this one are misses. A key
                // that is not in the rest of the line proves that the link is out of step.
                let passed = self.find_in_line(&buffer[frame.key.clone()]).ok_or(Desync)?;
                for _ in 0..passed {
                    self.settle_in_line(Reply::NotFound, arrival);
                }
                let reply = match failure {
                    Some(failure) => self.skip_frame(frame, failure),
                    None => {
                        let lines = buffer.split_to(frame.length).freeze();
                        Reply::Value(Item::of_lines(lines, &frame))
                    }
                };
                Ok(self.settle_in_line(reply, arrival))
            }
            ReplyStatus::Miss if buffer.starts_with(b"END") => {
                buffer.advance(frame.length);
                Ok(self.end_line(&Reply::NotFound, arrival))
            }
            ReplyStatus::Error => {
                let line = error_line(&buffer[frame.data]);
                buffer.advance(frame.length);
                Ok(self.end_line(&Reply::Error(line), arrival))
            }
            _ => Err(Desync),
        }
    }

    /// Answers the remaining keys of the line.
    fn end_line(&mut self, reply: &Reply, arrival: &Arrival<'_>) -> bool {
        let mut is_answered = false;
        while self.left_in_line() > 0 {
            is_answered |= self.settle_in_line(reply.clone(), arrival);
        }
        self.lines.pop_front();
        is_answered
    }

    fn settle_in_line(&mut self, reply: Reply, arrival: &Arrival<'_>) -> bool {
        self.note_if_wanted(&reply, arrival);
        if self.is_run() {
            self.settle_key(reply, arrival);
            return true;
        }
        if let Some(left) = self.lines.front_mut() {
            *left -= 1;
        }
        self.pop().is_some_and(|entry| self.settle(entry, reply, arrival))
    }

    /// Counts and delivers `reply` to the first key of the run that is the oldest request.
    #[inline]
    fn settle_key(&mut self, reply: Reply, arrival: &Arrival<'_>) {
        let &Arrival { now, shard, .. } = arrival;
        let (Some(run), Some(key)) = (self.entries.front(), self.runs.front()) else {
            return;
        };
        shard.in_flight.sub(1);
        shard.count(run.operation, &reply, now.saturating_sub(run.started));
        if let Some(ReplySlot::Key(queue, _)) = &run.slot {
            queue.fill_key(key.number, reply);
        }
        self.pass_keys(1);
    }

    #[inline]
    fn receive_single(
        &mut self,
        buffer: &mut BytesMut,
        frame: Frame,
        failure: Option<Failure>,
        dialect: Dialect,
        arrival: &Arrival<'_>,
    ) -> Result<bool, Desync> {
        self.has_seen_stale |= frame.is_stale;
        let entry = self.front().ok_or(Desync)?;
        // Checked before the entry is removed: on a desync it is handled with all the others when the link
        // closes.
        check(entry, self.front_key(), buffer, &frame, dialect)?;
        let reply = match failure {
            Some(failure) => self.skip_frame(frame, failure),
            None => take(entry.command, entry.is_retry, buffer, frame)?,
        };
        self.note_if_wanted(&reply, arrival);
        let entry = self.pop().ok_or(Desync)?;
        Ok(self.settle(entry, reply, arrival))
    }

    /// Notes the oldest request, which `reply` answers, if it is sampled or took long. Late replies count, too: a key may
    /// be what makes its node slow.
    #[inline]
    pub(super) fn note_if_wanted(&mut self, reply: &Reply, arrival: &Arrival<'_>) {
        if self.is_wanted(arrival) {
            self.note(reply, arrival.now, arrival.end, self.is_traced(arrival));
        }
    }

    /// Whether the oldest request must be noted when its reply arrives.
    #[inline(always)]
    fn is_wanted(&self, arrival: &Arrival<'_>) -> bool {
        self.front().is_some_and(|entry| arrival.notes(entry)) || self.is_traced(arrival)
    }

    /// Whether the key of the oldest request is one of those that the miss-ratio curve is drawn from.
    #[inline(always)]
    fn is_traced(&self, arrival: &Arrival<'_>) -> bool {
        arrival.traces(self.front_key())
    }

    fn skip_frame(&mut self, frame: Frame, failure: Failure) -> Reply {
        self.skip = frame.length;
        Reply::Failed(failure)
    }

    /// Counts and delivers a reply. Returns true if its request was not abandoned.
    #[inline]
    pub(super) fn settle(&mut self, entry: InFlight, reply: Reply, arrival: &Arrival<'_>) -> bool {
        let &Arrival { now, shard, .. } = arrival;
        shard.in_flight.sub(1);
        let Some(slot) = entry.slot else {
            self.abandoned -= 1;
            return false;
        };
        shard.count(entry.operation, &reply, now.saturating_sub(entry.started));
        slot.fill(reply);
        true
    }
}

/// Checks that `frame`, which is in `buffer`, answers the request `entry`, whose key is `wanted`.
#[inline]
fn check(
    entry: &InFlight,
    wanted: &[u8],
    buffer: &[u8],
    frame: &Frame,
    dialect: Dialect,
) -> Result<(), Desync> {
    let plain_key = plain_key(buffer, frame)?;
    let is_key_right = match plain_key.as_deref().unwrap_or(&buffer[frame.key.clone()]) {
        b"" if entry.expected.hides_key || !must_bring_key(entry.command, frame.status, dialect) => true,
        key if key == wanted => true,
        key => frame.status == ReplyStatus::Debug && is_in_base64(key, wanted),
    };
    // A meta client gets the node's line unchanged, so a classic reply to a meta command would confuse
    // it.
    let is_form_right =
        !entry.command.is_meta() || frame.status == ReplyStatus::Error || reply::is_meta(buffer);
    let is_own = is_key_right && entry.expected.fits(frame, buffer);
    if !frame.answers(entry.command) || !is_own || !is_form_right {
        return Err(Desync);
    }
    Ok(())
}

/// Takes the reply in `frame` from `buffer`.
#[inline]
fn take(command: Command, is_retry: bool, buffer: &mut BytesMut, frame: Frame) -> Result<Reply, Desync> {
    let reply = match frame.status {
        ReplyStatus::Error => Reply::Error(error_line(&buffer[frame.data])),
        _ if command.is_meta() => {
            let reply = MetaReply::of_frame(buffer.split_to(frame.length).freeze(), &frame);
            let is_doubtful = is_retry && command == Command::MetaGet;
            return Ok(if is_doubtful {
                believed(reply)
            } else {
                Reply::Meta(reply)
            });
        }
        ReplyStatus::Value if command.is_read() => {
            let plain_key = plain_key(buffer, &frame)?;
            let item = Item::of_frame(buffer.split_to(frame.length).freeze(), &frame);
            return Ok(Reply::Value(match plain_key {
                Some(key) => item.with_key(key.into()),
                None => item,
            }));
        }
        // decr leaves trailing spaces if the number became shorter.
        ReplyStatus::Value => Reply::Number(parse_u64(buffer[frame.data].trim_ascii_end()).ok_or(Desync)?),
        ReplyStatus::Number(number) => Reply::Number(number),
        ReplyStatus::Done => Reply::Done,
        ReplyStatus::NotStored => Reply::NotStored,
        ReplyStatus::Exists => Reply::Exists,
        ReplyStatus::Miss | ReplyStatus::NotFound => Reply::NotFound,
        ReplyStatus::Version | ReplyStatus::Debug => return Err(Desync),
    };
    buffer.advance(frame.length);
    Ok(reply)
}

/// Returns a node's error line in a form that is safe for clients. To a client, a control character in it
/// could end the line, and the rest would be read as another reply.
fn error_line(line: &[u8]) -> Bytes {
    let shown = line
        .iter()
        .map(|&byte| if byte.is_ascii_control() { b'?' } else { byte });
    shown.collect()
}

/// Returns the reply to an mg that was sent twice, unless it says that another client is refilling the item
/// (`Z`). That client may be this one: the first attempt may have won the token, but its reply was lost.
/// Every client would then wait for a refill that none of them makes.
#[cold]
fn believed(reply: MetaReply) -> Reply {
    if Names::of(reply.line()).has(b'Z') {
        return Reply::Failed(Failure::Closed);
    }
    Reply::Meta(reply)
}

/// Whether a genuine reply to `command` returns its key.
fn must_bring_key(command: Command, status: ReplyStatus, dialect: Dialect) -> bool {
    match status {
        ReplyStatus::Error => false,
        ReplyStatus::Value => true,
        // me has no way to request the key of a miss.
        ReplyStatus::Miss if command == Command::MetaDebug => false,
        _ => dialect == Dialect::Meta && command != Command::FlushAll,
    }
}

/// Returns the decoded key of `frame` if it is in base64: memcached shows such a key in base64 to every
/// client.
fn plain_key(buffer: &[u8], frame: &Frame) -> Result<Option<Vec<u8>>, Desync> {
    if !frame.is_base64 {
        return Ok(None);
    }
    STANDARD
        .decode(&buffer[frame.key.clone()])
        .map(Some)
        .map_err(|_| Desync)
}

/// me, too, shows a key in base64 if it was stored so, but without a flag that says it.
fn is_in_base64(key: &[u8], wanted: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|key| key == wanted)
}

mod run;
#[cfg(test)]
mod tests;
