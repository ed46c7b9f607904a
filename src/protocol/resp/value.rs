//! Whole replies of a Valkey or Redis, for the few questions that are asked while nothing else is outstanding.

use super::frame::{self, FrameKind, Read};

/// The maximum size of a bulk string in bytes.
const MAX_BULK: usize = 64 << 10;
/// The maximum number of elements in an array, at each depth.
const MAX_ELEMENTS: u32 = 1024;
/// The maximum depth of arrays.
const MAX_DEPTH: usize = 4;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A simple or a bulk string.
    Text(Vec<u8>),
    /// An error, without its minus sign, fit for a log.
    Error(String),
    /// A number.
    Integer(i64),
    /// Nothing.
    Null,
    /// Several replies.
    Array(Vec<Value>),
}

/// The bytes are not a reply, or one that is too large for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// Reads the reply at the front of `buf`, and its length; `None` if it is incomplete.
///
/// # Errors
/// [`Garbage`]
pub fn read(buf: &[u8]) -> Result<Option<(Value, usize)>, Garbage> {
    read_at(buf, MAX_DEPTH)
}

fn read_at(buf: &[u8], depth: usize) -> Result<Option<(Value, usize)>, Garbage> {
    let frame = match frame::read(buf, MAX_BULK) {
        Read::Partial(_) => return Ok(None),
        Read::Garbage | Read::TooLarge(_) => return Err(Garbage),
        Read::Whole(frame) => frame,
    };
    let text = &buf[frame.data];
    let value = match frame.kind {
        FrameKind::Simple | FrameKind::Bulk => Value::Text(text.to_vec()),
        FrameKind::Error => Value::Error(text.escape_ascii().to_string()),
        FrameKind::Integer(number) => Value::Integer(number),
        FrameKind::Null => Value::Null,
        FrameKind::Array(count) if count > MAX_ELEMENTS || depth == 0 => return Err(Garbage),
        FrameKind::Array(count) => {
            let (mut elements, mut length) = (Vec::new(), frame.length);
            for _ in 0..count {
                let Some((element, size)) = read_at(&buf[length..], depth - 1)? else {
                    return Ok(None);
                };
                elements.push(element);
                length += size;
            }
            return Ok(Some((Value::Array(elements), length)));
        }
    };
    Ok(Some((value, frame.length)))
}

#[test]
fn arrays_are_read_with_all_that_is_in_them() {
    let text = b"*3\r\n$1\r\na\r\n*2\r\n:7\r\n-ERR no\r\n$-1\r\n+OK\r\n";
    let expected = Value::Array(vec![
        Value::Text(b"a".to_vec()),
        Value::Array(vec![Value::Integer(7), Value::Error("ERR no".to_owned())]),
        Value::Null,
    ]);
    assert_eq!(read(text), Ok(Some((expected, text.len() - 5))));
    for end in 0..text.len() - 5 {
        assert_eq!(read(&text[..end]), Ok(None), "{end}");
    }
    assert_eq!(read(b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), Err(Garbage));
    assert_eq!(read(b"*2000\r\n"), Err(Garbage));
}
