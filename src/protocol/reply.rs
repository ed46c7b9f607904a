//! Parses a node's replies, meta and classic. Their vocabularies do not overlap, so one parser reads both.
//!
//! [`read`] returns the first reply in a buffer as offsets into that buffer. It never looks past the reply
//! and allocates nothing.

use std::ops::Range;

use memchr::memchr;

use super::Command;
use super::numbers::{parse_digits, parse_u64};
use super::scan::find_space;

/// The maximum length of a reply line. A key of 250 bytes with every flag stays far below.
const MAX_LINE: usize = 2048;
/// memcached can be configured for items of up to 1 GiB (`-I`); larger sizes are rejected as garbage.
const LARGEST_ITEM: u64 = 1 << 30;

/// The result of reading the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// An incomplete reply, which takes at least this many bytes in all.
    Partial(usize),
    /// A complete reply.
    Whole(Frame),
    /// A value above the limit; everything but the value is present. The caller must skip the whole reply.
    TooLarge(Frame),
    /// Not the beginning of any memcached reply.
    Garbage,
}

/// One reply, as offsets into the buffer that it was read from.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it says.
    pub status: ReplyStatus,
    /// The returned key; empty if there is none.
    pub key: Range<usize>,
    /// Whether the returned key is in base64, as memcached shows one that was stored so.
    pub is_base64: bool,
    /// Whether the item is stale (`X`).
    pub is_stale: bool,
    /// The returned opaque, with its `O`; empty if there is none.
    pub opaque: Range<usize>,
    /// The client's flags of a value.
    pub flags: u32,
    /// The cas id of a value; 0 if it has none.
    pub cas: u64,
    /// The value of [`ReplyStatus::Value`], the line of [`ReplyStatus::Error`] and [`ReplyStatus::Version`].
    pub data: Range<usize>,
    /// The length of the reply in bytes.
    pub length: usize,
}

/// The kind of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyStatus {
    /// A value: `VA`, or one of the `VALUE` lines before `END`.
    Value,
    /// `HD`, `STORED`, `DELETED`, `TOUCHED`, `OK`.
    Done,
    /// `NS`, `NOT_STORED`.
    NotStored,
    /// `EX`, `EXISTS`.
    Exists,
    /// A read found nothing (`EN`), or nothing more (`END`).
    Miss,
    /// A command other than a read did not find its key: `NF`, `NOT_FOUND`.
    NotFound,
    /// A classic number, the result of incr or decr.
    Number(u64),
    /// `ERROR`, `CLIENT_ERROR …`, `SERVER_ERROR …`.
    Error,
    /// `VERSION …`; `data` is the version.
    Version,
    /// `ME <key> …`; `data` is the whole line.
    Debug,
}

impl Frame {
    fn line(status: ReplyStatus, data: Range<usize>, length: usize) -> Frame {
        Frame {
            status,
            key: 0..0,
            is_base64: false,
            is_stale: false,
            opaque: 0..0,
            flags: 0,
            cas: 0,
            data,
            length,
        }
    }

    /// Whether the reply can answer `command`. Whether it returns the right key is left to the caller.
    pub fn answers(&self, command: Command) -> bool {
        use Command::{Decr, FlushAll, Incr, MetaArithmetic, MetaDebug, MetaDelete, MetaGet, Touch};
        let counts = matches!(command, Incr | Decr);
        match self.status {
            ReplyStatus::Error => true,
            ReplyStatus::Value => command.is_read() || counts || matches!(command, MetaGet | MetaArithmetic),
            ReplyStatus::Number(_) => counts,
            ReplyStatus::Done => !command.is_read() && !counts && command != MetaDebug,
            ReplyStatus::NotStored => command.is_store() || command == MetaArithmetic,
            ReplyStatus::Exists => command.is_store() || matches!(command, MetaDelete | MetaArithmetic),
            // In meta, touch is a read.
            ReplyStatus::Miss => command.is_read() || matches!(command, Touch | MetaGet | MetaDebug),
            ReplyStatus::NotFound => !command.is_read() && !matches!(command, MetaGet | MetaDebug | FlushAll),
            ReplyStatus::Debug => command == MetaDebug,
            ReplyStatus::Version => false,
        }
    }
}

