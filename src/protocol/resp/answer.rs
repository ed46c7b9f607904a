//! Reads the replies of a Valkey or Redis as those of a memcached that got the request.

use bytes::{Buf, Bytes, BytesMut};

use super::expiry::seconds_left;
use super::form::{Expected, Form};
use super::frame::{Frame, FrameKind};
use super::outcome::{Outcome, Status};
use super::refusal::{self, Refusal};
use super::stored::{Header, Marks, digest};
use crate::protocol::meta::flags;
use crate::protocol::meta::line::{Asked, Line};
use crate::protocol::numbers::{NON_NUMERIC, parse_u64};
use crate::protocol::{Command, Failure, Item, Reply, meta};

/// Values up to this size are copied beside their keys, which takes one allocation; larger ones are shared.
const SMALL: usize = 4 << 10;

const OTHER_TYPE: &str = "CLIENT_ERROR the key has a value of another type";

/// A request whose reply arrived.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Its command.
    pub command: Command,
    /// Its plain key.
    pub key: &'a [u8],
    /// What its reply means.
    pub expected: &'a Expected,
    /// The maximum size of a value in bytes.
    pub max_value: usize,
}

/// What a reply says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// To its request.
    Reply(Reply),
    /// The request was not executed.
    Failed(Failure),
    /// So it was, because the node cannot serve: the error says why.
    NodeFailed(String),
}

/// The reply is none to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch;

