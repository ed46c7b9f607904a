//! What stores: set, add, replace, cas, append, prepend, incr and decr, classic or meta. Who asked reads the
//! request and says the outcome in its own words.

use super::Embedded;
use super::expiry::Deadline;
use super::growing::End;
use super::shard::Shard;
use super::stored::{Marks, Stored};
use crate::protocol::Command;
use crate::protocol::numbers::parse_stored;

/// What is to be stored, and where that is allowed.
pub(super) struct Write<'a> {
    /// Set, add, replace, cas, append or prepend.
    pub(super) command: Command,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) flags: u32,
    pub(super) deadline: Deadline,
    /// Of cas the id that must be there; of append and prepend too, but 0 is any.
    pub(super) cas: u64,
    /// The id that the item gets.
    pub(super) new_cas: Option<u64>,
    /// Cas stores as stale where the id is lower than the one that is there, and not 0.
    pub(super) may_be_stale: bool,
    /// The key was typed in base64.
    pub(super) is_base64: bool,
    /// Append and prepend store where nothing is there, until then.
    pub(super) vivify: Option<Deadline>,
}

/// What became of a [`Write`].
pub(super) enum EncodedRequest {
    /// It is stored, under this cas id and with so many bytes.
    Stored { cas: u64, length: usize },
    /// The command's condition does not hold.
    NotStored,
    /// Another cas id is there.
    Exists,
    /// Cas found nothing.
    NotFound,
    /// Nothing changed.
    TooLarge,
}

impl Embedded {
    /// Stores, if it may.
    pub(super) fn write(&self, write: &Write<'_>, now: u64) -> EncodedRequest {
        if !self.fits(write.key, write.value.len()) {
            return EncodedRequest::TooLarge;
        }
        match write.command {
            Command::Append | Command::Prepend => self.extend(write, now),
            _ => self.replace(write, now),
        }
    }

    fn replace(&self, write: &Write<'_>, now: u64) -> EncodedRequest {
        // The value is copied before the lock is taken.
        let mut stored = write.item(write.deadline);
        let mut shard = self.shard(write.key);
        if write.command != Command::Set {
            match (write.command, shard.find(write.key, now)) {
                (Command::Add, Some(_)) | (Command::Replace, None) => return EncodedRequest::NotStored,
                (Command::Cas, None) => return EncodedRequest::NotFound,
                (Command::Cas, Some(old)) if old.cas != write.cas => {
                    if !write.may_be_stale || write.cas == 0 || write.cas > old.cas {
                        return EncodedRequest::Exists;
                    }
                    stored.deadline = old.deadline;
                    stored.marks.set(Marks::STALE);
                    if old.marks.has(Marks::TOKEN_SENT) {
                        stored.marks.set(Marks::TOKEN_SENT);
                    }
                }
                _ => {}
            }
        }
        let stored = stored.numbered(self.next_number(), write.new_cas, now);
        let written = EncodedRequest::of(&stored);
        shard.put(stored, now);
        written
    }

    /// Append and prepend: flags and deadline stay those of the old value.
    fn extend(&self, write: &Write<'_>, now: u64) -> EncodedRequest {
        let mut shard = self.shard(write.key);
        let end = match write.command {
            Command::Append => End::Back,
            _ => End::Front,
        };
        // One number for each item stored, as in memcached, so it is taken once an item will be.
        let (number, stored) = match (shard.find(write.key, now), write.vivify) {
            (None, None) => return EncodedRequest::NotStored,
            (None, Some(deadline)) => (self.next_number(), write.item(deadline)),
            (Some(old), _) if write.cas != 0 && write.cas != old.cas => return EncodedRequest::Exists,
            // memcached 1.6.18 has no other answer where only both parts together are too large.
            (Some(old), _) if !self.fits(write.key, old.size() + write.value.len()) => {
                return EncodedRequest::NotStored;
            }
            (Some(old), _) => {
                // While somebody else has the value, it must not grow where it stands.
                drop(old);
                let mut old = shard.in_place(write.key).expect("found above");
                let number = self.next_number();
                if old.grow(end, write.value, number, write.new_cas, now) {
                    return EncodedRequest::of(&old);
                }
                (number, old.grown(end, write.value, self.max_growing(write.key)))
            }
        };
        let stored = stored.numbered(number, write.new_cas, now);
        let written = EncodedRequest::of(&stored);
        shard.put(stored, now);
        written
    }
}

impl Write<'_> {
    fn item(&self, deadline: Deadline) -> Stored {
        let mut stored = Stored::new(self.key, [self.value, b""], self.flags, deadline);
        if self.is_base64 {
            stored.marks.set(Marks::BASE64);
        }
        stored
    }
}

impl EncodedRequest {
    fn of(stored: &Stored) -> EncodedRequest {
        EncodedRequest::Stored {
            cas: stored.cas,
            length: stored.size(),
        }
    }
}

/// The number that incr or decr makes of `old`, which is in `shard`, and the item to be put there for it; `None` if
/// `old` is no number.
///
/// Flags and deadline stay, and the value never becomes shorter, for memcached writes the number over the
/// old one and fills up with spaces. Only a longer number makes a new item, of which nothing else is known.
pub(super) fn counted(shard: &mut Shard, old: Stored, is_incr: bool, delta: u64) -> Option<(u64, Stored)> {
    let key = old.shared_key();
    // While somebody else has the value, it cannot be written over where it stands.
    drop(old);
    let mut old = shard.in_place(&key).expect("it is in the shard");
    let number = parse_stored(old.value())?;
    let number = if is_incr {
        number.wrapping_add(delta)
    } else {
        number.saturating_sub(delta)
    };
    Some((number, old.counted(itoa::Buffer::new().format(number).as_bytes())))
}
