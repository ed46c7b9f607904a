//! Read buffers that the sessions and links of a worker share.
//!
//! A reader takes one, and gives it back as soon as it holds nothing unread. So ten thousand idle sessions
//! hold no buffer at all, and a busy worker reads into memory that is still in the processor's cache.

use std::cell::RefCell;

use bytes::BytesMut;

/// The minimum room for a read, in bytes.
const ROOM: usize = 16 << 10;
/// The size of a new buffer, in bytes.
pub const SIZE: usize = 64 << 10;
/// The number of spare buffers to keep; more are in use only in bursts.
const SPARE: usize = 16;
/// The maximum size of a spare buffer, in bytes.
pub const LARGEST_SPARE: usize = 2 * SIZE;
/// Unparsed bytes up to this size are moved to memory of their own size.
pub const SMALL: usize = 4 << 10;

/// The number of bytes of memory that the unparsed `rest` keeps.
#[inline]
pub fn held(rest: &BytesMut) -> usize {
    if rest.len() > SMALL {
        // It is a whole buffer, whose front may have been consumed.
        rest.capacity().max(SIZE)
    } else {
        rest.capacity()
    }
}

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<BytesMut>>);

impl Buffers {
    /// Returns a buffer that begins with `rest`, with room to read into. If the request or reply is known
    /// to take `whole` bytes in all, the buffer gets that size at once instead of doubling repeatedly.
    pub fn take(&self, rest: &mut BytesMut, whole: usize) -> BytesMut {
        let mut buffer = std::mem::take(rest);
        if buffer.capacity() >= SIZE {
            buffer.reserve(ROOM + whole.saturating_sub(buffer.len()));
            return buffer;
        }
        let mut larger = self.spare(ROOM + buffer.len());
        larger.extend_from_slice(&buffer);
        larger
    }

    /// Makes room in `buffer` to read more of something that takes `whole` bytes in all, as far as known. A
    /// value that fits into a spare buffer is moved there: allocating memory for each value costs more than
    /// copying its beginning. The old memory of `buffer`, which had room for at most `largest` bytes,
    /// becomes spare once its values are gone.
    #[inline]
    pub fn make_room(&self, buffer: &mut BytesMut, whole: usize, largest: usize) {
        let length = buffer.len();
        let wanted = whole.max(length + ROOM);
        if wanted > LARGEST_SPARE {
            return buffer.reserve(ROOM);
        }
        if buffer.capacity() < wanted {
            let before = std::mem::replace(buffer, self.spare(wanted));
            buffer.extend_from_slice(&before);
            self.keep(before, largest);
        }
    }

    /// Returns a spare buffer with `room`, or a new one. Values that wait for a slow client may still
    /// occupy a spare buffer, which then has no room; the others are tried before memory is allocated.
    fn spare(&self, room: usize) -> BytesMut {
        let mut spare = self.0.borrow_mut();
        let has_room = |buffer: &mut BytesMut| buffer.try_reclaim(room);
        if let Some(index) = spare.iter_mut().rposition(has_room) {
            return spare.swap_remove(index);
        }
        if spare.len() >= SPARE {
            // Make way for the new buffer when that is given back.
            spare.swap_remove(0);
        }
        BytesMut::with_capacity(SIZE.max(room))
    }

    /// Takes `buffer` back, whose capacity was at most `largest` bytes since it was taken. Returns its
    /// unread bytes: nothing, a small copy, or the buffer itself.
    pub fn give(&self, buffer: BytesMut, largest: usize) -> BytesMut {
        if buffer.len() > SMALL {
            return buffer;
        }
        let rest = if buffer.is_empty() {
            BytesMut::new()
        } else {
            BytesMut::from(&buffer[..])
        };
        self.keep(buffer, largest);
        rest
    }

    fn keep(&self, mut buffer: BytesMut, largest: usize) {
        buffer.clear();
        let mut spare = self.0.borrow_mut();
        // The rest of a large buffer keeps all of its memory alive, more than any budget accounts for.
        if spare.len() < SPARE && largest <= LARGEST_SPARE {
            spare.push(buffer);
        }
    }
}
