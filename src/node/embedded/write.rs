//! The commands that store: set, add, replace, cas, append, prepend, incr and decr, classic or meta. The
//! caller parses the request and words the outcome.

use super::Embedded;
use super::expiry::Deadline;
use super::growing::GrowingSide;
use super::shard::CacheShard;
use super::stored::{Marks, Stored};
use crate::protocol::Command;
use crate::protocol::numbers::parse_stored;

/// What to store, and under which condition.
pub(super) struct StoreRequest<'a> {
    /// Set, add, replace, cas, append or prepend.
    pub(super) command: Command,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) flags: u32,
    pub(super) deadline: Deadline,
    /// The id that cas compares; append and prepend compare it too, unless it is 0.
    pub(super) cas: u64,
    /// The item's new cas id, if the client chose one.
    pub(super) new_cas: Option<u64>,
    /// Whether cas stores as stale if its id is lower than the item's, and not 0.
    pub(super) may_be_stale: bool,
    /// Whether the client sent the key in base64.
    pub(super) is_base64: bool,
    /// The deadline with which append and prepend create a missing item, if they may.
    pub(super) vivify: Option<Deadline>,
}

/// The outcome of a [`StoreRequest`].
pub(super) enum StoreOutcome {
    /// Stored with this cas id and size in bytes.
    Stored { cas: u64, length: usize },
    /// The command's condition did not hold.
    NotStored,
    /// The cas id did not match.
    Exists,
    /// cas did not find the key.
    NotFound,
    /// Too large: nothing was changed.
    TooLarge,
}

impl Embedded {
    /// Stores the item if its condition holds.
    pub(super) fn write(&self, write: &StoreRequest<'_>, now: u64) -> StoreOutcome {
        if !self.fits(write.key, write.value.len()) {
            return StoreOutcome::TooLarge;
        }
        match write.command {
            Command::Append | Command::Prepend => self.extend(write, now),
            _ => self.replace(write, now),
        }
    }

    fn replace(&self, write: &StoreRequest<'_>, now: u64) -> StoreOutcome {
        // The value is copied before the lock is taken.
        let mut stored = write.item(write.deadline);
        let mut shard = self.shard(write.key);
        if write.command != Command::Set {
            match (write.command, shard.find(write.key, now)) {
                (Command::Add, Some(_)) | (Command::Replace, None) => return StoreOutcome::NotStored,
                (Command::Cas, None) => return StoreOutcome::NotFound,
                (Command::Cas, Some(old)) if old.cas != write.cas => {
                    if !write.may_be_stale || write.cas == 0 || write.cas > old.cas {
                        return StoreOutcome::Exists;
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
        let written = StoreOutcome::of(&stored);
        shard.put(stored, now);
        written
    }

    /// Append and prepend: flags and deadline of the old value are kept.
    fn extend(&self, write: &StoreRequest<'_>, now: u64) -> StoreOutcome {
        let mut shard = self.shard(write.key);
        let end = match write.command {
            Command::Append => GrowingSide::Back,
            _ => GrowingSide::Front,
        };
        // One number for each item stored, as in memcached, so it is taken only once an item will be
        // stored.
        let (number, stored) = match (shard.find(write.key, now), write.vivify) {
            (None, None) => return StoreOutcome::NotStored,
            (None, Some(deadline)) => (self.next_number(), write.item(deadline)),
            (Some(old), _) if write.cas != 0 && write.cas != old.cas => return StoreOutcome::Exists,
            // memcached 1.6.18 has no other answer if only both parts together are too large.
            (Some(old), _) if !self.fits(write.key, old.size() + write.value.len()) => {
                return StoreOutcome::NotStored;
            }
            (Some(old), _) => {
                // A value that is referenced elsewhere must not grow in place.
                drop(old);
                let mut old = shard.in_place(write.key).expect("found above");
                let number = self.next_number();
                if old.grow(end, write.value, number, write.new_cas, now) {
                    return StoreOutcome::of(&old);
                }
                (number, old.grown(end, write.value, self.max_growing(write.key)))
            }
        };
        let stored = stored.numbered(number, write.new_cas, now);
        let written = StoreOutcome::of(&stored);
        shard.put(stored, now);
        written
    }
}

impl StoreRequest<'_> {
    fn item(&self, deadline: Deadline) -> Stored {
        let mut stored = Stored::new(self.key, [self.value, b""], self.flags, deadline);
        if self.is_base64 {
            stored.marks.set(Marks::BASE64);
        }
        stored
    }
}

impl StoreOutcome {
    fn of(stored: &Stored) -> StoreOutcome {
        StoreOutcome::Stored {
            cas: stored.cas,
            length: stored.size(),
        }
    }
}

/// Returns the result of incr or decr on `old`, which is in `shard`, and the item to store for it; `None`
/// if `old` is not a number.
///
/// Flags and deadline are kept, and the value never becomes shorter, because memcached overwrites the
/// number and pads it with spaces. Only a longer number makes a new item, which loses all other metadata.
pub(super) fn counted(
    shard: &mut CacheShard,
    old: Stored,
    is_incr: bool,
    delta: u64,
) -> Option<(u64, Stored)> {
    let key = old.shared_key();
    // A value that is referenced elsewhere cannot be overwritten in place.
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
