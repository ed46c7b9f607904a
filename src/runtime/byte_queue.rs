//! A queue of bytes, for the parts of requests that are kept until their replies arrive: many short texts that come
//! and go in the same order share its memory, so that none needs an allocation.

use bytes::Bytes;

/// Passed bytes are discarded once they are at least this many and half of all.
const SLACK: usize = 4 << 10;

/// Bytes that are appended at the end and removed at the front. An empty queue keeps a capacity of at most `KEEP`
/// bytes.
#[derive(Debug, Default)]
pub struct ByteQueue<const KEEP: usize> {
    all: Vec<u8>,
    passed: usize,
}

impl<const KEEP: usize> ByteQueue<KEEP> {
    /// Appends `bytes`.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        if self.passed >= SLACK && self.passed >= self.all.len() / 2 {
            self.all.drain(..self.passed);
            self.passed = 0;
        }
        self.all.extend_from_slice(bytes);
    }

    /// The number of bytes of memory that the queue keeps.
    pub fn held(&self) -> usize {
        self.all.capacity()
    }

    /// The number of bytes in the queue.
    #[inline]
    pub fn len(&self) -> usize {
        self.all.len() - self.passed
    }

    /// Whether the queue is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in the queue.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.all[self.passed..]
    }

    /// Removes `length` bytes at the front.
    #[inline]
    pub fn pass(&mut self, length: usize) {
        self.passed += length;
        if self.passed == self.all.len() {
            self.passed = 0;
            self.all.clear();
            self.trim(KEEP);
        }
    }

    /// Frees the memory of an empty queue if it keeps more than `bytes`.
    #[inline]
    pub fn trim(&mut self, bytes: usize) {
        if self.all.is_empty() && self.all.capacity() > bytes {
            self.all = Vec::new();
        }
    }

    /// Takes the bytes in the queue.
    pub fn take(self) -> Bytes {
        Bytes::from(self.all).slice(self.passed..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: usize = 64 << 10;

    #[test]
    fn bytes_leave_as_they_came_and_the_queue_stays_small() {
        let mut queue = ByteQueue::<KEEP>::default();
        let (mut put, mut passed) = (0u32, 0u32);
        for _ in 0..100_000 {
            queue.push(&put.to_le_bytes());
            put += 1;
            if put > 100 {
                assert_eq!(queue.bytes()[..4], passed.to_le_bytes());
                queue.pass(4);
                passed += 1;
            }
        }
        assert_eq!(queue.bytes().len(), 400);
        assert!(queue.all.capacity() < 4 * SLACK, "{}", queue.all.capacity());
        queue.pass(4);
        let rest: Vec<u8> = (passed + 1..put).flat_map(u32::to_le_bytes).collect();
        assert_eq!(queue.take(), rest);
    }
}
