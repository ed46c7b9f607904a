//! A queue of bytes, for the parts of requests that are kept until their replies arrive.

use bytes::Bytes;

/// The capacity in bytes above which an empty queue is freed.
const KEEP: usize = 64 << 10;
/// Passed bytes are discarded once they are at least this many and half of all.
const SLACK: usize = 4 << 10;

/// Bytes that are appended at the end and removed at the front.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    all: Vec<u8>,
    passed: usize,
}

impl ByteQueue {
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.passed >= SLACK && self.passed >= self.all.len() / 2 {
            self.all.drain(..self.passed);
            self.passed = 0;
        }
        self.all.extend_from_slice(bytes);
    }

    /// The number of bytes of memory that the queue keeps.
    pub(super) fn held(&self) -> usize {
        self.all.capacity()
    }

    /// The bytes in the queue.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.all[self.passed..]
    }

    /// Removes `length` bytes at the front.
    #[inline]
    pub(super) fn pass(&mut self, length: usize) {
        self.passed += length;
        if self.passed == self.all.len() {
            self.passed = 0;
            self.all.clear();
            if self.all.capacity() > KEEP {
                self.all = Vec::new();
            }
        }
    }

    /// Takes the bytes in the queue.
    pub(super) fn take(self) -> Bytes {
        Bytes::from(self.all).slice(self.passed..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_as_they_came_and_the_queue_stays_small() {
        let mut queue = ByteQueue::default();
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
