//! Links to Valkey and Redis nodes: writes requests as RESP commands, and gives the replies to their requests.
//!
//! RESP replies name no keys: a reply belongs to the oldest request if its type can answer that. The keys of one
//! multi-get that go to one node are one MGET, whose values are given to their slots as they arrive.
//!
//! An error that says that the request was not executed fails it, as if the node had not got it: what it would have
//! written counts as missed, so that the key is deleted before it is read there again. Only if the server has lost the
//! script the request is sent once more (`unexecuted`).

use bytes::{Buf, BytesMut};

use crate::link::entry::Framing;
use crate::link::in_flight::InFlightQueue;
use crate::link::pending_reply::PendingReply;
use crate::link::receive::{Arrival, Desync};
use crate::link::state::LinkState;
use crate::protocol::resp::answer::{Answer, Asking};
use crate::protocol::resp::commands;
use crate::protocol::resp::form::{Context, Expected, Form, Piece};
use crate::protocol::resp::frame::{self, Frame, FrameKind, Read};
use crate::protocol::resp::outcome;
use crate::protocol::resp::refusal::is_no_script;
use crate::protocol::resp::stored::HEADER;
use crate::protocol::{Command, Failure, Part, Reply, Request};

/// The bytes around a value in a reply.
const AROUND: usize = if HEADER > outcome::LENGTH {
    HEADER
} else {
    outcome::LENGTH
};

impl LinkState {
    /// Writes `request` as a command, and records it as in flight.
    pub(super) fn write_resp(&mut self, request: &Request<'_>, pending: PendingReply) {
        if request.is_one_of_many && matches!(request.command, Command::Get | Command::Gets) {
            return self.write_one_of_many(request, pending);
        }
        self.close_line();
        let context = Context {
            id: self.resp.next_id(pending.started),
            max_value: self.resp.max_value,
            has_stale: self.spares_tokens,
            sends_script: self.in_flight.resp.has_lost_script,
        };
        let (start, outgoing) = (self.outgoing.end(), &mut self.outgoing);
        let expected = commands::write(request, &context, &mut |piece| match (piece, request.block) {
            (Piece::Bytes(bytes), _) => outgoing.put(bytes),
            (Piece::Value, None) => outgoing.put(request.value),
            (Piece::Value, Some(of)) => outgoing.share_part(Part {
                bytes: request.value,
                of,
            }),
        });
        self.in_flight.push(request, Framing::Own, pending, start);
        self.in_flight.resp.push(expected, Some(request));
    }

    fn write_one_of_many(&mut self, request: &Request<'_>, pending: PendingReply) {
        let framing = match self.resp.has_room(request.key) {
            true => Framing::SameLine,
            false => {
                self.close_line();
                Framing::NewLine
            }
        };
        self.in_flight
            .push(request, framing, pending, self.outgoing.end());
        self.resp.add(request.key);
    }
}

impl InFlightQueue {
    /// Takes every complete reply from the front of `buffer` and delivers it, as [`InFlightQueue::receive`] does.
    ///
    /// # Errors
    /// [`Desync`]: the link must be closed. Replies delivered before that are valid.
    pub(super) fn receive_resp(
        &mut self,
        buffer: &mut BytesMut,
        max_value: usize,
        arrival: &Arrival<'_>,
    ) -> Result<bool, Desync> {
        if buffer.len() < self.needs && self.needs <= self.room {
            return Ok(false);
        }
        let mut is_answered = false;
        self.needs = 0;
        loop {
            let step = self.skip.min(buffer.len());
            buffer.advance(step);
            self.skip -= step;
            if buffer.is_empty() {
                return Ok(is_answered);
            }
            let most = max_value.min(self.room);
            match frame::read(buffer, most.saturating_add(AROUND)) {
                Read::Partial(_) if self.is_empty() => return Err(Desync),
                Read::Partial(least) => {
                    self.needs = least;
                    return Ok(is_answered);
                }
                Read::Garbage => return Err(Desync),
                Read::TooLarge(frame) => {
                    self.skip = frame.length;
                    // The limit in force may be memory, so that the failure is temporary.
                    let is_busy = self.room < max_value;
                    let failure = if is_busy { Failure::Busy } else { Failure::TooLarge };
                    is_answered |= self.skip_value(failure, arrival)?;
                }
                Read::Whole(frame) => is_answered |= self.take_frame(&frame, buffer, most, arrival)?,
            }
        }
    }

