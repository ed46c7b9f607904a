//! Parses the line of each classic command, token by token, with memcached's answers to malformed ones.

use crate::protocol::line::{
    BAD_FORMAT, ERROR, Keys, Line, MAX_LENGTH, bad, is_good_key, long_key, next_token,
};
use crate::protocol::meta::commands::{set, single};
use crate::protocol::numbers::{parse_i32, parse_u32, parse_u64};
use crate::protocol::{Command, Request};

const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta argument";
const BAD_EXPTIME: &str = "CLIENT_ERROR invalid exptime argument";
const BAD_DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";

/// Parses a line, given without its line end.
#[inline]
pub fn parse(line: &[u8]) -> Line<'_> {
    let mut rest = line;
    match next_token(&mut rest) {
        b"get" | b"bget" => read(Command::Get, 0, rest),
        b"gets" => read(Command::Gets, 0, rest),
        b"gat" => read_and_touch(Command::Gat, rest),
        b"gats" => read_and_touch(Command::Gats, rest),
        b"set" => store(Command::Set, rest),
        b"add" => store(Command::Add, rest),
        b"replace" => store(Command::Replace, rest),
        b"append" => store(Command::Append, rest),
        b"prepend" => store(Command::Prepend, rest),
        b"cas" => store(Command::Cas, rest),
        b"incr" => arithmetic(Command::Incr, rest),
        b"decr" => arithmetic(Command::Decr, rest),
        b"delete" => delete(rest),
        b"touch" => touch(rest),
        b"mg" => single(Command::MetaGet, rest),
        b"ms" => set(rest),
        b"md" => single(Command::MetaDelete, rest),
        b"ma" => single(Command::MetaArithmetic, rest),
        b"mn" => Line::Noop,
        b"me" => single(Command::MetaDebug, rest),
        b"flush_all" => flush_all(rest),
        b"version" => Line::Version,
        b"verbosity" => verbosity(rest),
        b"stats" => Line::Stats(trim_spaces(rest)),
        b"quit" => Line::Quit,
        word if is_http(word, rest) => Line::Http,
        _ => bad(ERROR),
    }
}

/// Trims spaces on both sides. Other white space is part of a word.
fn trim_spaces(text: &[u8]) -> &[u8] {
    let is_word = |&byte: &u8| byte != b' ';
    let Some(start) = text.iter().position(is_word) else {
        return b"";
    };
    let end = text.iter().rposition(is_word).expect("there is one at start");
    &text[start..=end]
}

/// HTTP methods; none is a memcached command in any case.
const HTTP_METHODS: [&[u8]; 7] = [
    b"POST", b"PUT", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT",
];

/// Returns true if the line, which begins with `word`, is the first line of an HTTP request. memcached
/// recognises it by the version; here the method is enough, because an attacker may have placed commands in
/// the form or headers that follow.
fn is_http(word: &[u8], mut rest: &[u8]) -> bool {
    let first = next_token(&mut rest);
    let mut last = if first.is_empty() { word } else { first };
    loop {
        match next_token(&mut rest) {
            b"" => break,
            token => last = token,
        }
    }
    let is_path = matches!(first.first(), Some(b'/' | b'*')) || first.starts_with(b"http");
    last.starts_with(b"HTTP/")
        || HTTP_METHODS.contains(&word)
        || matches!(word, b"GET" | b"DELETE") && is_path
}

/// Returns an error that has no data block behind it; it is not sent if the client asked for no reply.
fn refuse<'a>(answer: &'static str, noreply: bool) -> Line<'a> {
    Line::Bad {
        answer,
        swallow: 0,
        noreply,
        has_long_key: false,
    }
}

fn read(command: Command, exptime: i64, rest: &[u8]) -> Line<'_> {
    let keys = Keys(rest);
    let mut count = 0;
    for key in keys {
        if !is_good_key(key) {
            return long_key(0, false);
        }
        count += 1;
    }
    match command {
        Command::Get | Command::Gets if count == 0 => bad(ERROR),
        _ => Line::Read {
            command,
            exptime,
            keys,
        },
    }
}

fn read_and_touch(command: Command, mut rest: &[u8]) -> Line<'_> {
    match next_token(&mut rest) {
        b"" => bad(ERROR),
        token => match parse_i32(token) {
            Some(exptime) => read(command, exptime.into(), rest),
            None => bad(BAD_EXPTIME),
        },
    }
}

