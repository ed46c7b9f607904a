//! What travels: one [`Request`] for every client protocol, one [`Reply`] for every node protocol.
//!
//! This floor is pure: bytes in, bytes out. It knows no socket, no clock and no lock.
//!
//! - [`text`] reads what a client types in memcached's classic text protocol, [`answer`] writes what it reads.
//! - [`meta_answer`] does so for the meta protocol, [`meta_flags`] reads its flags as a node does.
//! - [`meta`] and [`classic`] write a request as a node reads it; [`reply`] takes the node's replies apart.
//! - [`downgrade`] says a meta command in classic text, for nodes that know no other.
//! - [`numbers`] parses decimal numbers as memcached does.
//! - [`owned`] copies a request that outlives the buffer it came in.
//! - [`operation`] says what a request does, whatever protocol asks for it.
//! - [`failed`] says what a client reads where a node failed.

pub mod binary;
pub mod classic;
pub mod dialect;
pub mod failed;
mod item;
pub mod line;
pub mod meta;
pub mod numbers;
pub mod operation;
pub mod owned;
pub mod reply;
mod scan;
pub mod text;
pub mod version;

use bytes::Bytes;

pub use crate::protocol::meta::reply::MetaReply;
pub use failed::OnError;
pub use item::{Item, Part};

/// The longest key that memcached takes, in bytes (`KEY_MAX_LENGTH` in memcached.h).
pub const MAX_KEY: usize = 250;

/// What a request asks a node to do. One variant for each label value `command` in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    /// Read a value.
    Get,
    /// Read a value with its cas id.
    Gets,
    /// Read a value and set its expiry.
    Gat,
    /// Read a value with its cas id and set its expiry.
    Gats,
    /// Store.
    Set,
    /// Store if there is none.
    Add,
    /// Store if there is one.
    Replace,
    /// Put behind the value that is there.
    Append,
    /// Put before the value that is there.
    Prepend,
    /// Store if nobody changed the value since its cas id was read.
    Cas,
    /// Add to a decimal number.
    Incr,
    /// Subtract from a decimal number, not below 0.
    Decr,
    /// Remove.
    Delete,
    /// Set the expiry.
    Touch,
    /// Forget everything.
    FlushAll,
    /// Meta: read, touch, or lease, as its flags say.
    MetaGet,
    /// Meta: store, in one of five modes.
    MetaSet,
    /// Meta: remove, or mark as stale.
    MetaDelete,
    /// Meta: add or subtract.
    MetaArithmetic,
    /// Meta: tell of an item what a debugger wants to know.
    MetaDebug,
}

impl Command {
    /// Every command, in the order of their discriminants.
    pub const ALL: [Command; 20] = [
        Command::Get,
        Command::Gets,
        Command::Gat,
        Command::Gats,
        Command::Set,
        Command::Add,
        Command::Replace,
        Command::Append,
        Command::Prepend,
        Command::Cas,
        Command::Incr,
        Command::Decr,
        Command::Delete,
        Command::Touch,
        Command::FlushAll,
        Command::MetaGet,
        Command::MetaSet,
        Command::MetaDelete,
        Command::MetaArithmetic,
        Command::MetaDebug,
    ];

    /// The command's name on the wire and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Command::Get => "get",
            Command::Gets => "gets",
            Command::Gat => "gat",
            Command::Gats => "gats",
            Command::Set => "set",
            Command::Add => "add",
            Command::Replace => "replace",
            Command::Append => "append",
            Command::Prepend => "prepend",
            Command::Cas => "cas",
            Command::Incr => "incr",
            Command::Decr => "decr",
            Command::Delete => "delete",
            Command::Touch => "touch",
            Command::FlushAll => "flush_all",
            Command::MetaGet => "mg",
            Command::MetaSet => "ms",
            Command::MetaDelete => "md",
            Command::MetaArithmetic => "ma",
            Command::MetaDebug => "me",
        }
    }

    /// True for the meta commands.
    pub fn is_meta(self) -> bool {
        self as u8 >= Command::MetaGet as u8
    }

    /// True for the classic commands that answer with a value: get, gets, gat, gats.
    pub fn is_read(self) -> bool {
        matches!(self, Command::Get | Command::Gets | Command::Gat | Command::Gats)
    }

    /// True for the commands that carry a data block: set, add, replace, append, prepend, cas, ms.
    pub fn is_store(self) -> bool {
        (Command::Set as u8..=Command::Cas as u8).contains(&(self as u8)) || self == Command::MetaSet
    }

    /// True for the reads that answer with the cas id too: gets, gats.
    pub fn wants_cas(self) -> bool {
        matches!(self, Command::Gets | Command::Gats)
    }
}

