//! One item of the cache: its key and value, and what is known of it. What commands make of that, and where
//! items are kept, is left to others.

use std::sync::Arc;

use bytes::Bytes;

use super::ITEM_OVERHEAD;
use super::expiry::{Deadline, Flush};
use super::growing::{End, Growing, LARGE};
use crate::protocol::Item;

/// One item.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    block: Block,
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

/// The key and the value.
#[derive(Debug, Clone)]
enum Block {
    /// The key and behind it the value: one allocation, of exactly their size.
    Joined(Bytes),
    /// A large value that was changed where it stands and not read since.
    Growing(Arc<Growing>),
}

// [`ITEM_OVERHEAD`] counts on it.
const _: () = assert!(size_of::<Stored>() <= 72);

impl Stored {
    /// An item whose value is the two parts together. The key is no longer than
    /// [`MAX_KEY`](crate::protocol::MAX_KEY). The cas id is [`numbered`](Stored::numbered)'s to give.
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

    /// The item with `value` added to its own at the `end`, of which nothing else is known but flags and deadline. Where
    /// it gets a buffer to grow in, that takes no more than `max` bytes.
    pub(super) fn grown(&self, end: End, value: &[u8], max: usize) -> Stored {
        let own = self.joined();
        let own = &own[usize::from(self.key_length)..];
        let parts = match end {
            End::Back => [own, value],
            End::Front => [value, own],
        };
        if own.len() + value.len() < LARGE {
            return Stored::new(self.key(), parts, self.flags, self.deadline);
        }
        Stored {
            block: Block::Growing(Arc::new(Growing::new(self.key(), parts, max))),
            ..Stored::new(self.key(), [b"", b""], self.flags, self.deadline)
        }
    }

    /// As [`grown`](Stored::grown) and [`numbered`](Stored::numbered), without a copy of what is there. False if there
    /// is no room for that, and then nothing changes.
    pub(super) fn grow(&mut self, end: End, value: &[u8], number: u64, cas: Option<u64>, now: u64) -> bool {
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

    /// The item with `digits` in the place of its value, of which nothing else is known but flags and deadline. They are
    /// filled up with spaces to the old length; if they need no more than that, all that is known stays, and a large
    /// value is written over without a copy, but for the first time.
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

    /// Makes one block of the value that is to be read, if it is none yet. True if it was none.
    pub(super) fn settle(&mut self) -> bool {
        let Block::Growing(growing) = &self.block else {
            return false;
        };
        self.block = Block::Joined(growing.joined());
        true
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
        match &self.block {
            Block::Joined(block) => &block[..usize::from(self.key_length)],
            Block::Growing(growing) => &growing.key,
        }
    }

    /// The value, to be looked at where it stands.
    pub(super) fn value(&mut self) -> &[u8] {
        match &mut self.block {
            Block::Joined(block) => &block[usize::from(self.key_length)..],
            Block::Growing(growing) => Arc::make_mut(growing).contiguous(),
        }
    }

    /// Bytes of the value.
    pub(super) fn size(&self) -> usize {
        match &self.block {
            Block::Joined(block) => block.len() - usize::from(self.key_length),
            Block::Growing(growing) => growing.size(),
        }
    }

    /// The key; it shares the bytes.
    pub(super) fn shared_key(&self) -> Bytes {
        match &self.block {
            Block::Joined(block) => block.slice(..usize::from(self.key_length)),
            Block::Growing(growing) => growing.key.clone(),
        }
    }

    /// The value; it shares the bytes of an item that is [`settled`](Stored::settle).
    pub(super) fn shared_data(&self) -> Bytes {
        self.joined().slice(usize::from(self.key_length)..)
    }

    /// The key with the value behind it; it shares the bytes of an item that is settled.
    fn joined(&self) -> Bytes {
        match &self.block {
            Block::Joined(block) => block.clone(),
            Block::Growing(growing) => growing.joined(),
        }
    }

    /// The item as a reply carries it; it shares the bytes of one that is settled.
    pub(super) fn into_item(self) -> Item {
        Item::joined(self.joined(), self.key_length, self.flags, self.cas)
    }

    /// What it takes of the capacity, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let bytes = match &self.block {
            Block::Joined(block) => block.len(),
            Block::Growing(growing) => growing.held(),
        };
        bytes as u64 + ITEM_OVERHEAD
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

    /// Becomes as `changed` in what may change while the value stays, though that may be settled now.
    pub(super) fn follow(&mut self, changed: &Stored) {
        self.cas = changed.cas;
        self.deadline = changed.deadline;
        self.marks = changed.marks;
        self.accessed_at = changed.accessed_at;
        if let (Block::Growing(_), Block::Joined(block)) = (&self.block, &changed.block) {
            self.block = Block::Joined(block.clone());
        }
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
