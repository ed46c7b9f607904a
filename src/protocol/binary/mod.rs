//! memcached's binary protocol (doc/protocol-binary.txt): translates each packet into a meta request.
//!
//! A packet is a header of 24 bytes and a body of extras, key and value. [`Head::read`] parses the header,
//! [`Head::ask`] validates it, and [`Head::request`] translates it, so that links only carry text.

pub mod answer;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::meta::needs_base64;
use super::{Command, MAX_KEY, Meta, Request};

/// The first byte of a request.
pub const REQUEST: u8 = 0x80;
/// The first byte of a response.
pub const RESPONSE: u8 = 0x81;
/// The length of a header in bytes.
pub const HEAD: usize = 24;

/// The operations, each without its quiet form: [`Opcode::of`] maps both opcodes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
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
    /// Answered once everything before it is.
    Noop,
    /// Return the version.
    Version,
    /// Append to an existing value.
    Append,
    /// Prepend to an existing value.
    Prepend,
    /// Return statistics.
    Stat,
    /// Set the expiry.
    Touch,
    /// Read a value and set its expiry.
    GetAndTouch,
}

impl Opcode {
    /// Returns the operation of `opcode`, whether it is quiet, and whether its response repeats the key.
    /// `None` if memcached without SASL knows no such operation.
    pub fn of(opcode: u8) -> Option<(Opcode, bool, bool)> {
        use Opcode::*;
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

    /// The meta command that performs it; `None` if it does not act on a single key.
    pub fn command(self) -> Option<Command> {
        use Opcode::*;
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
    /// The operation code as received.
    pub opcode: u8,
    /// The length of the key in bytes.
    pub key: usize,
    /// The length of the extras, which precede the key, in bytes.
    pub extras: usize,
    /// The length of extras, key and value together, in bytes.
    pub body: usize,
    /// Returned unchanged in the response.
    pub opaque: u32,
    /// The cas id to compare; 0 if none.
    pub cas: u64,
}

/// Scratch space for the parts of a meta request that the packet does not contain. Reusable between
/// requests.
#[derive(Debug, Default)]
pub struct Room {
    key: String,
    flags: Vec<u8>,
}

/// The result of validating a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A known operation with valid lengths.
    Operation(Opcode),
    /// An operation that memcached does not know: its body is skipped.
    Unknown,
    /// Lengths that contradict each other: memcached answers `Unknown command` and closes the connection.
    Truncated,
    /// Lengths that the operation does not allow: memcached answers `Invalid arguments` and closes the
    /// connection.
    Invalid,
    /// A key longer than [`MAX_KEY`]: memcached answers `Invalid arguments` and closes the connection.
    LongKey,
}

impl Head {
    /// Reads the header at the front of `buf`; `None` if it is incomplete.
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

    /// Validates the header as memcached does (`dispatch_bin_command`).
    pub fn ask(&self) -> Ask {
        use Opcode::*;
        let Head {
            key, extras, body, ..
        } = *self;
        if key + extras > body {
            return Ask::Truncated;
        }
        if key > MAX_KEY {
            return Ask::LongKey;
        }
        let Some((operation, ..)) = Opcode::of(self.opcode) else {
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

    /// The length of the value in bytes.
    pub fn value(&self) -> usize {
        self.body - self.key - self.extras
    }

    /// Translates this header and its complete `body` into the meta request `command` of `operation`. Text
    /// that the packet does not contain is kept in `room`. `None` if the key has spaces or control
    /// characters and its base64 form is too long for text.
    pub fn request<'a>(
        &self,
        operation: Opcode,
        command: Command,
        body: &'a [u8],
        room: &'a mut Room,
    ) -> Option<Request<'a>> {
        let (extras, rest) = body.split_at(self.extras);
        let (key, value) = rest.split_at(self.key);
        let is_base64 = needs_base64(key);
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

    /// Writes the meta flags equivalent to this header and its `extras`.
    fn write_flags(&self, operation: Opcode, extras: &[u8], is_base64: bool, out: &mut Vec<u8>) {
        use Opcode::*;
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a vector takes all");
        match operation {
            Get => put(format_args!("v f c")),
            GetAndTouch => put(format_args!("v f c T{}", expiry(extras, 0))),
            Touch => put(format_args!("f c T{}", expiry(extras, 0))),
            Set => put(format_args!("c F{} T{}", number(extras, 0), expiry(extras, 4))),
            Add | Replace => {
                // With a cas id, memcached treats both as a compare-and-swap, and so does ms in this mode.
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
                // All ones: do not create the item.
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

/// Reads an expiry. It is unsigned here; one beyond the range of the text protocol is far in the future.
pub fn expiry(extras: &[u8], at: usize) -> u32 {
    number(extras, at).min(i32::MAX as u32)
}
