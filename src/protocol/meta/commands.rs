//! The lines of meta commands. Their flags are the node's to judge; here stands only what it takes to route a
//! request and to stay in step.

use crate::protocol::line::{BAD_FORMAT, ERROR, Line, MAX_LENGTH, bad, is_good_key, long_key, next_token};
use crate::protocol::meta::{flag, flags, is_unsayable};
use crate::protocol::numbers::parse_i32;
use crate::protocol::scan::has_nul;
use crate::protocol::{Command, MAX_KEY, Meta, Request};

const TOO_MANY: &str = "CLIENT_ERROR options flags too long";
const TOO_MANY_MG: &str = "CLIENT_ERROR options flags are too long";
/// memcached takes fewer tokens in a line of meta.
const MAX_TOKENS: usize = 20;
/// Flags that are added on the way, at most: a `k` and a `b`.
const MAX_ADDED: usize = 2;
/// Bytes of flags with one space between them. A node would close the link if a part of more than 2048 bytes of the
/// line came first; no flag that it takes needs so much.
const MAX_FLAGS: usize = 1600;

/// mg, md, ma, me: a key and flags.
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

/// ms: a key, the length of the data block, and flags.
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

/// The request, or what memcached answers where its key is no key.
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
    // A zero byte would end the line for a node, before what is asked there to know the reply by.
    if has_nul(rest) || has_nul(key) && !may_have_nul(command, &meta) {
        return Err(BAD_FORMAT);
    }
    // The answer to me always has the key, and such a key may bring line ends into it.
    if command == Command::MetaDebug && is_hidden_key(&meta) {
        return Err(BAD_FORMAT);
    }
    Ok(Request {
        meta: Some(meta),
        ..Request::new(command, key)
    })
}

/// Whether the key may have a zero byte: it travels in base64, which it must not be in already, and the answer to me
/// would have it plain.
#[cold]
fn may_have_nul(command: Command, meta: &Meta<'_>) -> bool {
    command != Command::MetaDebug && flag(meta.flags, b'b').is_none()
}

/// Whether the flags are so many bytes that they could be too many tokens. Each takes two bytes at least.
#[inline]
fn may_have_too_many(meta: &Meta<'_>, tokens_before: usize) -> bool {
    tokens_before + meta.flags.len().div_ceil(2) + MAX_ADDED >= MAX_TOKENS
}

/// Whether the line has more tokens than memcached takes, with the flags that are added on the way. me has no
/// such bound.
#[cold]
fn has_too_many(command: Command, meta: &Meta<'_>, tokens_before: usize) -> bool {
    let tokens = tokens_before + flags(meta.flags).count();
    let is_near = tokens + MAX_ADDED >= MAX_TOKENS;
    command != Command::MetaDebug && is_near && tokens + added(meta) >= MAX_TOKENS
}

/// How many flags [`write_line`](crate::protocol::meta::write_line) adds: a `k`, and a `b`.
fn added(meta: &Meta<'_>) -> usize {
    let asks_for_key = flag(meta.flags, b'k').is_none() && !is_hidden_key(meta);
    usize::from(asks_for_key) + usize::from(has_nul(meta.key))
}

/// Whether the key is in base64 and is not asked for.
fn is_hidden_key(meta: &Meta<'_>) -> bool {
    flag(meta.flags, b'b').is_some() && is_unsayable(meta.plain_key(&mut [0; MAX_KEY]))
}
