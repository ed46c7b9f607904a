//! Answers to meta commands: the node's own line, or one built from the command's flags.
//!
//! A node with meta already answers in meta: only the key is removed again, which Ringway requests for
//! itself. If the node failed, or speaks classic text, the line is built here. Then quiet mode hides what
//! memcached would hide: the misses of mg and the successes of the other commands.

use std::ops::Range;

use memchr::memmem;

use crate::protocol::meta::{KEY_PLACE, Names, flag, flags, needs_base64};
use crate::protocol::numbers::parse_u64;
use crate::protocol::scan::has_nul;
use crate::protocol::{Command, Item, MAX_KEY, Meta, MetaReply, Part, Reply};

/// Writes the answer to a meta command that the client sent with `key` and `raw` flags, up to its value,
/// and returns the value that follows, with a line end behind it. Writes nothing if quiet mode hides the
/// answer.
pub fn write<'a>(
    command: Command,
    key: &[u8],
    raw: &[u8],
    reply: &'a Reply,
    put: &mut impl FnMut(&[u8]),
) -> Option<Part<'a>> {
    let is_read = matches!(command, Command::MetaGet | Command::MetaDebug);
    let status: &[u8] = match reply {
        Reply::Meta(reply) => return pass_on(command, key, raw, reply, put),
        Reply::Value(item) => return write_value(key, raw, item, put),
        Reply::Number(number) => {
            write_number(key, raw, *number, put);
            return None;
        }
        Reply::Done => b"HD",
        Reply::NotStored => b"NS",
        Reply::Exists => b"EX",
        Reply::NotFound if is_read => b"EN",
        Reply::NotFound => b"NF",
        Reply::Error(line) | Reply::Refused(line) | Reply::Text(line) => line,
        Reply::Failed(failure) => failure.line().as_bytes(),
    };
    if is_hidden(command, raw, status, None) {
        return None;
    }
    put(status);
    // Neither errors nor me return flags.
    if status.len() == 2 && command != Command::MetaDebug {
        write_flags(key, raw, None, put);
    }
    put(b"\r\n");
    None
}

/// Whether the `q` flag hides the answer, whose value is `data`.
fn is_hidden(command: Command, raw: &[u8], status: &[u8], data: Option<&[u8]>) -> bool {
    if flag(raw, b'q').is_none() {
        return false;
    }
    match command {
        Command::MetaGet => status == b"EN",
        // memcached shows the number if ma created it, which is recognised by its initial value.
        Command::MetaArithmetic if status == b"VA" => {
            let is_created = flag(raw, b'N').is_some() && parse_u64(data.unwrap_or_default()) == initial(raw);
            !is_created
        }
        Command::MetaSet | Command::MetaDelete | Command::MetaArithmetic => status == b"HD",
        _ => false,
    }
}

fn initial(raw: &[u8]) -> Option<u64> {
    flag(raw, b'J').map_or(Some(0), |flag| parse_u64(&flag[1..]))
}

fn pass_on<'a>(
    command: Command,
    key: &[u8],
    raw: &[u8],
    reply: &'a MetaReply,
    put: &mut impl FnMut(&[u8]),
) -> Option<Part<'a>> {
    let names = Names::of(raw);
    let status = &reply.line()[..reply.line().len().min(2)];
    if names.has(b'q') && is_hidden(command, raw, status, reply.data()) {
        return None;
    }
    let meta = Meta {
        key,
        flags: raw,
        is_binary: false,
    };
    if command == Command::MetaDebug {
        put(reply.line());
    } else if names.has(b'b') && needs_base64(meta.plain_key(&mut [0; MAX_KEY])) {
        put_with_key(key, raw, reply, put);
    } else if names.has(b'k') && !has_nul(key) {
        put(reply.line());
    } else {
        put(&reply.line()[..reply.key().start]);
        // The client does not know that its key was sent in base64.
        if names.has(b'k') && !reply.key().is_empty() {
            put(b" k");
            put(key);
        }
        put(without_base64_flag(&reply.line()[reply.key().end..]));
    }
    put(b"\r\n");
    reply.part()
}

