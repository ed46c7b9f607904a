//! The replies to the keys of a session's multi-gets, in the order of the keys. Many keys are outstanding at
//! once, so each takes little memory: what they have in common is in their multi-get's slot.
//!
//! Keys are numbered from the session's first, and taken in that order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::protocol::Reply;

/// The capacity that an empty queue keeps, in keys.
const KEEP: usize = 1024;

/// The reply to one key.
#[derive(Debug)]
pub enum KeyReply {
    /// It is outstanding.
    Awaited,
    /// There is no such item.
    Miss,
    /// The lines of a value, as a classic client reads them.
    Lines(Bytes),
    /// Any other reply.
    Other(Box<Reply>),
}

// There is one for each outstanding key.
const _: () = assert!(size_of::<KeyReply>() <= 40);

impl KeyReply {
    #[inline]
    fn has_arrived(&self) -> bool {
        !matches!(self, KeyReply::Awaited)
    }

    /// The number of bytes that wait with it.
    #[inline]
    pub fn size(&self) -> usize {
        match self {
            KeyReply::Awaited | KeyReply::Miss => 0,
            KeyReply::Lines(lines) => lines.len(),
            KeyReply::Other(reply) => reply.value_len(),
        }
    }
}

impl From<Reply> for KeyReply {
    fn from(reply: Reply) -> KeyReply {
        match &reply {
            Reply::NotFound => KeyReply::Miss,
            Reply::Value(item) => match item.lines() {
                Some(lines) => KeyReply::Lines(lines.clone()),
                None => KeyReply::Other(Box::new(reply)),
            },
            _ => KeyReply::Other(Box::new(reply)),
        }
    }
}

/// The replies to keys that were not taken.
#[derive(Debug, Default)]
pub(super) struct KeyReplies {
    replies: VecDeque<KeyReply>,
    /// The number of the front key.
    first: u32,
    /// The number of keys at the front whose replies have arrived.
    arrived: usize,
}

impl KeyReplies {
    /// Appends a key. Returns its number.
    #[inline]
    pub(super) fn push(&mut self) -> u32 {
        let number = self.first.wrapping_add(self.replies.len() as u32);
        self.replies.push_back(KeyReply::Awaited);
        number
    }

    /// Stores the reply to the key with this `number`. Returns true if more keys at the front have their
    /// replies.
    #[inline]
    pub(super) fn fill(&mut self, number: u32, reply: KeyReply) -> bool {
        let index = number.wrapping_sub(self.first) as usize;
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
        while self.replies.get(self.arrived).is_some_and(KeyReply::has_arrived) {
            self.arrived += 1;
        }
        true
    }

    /// Takes the reply to the front key.
    #[inline]
    pub(super) fn pop(&mut self) -> KeyReply {
        self.first = self.first.wrapping_add(1);
        self.arrived -= 1;
        let reply = self.replies.pop_front().unwrap_or(KeyReply::Awaited);
        self.trim(KEEP);
        reply
    }

    /// The number of the front key.
    #[inline]
    pub(super) fn first(&self) -> u32 {
        self.first
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

    /// The number of bytes of memory that it keeps, without the values.
    pub(super) fn memory(&self) -> usize {
        self.replies.capacity() * size_of::<KeyReply>()
    }

    /// Frees the memory of keys if it has none and keeps it for more than `keys`.
    #[inline]
    pub(super) fn trim(&mut self, keys: usize) {
        if self.replies.is_empty() && self.replies.capacity() > keys {
            self.replies = VecDeque::new();
        }
    }
}
