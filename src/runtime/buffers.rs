//! Read buffers that all sessions and links of a worker take turns with.
//!
//! Whoever reads takes one, and gives it back as soon as it has nothing unread in it. So ten thousand idle
//! sessions hold no buffer at all, and a busy worker reads into memory that is still in the cache.

use std::cell::RefCell;

use bytes::BytesMut;

/// Room that a read finds at least, in bytes.
const ROOM: usize = 16 << 10;
/// Size of a new buffer, in bytes.
pub const SIZE: usize = 64 << 10;
/// Spare buffers to keep; more are in use only in bursts.
const SPARE: usize = 16;
/// A spare buffer is no larger, in bytes.
pub const LARGEST_SPARE: usize = 2 * SIZE;
/// An unread rest up to this size, in bytes, moves to memory of its own size.
pub const SMALL: usize = 4 << 10;

/// Bytes of memory that the unread `rest` of somebody keeps.
#[inline]
pub fn held(rest: &BytesMut) -> usize {
    if rest.len() > SMALL {
        // It is a whole buffer, of which the front may be read already.
        rest.capacity().max(SIZE)
    } else {
        rest.capacity()
    }
}

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<BytesMut>>);

impl Buffers {
    /// A buffer that begins with `rest`, with room to read into. Where it is known that what stands there
    /// takes `whole` bytes in all, it is made that large at once, and not twice as large by and by.
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

    /// Makes room in `buffer` to read more of what takes `whole` bytes in all, as far as it is known. A value that
    /// fits into a spare buffer is brought there: memory that is new for each value costs more than to copy its
    /// beginning. What `buffer` had before, room for `largest` bytes at most, is spare once its values are gone.
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

    /// A spare buffer with `room`, or a new one. Values that wait for a slow client may still stand in a spare one,
    /// so that it has no room again; the others are looked at before memory is asked for.
    fn spare(&self, room: usize) -> BytesMut {
        let mut spare = self.0.borrow_mut();
        let has_room = |buffer: &mut BytesMut| buffer.try_reclaim(room);
        if let Some(index) = spare.iter_mut().rposition(has_room) {
            return spare.swap_remove(index);
        }
        if spare.len() >= SPARE {
            // It makes place for the new one when that is given back.
            spare.swap_remove(0);
        }
        BytesMut::with_capacity(SIZE.max(room))
    }

    /// Takes `buffer` back, which had room for `largest` bytes at most since it was taken. What is unread in
    /// it is returned: nothing, a small copy, or the buffer itself.
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
        // What is left of a large one keeps all of it, which is more than anyone accounts for.
        if spare.len() < SPARE && largest <= LARGEST_SPARE {
            spare.push(buffer);
        }
    }
}
