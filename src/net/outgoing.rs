//! A queue of outgoing bytes: small pieces are copied together, large ones are written from where they are.
//!
//! Over TLS each write is a *part*, which becomes one record or more. memcached (1.6.18 at least) waits for its socket
//! even if its TLS library still holds the rest of a record, so a record that ends in the middle of a request can make
//! it wait for ever. So a part is as many whole requests as fit into a record, or one request that is longer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::protocol::Part;
use crate::runtime::{buffers, turn};

/// The size from which a piece gets its own entry in a vectored write; below it a copy is cheaper.
pub const LARGE: usize = 8 << 10;
/// The maximum number of pieces in one vectored write.
const PIECES: usize = 32;
/// The maximum payload of a TLS record, in bytes.
pub const PART: usize = 16 << 10;
/// The capacity above which an empty buffer is freed.
const KEEP: usize = 256 << 10;

/// A queue of bytes that are written in order, in as few system calls as possible.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The bytes that precede `tail`.
    pieces: VecDeque<Bytes>,
    pieces_len: usize,
    tail: BytesMut,
    /// The number of bytes that ever left the queue.
    gone: u64,
    /// Whether the last write was incomplete.
    is_behind: bool,
}

impl Outgoing {
    /// The number of bytes in the queue.
    pub fn len(&self) -> usize {
        self.pieces_len + self.tail.len()
    }

    /// The number of bytes of memory that the queue keeps, even if it is empty.
    pub fn held(&self) -> usize {
        self.pieces_len + self.tail.capacity()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset of the first byte in the queue, counted from the first byte ever put.
    pub fn start(&self) -> u64 {
        self.gone
    }

    /// The offset of the next byte to be put, counted from the first byte ever put.
    #[inline]
    pub fn end(&self) -> u64 {
        self.gone + self.len() as u64
    }

    /// Copies `bytes` to the end of the queue.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends `bytes` to the queue, without a copy if they are large and likely to leave soon.
    #[inline]
    pub fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < LARGE {
            return self.put(bytes);
        }
        self.share_large(bytes);
    }

    /// Like [`Outgoing::share`], for bytes that may be a part of a larger buffer.
    #[inline]
    pub fn share_part(&mut self, part: Part<'_>) {
        if part.bytes.len() < LARGE {
            return self.put(part.bytes);
        }
        self.share_large(&part.of.slice_ref(part.bytes));
    }

    fn share_large(&mut self, bytes: &Bytes) {
        self.close_tail();
        self.pieces_len += bytes.len();
        // Bytes that will wait must not keep alive the whole read buffer that they are a part of.
        let piece = if self.is_behind && bytes.len() < buffers::SIZE {
            Bytes::copy_from_slice(bytes)
        } else {
            bytes.clone()
        };
        self.pieces.push_back(piece);
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces_len += self.tail.len();
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    /// Takes the bytes that precede the offset `end`, which counts from the first byte ever put.
    pub fn take_until(&mut self, end: u64) -> Vec<Bytes> {
        self.close_tail();
        let mut taken = Vec::new();
        while let Some(piece) = self.pieces.front_mut()
            && self.gone < end
        {
            let length = (end - self.gone).min(piece.len() as u64) as usize;
            taken.push(piece.slice(..length));
            self.advance(length);
        }
        taken
    }

    /// Writes until the queue is empty, and adds the number of bytes to `written`. Returns `Pending` if the
    /// stream takes no more now (the task is woken later), or if [`turn::COST`] bytes were written, which
    /// ends the caller's turn.
    pub fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        cx: &mut Context<'_>,
        written: &mut u64,
    ) -> Poll<io::Result<()>> {
        self.is_behind = true;
        while !self.is_empty() {
            let n = ready!(self.poll_write(stream, cx))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += n as u64;
            self.advance(n);
            if *written >= turn::COST as u64 && !self.is_empty() {
                self.is_behind = false;
                return Poll::Pending;
            }
        }
        self.is_behind = false;
        if self.tail.capacity() > KEEP {
            self.tail = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the queued bytes before the offset `end`, which counts from the first byte ever put, in one
    /// call. Returns the number of bytes written.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_write_until<W: AsyncWrite + Unpin>(
        &mut self,
        end: u64,
        stream: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut room = end.saturating_sub(self.gone) as usize;
        let mut slices = [IoSlice::new(b""); PIECES];
        let waiting = self.pieces.iter().map(Bytes::as_ref).chain([&self.tail[..]]);
        for (slice, piece) in slices.iter_mut().zip(waiting) {
            let length = piece.len().min(room);
            *slice = IoSlice::new(&piece[..length]);
            room -= length;
        }
        let n = ready!(Pin::new(stream).poll_write_vectored(cx, &slices))?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(n);
        Poll::Ready(Ok(n))
    }

    /// Returns the queued byte at `offset`, which counts from the first byte ever put.
    pub fn byte_at(&self, offset: u64) -> Option<u8> {
        let mut index = usize::try_from(offset.checked_sub(self.gone)?).ok()?;
        for piece in self.pieces.iter().map(Bytes::as_ref).chain([&self.tail[..]]) {
            if let Some(&byte) = piece.get(index) {
                return Some(byte);
            }
            index -= piece.len();
        }
        None
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &self,
        stream: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return Pin::new(stream).poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(b""); PIECES];
        let waiting = self.pieces.iter().map(Bytes::as_ref).chain([&self.tail[..]]);
        let used = slices
            .iter_mut()
            .zip(waiting)
            .map(|(slice, piece)| *slice = IoSlice::new(piece))
            .count();
        Pin::new(stream).poll_write_vectored(cx, &slices[..used])
    }

