//! A value as a node sent it.
//!
//! An item keeps the received bytes and the offsets of key and value in them, so one reference holds both,
//! and a classic client can be sent a node's classic lines unchanged. Many items wait in queues, so they
//! are small.

use bytes::Bytes;

use super::reply::Frame;

/// A value with its key.
#[derive(Debug, Clone)]
pub struct Item {
    /// The client's flags.
    pub flags: u32,
    /// The cas id; 0 if not requested.
    pub cas: u64,
    /// The received bytes, laid out as `form` says.
    block: Bytes,
    form: Form,
    /// The key's offset in the block and its length.
    key_at: u16,
    key: u16,
    /// The value's offset in the block.
    data_at: u32,
    /// The key, if it is not in the block. Boxed, because only policies that change keys need it.
    key_apart: Option<Box<Bytes>>,
}

/// The layout of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `VALUE <key> <flags> <length>[ <cas>]`, the value, and both line ends.
    Lines,
    /// Some other line, the value, and both line ends.
    Framed,
    /// The value, preceded by the key unless that is stored apart.
    Bare,
}

/// A slice of a buffer that may be shared.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The buffer that contains them.
    pub of: &'a Bytes,
}

/// The length of a line end.
pub(super) const LINE_END: usize = 2;

impl Item {
    /// Returns an item made of a key and a value.
    pub fn new(key: Bytes, flags: u32, cas: u64, data: Bytes) -> Item {
        Item {
            key_apart: Some(Box::new(key)),
            ..Item::joined(data, 0, flags, cas)
        }
    }

    /// Returns an item whose `block` is its key of `key` bytes followed by the value.
    pub fn joined(block: Bytes, key: u8, flags: u32, cas: u64) -> Item {
        Item {
            flags,
            cas,
            block,
            form: Form::Bare,
            key_at: 0,
            key: key.into(),
            data_at: key.into(),
            key_apart: None,
        }
    }

    /// Returns the value described by `frame`, the parsed form of `block`, which is a meta or classic
    /// reply.
    #[inline]
    pub fn of_frame(block: Bytes, frame: &Frame) -> Item {
        Item {
            flags: frame.flags,
            cas: frame.cas,
            block,
            form: Form::Framed,
            key_at: frame.key.start as u16,
            key: frame.key.len() as u16,
            data_at: frame.data.start as u32,
            key_apart: None,
        }
    }

    /// Like [`Item::of_frame`], for a block that is in classic lines and may be sent to a classic client
    /// unchanged.
    #[inline]
    pub fn of_lines(lines: Bytes, frame: &Frame) -> Item {
        Item {
            form: Form::Lines,
            ..Item::of_frame(lines, frame)
        }
    }

    /// The key, as the node returned it.
    pub fn key(&self) -> &[u8] {
        match &self.key_apart {
            Some(key) => key,
            None => &self.block[usize::from(self.key_at)..][..usize::from(self.key)],
        }
    }

    /// The value, without its line end.
    pub fn data(&self) -> &[u8] {
        &self.block[self.data_at as usize..][..self.size()]
    }

    /// The value, with the buffer that it can share.
    pub fn part(&self) -> Part<'_> {
        Part {
            bytes: self.data(),
            of: &self.block,
        }
    }

    /// The size of the value in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        let tail = if self.form == Form::Bare { 0 } else { LINE_END };
        self.block.len() - tail - self.data_at as usize
    }

    /// The same value under another key.
    pub fn with_key(self, key: Bytes) -> Item {
        Item {
            key_apart: Some(Box::new(key)),
            ..self
        }
    }

    /// The same value with another cas id.
    pub fn with_cas(self, cas: u64) -> Item {
        let form = match self.form {
            // The lines contain the old cas id.
            Form::Lines => Form::Framed,
            form => form,
        };
        Item { cas, form, ..self }
    }

    /// The node's classic lines, if it sent the item so and they are still accurate.
    #[inline]
    pub fn lines(&self) -> Option<&Bytes> {
        (self.form == Form::Lines && self.key_apart.is_none()).then_some(&self.block)
    }
}

/// Items are equal if their contents are, whatever their layout.
impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        (self.flags, self.cas, self.key(), self.data()) == (other.flags, other.cas, other.key(), other.data())
    }
}

impl Eq for Item {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::reply::{self, Read};

    fn of_lines(lines: &'static [u8]) -> Item {
        let Read::Whole(frame) = reply::read(lines, usize::MAX) else {
            panic!("no reply")
        };
        Item::of_lines(Bytes::from_static(lines), &frame)
    }

    #[test]
    fn lines_travel_on_only_while_they_tell_of_the_item_as_it_is() {
        let item = of_lines(b"VALUE key 5 1 9\r\nv\r\n");
        assert_eq!(item, Item::new("key".into(), 5, 9, "v".into()));
        assert!(item.lines().is_some());
        let renamed = item.clone().with_key("other".into());
        assert_eq!((renamed.key(), renamed.data()), (&b"other"[..], &b"v"[..]));
        assert_eq!(renamed.lines(), None);
        let changed = item.with_cas(10);
        assert_eq!(
            (changed.key(), changed.cas, changed.data()),
            (&b"key"[..], 10, &b"v"[..])
        );
        assert_eq!(changed.lines(), None);
    }

    #[test]
    fn an_empty_value_is_one_wherever_it_stands() {
        for item in [
            of_lines(b"VALUE k 0 0\r\n\r\n"),
            Item::joined("k".into(), 1, 0, 0),
        ] {
            assert_eq!((item.key(), item.data(), item.size()), (&b"k"[..], &b""[..], 0));
        }
    }
}
