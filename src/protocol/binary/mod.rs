//! memcached's binary protocol: what a packet asks, said as a meta request (doc/protocol-binary.txt).
//!
//! A packet is a header of 24 bytes and a body of extras, key and value. [`Head::read`] takes the header,
//! [`Head::ask`] says what is wanted, and [`Head::request`] says it as a meta request, so that links stay text.

pub mod answer;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::meta::is_unsayable;
use super::{Command, MAX_KEY, Meta, Request};

/// The first byte of a request.
pub const REQUEST: u8 = 0x80;
/// The first byte of a response.
pub const RESPONSE: u8 = 0x81;
/// Bytes of a header.
pub const HEAD: usize = 24;

/// What the operation codes are called; those of quiet forms stand in [`Operation::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read a value.
    Get,
    /// Store.
    Set,
    /// Store if there is none.
    Add,
    /// Store if there is one.
    Replace,
    /// Remove.
    Delete,
    /// Add to a number, or create it.
    Increment,
    /// Subtract from a number, or create it.
    Decrement,
    /// End the session.
    Quit,
    /// Forget everything.
    Flush,
    /// Answered when everything before it is.
    Noop,
    /// Tell the version.
    Version,
    /// Put behind the value that is there.
    Append,
    /// Put before the value that is there.
    Prepend,
    /// Tell figures.
    Stat,
    /// Set the expiry.
    Touch,
    /// Read a value and set its expiry.
    GetAndTouch,
}

impl Operation {
    /// The operation of `opcode`, whether it is quiet and whether its answer repeats the key. `None`:
    /// memcached without SASL knows no such operation.
    pub fn of(opcode: u8) -> Option<(Operation, bool, bool)> {
        use Operation::*;
        let (operation, is_quiet, has_key) = match opcode {
            0x00 => (Get, false, false),
            0x01 => (Set, false, false),
            0x02 => (Add, false, false),
            0x03 => (Replace, false, false),
            0x04 => (Delete, false, false),
            0x05 => (Increment, false, false),
            0x06 => (Decrement, false, false),
            0x07 => (Quit, false, false),
            0x08 => (Flush, false, false),
            0x09 => (Get, true, false),
            0x0a => (Noop, false, false),
            0x0b => (Version, false, false),
            0x0c => (Get, false, true),
            0x0d => (Get, true, true),
            0x0e => (Append, false, false),
            0x0f => (Prepend, false, false),
            0x10 => (Stat, false, false),
            0x11 => (Set, true, false),
            0x12 => (Add, true, false),
            0x13 => (Replace, true, false),
            0x14 => (Delete, true, false),
            0x15 => (Increment, true, false),
            0x16 => (Decrement, true, false),
            0x17 => (Quit, true, false),
            0x18 => (Flush, true, false),
            0x19 => (Append, true, false),
            0x1a => (Prepend, true, false),
            0x1c => (Touch, false, false),
            0x1d => (GetAndTouch, false, false),
            0x1e => (GetAndTouch, true, false),
            0x23 => (GetAndTouch, false, true),
            0x24 => (GetAndTouch, true, true),
            _ => return None,
        };
        Some((operation, is_quiet, has_key))
    }

    /// The meta command that carries it out; `None` if no single key is meant.
    pub fn command(self) -> Option<Command> {
        use Operation::*;
        match self {
            Get | Touch | GetAndTouch => Some(Command::MetaGet),
            Set | Add | Replace | Append | Prepend => Some(Command::MetaSet),
            Delete => Some(Command::MetaDelete),
            Increment | Decrement => Some(Command::MetaArithmetic),
            Quit | Flush | Noop | Version | Stat => None,
        }
    }
}

/// The header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which operation, as it was typed.
    pub opcode: u8,
    /// Bytes of the key.
    pub key: usize,
    /// Bytes of the extras before it.
    pub extras: usize,
    /// Bytes of extras, key and value.
    pub body: usize,
    /// Comes back as it was sent.
    pub opaque: u32,
    /// The cas id to compare; 0: none.
    pub cas: u64,
}

/// The words of one meta request that its packet does not have. It may serve one request after the other.
#[derive(Debug, Default)]
pub struct Room {
    key: String,
    flags: Vec<u8>,
}

/// What a header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// An operation whose lengths are as they must be.
    Operation(Operation),
    /// An operation that memcached does not know: its body is passed over.
    Unknown,
    /// Lengths that do not fit each other: memcached says `Unknown command` and closes.
    Truncated,
    /// Lengths that do not fit the operation: memcached says `Invalid arguments` and closes.
    Invalid,
    /// A key that is longer than [`MAX_KEY`]: memcached says `Invalid arguments` and closes.
    LongKey,
}