/// One command on one key, whatever protocol the client spoke.
///
/// Fields that a command does not use are zero or empty.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What to do.
    pub command: Command,
    /// The key, 1 to [`MAX_KEY`] bytes; empty for [`Command::FlushAll`].
    pub key: &'a [u8],
    /// The client's flags, stored beside the value.
    pub flags: u32,
    /// Seconds to live: 0 never expires, over 30 days is a Unix time, negative is expired at once.
    /// For [`Command::FlushAll`] the delay in seconds.
    pub exptime: i64,
    /// The cas id that [`Command::Cas`] compares.
    pub cas: u64,
    /// What [`Command::Incr`] adds or [`Command::Decr`] takes.
    pub delta: u64,
    /// The data block, without its line end.
    pub value: &'a [u8],
    /// What a meta command says beyond that; the fields above that its flags could set are left alone.
    pub meta: Option<Meta<'a>>,
    /// The buffer that `value` is a part of, if it may be shared instead of copied.
    pub block: Option<&'a Bytes>,
    /// A key among many of one multi-get, so that others for the same node are likely to follow.
    pub is_one_of_many: bool,
}

impl<'a> Request<'a> {
    /// A request that carries a command and a key, and nothing else.
    pub fn new(command: Command, key: &'a [u8]) -> Self {
        Request {
            command,
            key,
            flags: 0,
            exptime: 0,
            cas: 0,
            delta: 0,
            value: b"",
            meta: None,
            block: None,
            is_one_of_many: false,
        }
    }

    /// Bytes of the words that must be kept until the reply is there: the key, and what was typed of a meta command.
    #[inline]
    pub fn words(&self) -> usize {
        let raw = self.meta.map_or(0, |meta| meta.key.len() + meta.flags.len());
        self.key.len() + raw
    }

    /// The flags of a meta command, as they were typed; of any other there are none.
    #[inline]
    pub fn raw_flags(&self) -> &'a [u8] {
        self.meta.map_or(b"", |meta| meta.flags)
    }

    /// Whether the answer is to tell the cas id of a value that is read.
    pub fn wants_cas(&self) -> bool {
        let is_read = self.command == Command::MetaGet;
        self.command.wants_cas() || is_read && meta::flag(self.raw_flags(), b'c').is_some()
    }
}

/// A meta command as its client typed it.
#[derive(Debug, Clone, Copy)]
pub struct Meta<'a> {
    /// The key: in base64 where the flags have a `b`. The request's own key is the plain one.
    pub key: &'a [u8],
    /// The flags, with spaces between them.
    pub flags: &'a [u8],
    /// A client of the binary protocol asks: cas ids come back with every reply there, so the flags ask for
    /// one even where it can be done without.
    pub is_binary: bool,
}

impl<'a> Meta<'a> {
    /// The key as it was typed, if that is not `plain`; else nothing, so that what is kept of a request has one key
    /// once.
    #[inline]
    pub fn other_key(&self, plain: &[u8]) -> &'a [u8] {
        if self.key == plain { b"" } else { self.key }
    }

    /// The plain key: `room` takes it where it was typed in base64. Where that is no base64 it stays as it was
    /// typed, for the node to refuse.
    pub fn plain_key<'b>(&self, room: &'b mut [u8; MAX_KEY]) -> &'b [u8]
    where
        'a: 'b,
    {
        if meta::flag(self.flags, b'b').is_none() {
            return self.key;
        }
        match meta::decode_key(self.key, room) {
            0 => self.key,
            length => &room[..length],
        }
    }
}

