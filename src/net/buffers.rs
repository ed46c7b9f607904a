//! Read buffers that all sessions and links of a worker take turns with.
//!
//! Whoever reads takes one, and gives it back as soon as it has nothing unread in it. So ten thousand idle
//! sessions hold no buffer at all, and a busy worker reads into memory that is still in the cache.

use std::cell::RefCell;

use bytes::BytesMut;

/// Room that a read finds at least, in bytes.
const ROOM: usize = 16 << 10;
/// Size of a new buffer, in bytes.
const SIZE: usize = 64 << 10;
/// Spare buffers to keep; more are in use only in bursts.
const SPARE: usize = 16;
/// An unread rest up to this size moves to memory of its own size.
const SMALL: usize = 4 << 10;

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<BytesMut>>);

impl Buffers {
    /// A buffer that begins with `rest`, with room to read into.
    pub fn take(&self, rest: &mut BytesMut) -> BytesMut {
        if rest.capacity() >= SIZE {
            let mut buffer = std::mem::take(rest);
            buffer.reserve(ROOM);
            return buffer;
        }
        let mut buffer = self
            .0
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| BytesMut::with_capacity(SIZE));
        buffer.reserve(ROOM + rest.len());
        buffer.extend_from_slice(rest);
        *rest = BytesMut::new();
        buffer
    }

    /// Takes `buffer` back. What is unread in it is returned: nothing, a small copy, or the buffer itself.
    pub fn give(&self, mut buffer: BytesMut) -> BytesMut {
        if buffer.len() > SMALL {
            return buffer;
        }
        let rest = if buffer.is_empty() {
            BytesMut::new()
        } else {
            BytesMut::from(&buffer[..])
        };
        buffer.clear();
        let mut spare = self.0.borrow_mut();
        if spare.len() < SPARE {
            spare.push(buffer);
        }
        rest
    }
}
