//! Parses the replies of a Valkey or Redis in RESP2, one at a time. Arrays are read element by element, so that a
//! multi-get of large values is never in memory as a whole.
//!
//! [`read`] returns the first reply in a buffer as offsets into that buffer. It never looks past it and allocates
//! nothing.

use std::ops::Range;

use memchr::memchr;

/// The maximum length of a line. Errors of scripts, which repeat a line of the script, stay far below.
const MAX_LINE: usize = 4096;
/// The largest bulk string of a server by default (`proto-max-bulk-len`); longer ones are rejected as garbage.
const LARGEST_BULK: usize = 512 << 20;
/// The largest number of elements in an array.
const LARGEST_ARRAY: u32 = 1 << 20;

/// The result of reading the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// An incomplete reply, which takes at least this many bytes in all.
    Partial(usize),
    /// A complete reply; of an array, its first line.
    Whole(Frame),
    /// A bulk string above the limit. The caller must skip the whole reply.
    TooLarge(Frame),
    /// Not the beginning of any reply.
    Garbage,
}

/// One reply, as offsets into the buffer that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: FrameKind,
    /// The text of a simple string, an error or a bulk string, without its line end.
    pub data: Range<usize>,
    /// The length of the reply in bytes; of an array, that of its first line.
    pub length: usize,
}

/// The type of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// `+OK`
    Simple,
    /// `-ERR …`
    Error,
    /// `:7`
    Integer(i64),
    /// `$5`, and five bytes behind it.
    Bulk,
    /// `$-1` or `*-1`
    Null,
    /// `*7`, and seven replies behind it.
    Array(u32),
}

/// Reads the reply at the front of `buf`. A bulk string of more than `max_bulk` bytes is reported as soon as its
/// length is known.
#[inline]
pub fn read(buf: &[u8], max_bulk: usize) -> Read {
    let Some(&first) = buf.first() else {
        return Read::Partial(1);
    };
    if !b"+-:$*".contains(&first) {
        return Read::Garbage;
    }
    let Some(newline) = memchr(b'\n', &buf[..buf.len().min(MAX_LINE)]) else {
        return match buf.len() < MAX_LINE {
            true => Read::Partial(buf.len() + 1),
            false => Read::Garbage,
        };
    };
    let Some(line) = buf[1..newline].strip_suffix(b"\r") else {
        return Read::Garbage;
    };
    let (data, length) = (1..newline - 1, newline + 1);
    let whole = |kind| Read::Whole(Frame { kind, data, length });
    match (first, integer(line)) {
        (b'+', _) => whole(FrameKind::Simple),
        (b'-', _) => whole(FrameKind::Error),
        (b':', Some(number)) => whole(FrameKind::Integer(number)),
        (b'$' | b'*', Some(-1)) => whole(FrameKind::Null),
        (b'$', Some(size)) => bulk(buf, size, length, max_bulk),
        (b'*', Some(count)) => match u32::try_from(count) {
            Ok(count) if count <= LARGEST_ARRAY => whole(FrameKind::Array(count)),
            _ => Read::Garbage,
        },
        _ => Read::Garbage,
    }
}

#[inline]
fn bulk(buf: &[u8], size: i64, start: usize, max_bulk: usize) -> Read {
    let Some(size) = usize::try_from(size).ok().filter(|size| *size <= LARGEST_BULK) else {
        return Read::Garbage;
    };
    let frame = Frame {
        kind: FrameKind::Bulk,
        data: start..start + size,
        length: start + size + 2,
    };
    if size > max_bulk {
        return Read::TooLarge(frame);
    }
    match buf.get(frame.data.end..frame.length) {
        None => Read::Partial(frame.length),
        Some(b"\r\n") => Read::Whole(frame),
        Some(_) => Read::Garbage,
    }
}

/// Parses digits with an optional minus sign, and nothing else.
#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |number, &byte| {
        let digit = i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        let digit = if is_negative { -digit } else { digit };
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(kind: FrameKind, data: Range<usize>, length: usize) -> Read {
        Read::Whole(Frame { kind, data, length })
    }

    #[test]
    fn each_type_is_read_and_nothing_behind_it() {
        for (text, expected) in [
            ("+OK\r\n-", whole(FrameKind::Simple, 1..3, 5)),
            ("-ERR no\r\n", whole(FrameKind::Error, 1..7, 9)),
            (":0\r\n", whole(FrameKind::Integer(0), 1..2, 4)),
            (
                ":-9223372036854775808\r\n",
                whole(FrameKind::Integer(i64::MIN), 1..21, 23),
            ),
            ("$0\r\n\r\n", whole(FrameKind::Bulk, 4..4, 6)),
            ("$3\r\na\nb\r\n$1", whole(FrameKind::Bulk, 4..7, 9)),
            ("$-1\r\n", whole(FrameKind::Null, 1..3, 5)),
            ("*-1\r\n", whole(FrameKind::Null, 1..3, 5)),
            ("*2\r\n$1\r\n", whole(FrameKind::Array(2), 1..2, 4)),
        ] {
            assert_eq!(read(text.as_bytes(), 100), expected, "{text:?}");
        }
    }

    #[test]
    fn a_reply_is_the_same_however_its_bytes_are_split() {
        for text in [
            "+OK\r\n",
            "-ERR x\r\n",
            ":12\r\n",
            "$4\r\nabcd\r\n",
            "$-1\r\n",
            "*3\r\n",
        ] {
            let bytes = text.as_bytes();
            for end in 0..bytes.len() {
                let Read::Partial(least) = read(&bytes[..end], 100) else {
                    panic!("{text:?} is complete after {end} bytes")
                };
                assert!(
                    (end + 1..=bytes.len()).contains(&least),
                    "{text:?} {end}: {least}"
                );
            }
        }
    }

    #[test]
    fn what_no_server_says_is_garbage() {
        for text in [
            "VALUE k 0 1\r\n",
            "\r\n",
            "+OK\n",
            "$x\r\n",
            "$-2\r\n",
            "$\r\n",
            "*-2\r\n",
            "*9999999\r\n",
            ":\r\n",
            ":1 \r\n",
            ":9223372036854775808\r\n",
            "$1\r\nabc",
            "$99999999999\r\n",
            "%1\r\n",
            "_\r\n",
        ] {
            assert_eq!(read(text.as_bytes(), 100), Read::Garbage, "{text:?}");
        }
        assert_eq!(read(&[b'+'; MAX_LINE], 100), Read::Garbage);
    }

    #[test]
    fn a_large_bulk_string_is_reported_before_it_arrives() {
        let frame = Frame {
            kind: FrameKind::Bulk,
            data: 6..107,
            length: 109,
        };
        assert_eq!(read(b"$101\r\n", 100), Read::TooLarge(frame));
    }
}
