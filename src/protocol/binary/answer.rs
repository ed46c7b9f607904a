//! Responses of the binary protocol: writes a node's reply as the packet that the client reads.

use crate::protocol::binary::{Head, Opcode, RESPONSE};
use crate::protocol::numbers::{parse_u32, parse_u64};
use crate::protocol::{Failure, MetaReply, Part, Reply};

/// The status of a response, with memcached's own text for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// Success.
    Success = 0x00,
    /// The key does not exist.
    NotFound = 0x01,
    /// The key exists, or its value was changed by another client.
    Exists = 0x02,
    /// The value is too large.
    TooLarge = 0x03,
    /// The packet's lengths are inconsistent.
    Invalid = 0x04,
    /// The condition did not hold.
    NotStored = 0x05,
    /// The value is not a number.
    NonNumeric = 0x06,
    /// The client has not authenticated, or cannot.
    Unauthenticated = 0x20,
    /// The client must send more to authenticate.
    Continue = 0x21,
    /// Unknown operation, or one that the node's protocol cannot express.
    Unknown = 0x81,
    /// The node is out of memory.
    OutOfMemory = 0x82,
    /// The node could not answer.
    Temporary = 0x86,
}

impl Status {
    fn words(self) -> &'static str {
        match self {
            Status::Success | Status::Continue => "",
            Status::NotFound => "Not found",
            Status::Exists => "Data exists for key.",
            Status::TooLarge => "Too large.",
            Status::Invalid => "Invalid arguments",
            Status::NotStored => "Not stored.",
            Status::NonNumeric => "Non-numeric server-side value for incr or decr",
            Status::Unauthenticated => "Auth failure.",
            Status::Unknown => "Unknown command",
            Status::OutOfMemory => "Out of memory",
            Status::Temporary => "Temporary failure",
        }
    }
}

/// The parts of a request that its response repeats or depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// The operation code.
    pub opcode: u8,
    /// The opaque number.
    pub opaque: u32,
    /// Whether the request compares a cas id.
    pub compares: bool,
    /// The key, if the operation returns it; otherwise empty.
    pub key: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Returns what the response to the request with header `head` and key `key` repeats.
    pub fn of(head: &Head, key: &'a [u8]) -> Echo<'a> {
        let gives_key = Opcode::of(head.opcode).is_some_and(|(_, _, gives_key)| gives_key);
        Echo::with_key(head, if gives_key { key } else { b"" })
    }

    /// Like [`Echo::of`], but repeats `key` whatever the operation.
    pub fn with_key(head: &Head, key: &'a [u8]) -> Echo<'a> {
        Echo {
            opcode: head.opcode,
            opaque: head.opaque,
            compares: head.cas != 0,
            key,
        }
    }
}

/// A response without its value, which the caller writes.
struct Response<'a> {
    status: Status,
    cas: u64,
    flags: Option<u32>,
    key: &'a [u8],
    body: &'a [u8],
}

/// Writes the response to `reply` up to its value and returns the value that follows. Writes nothing if a
/// quiet operation suppresses this response.
pub fn write<'a>(echo: Echo<'_>, reply: &'a Reply, put: &mut impl FnMut(&[u8])) -> Option<Part<'a>> {
    let (operation, is_quiet, _) = Opcode::of(echo.opcode)?;
    let is_read = matches!(operation, Opcode::Get | Opcode::GetAndTouch | Opcode::Touch);
    let outcome = PacketOutcome::of(operation, reply);
    let hidden = if is_read {
        Status::NotFound
    } else {
        Status::Success
    };
    if is_quiet && outcome.status == hidden {
        return None;
    }
    let is_hit = outcome.status == Status::Success;
    let number = outcome.number.map(u64::to_be_bytes);
    let body = match &number {
        Some(number) => &number[..],
        None if is_hit => b"",
        // A miss that returns its key has no room for text.
        None if outcome.status == Status::NotFound && !echo.key.is_empty() => b"",
        None => outcome.words.unwrap_or(outcome.status.words().as_bytes()),
    };
    let gives_key = is_hit || outcome.status == Status::NotFound;
    let response = Response {
        status: outcome.status,
        cas: outcome.cas,
        flags: (is_hit && is_read).then_some(outcome.flags),
        key: if gives_key { echo.key } else { b"" },
        body,
    };
    let value = outcome.value.filter(|_| is_hit && operation != Opcode::Touch);
    write_head(echo, &response, value.map_or(0, |value| value.bytes.len()), put);
    value
}

/// Writes a complete response of Ringway's own: a status and a body, or the status's own text if `body` is
/// empty.
pub fn write_own(echo: Echo<'_>, status: Status, body: &[u8], put: &mut impl FnMut(&[u8])) {
    let body = if body.is_empty() {
        status.words().as_bytes()
    } else {
        body
    };
    write_head(
        echo,
        &Response {
            status,
            cas: 0,
            flags: None,
            key: echo.key,
            body,
        },
        0,
        put,
    );
}

