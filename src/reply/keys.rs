//! The replies to the keys of a session's multi-gets, in the order of the keys. Many keys are outstanding at
//! once, so each takes little memory: what they have in common is in their multi-get's slot.
//!
//! Keys are numbered from the session's first, and taken in that order.

use std::collections::VecDeque;

use bytes::Bytes;

use super::dropped::DROPPED;
use super::lines::{Pieces, ValueLines};
use crate::protocol::{Part, Reply};

/// The capacity that an empty queue keeps, in keys.
const KEEP: usize = 1024;

/// A key whose reply arrived as it was expected, together with others.
#[derive(Debug, Clone, Copy)]
pub struct ArrivedKey {
    /// Its number.
    pub number: u32,
    /// The length in bytes of its value's lines, which follow those of the keys before it; 0 for a miss.
    pub length: u32,
}

/// The reply to one key, as it is taken.
#[derive(Debug)]
pub enum TakenReply<'a> {
    /// There is no such item.
    Miss,
    /// The lines of a value, as a classic client reads them.
    Lines(Part<'a>),
    /// Any other reply.
    Other(&'a Reply),
}

impl TakenReply<'_> {
    /// The number of bytes of its value.
    #[inline]
    pub fn size(&self) -> usize {
        match self {
            TakenReply::Miss => 0,
            TakenReply::Lines(lines) => lines.bytes.len(),
            TakenReply::Other(reply) => reply.value_len(),
        }
    }
}

/// The reply to one key, as it waits.
#[derive(Debug)]
enum KeyReply {
    /// It is outstanding.
    Awaited,
    Miss,
    Lines(ValueLines),
    Other(Box<Reply>),
}

// There is one for each outstanding key.
const _: () = assert!(size_of::<KeyReply>() <= 16);

/// The replies to keys that were not taken.
#[derive(Debug, Default)]
pub(super) struct KeyReplies {
    replies: VecDeque<KeyReply>,
    /// The lines of values.
    pieces: Pieces,
    /// The number of the front key.
    first: u32,
    /// The number of keys at the front whose replies have arrived.
    arrived: usize,
}

impl KeyReplies {
    /// Appends `count` keys. Returns the number of the first.
    pub(super) fn push(&mut self, count: u32) -> u32 {
        let number = self.first.wrapping_add(self.replies.len() as u32);
        self.replies.extend((0..count).map(|_| KeyReply::Awaited));
        number
    }

    /// Stores the `reply` to the key with this `number`. Returns true if more keys at the front have their
    /// replies.
    pub(super) fn fill(&mut self, number: u32, reply: Reply) -> bool {
        let reply = match reply {
            Reply::NotFound => KeyReply::Miss,
            reply => KeyReply::Other(Box::new(reply)),
        };
        self.put(number, reply)
    }

    /// Stores the replies to `keys`, whose values' lines are `lines`, one after the other; `DROPPED` in place of those
    /// that `may_keep` refuses. Returns true if more keys at the front have their replies.
    #[inline]
    pub(super) fn fill_together(
        &mut self,
        lines: Bytes,
        keys: &[ArrivedKey],
        mut may_keep: impl FnMut(usize, usize) -> bool,
    ) -> bool {
        let (mut start, mut values, mut has_more) = (0, 0, false);
        for key in keys {
            let reply = if key.length == 0 {
                KeyReply::Miss
            } else if may_keep(self.index(key.number), key.length as usize) {
                values += 1;
                KeyReply::Lines(self.pieces.of_next(start, key.length))
            } else {
                KeyReply::Other(Box::new(DROPPED))
            };
            has_more |= self.put(key.number, reply);
            start += key.length;
        }
        self.pieces.push(lines, values);
        has_more
    }

    #[inline]
    fn put(&mut self, number: u32, reply: KeyReply) -> bool {
        let index = self.index(number);
        let Some(place) = self.replies.get_mut(index) else {
            debug_assert!(false, "key {number} was taken before its reply arrived");
            return false;
        };
        debug_assert!(
            matches!(place, KeyReply::Awaited),
            "key {number} is answered twice"
        );
        *place = reply;
        if index != self.arrived {
            return false;
        }
        self.arrived += 1;
        let has_arrived = |reply: &KeyReply| !matches!(reply, KeyReply::Awaited);
        while self.replies.get(self.arrived).is_some_and(has_arrived) {
            self.arrived += 1;
        }
        true
    }

    /// Takes the reply to the front key, which has arrived, and passes it to `write`.
    #[inline]
    pub(super) fn take(&mut self, write: impl FnOnce(TakenReply<'_>)) {
        self.first = self.first.wrapping_add(1);
        self.arrived -= 1;
        match self.replies.pop_front() {
            None | Some(KeyReply::Awaited) => debug_assert!(false, "no reply has arrived"),
            Some(KeyReply::Miss) => write(TakenReply::Miss),
            Some(KeyReply::Lines(lines)) => self.pieces.take(lines, |part| write(TakenReply::Lines(part))),
            Some(KeyReply::Other(reply)) => write(TakenReply::Other(&reply)),
        }
        self.trim(KEEP);
    }

    /// The index of the key with this `number`, from the front.
    #[inline]
    pub(super) fn index(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    /// The number of keys.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    /// The number of keys at the front whose replies have arrived.
    #[inline]
    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }

    /// The number of bytes that keys take, without the values.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.replies.len() * size_of::<KeyReply>() + self.pieces.bytes()
    }

    /// The number of bytes of memory that it keeps, without the values.
    pub(super) fn memory(&self) -> usize {
        self.replies.capacity() * size_of::<KeyReply>() + self.pieces.memory()
    }

    /// Frees the memory of keys if it has none and keeps it for more than `keys`.
    #[inline]
    pub(super) fn trim(&mut self, keys: usize) {
        if self.replies.is_empty() && self.replies.capacity() > keys {
            self.replies = VecDeque::new();
            self.pieces.trim();
        }
    }
}
