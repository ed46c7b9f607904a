//! Parses the lines of meta commands. Nodes validate the flags; this module only checks what it takes to
//! route a request and to stay in step.

use crate::protocol::line::{BAD_FORMAT, ERROR, Line, MAX_LENGTH, bad, is_good_key, long_key, next_token};
use crate::protocol::meta::{flag, flags, needs_base64};
use crate::protocol::numbers::parse_i32;
use crate::protocol::scan::has_nul;
use crate::protocol::{Command, MAX_KEY, Meta, Request};

const TOO_MANY: &str = "CLIENT_ERROR options flags too long";
const TOO_MANY_MG: &str = "CLIENT_ERROR options flags are too long";
/// memcached takes fewer tokens than this in a meta line.
const MAX_TOKENS: usize = 20;
/// The maximum number of flags that Ringway adds: a `k` and a `b`.
const MAX_ADDED: usize = 2;
/// The maximum length of the flags in bytes, with one space between them. A node closes the link if more
/// than 2048 bytes of a line arrive without its end; no flag that it accepts needs that much.
const MAX_FLAGS: usize = 1600;

/// Parses mg, md, ma and me: a key and flags.
pub fn single(command: Command, mut rest: &[u8]) -> Line<'_> {
    let key = next_token(&mut rest);
    if key.is_empty() && command != Command::MetaDebug {
        return bad(ERROR);
    }
    if !is_good_key(key) {
        return long_key(0, false);
    }
    match request(command, key, rest) {
        Ok(request) => Line::Single {
            request,
            noreply: false,
        },
        Err(answer) => bad(answer),
    }
}

/// Parses ms: a key, the length of the data block, and flags.
pub fn set(mut rest: &[u8]) -> Line<'_> {
    let key = next_token(&mut rest);
    if key.is_empty() {
        return bad(ERROR);
    }
    let length = parse_i32(next_token(&mut rest)).filter(|length| (0..=MAX_LENGTH).contains(length));
    let Some(length) = length.map(|length| length as usize) else {
        return bad(BAD_FORMAT);
    };
    if !is_good_key(key) {
        return long_key(length + 2, false);
    }
    match request(Command::MetaSet, key, rest) {
        Ok(request) => Line::Store {
            request,
            length,
            noreply: false,
        },
        Err(answer) => Line::Bad {
            answer,
            // memcached takes no data block behind too many flags: a node would read it as commands.
            swallow: if answer == TOO_MANY { 0 } else { length + 2 },
            noreply: false,
            has_long_key: false,
        },
    }
}

/// Returns the request, or memcached's answer if the key is invalid.
fn request<'a>(command: Command, key: &'a [u8], rest: &'a [u8]) -> Result<Request<'a>, &'static str> {
    if key.is_empty() {
        return Err(BAD_FORMAT);
    }
    let meta = Meta {
        key,
        flags: rest.strip_prefix(b" ").unwrap_or(rest),
        is_binary: false,
    };
    let tokens_before = if command == Command::MetaSet { 3 } else { 2 };
    if may_have_too_many(&meta, tokens_before) && has_too_many(command, &meta, tokens_before) {
        return Err(if command == Command::MetaGet {
            TOO_MANY_MG
        } else {
            TOO_MANY
        });
    }
    if rest.len() > MAX_FLAGS && flags(rest).map(|flag| flag.len() + 1).sum::<usize>() > MAX_FLAGS {
        return Err(BAD_FORMAT);
    }
    // A node would end the line at a zero byte, before the flags by which its reply is recognised.
    if has_nul(rest) || has_nul(key) && !may_have_nul(command, &meta) {
        return Err(BAD_FORMAT);
    }
    // The answer to me always contains the key, and a key in base64 may put line ends into it.
    if command == Command::MetaDebug && is_hidden_key(&meta) {
        return Err(BAD_FORMAT);
    }
    Ok(Request {
        meta: Some(meta),
        ..Request::new(command, key)
    })
}

/// Whether the key may contain a zero byte. Such a key is sent in base64, so it must not be in base64
/// already; and the answer to me would contain it decoded.
#[cold]
fn may_have_nul(command: Command, meta: &Meta<'_>) -> bool {
    command != Command::MetaDebug && flag(meta.flags, b'b').is_none()
}

/// Whether the flags are long enough to be too many tokens. Each takes at least two bytes.
#[inline]
fn may_have_too_many(meta: &Meta<'_>, tokens_before: usize) -> bool {
    tokens_before + meta.flags.len().div_ceil(2) + MAX_ADDED >= MAX_TOKENS
}

/// Whether the line, with the flags that Ringway adds, has more tokens than memcached takes. me has no such
/// limit.
#[cold]
fn has_too_many(command: Command, meta: &Meta<'_>, tokens_before: usize) -> bool {
    let tokens = tokens_before + flags(meta.flags).count();
    let is_near = tokens + MAX_ADDED >= MAX_TOKENS;
    command != Command::MetaDebug && is_near && tokens + added(meta) >= MAX_TOKENS
}

/// Returns the number of flags that [`write_line`](crate::protocol::meta::write_line) adds: a `k`, and a
/// `b`.
fn added(meta: &Meta<'_>) -> usize {
    let asks_for_key = flag(meta.flags, b'k').is_none() && !is_hidden_key(meta);
    usize::from(asks_for_key) + usize::from(has_nul(meta.key))
}

/// Whether the key is in base64 and its return is not requested.
fn is_hidden_key(meta: &Meta<'_>) -> bool {
    flag(meta.flags, b'b').is_some() && needs_base64(meta.plain_key(&mut [0; MAX_KEY]))
}
