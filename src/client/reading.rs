//! Where a session is in what its client sends: at the beginning of a request, or in the middle of one.
//!
//! ```text
//!             a part of a line ──▶ Line ────────┐
//!             an admitted data block ─▶ Block ──┤
//!   Begin ──▶ more keys than fit ──▶ MultiGet ──┼──▶ Begin
//!             `stats` ──▶ Stats ────────────────┤
//!             a refused block or line ─▶ Skip ──┘
//!             quit, nonsense, the end of the stream ──▶ Over
//! ```

use bytes::{Buf, BytesMut};

use crate::protocol::Command;
use crate::runtime::shared_text::Waiting;

/// Where a session is in what its client sends. What is not taken yet is at the front of its buffer.
#[derive(Debug, Default)]
pub(super) enum Reading {
    /// A request begins at the front of the buffer.
    #[default]
    Begin,
    /// A line of text begins there; its first `searched` bytes do not contain its end.
    Line {
        /// The number of bytes that were searched.
        searched: usize,
    },
    /// A storage command begins there. It is incomplete but admitted, so its memory is the session's already.
    Block {
        /// The size of the command in bytes, with its data block.
        length: usize,
    },
    /// The rest of the line of a multi-get is there.
    MultiGet(RestOfKeys),
    /// `stats` is there, to be answered in this turn.
    Stats(Waiting),
    /// A refused data block is there.
    Skip {
        /// The number of bytes that are still to be skipped.
        left: usize,
    },
    /// A refused line is there, whose end is still to come.
    SkipLine,
    /// No more requests come.
    Over,
}

/// The rest of a multi-get that had more keys than may be outstanding at once, kept so that it continues without
/// parsing its line again.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestOfKeys {
    /// The command of the line.
    pub command: Command,
    /// The expiry time that the line sets.
    pub exptime: i64,
    /// The number of bytes of keys still to be sent, and the line end.
    pub length: usize,
}

impl Reading {
    /// In front of a refused data block of `length` bytes.
    pub fn skip(length: usize) -> Reading {
        match length {
            0 => Reading::Begin,
            left => Reading::Skip { left },
        }
    }

    /// Whether no more requests come.
    #[inline]
    pub fn is_over(&self) -> bool {
        matches!(self, Reading::Over)
    }

    /// Whether refused input is being skipped.
    pub fn is_skipping(&self) -> bool {
        matches!(self, Reading::Skip { .. } | Reading::SkipLine)
    }

    /// The size in bytes of the incoming storage command if it was admitted; otherwise 0.
    pub fn reserved(&self) -> usize {
        match self {
            Reading::Block { length } => *length,
            _ => 0,
        }
    }

    /// Skips what is there of refused input. Returns true if a request may be taken from what follows.
    #[inline]
    pub fn pass(&mut self, buffer: &mut BytesMut) -> bool {
        match self {
            Reading::Skip { left } => {
                let step = (*left).min(buffer.len());
                buffer.advance(step);
                *self = Reading::skip(*left - step);
            }
            Reading::SkipLine => {
                let end = memchr::memchr(b'\n', buffer);
                buffer.advance(end.map_or(buffer.len(), |end| end + 1));
                if end.is_some() {
                    *self = Reading::Begin;
                }
            }
            // Its line or header was checked when it was admitted.
            Reading::Block { length } if buffer.len() < *length => return false,
            Reading::Block { .. } => *self = Reading::Begin,
            _ => return true,
        }
        !self.is_skipping()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_skipped_in_pieces_and_what_follows_is_not() {
        let mut reading = Reading::skip(5);
        let mut buffer = BytesMut::from("abc");
        assert!(!reading.pass(&mut buffer) && buffer.is_empty() && reading.is_skipping());
        buffer.extend_from_slice(b"deget");
        assert!(reading.pass(&mut buffer) && !reading.is_skipping());
        assert_eq!(buffer, "get");

        let mut reading = Reading::SkipLine;
        let mut buffer = BytesMut::from("get a");
        assert!(!reading.pass(&mut buffer) && buffer.is_empty());
        buffer.extend_from_slice(b" b\r\nmn\r\n");
        assert!(reading.pass(&mut buffer));
        assert_eq!(buffer, "mn\r\n");
        assert!(!Reading::skip(0).is_skipping());
    }

    #[test]
    fn an_admitted_block_is_taken_once_it_is_whole() {
        let mut reading = Reading::Block { length: 4 };
        let mut buffer = BytesMut::from("abc");
        assert!(!reading.pass(&mut buffer) && reading.reserved() == 4);
        buffer.extend_from_slice(b"de");
        assert!(reading.pass(&mut buffer));
        assert_eq!((buffer.len(), reading.reserved()), (5, 0));
    }
}