/// Reads the reply at the front of `buf`. A value of more than `max_value` bytes is reported as soon as its
/// length is known.
#[inline]
pub fn read(buf: &[u8], max_value: usize) -> Read {
    // Complete lines are checked too, or the result would depend on how the bytes were split.
    if !is_start(buf) {
        return Read::Garbage;
    }
    let Some(newline) = memchr(b'\n', &buf[..buf.len().min(MAX_LINE)]) else {
        return if buf.len() < MAX_LINE {
            Read::Partial(buf.len() + 1)
        } else {
            Read::Garbage
        };
    };
    let Some(line) = buf[..newline].strip_suffix(b"\r") else {
        return Read::Garbage;
    };
    let length = newline + 1;
    match line {
        [b'V', b'A', b'L', b'U', b'E', b' ', ..] => classic_value(buf, line, length, max_value),
        [b'V', b'A', b' ', ..] => meta_value(buf, line, length, max_value),
        [b'M', b'E', b' ', rest @ ..] => {
            let key = find_space(rest);
            if has_control(&rest[key..]) {
                return Read::Garbage;
            }
            let frame = Frame::line(ReplyStatus::Debug, 0..line.len(), length);
            Read::Whole(Frame {
                key: 3..3 + key,
                ..frame
            })
        }
        [b'E', b'N'] | [b'E', b'N', b' ', ..] => meta_status(ReplyStatus::Miss, line, length),
        [b'H', b'D'] | [b'H', b'D', b' ', ..] => meta_status(ReplyStatus::Done, line, length),
        [b'N', b'F'] | [b'N', b'F', b' ', ..] => meta_status(ReplyStatus::NotFound, line, length),
        [b'N', b'S'] | [b'N', b'S', b' ', ..] => meta_status(ReplyStatus::NotStored, line, length),
        [b'E', b'X'] | [b'E', b'X', b' ', ..] => meta_status(ReplyStatus::Exists, line, length),
        _ => classic(line, length),
    }
}

/// Whether the reply at the front of `buf`, which is not an error, is a meta reply. A meta client gets the
/// node's line unchanged, so it must not get another kind.
pub fn is_meta(buf: &[u8]) -> bool {
    let status = buf.get(..2).unwrap_or_default();
    let is_word_end = matches!(buf.get(2), Some(b' ' | b'\r'));
    is_word_end && matches!(status, b"VA" | b"HD" | b"EN" | b"NF" | b"NS" | b"EX" | b"ME")
}

/// Whether a reply may begin with these bytes: with a letter or a digit, and without control bytes.
fn is_start(buf: &[u8]) -> bool {
    buf.first()
        .is_none_or(|first| first.is_ascii_uppercase() || first.is_ascii_digit())
}

fn meta_status(status: ReplyStatus, line: &[u8], length: usize) -> Read {
    let mut frame = Frame::line(status, 0..0, length);
    match read_flags(&mut frame, line, 2) {
        Some(()) => Read::Whole(frame),
        None => Read::Garbage,
    }
}

/// Reads `VA <length> <flags>*` and the value.
fn meta_value(buf: &[u8], line: &[u8], start: usize, max_value: usize) -> Read {
    let size_end = 3 + find_space(&line[3..]);
    let Some(size) = parse_digits(&line[3..size_end]).filter(|size| *size <= LARGEST_ITEM) else {
        return Read::Garbage;
    };
    let data = start..start + size as usize;
    let mut frame = Frame::line(ReplyStatus::Value, data.clone(), data.end + 2);
    match read_flags(&mut frame, line, size_end) {
        Some(()) => with_data(buf, frame, max_value),
        None => Read::Garbage,
    }
}

/// Completes the reply in `frame`, whose line is complete, with its value.
#[inline]
fn with_data(buf: &[u8], frame: Frame, max_value: usize) -> Read {
    if frame.data.len() > max_value {
        return Read::TooLarge(frame);
    }
    match buf.get(frame.data.end..frame.length) {
        None => Read::Partial(frame.length),
        Some(b"\r\n") => Read::Whole(frame),
        Some(_) => Read::Garbage,
    }
}

/// Reads the flags of a meta reply from `line[from..]`: `k` the key, `O` the opaque, `f` the flags, `c` the cas id.
#[inline]
fn read_flags(frame: &mut Frame, line: &[u8], from: usize) -> Option<()> {
    let mut at = from;
    while at < line.len() {
        at += 1; // the space
        let end = at + find_space(&line[at..]);
        match line.get(at) {
            // What the client sent is returned as it was sent, and is compared.
            Some(b'k') => frame.key = at + 1..end,
            Some(b'O') => frame.opaque = at..end,
            Some(b'f') => frame.flags = parse_digits(&line[at + 1..end])?.try_into().ok()?,
            Some(b'c') => frame.cas = parse_digits(&line[at + 1..end])?,
            // The rest is the node's own.
            name => {
                frame.is_base64 |= name == Some(&b'b');
                frame.is_stale |= name == Some(&b'X');
                if has_control(&line[at..end]) {
                    return None;
                }
            }
        }
        at = end;
    }
    Some(())
}

