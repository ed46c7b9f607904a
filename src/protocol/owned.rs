//! Owned copies of requests, which outlive the buffers that the requests came in: they wait for a link, or
//! for a policy that sends them again.
//!
//! An [`OwnedRequest`] is any [`Request`]; an [`OwnedRead`] is smaller, because reads carry no value. Both
//! keep the key and the client's text of a meta command in one allocation, their [`Words`], and lend the
//! original request.

use bytes::Bytes;

use crate::protocol::{Command, Meta, Request};

/// A copy of a request that consists of words only, such as a read.
#[derive(Debug)]
pub struct OwnedRead {
    command: Command,
    words: Words,
    is_one_of_many: bool,
}

/// A copy of a request.
#[derive(Debug)]
pub struct OwnedRequest {
    read: OwnedRead,
    flags: u32,
    exptime: i64,
    cas: u64,
    delta: u64,
    value: Bytes,
}

/// The plain key of a request, and the client's text of a meta command, in one allocation.
#[derive(Debug, Clone)]
pub struct Words {
    /// The plain key, the key as sent unless it is the plain one, and the flags.
    all: Bytes,
    key: u16,
    /// Set for a meta command.
    raw: Option<RawMeta>,
}

/// The properties of a meta command beside its words.
#[derive(Debug, Clone, Copy)]
pub struct RawMeta {
    /// The length of the key as sent; 0 if it is the plain one.
    pub key: u16,
    /// Whether the client speaks the binary protocol.
    pub is_binary: bool,
}

impl Words {
    /// Returns the words in `all`: the plain key in its first `key` bytes, and behind it the text described
    /// by `raw`.
    pub fn new(all: Bytes, key: u16, raw: Option<RawMeta>) -> Words {
        Words { all, key, raw }
    }

    /// Copies the words of `request`.
    fn of(request: &Request<'_>) -> Words {
        let key = request.key.len() as u16;
        let Some(meta) = &request.meta else {
            return Words::new(Bytes::copy_from_slice(request.key), key, None);
        };
        let other_key = meta.other_key(request.key);
        let raw = RawMeta {
            key: other_key.len() as u16,
            is_binary: meta.is_binary,
        };
        let all = [request.key, other_key, meta.flags].concat();
        Words::new(all.into(), key, Some(raw))
    }

    /// The plain key.
    pub fn key(&self) -> &[u8] {
        &self.all[..usize::from(self.key)]
    }

    /// The plain key, sharing the words' memory.
    pub fn shared_key(&self) -> Bytes {
        self.all.slice(..usize::from(self.key))
    }

    /// The client's text of a meta command.
    pub fn meta(&self) -> Option<Meta<'_>> {
        let raw = self.raw?;
        let (other_key, flags) = self.all[usize::from(self.key)..].split_at(raw.key.into());
        Some(Meta {
            key: if other_key.is_empty() {
                self.key()
            } else {
                other_key
            },
            flags,
            is_binary: raw.is_binary,
        })
    }
}

impl OwnedRead {
    /// Returns a read that consists of `words`.
    pub fn new(command: Command, words: Words) -> OwnedRead {
        OwnedRead {
            command,
            words,
            is_one_of_many: false,
        }
    }

    /// Copies the words of `request`.
    pub fn of(request: &Request<'_>) -> OwnedRead {
        OwnedRead {
            is_one_of_many: request.is_one_of_many,
            ..OwnedRead::new(request.command, Words::of(request))
        }
    }

    /// The original request.
    pub fn request(&self) -> Request<'_> {
        Request {
            meta: self.words.meta(),
            is_one_of_many: self.is_one_of_many,
            ..Request::new(self.command, self.words.key())
        }
    }

    /// The number of bytes of its words.
    pub fn words_len(&self) -> usize {
        self.words.all.len()
    }
}

impl OwnedRequest {
    /// Copies `request`: its words into one allocation; its value is shared if possible.
    pub fn new(request: &Request<'_>) -> OwnedRequest {
        OwnedRequest {
            read: OwnedRead::of(request),
            flags: request.flags,
            exptime: request.exptime,
            cas: request.cas,
            delta: request.delta,
            value: match request.block {
                Some(block) => block.slice_ref(request.value),
                None => Bytes::copy_from_slice(request.value),
            },
        }
    }

    /// The original request.
    pub fn request(&self) -> Request<'_> {
        Request {
            flags: self.flags,
            exptime: self.exptime,
            cas: self.cas,
            delta: self.delta,
            value: &self.value,
            block: Some(&self.value),
            ..self.read.request()
        }
    }

    /// The number of bytes of its words.
    pub fn words_len(&self) -> usize {
        self.read.words_len()
    }

    /// The number of bytes of its value.
    pub fn value_len(&self) -> usize {
        self.value.len()
    }
}
