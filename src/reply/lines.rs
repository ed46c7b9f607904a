//! The lines of values that wait in a session's queue. Those that arrived together share a piece of the buffer that
//! they were read into, so that a key needs no reference of its own.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::protocol::Part;

/// The lines of one value.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueLines {
    /// The number of the piece.
    piece: u32,
    /// The offset in it.
    start: u32,
    /// The length in bytes.
    length: u32,
}

/// The pieces that have lines which were not taken, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: VecDeque<Piece>,
    /// The number of the front piece.
    first: u32,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// The number of values that were not taken.
    left: u32,
}

impl Pieces {
    /// Returns the lines of `length` bytes at `start` in the piece that is pushed next.
    #[inline]
    pub(super) fn of_next(&self, start: u32, length: u32) -> ValueLines {
        ValueLines {
            piece: self.first.wrapping_add(self.pieces.len() as u32),
            start,
            length,
        }
    }

    /// Appends a piece with the lines of this number of values.
    #[inline]
    pub(super) fn push(&mut self, bytes: Bytes, values: u32) {
        if values > 0 {
            self.pieces.push_back(Piece { bytes, left: values });
        }
    }

    /// Passes the bytes of `lines` to `write`, and frees a piece that has no more of them.
    #[inline]
    pub(super) fn take(&mut self, lines: ValueLines, write: impl FnOnce(Part<'_>)) {
        let index = lines.piece.wrapping_sub(self.first) as usize;
        let Some(piece) = self.pieces.get_mut(index) else {
            debug_assert!(false, "piece {} is gone", lines.piece);
            return;
        };
        let start = lines.start as usize;
        write(Part {
            bytes: &piece.bytes[start..start + lines.length as usize],
            of: &piece.bytes,
        });
        piece.left -= 1;
        if piece.left == 0 {
            piece.bytes = Bytes::new();
            self.pass();
        }
    }

    /// Removes the pieces in front that have no more lines.
    fn pass(&mut self) {
        while self.pieces.front().is_some_and(|piece| piece.left == 0) {
            self.pieces.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// The number of bytes of pieces, without the lines.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.pieces.len() * size_of::<Piece>()
    }

    /// The number of bytes of memory that it keeps, without the lines.
    pub(super) fn memory(&self) -> usize {
        self.pieces.capacity() * size_of::<Piece>()
    }

    /// Frees the memory of pieces if it has none.
    pub(super) fn trim(&mut self) {
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}
