//! One item of the cache: its key, its value and its metadata. The meaning of commands and the storage of
//! items are left to other modules.

use std::sync::Arc;

use bytes::Bytes;

use super::ITEM_OVERHEAD;
use super::expiry::{Deadline, FlushMark};
use super::growing::{Growing, GrowingSide, LARGE};
use crate::protocol::Item;

/// One item.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    block: Block,
    pub(super) cas: u64,
    /// Grows with each item stored; the cas id need not, because a client may choose it.
    number: u64,
    pub(super) deadline: Deadline,
    /// Unix seconds in 32 bits, as memcached's.
    stored_at: u32,
    accessed_at: u32,
    pub(super) flags: u32,
    key_length: u8,
    pub(super) marks: Marks,
}

/// The key and the value.
#[derive(Debug, Clone)]
enum Block {
    /// The key and behind it the value: one allocation, of exactly their size.
    Joined(Bytes),
    /// A large value that was changed in place and not read since.
    Growing(Arc<Growing>),
}

// [`ITEM_OVERHEAD`] assumes this size.
const _: () = assert!(size_of::<Stored>() <= 72);

impl Stored {
    /// Returns an item whose value is the concatenation of two parts. The key must not be longer than
    /// [`MAX_KEY`](crate::protocol::MAX_KEY). [`numbered`](Stored::numbered) assigns the cas id.
    pub(super) fn new(key: &[u8], value: [&[u8]; 2], flags: u32, deadline: Deadline) -> Stored {
        Stored {
            block: Block::Joined([key, value[0], value[1]].concat().into()),
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

    /// Returns the item with `value` added at `end`; of its metadata only flags and deadline are kept. If
    /// it gets a buffer to grow in, that has at most `max` bytes.
    pub(super) fn grown(&self, end: GrowingSide, value: &[u8], max: usize) -> Stored {
        let own = self.joined();
        let own = &own[usize::from(self.key_length)..];
        let parts = match end {
            GrowingSide::Back => [own, value],
            GrowingSide::Front => [value, own],
        };
        if own.len() + value.len() < LARGE {
            return Stored::new(self.key(), parts, self.flags, self.deadline);
        }
        Stored {
            block: Block::Growing(Arc::new(Growing::new(self.key(), parts, max))),
            ..Stored::new(self.key(), [b"", b""], self.flags, self.deadline)
        }
    }

    /// Like [`grown`](Stored::grown) and [`numbered`](Stored::numbered), but in place, without a copy.
    /// Returns false and changes nothing if there is no room.
    pub(super) fn grow(
        &mut self,
        end: GrowingSide,
        value: &[u8],
        number: u64,
        cas: Option<u64>,
        now: u64,
    ) -> bool {
        let Block::Growing(growing) = &mut self.block else {
            return false;
        };
        if !Arc::get_mut(growing).is_some_and(|growing| growing.add(end, value)) {
            return false;
        }
        self.marks = Marks::default();
        *self = self.clone().numbered(number, cas, now);
        true
    }

    /// Returns the item with `digits` as its value, padded with spaces to the old length. If they fit into
    /// the old length all metadata is kept, and a large value is overwritten without a copy, except the
    /// first time; otherwise only flags and deadline are kept.
    pub(super) fn counted(&mut self, digits: &[u8]) -> Stored {
        let size = self.size();
        if digits.len() > size {
            return Stored::new(self.key(), [digits, b""], self.flags, self.deadline);
        }
        if let Block::Growing(growing) = &mut self.block {
            Arc::make_mut(growing).overwrite(digits);
            return self.clone();
        }
        let padding = vec![b' '; size - digits.len()];
        let parts = [digits, &padding];
        let block = if size < LARGE {
            Stored::new(self.key(), parts, self.flags, self.deadline).block
        } else {
            Block::Growing(Arc::new(Growing::new(self.key(), parts, size)))
        };
        Stored { block, ..*self }
    }

    /// Makes the value one block before it is read. Returns true if it was not yet.
    pub(super) fn settle(&mut self) -> bool {
        let Block::Growing(growing) = &self.block else {
            return false;
        };
        self.block = Block::Joined(growing.joined());
        true
    }

    /// Returns the item as stored at `now` under `number`, which is also its cas id unless the client chose
    /// one.
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
        match &self.block {
            Block::Joined(block) => &block[..usize::from(self.key_length)],
            Block::Growing(growing) => &growing.key,
        }
    }

    /// The value, borrowed in place.
    pub(super) fn value(&mut self) -> &[u8] {
        match &mut self.block {
            Block::Joined(block) => &block[usize::from(self.key_length)..],
            Block::Growing(growing) => Arc::make_mut(growing).contiguous(),
        }
    }

    /// The size of the value in bytes.
    pub(super) fn size(&self) -> usize {
        match &self.block {
            Block::Joined(block) => block.len() - usize::from(self.key_length),
            Block::Growing(growing) => growing.size(),
        }
    }

    /// The key, sharing the bytes.
    pub(super) fn shared_key(&self) -> Bytes {
        match &self.block {
            Block::Joined(block) => block.slice(..usize::from(self.key_length)),
            Block::Growing(growing) => growing.key.clone(),
        }
    }

    /// The value; it shares the bytes if the item is [`settled`](Stored::settle).
    pub(super) fn shared_data(&self) -> Bytes {
        self.joined().slice(usize::from(self.key_length)..)
    }

    /// The key followed by the value; shares the bytes if the item is settled.
    fn joined(&self) -> Bytes {
        match &self.block {
            Block::Joined(block) => block.clone(),
            Block::Growing(growing) => growing.joined(),
        }
    }

    /// Returns the item for a reply; it shares the bytes if the item is settled.
    pub(super) fn into_item(self) -> Item {
        Item::joined(self.joined(), self.key_length, self.flags, self.cas)
    }

    /// The number of bytes of capacity that it takes.
    pub(super) fn weight(&self) -> u64 {
        let bytes = match &self.block {
            Block::Joined(block) => block.len(),
            Block::Growing(growing) => growing.held(),
        };
        bytes as u64 + ITEM_OVERHEAD
    }

    /// The seconds since it was stored or last read.
    pub(super) fn idle(&self, now: u64) -> u32 {
        (now as u32).saturating_sub(self.accessed_at)
    }

    /// Marks the item as read. Returns false if nothing changed.
    pub(super) fn note_hit(&mut self, now: u64) -> bool {
        let is_known = self.marks.has(Marks::FETCHED) && self.accessed_at == now as u32;
        self.marks.set(Marks::FETCHED);
        self.accessed_at = now as u32;
        !is_known
    }

    /// Takes over the metadata of `changed`, but not its value, which may have been settled meanwhile.
    pub(super) fn follow(&mut self, changed: &Stored) {
        self.cas = changed.cas;
        self.deadline = changed.deadline;
        self.marks = changed.marks;
        self.accessed_at = changed.accessed_at;
        if let (Block::Growing(_), Block::Joined(block)) = (&self.block, &changed.block) {
            self.block = Block::Joined(block.clone());
        }
    }

    /// Returns false from its deadline on, and if `flush` removed it.
    pub(super) fn is_alive(&self, flush: FlushMark, now: u64) -> bool {
        !self.deadline.has_passed(now) && !flush.took(self.stored_at.into(), self.number, now)
    }
}

/// An item's flags of state, a set of the constants below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    /// It was read since it was stored.
    pub(super) const FETCHED: Marks = Marks(1);
    /// It is stale, and one client may refill it.
    pub(super) const STALE: Marks = Marks(2);
    /// A client was given the token to refill it.
    pub(super) const TOKEN_SENT: Marks = Marks(4);
    /// The client sent its key in base64, and it is shown so.
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
