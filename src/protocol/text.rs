//! Frames the lines of a text client (doc/protocol.txt, proto_text.c).
//!
//! [`read_line`] takes one command line from the front of a buffer. A storage command's data block is left
//! to the caller, who knows the maximum size of a value; [`data_block`] then takes it.
//!
//! Malformed lines get the answers of memcached 1.6.18. Three rules are those of 1.6.45: a key may contain
//! a zero byte (which ends the line in 1.6.18), a number may not, and the data block behind a bad key is
//! swallowed. The flags of a meta command may not contain a zero byte at all, because a node of 1.6.18
//! would not see what follows it.
//!
//! A line of up to 16 KiB is read however it is split. memcached closes the connection if it has more than
//! 2048 bytes of a line and not its end: [`is_long_part`] detects this, and the session acts on it once the
//! client pauses.

use memchr::memchr;

use super::classic::commands;
use super::line::Line;

/// The maximum length of a line with its end, unless it reads keys; memcached closes the connection if it
/// is longer (`READ_BUFFER_SIZE`).
const MAX_LINE: usize = 16 << 10;
/// The maximum length of an unfinished line that memcached waits for, unless it reads keys.
const MAX_PART: usize = 2048;
/// The maximum length of a line that reads keys.
const MAX_READ_LINE: usize = 1 << 20;
/// The maximum number of spaces before a long line that reads keys.
const MAX_INDENT: usize = 100;

/// The bytes in the place of a data block.
#[derive(Debug, PartialEq, Eq)]
pub enum DataBlock<'a> {
    /// Incomplete.
    Partial,
    /// The value; it and its line end take `length + 2` bytes.
    Value(&'a [u8]),
    /// `length + 2` bytes that do not end with a line end: `CLIENT_ERROR bad data chunk`.
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

/// Takes one line from the front of `buf`. Returns it and its length with its line end, or `None` if the
/// end has not arrived.
#[inline]
pub fn read_line(buf: &[u8]) -> Option<(Line<'_>, usize)> {
    read_line_from(buf, 0)
}

/// Like [`read_line`], for a line whose end is known not to be among the first `searched` bytes, so that a
/// line that arrives in many pieces is scanned only once.
#[inline]
pub fn read_line_from(buf: &[u8], searched: usize) -> Option<(Line<'_>, usize)> {
    let end = memchr(b'\n', &buf[searched..]).map(|end| searched + end);
    let length = end.map_or(buf.len(), |end| end + 1);
    // Complete lines are checked too, or the result would depend on how the bytes were split.
    if length > MAX_LINE && (length > MAX_READ_LINE || !reads_keys(buf)) {
        return Some((Line::TooLong, buf.len()));
    }
    let end = end?;
    let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
    Some((commands::parse(line), end + 1))
}

/// Whether memcached would stop waiting for the end of the unfinished line `part`.
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
