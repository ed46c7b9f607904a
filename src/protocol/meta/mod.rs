//! Writes requests as memcached's meta commands (doc/protocol.txt, "Meta Commands"), available since
//! 1.6.10.
//!
//! Every command requests its key back (`k`), so that each reply can be checked against its request. Meta
//! has no flush_all: that one stays classic.
//!
//! Keys are sent unchanged, except those that contain a zero byte: older nodes take it for the end of the
//! line, so such a key is sent in base64.

pub mod answer;
pub mod commands;
pub mod flags;
pub mod line;
pub mod reply;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::scan::{find_space, has_end, has_nul, skip_spaces};
use super::{Command, MAX_KEY, Request, classic};

/// The longest key whose base64 form is within [`MAX_KEY`].
pub const MAX_ENCODED_KEY: usize = MAX_KEY / 4 * 3;

/// Writes `request` up to its value. For storage commands the caller appends the value and its line end.
#[inline]
pub fn write_line(request: &Request<'_>, put: &mut impl FnMut(&[u8])) {
    let mut number = itoa::Buffer::new();
    match request.command {
        Command::Get | Command::Gets | Command::Gat | Command::Gats => {
            put(b"mg ");
            put_key_and_flag(request.key, put);
            put(if request.command.wants_cas() {
                b" k f c v"
            } else {
                b" k f v"
            });
            if matches!(request.command, Command::Gat | Command::Gats) {
                put(b" T");
                put(number.format(request.exptime).as_bytes());
            }
        }
        Command::Touch => {
            put(b"mg ");
            put_key_and_flag(request.key, put);
            put(b" k T");
            put(number.format(request.exptime).as_bytes());
        }
        Command::Delete => {
            put(b"md ");
            put_key_and_flag(request.key, put);
            put(b" k");
        }
        Command::Incr | Command::Decr => {
            put(b"ma ");
            put_key_and_flag(request.key, put);
            put(if request.command == Command::Incr {
                b" k v D"
            } else {
                b" k v MD D"
            });
            put(number.format(request.delta).as_bytes());
        }
        Command::FlushAll => return classic::write_line(request, put),
        Command::MetaGet
        | Command::MetaSet
        | Command::MetaDelete
        | Command::MetaArithmetic
        | Command::MetaDebug => write_typed(request, put),
        _ => write_store(request, put),
    }
    put(b"\r\n");
}

/// Writes `key` and the flag that states its encoding.
#[inline]
fn put_key_and_flag(key: &[u8], put: &mut impl FnMut(&[u8])) {
    let flag = put_key(key, put);
    if !flag.is_empty() {
        put(flag);
    }
}

/// Writes `key`. Returns the flag that states its encoding, preceded by a space; most keys need none.
#[inline]
fn put_key(key: &[u8], put: &mut impl FnMut(&[u8])) -> &'static [u8] {
    if has_nul(key) {
        return put_encoded(key, put);
    }
    put(key);
    b""
}

#[cold]
fn put_encoded(key: &[u8], put: &mut impl FnMut(&[u8])) -> &'static [u8] {
    let mut room = [0; MAX_KEY];
    let length = STANDARD.encode_slice(key, &mut room);
    put(&room[..length.expect("longer keys are refused")]);
    b" b"
}

/// Whether a line can carry the key of `request`, plain or in base64.
#[inline]
pub fn can_say_key(request: &Request<'_>) -> bool {
    let raw = request.meta.map_or(request.key, |meta| meta.key);
    raw.len() <= MAX_ENCODED_KEY || !has_nul(raw)
}

fn write_store(request: &Request<'_>, put: &mut impl FnMut(&[u8])) {
    let mut number = itoa::Buffer::new();
    put(b"ms ");
    let flag = put_key(request.key, put);
    put(b" ");
    put(number.format(request.value.len()).as_bytes());
    put(flag);
    put(b" k");
    match request.command {
        Command::Add => put(b" ME"),
        Command::Replace => put(b" MR"),
        // An existing value keeps its flags and its expiry.
        Command::Append => return put(b" MA"),
        Command::Prepend => return put(b" MP"),
        Command::Cas => {
            put(b" C");
            put(number.format(request.cas).as_bytes());
        }
        _ => {}
    }
    if request.flags != 0 {
        put(b" F");
        put(number.format(request.flags).as_bytes());
    }
    if request.exptime != 0 {
        put(b" T");
        put(number.format(request.exptime).as_bytes());
    }
}

/// Forwards a meta command as the client sent it, except for two flags: `q` is removed, because the link is
/// shared and each request needs its reply, and `k` is added if it is missing.
fn write_typed(request: &Request<'_>, put: &mut impl FnMut(&[u8])) {
    let Some(meta) = &request.meta else { return };
    put(request.command.name().as_bytes());
    put(b" ");
    let key_flag = put_key(meta.key, put);
    if request.command == Command::MetaSet {
        put(b" ");
        put(itoa::Buffer::new().format(request.value.len()).as_bytes());
    }
    put(key_flag);
    // Nearly every request has neither: its flags are written in one piece.
    let names = Names::of(meta.flags);
    if !names.has(b'q') && !names.has(b'b') {
        if !meta.flags.is_empty() {
            put(b" ");
            put(meta.flags);
        }
        if !names.has(b'k') && request.command != Command::MetaDebug {
            put(b" k");
        }
        return;
    }
    // A repeated flag is an error that the node must see.
    let is_single = |name: u8| flags(meta.flags).filter(|flag| flag[0] == name).count() == 1;
    let is_quiet = is_single(b'q');
    let hides_key = names.has(b'b') && needs_base64(request.key);
    let mut has_key = request.command == Command::MetaDebug || hides_key;
    for raw in flags(meta.flags) {
        match raw[0] {
            b'q' if is_quiet => {}
            b'k' if hides_key && flag(meta.flags, b'O').is_none() => put(KEY_PLACE),
            b'k' if hides_key && is_single(b'k') => {}
            _ => {
                put(b" ");
                put(raw);
            }
        }
        has_key |= raw[0] == b'k';
    }
    if !has_key {
        put(b" k");
    }
}

