//! A node's reply to a meta command, kept in the received bytes. Like [`Item`](crate::protocol::Item), it
//! is small, because many wait in queues.

use std::ops::Range;

use bytes::Bytes;

use crate::protocol::item::{LINE_END, Part};
use crate::protocol::meta;
use crate::protocol::reply::{Frame, ReplyStatus};

/// A line, and its value if the line begins with `VA`.
#[derive(Debug, Clone)]
pub struct MetaReply {
    /// The line; if a node sent a value, also the value and both line ends.
    block: Bytes,
    /// The length of the line in bytes.
    line: u32,
    /// The range of the returned key in the line: its space and its token.
    key_start: u32,
    key_end: u32,
    /// Whether the value is in the block, behind the line.
    is_followed: bool,
    /// The value, if it is not in the block.
    data_apart: Option<Box<Bytes>>,
}

impl MetaReply {
    /// Returns a reply with this `line`, without line ends, and this value. `key` is the range of the
    /// returned key in the line, space and token; empty if no key is returned.
    pub fn new(line: impl Into<Bytes>, key: Range<usize>, data: Option<Bytes>) -> MetaReply {
        let block = line.into();
        MetaReply {
            line: block.len() as u32,
            key_start: key.start as u32,
            key_end: key.end as u32,
            is_followed: false,
            data_apart: data.map(Box::new),
            block,
        }
    }

    /// Returns the reply described by `frame`, the parsed form of `block`.
    #[inline]
    pub fn of_frame(block: Bytes, frame: &Frame) -> MetaReply {
        let has_value = frame.status == ReplyStatus::Value;
        let line_end = if has_value { frame.data.start } else { frame.length } - LINE_END;
        let key = match frame.status {
            ReplyStatus::Debug => 0..0,
            _ if frame.key.is_empty() => 0..0,
            _ => frame.key.start - 2..frame.key.end,
        };
        MetaReply {
            block,
            line: line_end as u32,
            key_start: key.start as u32,
            key_end: key.end as u32,
            is_followed: has_value,
            data_apart: None,
        }
    }

    /// The same reply with another line.
    pub fn with_line(self, line: impl Into<Bytes>, key: Range<usize>) -> MetaReply {
        let data = self.shared_data();
        MetaReply::new(line, key, data)
    }

    /// The line, without its line end.
    #[inline]
    pub fn line(&self) -> &[u8] {
        &self.block[..self.line as usize]
    }

    /// The range of the returned key in the line, space and token; empty if no key is returned.
    #[inline]
    pub fn key(&self) -> Range<usize> {
        self.key_start as usize..self.key_end as usize
    }

    /// The value without its line end, with the buffer that it can share. `None` if the line does not begin
    /// with `VA`.
    #[inline]
    pub fn part(&self) -> Option<Part<'_>> {
        if let Some(data) = &self.data_apart {
            return Some(Part {
                bytes: data,
                of: data,
            });
        }
        let part = |of| Part {
            bytes: &self.block[self.line as usize + LINE_END..self.block.len() - LINE_END],
            of,
        };
        self.is_followed.then(|| part(&self.block))
    }

    /// The value, without its line end.
    #[inline]
    pub fn data(&self) -> Option<&[u8]> {
        self.part().map(|part| part.bytes)
    }

    /// The value without its line end, sharing the received bytes.
    pub fn shared_data(&self) -> Option<Bytes> {
        self.part().map(|part| part.of.slice_ref(part.bytes))
    }

    /// Whether the line is a miss.
    pub fn is_miss(&self) -> bool {
        self.line().starts_with(b"EN") || self.line().starts_with(b"NF")
    }

    /// Returns the token of the returned flag `name`.
    pub fn token(&self, name: u8) -> Option<&[u8]> {
        meta::flag(self.line().get(2..)?, name).map(|flag| &flag[1..])
    }
}

/// Replies are equal if their contents are, whatever their layout.
impl PartialEq for MetaReply {
    fn eq(&self, other: &MetaReply) -> bool {
        self.line() == other.line() && self.key() == other.key() && self.data() == other.data()
    }
}

impl Eq for MetaReply {}