    /// Fails the oldest request, whose reply is too large.
    fn skip_value(&mut self, failure: Failure, arrival: &Arrival<'_>) -> Result<bool, Desync> {
        let form = match self.is_in_line() {
            true if self.resp.is_array_open => Form::Values,
            true => return Err(Desync),
            false => self.resp.expected.front().ok_or(Desync)?.form,
        };
        match form {
            Form::Value | Form::Values | Form::Script => {
                if form != Form::Values {
                    self.resp.expected.pop_front();
                }
                if form == Form::Script {
                    self.resp.take_copy();
                }
                Ok(self.fail_oldest(failure, arrival))
            }
            _ => Err(Desync),
        }
    }

    fn take_frame(
        &mut self,
        frame: &Frame,
        buffer: &mut BytesMut,
        max_value: usize,
        arrival: &Arrival<'_>,
    ) -> Result<bool, Desync> {
        let is_in_line = self.is_in_line();
        if is_in_line && !self.resp.is_array_open {
            return self.begin_array(frame, buffer, arrival);
        }
        let own = match is_in_line {
            true => None,
            false => Some(self.resp.expected.pop_front().ok_or(Desync)?),
        };
        let expected = own.as_ref().unwrap_or(&VALUES);
        let command = self.front().ok_or(Desync)?.command;
        let is_lost = frame.kind == FrameKind::Error && is_no_script(&buffer[frame.data.clone()]);
        let asking = Asking {
            command,
            key: self.front_key(),
            expected,
            max_value,
        };
        let Ok((answer, is_stale)) = asking.answer(frame, buffer) else {
            // It stays beside its request, which is handled with all the others when the link closes.
            own.into_iter().for_each(|own| self.resp.expected.push_front(own));
            return Err(Desync);
        };
        self.has_seen_stale |= is_stale;
        if expected.form == Form::Script {
            let copy = self.resp.take_copy();
            self.resp.has_lost_script = is_lost;
            if is_lost && self.take_unexecuted(copy) {
                return Ok(false);
            }
        }
        match answer {
            Answer::Reply(reply) => Ok(self.answer_oldest(reply, arrival)),
            Answer::Failed(failure) => Ok(self.fail_oldest(failure, arrival)),
            Answer::NodeFailed(reason) => {
                self.resp.refusal = Some(reason);
                self.fail_oldest(Failure::Refused, arrival);
                Ok(false)
            }
        }
    }

    /// Takes the first line of the reply to an MGET, or the error that is all of it.
    fn begin_array(
        &mut self,
        frame: &Frame,
        buffer: &mut BytesMut,
        arrival: &Arrival<'_>,
    ) -> Result<bool, Desync> {
        match frame.kind {
            FrameKind::Array(count) if count == self.left_in_line() => {
                buffer.advance(frame.length);
                self.resp.is_array_open = true;
                Ok(false)
            }
            FrameKind::Error => {
                let error = buffer.split_to(frame.length);
                let mut is_answered = false;
                for _ in 0..self.left_in_line() {
                    self.resp.is_array_open = true;
                    is_answered |= self.take_frame(frame, &mut error.clone(), usize::MAX, arrival)?;
                }
                Ok(is_answered)
            }
            _ => Err(Desync),
        }
    }

    fn answer_oldest(&mut self, reply: Reply, arrival: &Arrival<'_>) -> bool {
        self.note_if_wanted(&reply, arrival);
        self.leave_line();
        self.pop().is_some_and(|entry| self.settle(entry, reply, arrival))
    }

    /// Fails the oldest request, which was not executed.
    #[cold]
    fn fail_oldest(&mut self, failure: Failure, arrival: &Arrival<'_>) -> bool {
        let own = self.front_text().to_vec();
        self.leave_line();
        let Some(entry) = self.pop() else { return false };
        let &Arrival {
            now, shard, missed, ..
        } = arrival;
        shard.in_flight.sub(1);
        let write = entry.write(&own);
        let micros = now.saturating_sub(entry.started);
        let Some(slot) = entry.slot else {
            self.abandoned -= 1;
            return false;
        };
        shard.count(entry.operation, &Reply::Failed(failure), micros);
        slot.fail(write, failure, false, missed);
        true
    }

    /// Called before the oldest request is removed: counts it out of its line.
    fn leave_line(&mut self) {
        if self.is_in_line()
            && let Some(left) = self.lines.front_mut()
        {
            *left -= 1;
            if *left == 0 {
                self.lines.pop_front();
                self.resp.is_array_open = false;
            }
        }
    }
}

/// What each element of the reply to an MGET means.
static VALUES: Expected = Expected {
    form: Form::Values,
    flags: None,
    size: 0,
};
