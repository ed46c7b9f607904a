//! Who takes a key whose node is out, in a ring that counts its nodes by numbers.
//!
//! Such a ring keeps all of its nodes, so that no key of an active one moves. Where the peer has a rule of its own
//! for a node that is dead, it is kept: python-memcached and dalli hash the key again, up to so many times. Else,
//! and after that, the active ones draw for the key.

use super::Hash;
use super::hash_input::{LONGEST, joined};
use super::names::RingMembers;
use super::rendezvous::Rendezvous;

/// python-memcached looks so often for a server, the first time included.
const TRIES_OF_PYTHON: u32 = 10;

/// dalli does.
const TRIES_OF_DALLI: u32 = 20;

/// Whose rule is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RehashRule {
    /// Nobody's.
    Never,
    /// The hash in digits, and the number of the try behind it, are hashed.
    Python,
    /// The number of the try, and the key behind it, are hashed.
    Dalli,
}

/// The nodes that take keys of others.
#[derive(Debug)]
pub(super) struct FallbackNodes {
    active: Box<[bool]>,
    rendezvous: Rendezvous,
    rehash_rule: RehashRule,
}

impl FallbackNodes {
    /// The active `members`; none if all are.
    pub(super) fn of(members: &RingMembers, rehash_rule: RehashRule) -> Option<FallbackNodes> {
        (!members.is_whole()).then(|| FallbackNodes {
            active: members.active.as_slice().into(),
            rendezvous: Rendezvous::among(members),
            rehash_rule,
        })
    }

    /// The member that takes `key`, whose hash by `hash` leads to `primary`; `place` says where another hash leads.
    pub(super) fn instead(
        &self,
        primary: usize,
        key: &[u8],
        hash: Hash,
        place: impl Fn(u64) -> usize,
    ) -> usize {
        if self.active[primary] {
            return primary;
        }
        let found = match self.rehash_rule {
            RehashRule::Never => None,
            RehashRule::Python => self.as_python_does(hash.digest(key), hash, place),
            RehashRule::Dalli => self.as_dalli_does(key, hash, place),
        };
        found.unwrap_or_else(|| self.rendezvous.highest(Hash::Xxh3.digest(key)))
    }

    fn as_python_does(&self, mut number: u64, hash: Hash, place: impl Fn(u64) -> usize) -> Option<usize> {
        let mut text = [0; LONGEST];
        let tries = (0..TRIES_OF_PYTHON - 1).map(|count| {
            let (mut digits, mut turn) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (digits, turn) = (digits.format(number), turn.format(count));
            number = hash.digest(joined(digits.as_bytes(), turn.as_bytes(), &mut text));
            place(number)
        });
        tries.into_iter().find(|&member| self.active[member])
    }

    fn as_dalli_does(&self, key: &[u8], hash: Hash, place: impl Fn(u64) -> usize) -> Option<usize> {
        let mut text = [0; LONGEST];
        let mut tries = (0..TRIES_OF_DALLI - 1).map(|count| {
            let mut turn = itoa::Buffer::new();
            place(hash.digest(joined(turn.format(count).as_bytes(), key, &mut text)))
        });
        tries.find(|&member| self.active[member])
    }
}
