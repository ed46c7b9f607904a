//! Changes requests on their way: their expiry, whatever command has it, and the flags of meta commands.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::protocol::meta;
use crate::protocol::meta::Names;
use crate::protocol::numbers::parse_i32;
use crate::protocol::{Command, Meta, Request};

/// Up to here an expiry is a time to live, in seconds; beyond it is a Unix time (`REALTIME_MAXDELTA` in memcached).
const LONGEST_TTL: i64 = 30 * 24 * 3600;

/// A time to live that is typed.
pub fn as_ttl(exptime: i64, now: i64) -> Ttl {
    match exptime {
        0 => Ttl::Forever,
        _ if exptime < 0 => Ttl::Gone,
        _ if exptime <= LONGEST_TTL => Ttl::Seconds(exptime),
        _ if exptime <= now => Ttl::Gone,
        _ => Ttl::Seconds(exptime - now),
    }
}

/// How long something is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// For ever.
    Forever,
    /// Not at all.
    Gone,
    /// So many seconds, at least 1.
    Seconds(i64),
}

impl Ttl {
    /// As it is typed.
    pub fn typed(self, now: i64) -> i64 {
        match self {
            Ttl::Forever => 0,
            Ttl::Gone => -1,
            Ttl::Seconds(seconds) if seconds > LONGEST_TTL => now + seconds,
            Ttl::Seconds(seconds) => seconds,
        }
    }
}

/// Seconds since 1970.
pub fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// `request` with each expiry that it sets turned into what `turn` makes of it. `room` takes the flags of a meta
/// command.
pub fn with_expiry<'a>(
    request: &Request<'a>,
    room: &'a mut Vec<u8>,
    turn: impl Fn(i64) -> i64,
) -> Request<'a> {
    let Some(meta) = &request.meta else {
        let sets = matches!(
            request.command,
            Command::Set | Command::Add | Command::Replace | Command::Cas | Command::Touch
        ) || matches!(request.command, Command::Gat | Command::Gats);
        let exptime = if sets {
            turn(request.exptime)
        } else {
            request.exptime
        };
        return Request { exptime, ..*request };
    };
    let names = Names::of(meta.flags);
    for flag in meta::flags(meta.flags) {
        match (flag[0], parse_i32(&flag[1..])) {
            (b'T' | b'N', Some(exptime)) => put(room, &flag[..1], Some(turn(exptime.into()))),
            _ => put(room, flag, None),
        }
    }
    // What is stored without an expiry lives for ever; append and prepend leave it as it is.
    let stores = request.command == Command::MetaSet && !is_joining(meta.flags);
    if stores && !names.has(b'T') {
        match turn(0) {
            0 => {}
            exptime => put(room, b"T", Some(exptime)),
        }
    }
    let meta = Meta { flags: room, ..*meta };
    Request {
        meta: Some(meta),
        ..*request
    }
}

/// `request` with each expiry that it sets brought down to `most` seconds.
pub fn with_expiry_of_at_most<'a>(request: &Request<'a>, room: &'a mut Vec<u8>, most: i64) -> Request<'a> {
    let now = unix_time();
    with_expiry(request, room, |exptime| match as_ttl(exptime, now) {
        Ttl::Gone => exptime,
        Ttl::Seconds(seconds) if seconds <= most => exptime,
        _ => Ttl::Seconds(most).typed(now),
    })
}

/// `request` without the meta flags of these `names`.
pub fn without_flags<'a>(request: &Request<'a>, room: &'a mut Vec<u8>, names: &[u8]) -> Request<'a> {
    let Some(meta) = &request.meta else {
        return *request;
    };
    for flag in meta::flags(meta.flags).filter(|flag| !names.contains(&flag[0])) {
        put(room, flag, None);
    }
    let meta = Meta { flags: room, ..*meta };
    Request {
        meta: Some(meta),
        ..*request
    }
}

/// `request` without its condition, for whom another one decided: add, replace and cas as a set.
pub fn unconditional<'a>(request: &Request<'a>, room: &'a mut Vec<u8>) -> Request<'a> {
    let plain = match request.command {
        Command::Add | Command::Replace | Command::Cas => Command::Set,
        command => command,
    };
    Request {
        command: plain,
        cas: 0,
        ..without_flags(request, room, b"CIM")
    }
}

fn is_joining(flags: &[u8]) -> bool {
    let mode = meta::flag(flags, b'M').and_then(|mode| mode.get(1));
    mode.is_some_and(|mode| b"AaPp".contains(mode))
}

fn put(room: &mut Vec<u8>, flag: &[u8], number: Option<i64>) {
    if !room.is_empty() {
        room.push(b' ');
    }
    room.extend_from_slice(flag);
    if let Some(number) = number {
        room.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}
