//! A value as a node gave it.
//!
//! Where a node gave it in the words of classic text, it is kept in the very lines that came, so that a classic
//! client can have them as they are: nothing is written anew, and one reference holds key and value.

use bytes::Bytes;

use super::reply::Frame;

/// A value with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The client's flags.
    pub flags: u32,
    /// The cas id; 0 where it was not asked for.
    pub cas: u64,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Parts {
        key: Bytes,
        data: Bytes,
    },
    /// `VALUE <key> <flags> <length>[ <cas>]`, the value, and both line ends.
    Lines {
        lines: Bytes,
        /// Bytes of the key, which begins behind `VALUE `.
        key: u32,
        /// Where the value begins.
        data: u32,
    },
}

/// Bytes that lie in a buffer which may be shared.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// What they are a part of, or all of.
    pub of: &'a Bytes,
}

impl<'a> Part<'a> {
    /// All of `bytes`.
    pub fn all(bytes: &'a Bytes) -> Part<'a> {
        Part { bytes, of: bytes }
    }
}

/// Bytes of `VALUE `.
const KEY_AT: usize = 6;
/// Bytes of a line end.
const LINE_END: usize = 2;

impl Item {
    /// The value `data` of `key`.
    pub fn new(key: Bytes, flags: u32, cas: u64, data: Bytes) -> Item {
        Item {
            flags,
            cas,
            body: Body::Parts { key, data },
        }
    }

    /// The value that `frame` tells of, whose classic `lines` begin with `VALUE`.
    #[inline]
    pub fn of_lines(lines: Bytes, frame: &Frame) -> Item {
        Item {
            flags: frame.flags,
            cas: frame.cas,
            body: Body::Lines {
                lines,
                key: frame.key.len() as u32,
                data: frame.data.start as u32,
            },
        }
    }

    /// The key, as the node brought it back.
    pub fn key(&self) -> &[u8] {
        match &self.body {
            Body::Parts { key, .. } => key,
            Body::Lines { lines, key, .. } => &lines[KEY_AT..][..*key as usize],
        }
    }

    /// The value, without its line end.
    pub fn data(&self) -> &[u8] {
        match &self.body {
            Body::Parts { data, .. } => data,
            Body::Lines { lines, data, .. } => &lines[*data as usize..lines.len() - LINE_END],
        }
    }

    /// The value, and what its bytes may be shared with.
    pub fn part(&self) -> Part<'_> {
        match &self.body {
            Body::Parts { data, .. } => Part::all(data),
            Body::Lines { lines, .. } => Part {
                bytes: self.data(),
                of: lines,
            },
        }
    }

    /// Bytes of the value.
    #[inline]
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Parts { data, .. } => data.len(),
            Body::Lines { lines, data, .. } => lines.len() - LINE_END - *data as usize,
        }
    }

    /// The same value under another key.
    pub fn with_key(&self, key: Bytes) -> Item {
        let part = self.part();
        Item::new(key, self.flags, self.cas, part.of.slice_ref(part.bytes))
    }

    /// The same value with another cas id.
    pub fn with_cas(&self, cas: u64) -> Item {
        let part = self.part();
        let key = Bytes::copy_from_slice(self.key());
        Item::new(key, self.flags, cas, part.of.slice_ref(part.bytes))
    }

    /// The lines in which classic text tells of the item, where the node told of it so.
    #[inline]
    pub fn lines(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Parts { .. } => None,
            Body::Lines { lines, .. } => Some(lines),
        }
    }
}