/// Returns the opaque, with its `O`, that the node must return for a meta command on `key` with the flags
/// `raw`, whose names are `names`.
#[inline]
pub fn opaque<'a>(names: Names, raw: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    if names.has(b'O') {
        return flag(raw, b'O');
    }
    // What `write_typed` writes instead of `k`.
    let has_place = names.has(b'b') && names.has(b'k') && needs_base64(key);
    has_place.then_some(KEY_PLACE.trim_ascii_start())
}

/// An opaque requested in place of a key that no line can carry.
pub const KEY_PLACE: &[u8] = b" Ok";

/// Returns true for keys that a classic text line can carry, whatever the node's version: without spaces,
/// line feeds and zero bytes.
#[inline]
pub fn is_bare(key: &[u8]) -> bool {
    !has_end(key)
}

/// Returns true for keys with spaces or control characters, which are sent in base64. memcached 1.6.18
/// forgets that a key was given in base64 if ma creates the item, if append or prepend make a new one, and
/// if a binary client stores it. It then returns the raw key, line ends included, so such a key is never
/// requested back.
pub fn needs_base64(key: &[u8]) -> bool {
    key.iter().any(|&byte| byte <= b' ' || byte == 0x7f)
}

/// The set of flag names in a text, so that one scan answers every question about them.
#[derive(Debug, Clone, Copy)]
pub struct Names(u128);

impl Names {
    /// Collects the names of the flags in `text`.
    #[inline]
    pub fn of(text: &[u8]) -> Names {
        let mut before = b' ';
        let names = text.iter().fold(0, |names, &byte| {
            let is_first = before == b' ' && byte != b' ' && byte < 128;
            before = byte;
            names | u128::from(is_first) << (byte & 127)
        });
        Names(names)
    }

    /// Whether there is a flag with this name, a letter.
    #[inline]
    pub fn has(self, name: u8) -> bool {
        self.0 >> (name & 127) & 1 == 1
    }

    /// Whether there is no flag beside those with these `names`, letters.
    pub fn are_among(self, names: &[u8]) -> bool {
        let known = names.iter().fold(0, |known, name| known | 1 << (name & 127));
        self.0 & !known == 0
    }
}

/// Returns the flags of a meta command, none of them empty.
#[inline]
pub fn flags(text: &[u8]) -> Flags<'_> {
    Flags(text)
}

/// The iterator that [`flags()`] returns. Runs of spaces are skipped eight bytes at a time.
#[derive(Debug, Clone)]
pub struct Flags<'a>(&'a [u8]);

impl<'a> Iterator for Flags<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let text = skip_spaces(self.0);
        let (flag, rest) = text.split_at(find_space(text));
        self.0 = rest;
        (!flag.is_empty()).then_some(flag)
    }
}

/// Returns the flags with one space between them. Copies only flags that are unusually long: a request that
/// is retained until its reply arrives must not contain long runs of spaces.
pub fn single_spaced(text: &[u8]) -> Cow<'_, [u8]> {
    /// The length in bytes up to which flags are left unchanged.
    const USUAL: usize = 96;
    if text.len() <= USUAL {
        return Cow::Borrowed(text);
    }
    let mut single = Vec::with_capacity(text.len());
    for flag in flags(text) {
        if !single.is_empty() {
            single.push(b' ');
        }
        single.extend_from_slice(flag);
    }
    single.shrink_to_fit();
    Cow::Owned(single)
}

/// Returns the flag that begins with `name`, with its token.
pub fn flag(text: &[u8], name: u8) -> Option<&[u8]> {
    flags(text).find(|flag| flag[0] == name)
}

/// Decodes a base64 key as memcached does (`base64_decode` in base64.c): other characters are skipped, and
/// what follows the padding is ignored. Returns the number of bytes written to `out`; 0 if it is not
/// base64.
pub fn decode_key(raw: &[u8], out: &mut [u8; MAX_KEY]) -> usize {
    let digits = || {
        raw.iter()
            .filter_map(|&byte| sextet(byte).map(|value| (byte, value)))
    };
    if !digits().count().is_multiple_of(4) {
        return 0;
    }
    let (mut length, mut word, mut pads) = (0, 0u32, 0);
    for (at, (byte, value)) in digits().enumerate() {
        word = word << 6 | value;
        pads += usize::from(byte == b'=');
        if at % 4 < 3 {
            continue;
        }
        if pads > 2 || length + 3 > out.len() {
            return 0;
        }
        out[length..length + 3].copy_from_slice(&word.to_be_bytes()[1..]);
        length += 3 - pads;
        if pads > 0 {
            break;
        }
    }
    length
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => 0,
        _ => return None,
    };
    Some(value.into())
}