    fn advance(&mut self, mut n: usize) {
        self.gone += n as u64;
        while let Some(piece) = self.pieces.front_mut() {
            let step = n.min(piece.len());
            piece.advance(step);
            self.pieces_len -= step;
            n -= step;
            if !piece.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        if n == self.tail.len() {
            self.tail.clear();
        } else {
            self.tail.advance(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes a few bytes at each call, as a full socket does.
    struct Reluctant {
        taken: Vec<u8>,
        most: usize,
    }

    impl AsyncWrite for Reluctant {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = buf.len().min(self.most);
            self.taken.extend_from_slice(&buf[..n]);
            Poll::Ready(Ok(n))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_waits_for_a_full_stream_does_not_keep_the_buffer_it_came_in() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut outgoing = Outgoing::default();
        let buffer = Bytes::from(vec![b'b'; buffers::SIZE]);
        outgoing.share(&buffer.slice(..LARGE));
        assert!(!buffer.is_unique(), "it goes out soon");
        let (mut full, _reader) = tokio::io::duplex(1);
        assert!(outgoing.poll_flush(&mut full, &mut cx, &mut 0).is_pending());
        let late = Bytes::from(vec![b'l'; buffers::SIZE]);
        outgoing.share(&late.slice(..LARGE));
        assert!(late.is_unique());
        let mut all = Vec::new();
        assert!(outgoing.poll_flush(&mut all, &mut cx, &mut 0).is_ready());
        assert_eq!(all, [vec![b'b'; LARGE - 1], vec![b'l'; LARGE]].concat());
        outgoing.share(&late.slice(..LARGE));
        assert!(!late.is_unique(), "the stream takes all again");
    }

    #[test]
    fn bytes_go_out_once_and_in_order_however_few_are_taken_at_a_time() {
        let large = Bytes::from(vec![b'v'; LARGE + 5]);
        for most in [1, 7, LARGE, 1 << 20] {
            let mut outgoing = Outgoing::default();
            outgoing.put(b"first ");
            outgoing.share(&large);
            outgoing.share(&Bytes::from_static(b" small "));
            outgoing.share(&large);
            outgoing.put(b" last");
            let expected = [b"first ", &large[..], b" small ", &large[..], b" last"].concat();
            assert_eq!(outgoing.len(), expected.len());
            let mut stream = Reluctant {
                taken: Vec::new(),
                most,
            };
            let mut written = 0;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(outgoing.poll_flush(&mut stream, &mut cx, &mut written).is_ready());
            assert!(stream.taken == expected, "taken {most} at a time");
            assert_eq!(written, expected.len() as u64);
            assert_eq!((outgoing.start(), outgoing.end()), (written, written));
        }
    }

    #[test]
    fn a_part_is_written_to_its_end_and_no_further() {
        let large = Bytes::from(vec![b'v'; LARGE]);
        let all = [b"first ", &large[..], b" last"].concat();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for end in [1, 6, 7, LARGE + 6, LARGE + 8, all.len()] {
            let mut outgoing = Outgoing::default();
            outgoing.put(b"first ");
            outgoing.share(&large);
            outgoing.put(b" last");
            assert_eq!(outgoing.byte_at(end as u64 - 1), Some(all[end - 1]));
            let mut stream = Vec::new();
            let written = outgoing.poll_write_until(end as u64, &mut stream, &mut cx);
            assert!(matches!(written, Poll::Ready(Ok(n)) if n == end), "{written:?}");
            assert!(stream == all[..end], "to {end}");
            assert_eq!(outgoing.byte_at(end as u64 - 1), None, "it is gone");
            assert_eq!(outgoing.byte_at(end as u64), all.get(end).copied());
        }
    }

    #[test]
    fn what_was_not_written_can_be_taken_back_wherever_it_is_cut() {
        let large = Bytes::from(vec![b'v'; LARGE]);
        let all = [b"first ", &large[..], b" last"].concat();
        for (gone, cut) in [
            (0, 3),
            (3, 6),
            (3, LARGE),
            (6, LARGE + 6),
            (LARGE, LARGE + 8),
            (0, all.len()),
        ] {
            let mut outgoing = Outgoing::default();
            outgoing.put(b"first ");
            outgoing.share(&large);
            outgoing.put(b" last");
            outgoing.advance(gone);
            let taken = outgoing.take_until(cut as u64).concat();
            assert!(taken == all[gone..cut], "from {gone} to {cut}");
            assert_eq!(outgoing.start(), cut as u64);
            assert_eq!(outgoing.len(), all.len() - cut);
            let rest = outgoing.take_until(outgoing.end()).concat();
            assert!(rest == all[cut..], "from {cut}");
        }
    }
}