/// Inserts the key as the client sent it: a link does not request such a key, an embedded node returns it.
fn put_with_key(key: &[u8], raw: &[u8], reply: &MetaReply, put: &mut impl FnMut(&[u8])) {
    let line = reply.line();
    if flag(raw, b'k').is_none() {
        return put(line);
    }
    let is_token = |at: &usize| matches!(line.get(at + KEY_PLACE.len()), None | Some(b' '));
    let place = memmem::find_iter(line, KEY_PLACE)
        .find(is_token)
        .filter(|_| flag(raw, b'O').is_none());
    let (before, after) = match place {
        _ if !reply.key().is_empty() => {
            let Range { start, end } = reply.key();
            (&line[..start], without_base64_flag(&line[end..]))
        }
        Some(at) => (&line[..at], &line[at + KEY_PLACE.len()..]),
        None => line.split_at(behind_flags_before_key(raw, line)),
    };
    put(before);
    put(b" k");
    put(key);
    put(b" b");
    put(after);
}

/// Returns the offset in `line` at which the key belongs: flags are returned in the order of the request.
fn behind_flags_before_key(raw: &[u8], line: &[u8]) -> usize {
    let before: Vec<u8> = flags(raw)
        .map(|flag| flag[0])
        .take_while(|&name| name != b'k')
        .collect();
    let words = if line.starts_with(b"VA") { 2 } else { 1 };
    let tokens = line.split(|&byte| byte == b' ').enumerate();
    let is_before =
        |index: usize, token: &[u8]| index < words || token.first().is_some_and(|name| before.contains(name));
    let lengths = tokens
        .take_while(|&(index, token)| is_before(index, token))
        .map(|(_, token)| token.len() + 1);
    lengths.sum::<usize>() - 1
}

/// Removes the flag that memcached puts behind a key that was stored in base64.
pub fn without_base64_flag(behind_key: &[u8]) -> &[u8] {
    match behind_key {
        [b' ', b'b'] => b"",
        [b' ', b'b', rest @ ..] if rest[0] == b' ' => rest,
        _ => behind_key,
    }
}

fn write_value<'a>(key: &[u8], raw: &[u8], item: &'a Item, put: &mut impl FnMut(&[u8])) -> Option<Part<'a>> {
    let has_value = flag(raw, b'v').is_some();
    if has_value {
        put(b"VA ");
        put(itoa::Buffer::new().format(item.size()).as_bytes());
    } else {
        put(b"HD");
    }
    write_flags(key, raw, Some(item), put);
    put(b"\r\n");
    has_value.then(|| item.part())
}

fn write_number(key: &[u8], raw: &[u8], number: u64, put: &mut impl FnMut(&[u8])) {
    let mut buffer = itoa::Buffer::new();
    let number = buffer.format(number).as_bytes();
    let has_value = flag(raw, b'v').is_some();
    let status: &[u8] = if has_value { b"VA" } else { b"HD" };
    if is_hidden(Command::MetaArithmetic, raw, status, Some(number)) {
        return;
    }
    put(status);
    if has_value {
        put(b" ");
        put(itoa::Buffer::new().format(number.len()).as_bytes());
    }
    write_flags(key, raw, None, put);
    put(b"\r\n");
    if has_value {
        put(number);
        put(b"\r\n");
    }
}

/// Writes the returned flags in the order of the request.
fn write_flags(key: &[u8], raw: &[u8], item: Option<&Item>, put: &mut impl FnMut(&[u8])) {
    let mut number = itoa::Buffer::new();
    let is_base64 = flag(raw, b'b').is_some();
    let mut field = |name: &[u8], value: &[u8]| {
        put(b" ");
        put(name);
        put(value);
    };
    for flag in flags(raw) {
        match (flag[0], item) {
            (b'O', _) => field(b"", flag),
            // As memcached, which writes this flag behind a key only.
            (b'k', _) if is_base64 => field(b"k", &[key, b" b"].concat()),
            (b'k', _) => field(b"k", key),
            (b'f', Some(item)) => field(b"f", number.format(item.flags).as_bytes()),
            (b'c', Some(item)) => field(b"c", number.format(item.cas).as_bytes()),
            (b's', Some(item)) => field(b"s", number.format(item.size()).as_bytes()),
            _ => {}
        }
    }
}
