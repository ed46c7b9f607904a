//! What a client types in memcached's classic text protocol (doc/protocol.txt, proto_text.c).
//!
//! [`read_line`] takes one command line from the front of a buffer. A storage command's data block is
//! left to the caller, who knows how large a value may be; [`data_block`] then takes it.
//!
//! Where a line is wrong, it is answered with the words of memcached 1.6.18. Three rules are those of 1.6.45: a key
//! may have a zero byte, which ends the line in 1.6.18, a number may not, and the data block behind a bad key is
//! swallowed. The flags of a meta command may have no zero byte at all, since a node of 1.6.18 would not see what
//! stands behind it.
//!
//! A line of 16 KiB is read however it is cut. memcached closes the connection if more than 2048 bytes are there and
//! the line's end is not: [`is_long_part`] tells the session, which does so once the client pauses.

use memchr::memchr;

use super::classic::commands;
use super::line::Line;

/// memcached closes a connection whose line is longer than this with its end, unless it reads keys
/// (`READ_BUFFER_SIZE`).
const MAX_LINE: usize = 16 << 10;
/// Of a line whose end has not come memcached waits for no more than this, unless it reads keys.
const MAX_PART: usize = 2048;
/// A line that reads keys may be longer, but not without bound.
const MAX_READ_LINE: usize = 1 << 20;
/// Spaces before a long line that reads keys.
const MAX_INDENT: usize = 100;

/// What stands at the place of a data block.
#[derive(Debug, PartialEq, Eq)]
pub enum DataBlock<'a> {
    /// Not all of it is there yet.
    Partial,
    /// The value; it and its line end take `length + 2` bytes.
    Value(&'a [u8]),
    /// `length + 2` bytes that do not end in a line end: `CLIENT_ERROR bad data chunk`.
    Bad,
}

/// Takes the data block of `length` bytes from the front of `buf`.
pub fn data_block(buf: &[u8], length: usize) -> DataBlock<'_> {
    match buf.get(length..length + 2) {
        None => DataBlock::Partial,
        Some(b"\r\n") => DataBlock::Value(&buf[..length]),
        Some(_) => DataBlock::Bad,
    }
}

/// Takes one line from the front of `buf`: the line and how many bytes it took, with its line end.
/// `None`: the line's end is not there yet.
#[inline]
pub fn read_line(buf: &[u8]) -> Option<(Line<'_>, usize)> {
    read_line_from(buf, 0)
}

/// As [`read_line`], if it is known that the line's end is not among the first `searched` bytes: a line that arrives
/// in many pieces is looked through once.
#[inline]
pub fn read_line_from(buf: &[u8], searched: usize) -> Option<(Line<'_>, usize)> {
    let end = memchr(b'\n', &buf[searched..]).map(|end| searched + end);
    let length = end.map_or(buf.len(), |end| end + 1);
    // Of a whole line too, or its meaning would depend on the pieces in which it came.
    if length > MAX_LINE && (length > MAX_READ_LINE || !reads_keys(buf)) {
        return Some((Line::TooLong, buf.len()));
    }
    let end = end?;
    let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
    Some((commands::parse(line), end + 1))
}

/// Whether memcached would wait no longer for the end of the line at the front of `part`, which has none yet.
pub fn is_long_part(part: &[u8]) -> bool {
    part.len() > MAX_PART && !reads_keys(part)
}

fn reads_keys(buf: &[u8]) -> bool {
    let indent = buf
        .iter()
        .take(MAX_INDENT)
        .take_while(|&&byte| byte == b' ')
        .count();
    [&b"get "[..], b"gets ", b"gat ", b"gats "]
        .iter()
        .any(|start| buf[indent..].starts_with(start))
}