/// Whether `text`, mostly a byte or two, has a control character in it.
#[inline]
fn has_control(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_control)
}

fn classic(line: &[u8], length: usize) -> Read {
    let whole = |status, data| Read::Whole(Frame::line(status, data, length));
    match line {
        b"STORED" | b"DELETED" | b"TOUCHED" | b"OK" => whole(ReplyStatus::Done, 0..0),
        b"NOT_STORED" => whole(ReplyStatus::NotStored, 0..0),
        b"EXISTS" => whole(ReplyStatus::Exists, 0..0),
        b"NOT_FOUND" => whole(ReplyStatus::NotFound, 0..0),
        b"END" => whole(ReplyStatus::Miss, 0..0),
        b"ERROR" => whole(ReplyStatus::Error, 0..line.len()),
        _ if line.starts_with(b"VERSION ") => whole(ReplyStatus::Version, 8..line.len()),
        _ if [&b"ERROR "[..], b"CLIENT_ERROR", b"SERVER_ERROR"]
            .iter()
            .any(|word| line.starts_with(word)) =>
        {
            whole(ReplyStatus::Error, 0..line.len())
        }
        // decr leaves trailing spaces if the number became shorter.
        _ => match parse_u64(line.trim_ascii_end()) {
            Some(number) => whole(ReplyStatus::Number(number), 0..0),
            None => Read::Garbage,
        },
    }
}

/// Reads `VALUE <key> <flags> <length>[ <cas>]` and the value.
#[inline]
fn classic_value(buf: &[u8], line: &[u8], start: usize, max_value: usize) -> Read {
    let Some(frame) = value_line(line, start) else {
        return Read::Garbage;
    };
    with_data(buf, frame, max_value)
}

#[inline]
fn value_line(line: &[u8], start: usize) -> Option<Frame> {
    const KEY: usize = 6;
    let key = find_space(&line[KEY..]);
    let mut rest = line.get(KEY + key + 1..)?;
    let flags = take_number(&mut rest)?.try_into().ok()?;
    let size = take_number(&mut rest).filter(|&size| size <= LARGEST_ITEM)?;
    let cas = if rest.is_empty() {
        0
    } else {
        take_number(&mut rest)?
    };
    let data = start..start + size as usize;
    let frame = Frame::line(ReplyStatus::Value, data.clone(), data.end + 2);
    rest.is_empty().then_some(Frame {
        key: KEY..KEY + key,
        flags,
        cas,
        ..frame
    })
}

/// Returns the length of the reply at the front of `buf` if it is the value of `key` in classic text, complete and of at
/// most `max_value` bytes: less work than [`read`], which must be asked what it is otherwise.
#[inline]
pub fn length_of_value(buf: &[u8], key: &[u8], max_value: usize) -> Option<usize> {
    let rest = buf.strip_prefix(b"VALUE ")?.strip_prefix(key)?;
    let (flags, rest) = digits(rest.strip_prefix(b" ")?)?;
    let (size, rest) = digits(rest.strip_prefix(b" ")?)?;
    let rest = match rest {
        [b' ', cas @ ..] => digits(cas)?.1,
        _ => rest,
    };
    let data = rest.strip_prefix(b"\r\n")?;
    if flags > u32::MAX.into() || size > LARGEST_ITEM || size > max_value as u64 {
        return None;
    }
    let end = data.get(size as usize..)?;
    end.starts_with(b"\r\n").then(|| buf.len() - end.len() + 2)
}

/// Takes a number of at most 19 digits, which fits into 64 bits, from the front of `text`.
#[inline]
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut length) = (0u64, 0);
    while let Some(digit @ 0..=9) = text.get(length).map(|byte| byte.wrapping_sub(b'0')) {
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        length += 1;
    }
    (1..20).contains(&length).then(|| (number, &text[length..]))
}

/// Takes digits, and the space behind them if any, from the front of `text`. `None` if it begins with
/// anything else.
#[inline]
fn take_number(text: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    let mut digits = 0;
    while let Some(digit @ 0..=9) = text.get(digits).map(|byte| byte.wrapping_sub(b'0')) {
        number = number.checked_mul(10)?.checked_add(digit.into())?;
        digits += 1;
    }
    *text = match &text[digits..] {
        [] => b"",
        [b' ', rest @ ..] => rest,
        _ => return None,
    };
    (digits > 0).then_some(number)
}
