//! One item of the cache: its key and value, and what is known of it. What commands make of that, and where
//! items are kept, is left to others.

use bytes::Bytes;

use super::ITEM_OVERHEAD;
use super::expiry::{Deadline, Flush};
use crate::protocol::Item;

/// One item.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// The key and behind it the value: one allocation, of exactly their size.
    block: Bytes,
    pub(super) cas: u64,
    /// Grows with each item stored; the cas id need not, where a client chose it.
    number: u64,
    pub(super) deadline: Deadline,
    /// Unix seconds, as those of memcached in 32 bits.
    stored_at: u32,
    accessed_at: u32,
    pub(super) flags: u32,
    key_length: u8,
    pub(super) marks: Marks,
}

// [`ITEM_OVERHEAD`] counts on it.
const _: () = assert!(size_of::<Stored>() <= 72);

impl Stored {
    /// An item whose value is the two parts together. The key is no longer than
    /// [`MAX_KEY`](crate::protocol::MAX_KEY). The cas id is [`numbered`](Stored::numbered)'s to give.
    pub(super) fn new(key: &[u8], value: [&[u8]; 2], flags: u32, deadline: Deadline) -> Stored {
        Stored {
            block: Bytes::from([key, value[0], value[1]].concat()),
            cas: 0,
            number: 0,
            deadline,
            stored_at: 0,
            accessed_at: 0,
            flags,
            key_length: u8::try_from(key.len()).expect("checked to be 250 at most"),
            marks: Marks::default(),
        }
    }

    /// The item as it is to be stored at `now` under `number`, which is its cas id too where none was chosen.
    pub(super) fn numbered(self, number: u64, cas: Option<u64>, now: u64) -> Stored {
        Stored {
            cas: cas.unwrap_or(number),
            number,
            stored_at: now as u32,
            accessed_at: now as u32,
            ..self
        }
    }

    /// The key.
    pub(super) fn key(&self) -> &[u8] {
        &self.block[..usize::from(self.key_length)]
    }

    /// The value.
    pub(super) fn data(&self) -> &[u8] {
        &self.block[usize::from(self.key_length)..]
    }

    /// The key; it shares the bytes.
    pub(super) fn shared_key(&self) -> Bytes {
        self.block.slice(..usize::from(self.key_length))
    }

    /// The value; it shares the bytes.
    pub(super) fn shared_data(&self) -> Bytes {
        self.block.slice(usize::from(self.key_length)..)
    }

    /// The item as a reply carries it; it shares the bytes.
    pub(super) fn into_item(self) -> Item {
        Item::joined(self.block, self.key_length, self.flags, self.cas)
    }

    /// What it takes of the capacity, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.block.len() as u64 + ITEM_OVERHEAD
    }

    /// Seconds since it was stored or last read.
    pub(super) fn idle(&self, now: u64) -> u32 {
        (now as u32).saturating_sub(self.accessed_at)
    }

    /// Notes that it is read. False: that was known.
    pub(super) fn note_hit(&mut self, now: u64) -> bool {
        let is_known = self.marks.has(Marks::FETCHED) && self.accessed_at == now as u32;
        self.marks.set(Marks::FETCHED);
        self.accessed_at = now as u32;
        !is_known
    }

    /// Becomes as `changed` in what may change while the value stays.
    pub(super) fn follow(&mut self, changed: &Stored) {
        self.cas = changed.cas;
        self.deadline = changed.deadline;
        self.marks = changed.marks;
        self.accessed_at = changed.accessed_at;
    }

    /// False from its deadline on, and where `flush` took it.
    pub(super) fn is_alive(&self, flush: Flush, now: u64) -> bool {
        !self.deadline.has_passed(now) && !flush.took(self.stored_at.into(), self.number, now)
    }
}

/// What is known of an item beside its value: a set of the constants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    /// It was read since it was stored.
    pub(super) const FETCHED: Marks = Marks(1);
    /// It is invalid, and one client may fill it anew.
    pub(super) const STALE: Marks = Marks(2);
    /// A client was told to fill it anew.
    pub(super) const TOKEN_SENT: Marks = Marks(4);
    /// Its key was typed in base64, and is shown so.
    pub(super) const BASE64: Marks = Marks(8);

    pub(super) fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    pub(super) fn set(&mut self, mark: Marks) {
        self.0 |= mark.0;
    }

    pub(super) fn clear(&mut self, mark: Marks) {
        self.0 &= !mark.0;
    }
}
