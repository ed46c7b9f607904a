//! Rewrites requests: their expiry, in any command, and the flags of meta commands.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::protocol::meta::{self, Names};
use crate::protocol::numbers::parse_i32;
use crate::protocol::{Command, Meta, Request};

/// The maximum expiry that is a time to live, in seconds; a larger one is a Unix time (`REALTIME_MAXDELTA`
/// in memcached).
const LONGEST_TTL: i64 = 30 * 24 * 3600;

/// The last Unix time that nodes can read: they parse an expiry as a signed number of 32 bits, and take what is more
/// for a time in the past.
const LAST_TIME: i64 = i32::MAX as i64;

/// Interprets the `exptime` of a request.
pub fn as_ttl(exptime: i64, now: i64) -> Ttl {
    match exptime {
        0 => Ttl::Forever,
        _ if exptime < 0 => Ttl::Gone,
        _ if exptime <= LONGEST_TTL => Ttl::Seconds(exptime),
        _ if exptime <= now => Ttl::Gone,
        _ => Ttl::Seconds(exptime - now),
    }
}

/// How long an item lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// For ever.
    Forever,
    /// Not at all.
    Gone,
    /// For this number of seconds, at least 1.
    Seconds(i64),
}

impl Ttl {
    /// Returns the exptime that expresses it in a request. One beyond [`LAST_TIME`] becomes that.
    pub fn to_exptime(self, now: i64) -> i64 {
        match self {
            Ttl::Forever => 0,
            Ttl::Gone => -1,
            Ttl::Seconds(seconds) if seconds > LONGEST_TTL => now.saturating_add(seconds).min(LAST_TIME),
            Ttl::Seconds(seconds) => seconds,
        }
    }
}

/// Returns the seconds since 1970.
pub fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Returns `request` with each exptime that it sets changed by `change`. `scratch` takes the flags of a meta command.
pub fn with_expiry<'a>(
    request: &Request<'a>,
    scratch: &'a mut Vec<u8>,
    change: impl Fn(i64) -> i64,
) -> Request<'a> {
    let Some(meta) = &request.meta else {
        let sets = matches!(
            request.command,
            Command::Set | Command::Add | Command::Replace | Command::Cas | Command::Touch
        ) || matches!(request.command, Command::Gat | Command::Gats);
        let exptime = if sets {
            change(request.exptime)
        } else {
            request.exptime
        };
        return Request { exptime, ..*request };
    };
    let names = Names::of(meta.flags);
    for flag in meta::flags(meta.flags) {
        match (flag[0], parse_i32(&flag[1..])) {
            (b'T' | b'N', Some(exptime)) => put_number(scratch, &flag[..1], change(exptime.into())),
            _ => put(scratch, flag),
        }
    }
    // An item that is stored without an expiry lives for ever; append and prepend do not change its
    // expiry.
    let stores = request.command == Command::MetaSet && !is_joining(meta.flags);
    if stores && !names.has(b'T') {
        match change(0) {
            0 => {}
            exptime => put_number(scratch, b"T", exptime),
        }
    }
    with_flags(request, meta, scratch)
}

/// Returns `request` with each exptime that it sets limited to `max` seconds.
pub fn with_max_expiry<'a>(request: &Request<'a>, scratch: &'a mut Vec<u8>, max: i64) -> Request<'a> {
    let now = unix_time();
    with_expiry(request, scratch, |exptime| match as_ttl(exptime, now) {
        Ttl::Gone => exptime,
        Ttl::Seconds(seconds) if seconds <= max => exptime,
        _ => Ttl::Seconds(max).to_exptime(now),
    })
}

/// Returns `request` without the meta flags of these `names`.
pub fn without_flags<'a>(request: &Request<'a>, scratch: &'a mut Vec<u8>, names: &[u8]) -> Request<'a> {
    let Some(meta) = &request.meta else {
        return *request;
    };
    for flag in meta::flags(meta.flags).filter(|flag| !names.contains(&flag[0])) {
        put(scratch, flag);
    }
    with_flags(request, meta, scratch)
}

/// Returns `request`, the arguments of whose meta command are `meta`, with other `flags`.
pub fn with_flags<'a>(request: &Request<'a>, meta: &Meta<'a>, flags: &'a [u8]) -> Request<'a> {
    Request {
        meta: Some(Meta { flags, ..*meta }),
        ..*request
    }
}

/// Appends `flag` to the flags in `scratch`.
pub fn put(scratch: &mut Vec<u8>, flag: &[u8]) {
    if !scratch.is_empty() {
        scratch.push(b' ');
    }
    scratch.extend_from_slice(flag);
}

/// Appends the flag `name` with `number` to the flags in `scratch`.
pub fn put_number(scratch: &mut Vec<u8>, name: &[u8], number: impl itoa::Integer) {
    put(scratch, name);
    scratch.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Returns `request` without its condition, for routes that follow another one's decision: add, replace and
/// cas as a set.
pub fn unconditional<'a>(request: &Request<'a>, scratch: &'a mut Vec<u8>) -> Request<'a> {
    let plain = match request.command {
        Command::Add | Command::Replace | Command::Cas => Command::Set,
        command => command,
    };
    Request {
        command: plain,
        cas: 0,
        ..without_flags(request, scratch, b"CIM")
    }
}

/// Returns whole seconds, rounded up, because 0 would mean for ever.
pub fn whole_seconds(duration: Duration) -> i64 {
    duration.as_millis().div_ceil(1000) as i64
}

fn is_joining(flags: &[u8]) -> bool {
    let mode = meta::flag(flags, b'M').and_then(|mode| mode.get(1));
    mode.is_some_and(|mode| b"AaPp".contains(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_exptime_is_more_than_a_node_can_read() {
        let now = 1_700_000_000;
        let last = i64::from(i32::MAX);
        for (seconds, expected) in [
            (1, 1),
            (LONGEST_TTL, LONGEST_TTL),
            (LONGEST_TTL + 1, now + LONGEST_TTL + 1),
            (last - now - 1, last - 1),
            (last - now, last),
            (last - now + 1, last),
            (u32::MAX.into(), last),
            (i64::MAX, last),
        ] {
            assert_eq!(Ttl::Seconds(seconds).to_exptime(now), expected, "{seconds}");
        }
    }
}