impl Asking<'_> {
    /// Takes the reply in `frame` from `buffer`. The second result is whether it mentions a stale item.
    ///
    /// # Errors
    /// [`Mismatch`]: the connection is out of step.
    pub fn answer(self, frame: &Frame, buffer: &mut BytesMut) -> Result<(Answer, bool), Mismatch> {
        let reply = |reply| Ok((Answer::Reply(reply), false));
        match (self.expected.form, frame.kind) {
            (_, FrameKind::Error) => {
                let line = buffer.split_to(frame.length);
                Ok((self.refused(&line[frame.data.clone()]), false))
            }
            (Form::Value | Form::Values, FrameKind::Bulk) => self.value(frame, buffer),
            (Form::Script, FrameKind::Bulk) => self.outcome(frame, buffer),
            (Form::Refused, FrameKind::Bulk) => {
                let line = take(buffer, frame, frame.data.start);
                reply(Reply::Error(line))
            }
            (form, kind) => {
                let answer = self.status(form, kind, &buffer[frame.data.clone()])?;
                buffer.advance(frame.length);
                reply(answer)
            }
        }
    }

    /// Returns the reply for one that carries no value.
    fn status(self, form: Form, kind: FrameKind, text: &[u8]) -> Result<Reply, Mismatch> {
        let is_ok = kind == FrameKind::Simple && text == b"OK";
        match (form, kind) {
            (Form::Value | Form::Values, FrameKind::Null) => self.plain(Status::Miss, 0),
            (Form::Stored { cas }, _) if is_ok => self.plain(Status::Done, cas),
            (Form::Stored { .. }, FrameKind::Null) => self.plain(Status::NotStored, 0),
            (Form::Flushed, _) if is_ok => Ok(Reply::Done),
            (Form::Found, FrameKind::Integer(0)) => self.plain(Status::NotFound, 0),
            (Form::Found, FrameKind::Integer(1)) => self.plain(Status::Done, 0),
            (Form::Ended { cas }, FrameKind::Integer(0 | 1)) => self.plain(Status::Done, cas),
            _ => Err(Mismatch),
        }
    }

    /// Returns the reply of a command without a value. `cas` is the id of the item that was stored.
    fn plain(self, status: Status, cas: u64) -> Result<Reply, Mismatch> {
        if !self.command.is_meta() {
            return Ok(classic(status));
        }
        let mut line = Line::new(word(status, self.command));
        if self.command == Command::MetaDebug {
            return Ok(line.into_reply(None));
        }
        for flag in flags(self.flags()) {
            match flag[0] {
                b'c' if self.command == Command::MetaSet => line.field(b'c', cas),
                b's' if self.command == Command::MetaSet => line.field(b's', self.expected.size),
                _ => line.echo(flag, self.asked()).map_err(|_| Mismatch)?,
            }
        }
        Ok(line.into_reply(None))
    }

    /// Reads the error `line`.
    fn refused(self, line: &[u8]) -> Answer {
        match refusal::of(line) {
            Refusal::OtherType => self
                .plain(Status::Miss, 0)
                .map_or(Answer::Failed(Failure::Refused), Answer::Reply),
            Refusal::Failed(failure) => Answer::Failed(failure),
            Refusal::NodeFailed => Answer::NodeFailed(shown(line)),
            Refusal::Error => Answer::Reply(Reply::Error(format!("SERVER_ERROR {}", shown(line)).into())),
        }
    }

    /// Reads a stored string.
    fn value(self, frame: &Frame, buffer: &mut BytesMut) -> Result<(Answer, bool), Mismatch> {
        let (header, value) = Header::split(&buffer[frame.data.clone()]);
        let size = value.len();
        if size > self.max_value {
            buffer.advance(frame.length);
            return Ok((Answer::Failed(Failure::TooLarge), false));
        }
        let start = frame.data.end - size;
        let wants_cas = match self.command.is_meta() {
            true => meta::flag(self.flags(), b'c').is_some(),
            false => self.command.wants_cas(),
        };
        let cas = match header {
            _ if !wants_cas => 0,
            Some(header) => header.cas,
            None => digest(value),
        };
        let flags = header.map_or(0, |header| header.flags);
        if !self.command.is_meta() {
            return Ok((
                Answer::Reply(Reply::Value(self.item(frame, buffer, start, flags, cas))),
                false,
            ));
        }
        let marks = header.map_or(Marks::default(), |header| header.marks);
        let outcome = Outcome {
            status: Status::Done,
            is_stale: marks.has(Marks::STALE),
            is_token_sent: marks.has(Marks::TOKEN_SENT),
            wins: false,
            flags,
            cas,
            before: -1,
            after: -1,
            idle: 0,
            size: size as u32,
        };
        let data = take(buffer, frame, start);
        let reply = self.read_line(&outcome, data)?;
        Ok((Answer::Reply(reply), outcome.is_stale))
    }

    /// Returns the item with the value in `buffer` from `start` to the end of the frame's data.
    fn item(self, frame: &Frame, buffer: &mut BytesMut, start: usize, flags: u32, cas: u64) -> Item {
        if frame.data.end - start > SMALL {
            let data = take(buffer, frame, start);
            return Item::new(Bytes::copy_from_slice(self.key), flags, cas, data);
        }
        let block = [self.key, &buffer[start..frame.data.end]].concat();
        buffer.advance(frame.length);
        // Keys have at most 250 bytes.
        Item::joined(block.into(), self.key.len() as u8, flags, cas)
    }

    /// Reads what the script returned.
    fn outcome(self, frame: &Frame, buffer: &mut BytesMut) -> Result<(Answer, bool), Mismatch> {
        let (outcome, value) = Outcome::split(&buffer[frame.data.clone()]).ok_or(Mismatch)?;
        let data = take(buffer, frame, frame.data.end - value.len());
        if data.len() > self.max_value {
            return Ok((Answer::Failed(Failure::TooLarge), false));
        }
        let reply = match (outcome.status, self.command) {
            (Status::NotNumeric, _) => Reply::Error(NON_NUMERIC.into()),
            (Status::OtherType, _) => Reply::Error(OTHER_TYPE.into()),
            (Status::Done, Command::Incr | Command::Decr) => Reply::Number(parse_u64(&data).ok_or(Mismatch)?),
            (Status::Done, Command::MetaGet) => self.read_line(&outcome, data)?,
            (Status::Done, Command::MetaArithmetic) => self.count_line(&outcome, data)?,
            (Status::Done, Command::MetaSet) => self.store_line(&outcome)?,
            (Status::Done, Command::MetaDebug) => self.debug_line(&outcome),
            (status, _) => self.plain(status, 0)?,
        };
        Ok((Answer::Reply(reply), outcome.is_stale))
    }

    /// Builds the answer to mg, flag by flag; each sees the changes of those before it.
    fn read_line(self, outcome: &Outcome, data: Bytes) -> Result<Reply, Mismatch> {
        let wants_value = meta::flag(self.flags(), b'v').is_some();
        let mut line = match wants_value {
            true => Line::value(data.len()),
            false => Line::new(b"HD"),
        };
        let mut left = outcome.before;
        for flag in flags(self.flags()) {
            match flag[0] {
                b'T' => left = outcome.after,
                b's' => line.field(b's', outcome.size),
                b't' => line.ttl(seconds_left(left)),
                b'c' => line.field(b'c', outcome.cas),
                b'f' => line.field(b'f', outcome.flags),
                b'l' => line.field(b'l', outcome.idle),
                b'h' => line.field(b'h', 1),
                _ => line.echo(flag, self.asked()).map_err(|_| Mismatch)?,
            }
        }
        let marks = [
            (outcome.is_token_sent, b'Z'),
            (outcome.is_stale, b'X'),
            (outcome.wins, b'W'),
        ];
        marks
            .iter()
            .filter(|(is_set, _)| *is_set)
            .for_each(|(_, mark)| line.mark(*mark));
        Ok(line.into_reply(wants_value.then_some(data)))
    }

    fn store_line(self, outcome: &Outcome) -> Result<Reply, Mismatch> {
        let mut line = Line::new(b"HD");
        for flag in flags(self.flags()) {
            match flag[0] {
                b'c' => line.field(b'c', outcome.cas),
                b's' => line.field(b's', outcome.size),
                _ => line.echo(flag, self.asked()).map_err(|_| Mismatch)?,
            }
        }
        Ok(line.into_reply(None))
    }

    fn count_line(self, outcome: &Outcome, digits: Bytes) -> Result<Reply, Mismatch> {
        let wants_value = meta::flag(self.flags(), b'v').is_some();
        let mut line = match wants_value {
            true => Line::value(digits.len()),
            false => Line::new(b"HD"),
        };
        let mut left = outcome.before;
        for flag in flags(self.flags()) {
            match flag[0] {
                b'T' => left = outcome.after,
                b't' => line.ttl(seconds_left(left)),
                b'c' => line.field(b'c', outcome.cas),
                _ => line.echo(flag, self.asked()).map_err(|_| Mismatch)?,
            }
        }
        Ok(line.into_reply(wants_value.then_some(digits)))
    }

    fn debug_line(self, outcome: &Outcome) -> Reply {
        let expiry = seconds_left(outcome.before).map_or(-1, i64::from);
        let Outcome { idle, cas, size, .. } = outcome;
        let rest = format!(" exp={expiry} la={idle} cas={cas} fetch=no cls=1 size={size}");
        Line::new(&[b"ME ", self.key, rest.as_bytes()].concat()).into_reply(None)
    }

    fn flags(&self) -> &[u8] {
        self.expected.flags.as_deref().unwrap_or_default()
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            key: self.key,
            is_base64: meta::flag(self.flags(), b'b').is_some(),
            flags: self.flags(),
        }
    }
}