fn write_head(echo: Echo<'_>, response: &Response<'_>, value: usize, put: &mut impl FnMut(&[u8])) {
    let extras = if response.flags.is_some() { 4 } else { 0 };
    let body = extras + response.key.len() + response.body.len() + value;
    put(&[RESPONSE, echo.opcode]);
    put(&(response.key.len() as u16).to_be_bytes());
    put(&[extras as u8, 0]);
    put(&(response.status as u16).to_be_bytes());
    put(&(body as u32).to_be_bytes());
    put(&echo.opaque.to_be_bytes());
    put(&response.cas.to_be_bytes());
    if let Some(flags) = response.flags {
        put(&flags.to_be_bytes());
    }
    put(response.key);
    put(response.body);
}

/// A reply in the terms of the binary protocol.
struct PacketOutcome<'a> {
    status: Status,
    words: Option<&'a [u8]>,
    cas: u64,
    flags: u32,
    number: Option<u64>,
    value: Option<Part<'a>>,
}

impl<'a> PacketOutcome<'a> {
    fn new(status: Status) -> PacketOutcome<'a> {
        PacketOutcome {
            status,
            words: None,
            cas: 0,
            flags: 0,
            number: None,
            value: None,
        }
    }

    fn of(operation: Opcode, reply: &'a Reply) -> PacketOutcome<'a> {
        match reply {
            Reply::Meta(reply) => {
                let outcome = PacketOutcome::of_meta(operation, reply);
                let is_count = matches!(operation, Opcode::Increment | Opcode::Decrement);
                let number = reply.data().filter(|_| is_count).and_then(parse_u64);
                PacketOutcome {
                    number,
                    value: reply.part().filter(|_| !is_count),
                    ..outcome
                }
            }
            Reply::Value(item) => PacketOutcome {
                cas: item.cas,
                flags: item.flags,
                value: Some(item.part()),
                ..PacketOutcome::new(Status::Success)
            },
            Reply::Number(number) => PacketOutcome {
                number: Some(*number),
                ..PacketOutcome::new(Status::Success)
            },
            Reply::Done | Reply::Text(_) => PacketOutcome::new(Status::Success),
            Reply::NotStored => PacketOutcome::new(not_stored(operation)),
            Reply::Exists => PacketOutcome::new(Status::Exists),
            Reply::NotFound => PacketOutcome::new(Status::NotFound),
            Reply::Failed(failure) => PacketOutcome::of_failure(*failure),
            Reply::Error(line) | Reply::Refused(line) => PacketOutcome::of_line(line),
        }
    }

    /// Converts the line of a meta reply.
    fn of_meta(operation: Opcode, reply: &MetaReply) -> PacketOutcome<'a> {
        let status = match reply.line().get(..2) {
            Some(b"VA" | b"HD") => Status::Success,
            Some(b"EN" | b"NF") => Status::NotFound,
            Some(b"EX") => Status::Exists,
            _ => not_stored(operation),
        };
        let has_cas = status == Status::Success && operation != Opcode::Delete;
        PacketOutcome {
            cas: reply
                .token(b'c')
                .filter(|_| has_cas)
                .and_then(parse_u64)
                .unwrap_or(0),
            flags: reply.token(b'f').and_then(parse_u32).unwrap_or(0),
            ..PacketOutcome::new(status)
        }
    }

    fn of_failure(failure: Failure) -> PacketOutcome<'a> {
        let status = match failure {
            Failure::Unsupported | Failure::LongKey => Status::Unknown,
            Failure::TooLarge => Status::TooLarge,
            _ => Status::Temporary,
        };
        PacketOutcome {
            words: words_of(failure.line().as_bytes()),
            ..PacketOutcome::new(status)
        }
    }

    /// Converts an error line, from a node or from a route.
    fn of_line(line: &'a [u8]) -> PacketOutcome<'a> {
        let says = |words: &[u8]| line.windows(words.len()).any(|window| window == words);
        PacketOutcome::new(match line {
            _ if says(b"non-numeric") => Status::NonNumeric,
            _ if says(b"too large") => Status::TooLarge,
            _ if says(b"out of memory") => Status::OutOfMemory,
            // A route's refusal. libmemcached would shut out the server for `Invalid arguments`.
            _ if line.starts_with(b"CLIENT_ERROR") => {
                return PacketOutcome {
                    words: words_of(line),
                    ..PacketOutcome::new(Status::NotStored)
                };
            }
            _ => Status::Temporary,
        })
    }
}

/// Returns the status for a condition that did not hold.
fn not_stored(operation: Opcode) -> Status {
    match operation {
        // A set that failed at its node. bmemcached raises for `NotStored`, and no client objects to
        // `Exists`.
        Opcode::Add | Opcode::Set => Status::Exists,
        Opcode::Replace => Status::NotFound,
        _ => Status::NotStored,
    }
}

/// Returns the text behind the first word of an error line.
fn words_of(line: &[u8]) -> Option<&[u8]> {
    let space = line.iter().position(|&byte| byte == b' ')?;
    Some(&line[space + 1..])
}
