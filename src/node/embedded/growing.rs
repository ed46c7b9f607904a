//! A large value that changes where it stands. Append and prepend make it longer: its buffer has room to spare, so that
//! what is added is written beside what is there, and a thousand additions copy the value a few times and not a thousand
//! times. Incr and decr write the number over what is there.

use std::collections::VecDeque;

use bytes::Bytes;

/// A value of at least this many bytes gets a buffer of its own when it is changed. To copy a smaller one costs
/// less than the buffer.
pub(super) const LARGE: usize = 4 << 10;

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Growing {
    pub(super) key: Bytes,
    data: VecDeque<u8>,
}

/// The end of a value to which bytes are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// append
    Back,
    /// prepend
    Front,
}

impl Growing {
    /// The value of `key` that is `parts` together, with room for a quarter more, but for no more than `max` bytes in
    /// all.
    pub(super) fn new(key: &[u8], parts: [&[u8]; 2], max: usize) -> Growing {
        let length = parts[0].len() + parts[1].len();
        let mut data = VecDeque::with_capacity((length + length / 4).min(max).max(length));
        parts.iter().for_each(|part| data.extend(*part));
        Growing {
            key: Bytes::copy_from_slice(key),
            data,
        }
    }

    /// Adds `value` at the `end`, if there is room for it; false if there is not.
    pub(super) fn add(&mut self, end: End, value: &[u8]) -> bool {
        if self.data.len() + value.len() > self.data.capacity() {
            return false;
        }
        match end {
            End::Back => self.data.extend(value),
            End::Front => value.iter().rev().for_each(|&byte| self.data.push_front(byte)),
        }
        true
    }

    /// Writes `digits` over the front of the value, which is not shorter, and spaces over the rest.
    pub(super) fn overwrite(&mut self, digits: &[u8]) {
        let (front, rest) = self.data.make_contiguous().split_at_mut(digits.len());
        front.copy_from_slice(digits);
        rest.fill(b' ');
    }

    /// The value, in one piece from now on.
    pub(super) fn contiguous(&mut self) -> &[u8] {
        self.data.make_contiguous()
    }

    /// Bytes of the value.
    pub(super) fn size(&self) -> usize {
        self.data.len()
    }

    /// Bytes of memory that both take.
    pub(super) fn held(&self) -> usize {
        self.key.len() + self.data.capacity() + size_of::<Growing>()
    }

    /// A copy of the key with the value behind it.
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
        assert!(growing.add(End::Back, b"8"));
        assert!(!growing.add(End::Front, b"ab"), "11 of 10 bytes");
        assert!(growing.add(End::Front, b"a"));
        assert_eq!(growing.joined(), &b"keya012345678"[..]);
        assert_eq!((growing.size(), growing.held()), (10, 13 + size_of::<Growing>()));
    }

    #[test]
    fn what_is_overwritten_keeps_its_length_wherever_it_stands_in_the_buffer() {
        let mut growing = Growing::new(b"key", [b"345", b"x"], 5);
        assert!(growing.add(End::Front, b"2"));
        assert_eq!(growing.contiguous(), b"2345x");
        growing.overwrite(b"99");
        assert_eq!(growing.contiguous(), b"99   ");
        assert!(!growing.add(End::Back, b"c"), "it is as long as before");
    }

    #[test]
    fn the_value_is_copied_seldom_however_often_something_is_added() {
        let mut growing = Growing::new(b"k", [&[b'v'; LARGE], b""], usize::MAX);
        let (mut copies, mut size) = (0, LARGE);
        for end in [End::Back, End::Front].into_iter().cycle().take(20_000) {
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
