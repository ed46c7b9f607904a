//! A request as memcached's meta commands say it (doc/protocol.txt, "Meta Commands"), since 1.6.10.
//!
//! Every command asks for its key back (`k`), so that each reply can be checked against the request it
//! answers. Meta has no flush_all: that one stays classic.
//!
//! Keys travel as they are, but for those with a zero byte: older nodes take that for the end of the line, so such
//! a key travels in base64.

pub mod answer;
pub mod commands;
pub mod flags;
pub mod reply;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::scan::{find_space, has_end, has_nul, skip_spaces};
use super::{Command, MAX_KEY, Request, classic};

/// The longest key that is within [`MAX_KEY`] in base64.
pub const MAX_ENCODED_KEY: usize = MAX_KEY / 4 * 3;

/// Writes `request` up to the value; the value and its line end follow for the storage commands.
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

/// Puts `key`, and behind it the flag that says how.
#[inline]
fn put_key_and_flag(key: &[u8], put: &mut impl FnMut(&[u8])) {
    let flag = put_key(key, put);
    if !flag.is_empty() {
        put(flag);
    }
}

/// Puts `key`. Returns the flag that says how, with a space before it; most keys need none.
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

/// Whether a line can carry the key of `request`, as it is or in base64.
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
        // What is there keeps its flags and its expiry.
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

/// Passes a meta command on as it was typed, but for two flags: `q` is left out, since others share the link
/// and each request must have its reply, and `k` is added where it is missing.
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
    // Nearly every request has neither: its flags go out in one piece.
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
    // A flag that is there twice is a mistake, which the node has to see.
    let is_quiet = flags(meta.flags).filter(|flag| flag[0] == b'q').count() == 1;
    let is_unsayable = names.has(b'b') && is_unsayable(request.key);
    let mut has_key = request.command == Command::MetaDebug || is_unsayable;
    for raw in flags(meta.flags) {
        match raw[0] {
            b'q' if is_quiet => {}
            b'k' if is_unsayable && flag(meta.flags, b'O').is_none() => put(KEY_PLACE),
            b'k' if is_unsayable => {}
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

/// The opaque, with its `O`, that comes back to a meta command on `key` that was typed with these flags,
/// which have these names.
#[inline]
pub fn opaque<'a>(names: Names, raw: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    if names.has(b'O') {
        return flag(raw, b'O');
    }
    // What write_typed puts in the place of `k`.
    let has_place = names.has(b'b') && names.has(b'k') && is_unsayable(key);
    has_place.then_some(KEY_PLACE.trim_ascii_start())
}

/// An opaque that is asked for where a key that no line can carry is to come back.
pub const KEY_PLACE: &[u8] = b" Ok";

/// True for keys that a line of classic text can carry, whatever the node's version: without spaces, line feeds and
/// zero bytes.
#[inline]
pub fn is_bare(key: &[u8]) -> bool {
    !has_end(key)
}

/// True for keys with spaces or control characters. Where such a key was given in base64, memcached 1.6.18 forgets that
/// it was when ma creates an item, when append or prepend make a new one, and when a binary client stores it, and
/// brings it back as it is, line ends and all: so it is not asked for.
pub fn is_unsayable(key: &[u8]) -> bool {
    key.iter().any(|&byte| byte <= b' ' || byte == 0x7f)
}

/// Which flags there are, by their first byte: one look at the text answers for all.
#[derive(Debug, Clone, Copy)]
pub struct Names(u128);

impl Names {
    /// Of the flags in `text`.
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

/// The flags of a meta command, none of them empty.
#[inline]
pub fn flags(text: &[u8]) -> Flags<'_> {
    Flags(text)
}

/// What [`flags`] returns. Runs of spaces are passed over eight bytes at a time.
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

/// The flags with one space between them. Only what is longer than clients type is copied: what is kept of a request
/// until its reply comes is to have no runs of spaces.
pub fn single_spaced(text: &[u8]) -> Cow<'_, [u8]> {
    /// The longest flags that are left as they are, in bytes.
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

/// The flag that begins with `name`, with its token.
pub fn flag(text: &[u8], name: u8) -> Option<&[u8]> {
    flags(text).find(|flag| flag[0] == name)
}

/// Decodes a key in base64 as memcached does (`base64_decode` in base64.c): other characters are passed over,
/// and what follows the padding is not looked at. Returns how many bytes of `out` it took; 0: no base64.
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
