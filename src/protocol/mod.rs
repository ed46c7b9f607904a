//! The protocols: one [`Request`] for every client protocol, one [`Reply`] for every node protocol.
//!
//! This floor is pure, bytes in and bytes out: no sockets, clocks or locks.
//!
//! - [`text`] parses the lines of classic and meta clients, [`classic::answer`] writes classic answers.
//! - [`meta::answer`] writes meta answers, [`mod@meta::flags`] parses meta flags as a node does.
//! - [`meta`] and [`classic`] write requests for nodes; [`reply`] parses the nodes' replies.
//! - [`classic::downgrade`] translates meta commands into classic text, for nodes without meta.
//! - [`resp`] does all of this for Valkey and Redis.
//! - [`numbers`] parses decimal numbers as memcached does.
//! - [`owned`] copies a request that must outlive its read buffer.
//! - [`operation`] says what a request does, independent of its protocol.
//! - [`login`] reads what a client sends before it has authenticated.
//! - [`failed`] decides what a client reads if a node failed.

pub mod binary;
pub mod classic;
pub mod dialect;
pub mod failed;
mod item;
pub mod line;
pub mod login;
pub mod meta;
pub mod numbers;
pub mod operation;
pub mod owned;
pub mod reply;
pub mod resp;
mod scan;
pub mod text;
pub mod version;

use bytes::Bytes;

pub use crate::protocol::meta::reply::MetaReply;
pub use failed::OnError;
pub use item::{Item, Part};

/// The longest key that memcached accepts, in bytes (`KEY_MAX_LENGTH` in memcached.h).
pub const MAX_KEY: usize = 250;

/// A command for a node. Each variant is a value of the metrics' label `command`.
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
    /// Append to an existing value.
    Append,
    /// Prepend to an existing value.
    Prepend,
    /// Store if the value has not changed since its cas id was read.
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
    /// Meta: show an item's internals.
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

    /// Returns true for the meta commands.
    pub fn is_meta(self) -> bool {
        self as u8 >= Command::MetaGet as u8
    }

    /// Returns true for the classic commands that answer with a value: get, gets, gat, gats.
    pub fn is_read(self) -> bool {
        matches!(self, Command::Get | Command::Gets | Command::Gat | Command::Gats)
    }

    /// Returns true for the commands with a data block: set, add, replace, append, prepend, cas, ms.
    pub fn is_store(self) -> bool {
        (Command::Set as u8..=Command::Cas as u8).contains(&(self as u8)) || self == Command::MetaSet
    }

    /// Returns true for the reads that also return the cas id: gets, gats.
    pub fn wants_cas(self) -> bool {
        matches!(self, Command::Gets | Command::Gats)
    }
}

/// One command on one key, whichever protocol the client spoke.
///
/// Fields that a command does not use are zero or empty.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The command.
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
    /// The amount that [`Command::Incr`] adds or [`Command::Decr`] subtracts.
    pub delta: u64,
    /// The data block, without its line end.
    pub value: &'a [u8],
    /// The rest of a meta command. Fields above that its flags could set are left at their defaults.
    pub meta: Option<Meta<'a>>,
    /// The buffer that contains `value`, if it may be shared instead of copied.
    pub block: Option<&'a Bytes>,
    /// Whether this is one key of a multi-get, so that more requests for the same node are likely to
    /// follow.
    pub is_one_of_many: bool,
}

impl<'a> Request<'a> {
    /// Returns a request with a command, a key and nothing else.
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

    /// The number of bytes to retain until the reply arrives: the key, and the client's key and flags of a
    /// meta command.
    #[inline]
    pub fn words(&self) -> usize {
        let raw = self.meta.map_or(0, |meta| meta.key.len() + meta.flags.len());
        self.key.len() + raw
    }

    /// The flags of a meta command, unparsed; empty for other commands.
    #[inline]
    pub fn raw_flags(&self) -> &'a [u8] {
        self.meta.map_or(b"", |meta| meta.flags)
    }

    /// Whether the answer must contain the cas id of a value that is read.
    pub fn wants_cas(&self) -> bool {
        let is_read = self.command == Command::MetaGet;
        self.command.wants_cas() || is_read && meta::flag(self.raw_flags(), b'c').is_some()
    }
}

/// A meta command as its client sent it.
#[derive(Debug, Clone, Copy)]
pub struct Meta<'a> {
    /// The key, in base64 if the flags have a `b`. The request's own key is the decoded one.
    pub key: &'a [u8],
    /// The flags, separated by spaces.
    pub flags: &'a [u8],
    /// Whether the client speaks the binary protocol. Its replies always carry cas ids, so the flags
    /// request one even if the client can do without.
    pub is_binary: bool,
}