/// What a node answered to one [`Request`]. How a client reads it depends on the command it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A read found its key.
    Value(Item),
    /// It is done: `STORED`, `DELETED`, `TOUCHED` or `OK`, as the command has it.
    Done,
    /// `NOT_STORED`: the condition of add, replace, append or prepend did not hold.
    NotStored,
    /// `EXISTS`: somebody changed the value since its cas id was read.
    Exists,
    /// The key is not there: a miss for reads, `NOT_FOUND` for the others.
    NotFound,
    /// What incr or decr made of the number.
    Number(u64),
    /// What a node answered to a meta command.
    Meta(MetaReply),
    /// An error line that a node gave (`ERROR`, `CLIENT_ERROR …`, `SERVER_ERROR …`), without its line end.
    Error(Bytes),
    /// An error line by which a route refuses, without its line end: the operator's words, which no setting hides.
    Refused(Bytes),
    /// Lines that Ringway itself answers, without the last line end.
    Text(Bytes),
    /// The node could not answer: down, timed out, cut off, or out of step. What a client reads then says
    /// [`failed`].
    Failed(Failure),
}

/// Why a node gave no answer. One variant for each label value `kind` of `ringway_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Failure {
    /// The connection could not be made.
    Connect,
    /// No answer within `request_timeout`.
    Timeout,
    /// The connection broke while the answer was owed.
    Closed,
    /// The node is marked down, so it was not asked.
    Down,
    /// The link owes `max_in_flight` answers already.
    Busy,
    /// The node answered something that is no memcached reply, or a reply to another request.
    Desync,
    /// The node sent a value larger than `max_value_size`.
    TooLarge,
    /// The node's protocol cannot say what the client asked.
    Unsupported,
    /// The key must travel in base64, in which it is longer than a node takes.
    LongKey,
    /// The node missed a write of the key, which is to be deleted there first, so it was not asked.
    Missed,
}

impl Failure {
    /// Every failure, in the order of their discriminants.
    pub const ALL: [Failure; 10] = [
        Failure::Connect,
        Failure::Timeout,
        Failure::Closed,
        Failure::Down,
        Failure::Busy,
        Failure::Desync,
        Failure::TooLarge,
        Failure::Unsupported,
        Failure::LongKey,
        Failure::Missed,
    ];

    /// The failure's name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Timeout => "timeout",
            Failure::Closed => "closed",
            Failure::Down => "down",
            Failure::Busy => "busy",
            Failure::Desync => "desync",
            Failure::TooLarge => "too_large",
            Failure::Unsupported => "unsupported",
            Failure::LongKey => "long_key",
            Failure::Missed => "missed",
        }
    }

    /// The line that a client reads, without its line end.
    pub fn line(self) -> &'static str {
        match self {
            Failure::Connect => "SERVER_ERROR cannot connect to node",
            Failure::Timeout => "SERVER_ERROR node timed out",
            Failure::Closed => "SERVER_ERROR node closed the connection",
            Failure::Down => "SERVER_ERROR node is down",
            Failure::Busy => "SERVER_ERROR node is busy",
            Failure::Desync => "SERVER_ERROR node answered out of step",
            Failure::TooLarge => "SERVER_ERROR object too large for cache",
            Failure::Unsupported => "CLIENT_ERROR the node's protocol cannot say this",
            Failure::LongKey => "CLIENT_ERROR the key is too long in base64, in which it travels",
            Failure::Missed => "SERVER_ERROR node missed an earlier write of the key",
        }
    }
}

/// A short hash, to see whether a reply brings back the opaque that was asked for. Not for placement.
#[inline]
pub fn fingerprint(key: &[u8]) -> u32 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    let (words, rest) = key.as_chunks::<8>();
    let hash = words.iter().fold(key.len() as u64, |hash, &word| {
        mix(hash, u64::from_le_bytes(word))
    });
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    (mix(hash, u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER) >> 32) as u32
}