/// Takes the frame from `buffer`, and returns its data from `start` on.
fn take(buffer: &mut BytesMut, frame: &Frame, start: usize) -> Bytes {
    buffer
        .split_to(frame.length)
        .freeze()
        .slice(start..frame.data.end)
}

fn classic(status: Status) -> Reply {
    match status {
        Status::Done => Reply::Done,
        Status::Miss | Status::NotFound => Reply::NotFound,
        Status::NotStored => Reply::NotStored,
        Status::Exists => Reply::Exists,
        Status::NotNumeric => Reply::Error(NON_NUMERIC.into()),
        Status::OtherType => Reply::Error(OTHER_TYPE.into()),
    }
}

/// Returns the first word of the line that answers a meta command.
fn word(status: Status, command: Command) -> &'static [u8] {
    match status {
        Status::NotFound if command == Command::MetaGet => b"EN",
        Status::Done | Status::NotNumeric | Status::OtherType => b"HD",
        Status::Miss => b"EN",
        Status::NotFound => b"NF",
        Status::NotStored => b"NS",
        Status::Exists => b"EX",
    }
}

/// Returns a node's error line in a form that is safe for clients and logs.
fn shown(line: &[u8]) -> String {
    let plain = |&byte: &u8| {
        if byte.is_ascii_graphic() || byte == b' ' {
            byte.into()
        } else {
            '?'
        }
    };
    line.iter().map(plain).collect()
}