impl<'a> Meta<'a> {
    /// Returns the key as the client sent it if it differs from `plain`, otherwise nothing, so that a
    /// retained request stores its key only once.
    #[inline]
    pub fn other_key(&self, plain: &[u8]) -> &'a [u8] {
        if self.key == plain { b"" } else { self.key }
    }

    /// Returns the decoded key, using `room` if it was sent in base64. Invalid base64 is returned
    /// unchanged, for the node to refuse.
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

/// A node's answer to one [`Request`]. How a client reads it depends on the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A read's hit.
    Value(Item),
    /// Success: `STORED`, `DELETED`, `TOUCHED` or `OK`, depending on the command.
    Done,
    /// `NOT_STORED`: the condition of add, replace, append or prepend did not hold.
    NotStored,
    /// `EXISTS`: the value was changed since its cas id was read.
    Exists,
    /// The key does not exist: a miss for reads, `NOT_FOUND` for the other commands.
    NotFound,
    /// The new number after incr or decr.
    Number(u64),
    /// A node's answer to a meta command.
    Meta(MetaReply),
    /// An error line from a node (`ERROR`, `CLIENT_ERROR …`, `SERVER_ERROR …`), without its line end.
    Error(Bytes),
    /// A route's refusal, without its line end: the operator's wording, which no setting hides.
    Refused(Bytes),
    /// Lines that Ringway itself answers, without the last line end.
    Text(Bytes),
    /// The node could not answer. [`failed`] decides what the client reads.
    Failed(Failure),
}

impl Reply {
    /// The value that it carries.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Reply::Value(item) => Some(item.data()),
            Reply::Meta(reply) => reply.data(),
            _ => None,
        }
    }

    /// The number of bytes of the value that it carries; 0 if it carries none.
    #[inline]
    pub fn value_len(&self) -> usize {
        match self {
            Reply::Value(item) => item.size(),
            Reply::Meta(reply) => reply.data().map_or(0, <[u8]>::len),
            _ => 0,
        }
    }
}

/// Why a node gave no answer. Each variant is a value of the label `kind` of `ringway_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Failure {
    /// The connection could not be made.
    Connect,
    /// No answer within `request_timeout`.
    Timeout,
    /// The connection broke before the answer arrived.
    Closed,
    /// The node is marked down, so the request was not sent.
    Down,
    /// The link already has `max_in_flight` requests outstanding.
    Busy,
    /// The node's answer is not a memcached reply, or belongs to another request.
    Desync,
    /// The node sent a value larger than `max_value_size`.
    TooLarge,
    /// The node's protocol cannot express the request.
    Unsupported,
    /// The key must be sent in base64, in which it is longer than a node accepts.
    LongKey,
    /// The node missed a write of the key, which must be deleted there first, so the request was not sent.
    Missed,
    /// A Valkey or Redis has no memory for the value.
    OutOfMemory,
    /// A Valkey or Redis says that it cannot serve now, and did not execute the request.
    Refused,
    /// A process took the connection, and ended it before it could be used or answered otherwise than a node that can be
    /// used: it may have the node's items. Clients read the line of [`Failure::Connect`].
    Unopened,
}

impl Failure {
    /// Every failure, in the order of their discriminants.
    pub const ALL: [Failure; 13] = [
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
        Failure::OutOfMemory,
        Failure::Refused,
        Failure::Unopened,
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
            Failure::OutOfMemory => "out_of_memory",
            Failure::Refused => "refused",
            Failure::Unopened => "unopened",
        }
    }

    /// The line that a client reads, without its line end.
    pub fn line(self) -> &'static str {
        match self {
            Failure::Connect | Failure::Unopened => "SERVER_ERROR cannot connect to node",
            Failure::Timeout => "SERVER_ERROR node timed out",
            Failure::Closed => "SERVER_ERROR node closed the connection",
            Failure::Down => "SERVER_ERROR node is down",
            Failure::Busy => "SERVER_ERROR node is busy",
            Failure::Desync => "SERVER_ERROR node answered out of step",
            Failure::TooLarge => "SERVER_ERROR object too large for cache",
            Failure::Unsupported => "CLIENT_ERROR the node's protocol cannot say this",
            Failure::LongKey => "CLIENT_ERROR the key is too long in base64, in which it travels",
            Failure::Missed => "SERVER_ERROR node missed an earlier write of the key",
            Failure::OutOfMemory => "SERVER_ERROR out of memory storing object",
            Failure::Refused => "SERVER_ERROR node cannot serve now",
        }
    }
}

/// Returns a short hash of a key or an opaque, not used for placement. It checks that a reply returns the
/// opaque of its request, orders requests by key, and samples keys for shadows. 32 bits are enough: a
/// collision of two keys only makes their requests wait for each other, and a reply's key is compared in
/// full.
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