impl Head {
    /// The header at the front of `buf`; `None` if it is not whole.
    pub fn read(buf: &[u8]) -> Option<Head> {
        let (head, _) = buf.split_first_chunk::<HEAD>()?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Head {
            opcode: head[1],
            key: u16::from_be_bytes([head[2], head[3]]).into(),
            extras: head[4].into(),
            body: word(8) as usize,
            opaque: word(12),
            cas: u64::from(word(16)) << 32 | u64::from(word(20)),
        })
    }

    /// What the header asks for, as memcached checks it (`dispatch_bin_command`).
    pub fn ask(&self) -> Ask {
        use Operation::*;
        let Head {
            key, extras, body, ..
        } = *self;
        if key + extras > body {
            return Ask::Truncated;
        }
        if key > MAX_KEY {
            return Ask::LongKey;
        }
        let Some((operation, ..)) = Operation::of(self.opcode) else {
            return Ask::Unknown;
        };
        let fits = match operation {
            Quit | Noop | Version => body == 0,
            Flush => key == 0 && body == extras && (extras == 0 || extras == 4),
            Stat => extras == 0,
            Get | Delete => key > 0 && extras == 0 && body == key,
            Set | Add | Replace => key > 0 && extras == 8,
            Append | Prepend => key > 0 && extras == 0,
            Increment | Decrement => key > 0 && extras == 20 && body == key + extras,
            Touch | GetAndTouch => key > 0 && extras == 4,
        };
        if fits {
            Ask::Operation(operation)
        } else {
            Ask::Invalid
        }
    }

    /// Bytes of the value.
    pub fn value(&self) -> usize {
        self.body - self.key - self.extras
    }

    /// What this header and its whole `body` ask, as the meta request `command` of `operation`. Words that the
    /// packet does not have are kept in `room`. `None`: the key has spaces or control characters, and in
    /// base64 it is longer than text can carry.
    pub fn request<'a>(
        &self,
        operation: Operation,
        command: Command,
        body: &'a [u8],
        room: &'a mut Room,
    ) -> Option<Request<'a>> {
        let (extras, rest) = body.split_at(self.extras);
        let (key, value) = rest.split_at(self.key);
        let is_base64 = is_unsayable(key);
        room.key.clear();
        room.flags.clear();
        if is_base64 {
            STANDARD.encode_string(key, &mut room.key);
        }
        let raw = if is_base64 { room.key.as_bytes() } else { key };
        if raw.len() > MAX_KEY {
            return None;
        }
        room.flags.reserve(64);
        self.write_flags(operation, extras, is_base64, &mut room.flags);
        let meta = Meta {
            key: raw,
            flags: &room.flags,
            is_binary: true,
        };
        Some(Request {
            value,
            meta: Some(meta),
            ..Request::new(command, key)
        })
    }

    /// Writes the meta flags that say the same as this header and its `extras`, for a key that is in base64
    /// or not.
    fn write_flags(&self, operation: Operation, extras: &[u8], is_base64: bool, out: &mut Vec<u8>) {
        use Operation::*;
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a vector takes all");
        match operation {
            Get => put(format_args!("v f c")),
            GetAndTouch => put(format_args!("v f c T{}", expiry(extras, 0))),
            Touch => put(format_args!("f c T{}", expiry(extras, 0))),
            Set => put(format_args!("c F{} T{}", number(extras, 0), expiry(extras, 4))),
            Add | Replace => {
                // With a cas id, memcached takes both as a set that compares, and so it does ms in this mode.
                let is_add = operation == Add && self.cas == 0;
                let mode = if is_add { " ME" } else { " MR" };
                put(format_args!(
                    "c F{} T{}{mode}",
                    number(extras, 0),
                    expiry(extras, 4)
                ));
            }
            Append => put(format_args!("c MA")),
            Prepend => put(format_args!("c MP")),
            Increment | Decrement => {
                let mode = if operation == Increment { "MI" } else { "MD" };
                put(format_args!("v c {mode} D{}", long(extras, 0)));
                // All ones: do not create it.
                if number(extras, 16) != u32::MAX {
                    put(format_args!(" N{} J{}", expiry(extras, 16), long(extras, 8)));
                }
            }
            Delete | Quit | Flush | Noop | Version | Stat => {}
        }
        if self.cas != 0 && !matches!(operation, Get | Touch | GetAndTouch) {
            put(format_args!(" C{}", self.cas));
        }
        if is_base64 {
            put(format_args!(" b"));
        }
    }
}

fn number(extras: &[u8], at: usize) -> u32 {
    extras[at..at + 4]
        .iter()
        .fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn long(extras: &[u8], at: usize) -> u64 {
    extras[at..at + 8]
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// An expiry is unsigned here, and one beyond what text can say is far in the future.
fn expiry(extras: &[u8], at: usize) -> u32 {
    number(extras, at).min(i32::MAX as u32)
}