/// Returns the arguments of a command, at most `N`, their number, and whether the last one is `noreply`.
/// `None` if there are more than `N` or fewer than `least`.
fn arguments<const N: usize>(mut rest: &[u8], least: usize) -> Option<([&[u8]; N], usize, bool)> {
    let mut tokens = [&b""[..]; N];
    let mut count = 0;
    loop {
        match next_token(&mut rest) {
            b"" => break,
            _ if count == N => return None,
            token => tokens[count] = token,
        }
        count += 1;
    }
    let noreply = count > 0 && tokens[count - 1] == b"noreply";
    (count >= least).then_some((tokens, count, noreply))
}

fn store(command: Command, rest: &[u8]) -> Line<'_> {
    // key flags exptime length, the id for cas, and perhaps noreply: with one token more it is not a
    // command.
    let wanted = if command == Command::Cas { 5 } else { 4 };
    let Some((tokens, count, noreply)) = arguments::<6>(rest, wanted) else {
        return bad(ERROR);
    };
    if count > wanted + 1 {
        return bad(ERROR);
    }
    let [key, flags, exptime, length, cas, _] = tokens;
    let length = parse_i32(length)
        .filter(|length| (0..=MAX_LENGTH).contains(length))
        .map(|n| n as usize);
    if !is_good_key(key) {
        // Without a valid length there is no data block to swallow.
        return long_key(length.map_or(0, |length| length + 2), noreply);
    }
    let cas = if command == Command::Cas {
        parse_u64(cas)
    } else {
        Some(0)
    };
    match (parse_u32(flags), parse_i32(exptime), length, cas) {
        (Some(flags), Some(exptime), Some(length), Some(cas)) => {
            let request = Request {
                flags,
                exptime: exptime.into(),
                cas,
                ..Request::new(command, key)
            };
            Line::Store {
                request,
                length,
                noreply,
            }
        }
        _ => refuse(BAD_FORMAT, noreply),
    }
}

fn arithmetic(command: Command, rest: &[u8]) -> Line<'_> {
    let Some(([key, delta, _], _, noreply)) = arguments::<3>(rest, 2) else {
        return bad(ERROR);
    };
    if !is_good_key(key) {
        return long_key(0, noreply);
    }
    match parse_u64(delta) {
        Some(delta) => Line::Single {
            request: Request {
                delta,
                ..Request::new(command, key)
            },
            noreply,
        },
        None => refuse(BAD_DELTA, noreply),
    }
}

fn touch(rest: &[u8]) -> Line<'_> {
    let Some(([key, exptime, _], _, noreply)) = arguments::<3>(rest, 2) else {
        return bad(ERROR);
    };
    if !is_good_key(key) {
        return long_key(0, noreply);
    }
    match parse_i32(exptime) {
        Some(exptime) => {
            let request = Request {
                exptime: exptime.into(),
                ..Request::new(Command::Touch, key)
            };
            Line::Single { request, noreply }
        }
        None => refuse(BAD_EXPTIME, noreply),
    }
}

fn delete(rest: &[u8]) -> Line<'_> {
    let Some(([key, hold, _], count, noreply)) = arguments::<3>(rest, 1) else {
        return bad(ERROR);
    };
    // Old clients send `delete k 0`; any other hold time is refused. A zero byte ends it.
    let hold = hold.split(|&byte| byte == 0).next().unwrap_or_default();
    let is_zero = matches!(hold, b"0" | b"");
    let is_valid = match count {
        1 => true,
        2 => is_zero || noreply,
        _ => is_zero && noreply,
    };
    match (is_valid, is_good_key(key)) {
        (false, _) => refuse(BAD_DELETE, noreply),
        (_, false) => long_key(0, noreply),
        _ => Line::Single {
            request: Request::new(Command::Delete, key),
            noreply: noreply && count > 1,
        },
    }
}

fn flush_all(rest: &[u8]) -> Line<'_> {
    let Some(([delay, _], count, noreply)) = arguments::<2>(rest, 0) else {
        return bad(ERROR);
    };
    if count == usize::from(noreply) {
        return Line::FlushAll { delay: 0, noreply };
    }
    match parse_i32(delay) {
        Some(delay) => Line::FlushAll {
            delay: delay.into(),
            noreply,
        },
        None => refuse(BAD_EXPTIME, noreply),
    }
}

fn verbosity(rest: &[u8]) -> Line<'_> {
    let Some(([level, _], _, noreply)) = arguments::<2>(rest, 1) else {
        return bad(ERROR);
    };
    if level == b"noreply" || parse_u32(level).is_some() {
        return Line::Verbosity { noreply };
    }
    refuse(BAD_FORMAT, noreply)
}
