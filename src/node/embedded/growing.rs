//! Large values that are changed in place. Append and prepend write into spare room of the value's buffer,
//! so a thousand additions copy the value a few times and not a thousand times. Incr and decr overwrite the
//! number.

use std::collections::VecDeque;

use bytes::Bytes;

/// The size from which a value gets a buffer of its own when it is changed. Copying a smaller one is
/// cheaper than the buffer.
pub(super) const LARGE: usize = 4 << 10;

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Growing {
    pub(super) key: Bytes,
    data: VecDeque<u8>,
}

/// The end of a value at which bytes are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrowingSide {
    /// append
    Back,
    /// prepend
    Front,
}

impl Growing {
    /// Returns `key` with the concatenation of `parts` as its value, and room for a quarter more, but at
    /// most `max` bytes in all.
    pub(super) fn new(key: &[u8], parts: [&[u8]; 2], max: usize) -> Growing {
        let length = parts[0].len() + parts[1].len();
        let mut data = VecDeque::with_capacity((length + length / 4).min(max).max(length));
        parts.iter().for_each(|part| data.extend(*part));
        Growing {
            key: Bytes::copy_from_slice(key),
            data,
        }
    }

    /// Adds `value` at `end`; returns false if there is no room for it.
    pub(super) fn add(&mut self, end: GrowingSide, value: &[u8]) -> bool {
        if self.data.len() + value.len() > self.data.capacity() {
            return false;
        }
        match end {
            GrowingSide::Back => self.data.extend(value),
            GrowingSide::Front => value.iter().rev().for_each(|&byte| self.data.push_front(byte)),
        }
        true
    }

    /// Overwrites the value with `digits`, which must not be longer, and fills up with spaces.
    pub(super) fn overwrite(&mut self, digits: &[u8]) {
        let (front, rest) = self.data.make_contiguous().split_at_mut(digits.len());
        front.copy_from_slice(digits);
        rest.fill(b' ');
    }

    /// Makes the value contiguous and returns it.
    pub(super) fn contiguous(&mut self) -> &[u8] {
        self.data.make_contiguous()
    }

    /// The size of the value in bytes.
    pub(super) fn size(&self) -> usize {
        self.data.len()
    }

    /// The number of bytes of memory that key and value take.
    pub(super) fn held(&self) -> usize {
        self.key.len() + self.data.capacity() + size_of::<Growing>()
    }

    /// Returns a copy of the key followed by the value.
    pub(super) fn joined(&self) -> Bytes {
        let (front, back) = self.data.as_slices();
        [&self.key, front, back].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_stands_at_its_end_and_is_refused_once_there_is_no_room() {
        let mut growing = Growing::new(b"key", [b"0123", b"4567"], 10);
        assert!(growing.add(GrowingSide::Back, b"8"));
        assert!(!growing.add(GrowingSide::Front, b"ab"), "11 of 10 bytes");
        assert!(growing.add(GrowingSide::Front, b"a"));
        assert_eq!(growing.joined(), &b"keya012345678"[..]);
        assert_eq!((growing.size(), growing.held()), (10, 13 + size_of::<Growing>()));
    }

    #[test]
    fn what_is_overwritten_keeps_its_length_wherever_it_stands_in_the_buffer() {
        let mut growing = Growing::new(b"key", [b"345", b"x"], 5);
        assert!(growing.add(GrowingSide::Front, b"2"));
        assert_eq!(growing.contiguous(), b"2345x");
        growing.overwrite(b"99");
        assert_eq!(growing.contiguous(), b"99   ");
        assert!(!growing.add(GrowingSide::Back, b"c"), "it is as long as before");
    }

    #[test]
    fn the_value_is_copied_seldom_however_often_something_is_added() {
        let mut growing = Growing::new(b"k", [&[b'v'; LARGE], b""], usize::MAX);
        let (mut copies, mut size) = (0, LARGE);
        for end in [GrowingSide::Back, GrowingSide::Front]
            .into_iter()
            .cycle()
            .take(20_000)
        {
            if !growing.add(end, b"0123456789") {
                let joined = growing.joined();
                growing = Growing::new(b"k", [&joined[1..], b"0123456789"], usize::MAX);
                copies += 1;
            }
            size += 10;
        }
        assert_eq!(growing.size(), size);
        assert!(copies < 20, "{copies} copies on the way to {size} bytes");
    }
}
