//! Chooses the fallback node of a key whose primary node is out, in rings that number their nodes.
//!
//! Such a ring keeps all of its nodes, so that no key of an active node moves. If the peer has its own rule
//! for a dead node, that rule comes first: python-memcached and dalli hash the key again, a limited number
//! of times. Without such a rule, and if it finds no active node, rendezvous among the active nodes
//! decides.

use super::Hash;
use super::hash_input::{LONGEST, joined};
use super::names::RingMembers;
use super::rendezvous::Rendezvous;

/// The number of attempts python-memcached makes to find a server, including the first.
const TRIES_OF_PYTHON: u32 = 10;

/// The number of attempts that dalli makes.
const TRIES_OF_DALLI: u32 = 20;

/// The rehash rule of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RehashRule {
    /// No rehash.
    Never,
    /// Hashes the hash in decimal digits, followed by the number of the attempt.
    Python,
    /// Hashes the number of the attempt, followed by the key.
    Dalli,
}

/// The nodes that take the keys of nodes that are out.
#[derive(Debug, Clone)]
pub(super) struct FallbackNodes {
    active: Box<[bool]>,
    rendezvous: Rendezvous,
    rehash_rule: RehashRule,
}

impl FallbackNodes {
    /// Returns the fallback nodes among the active `members`; `None` if all are active.
    pub(super) fn of(members: &RingMembers, rehash_rule: RehashRule) -> Option<FallbackNodes> {
        (!members.is_whole()).then(|| FallbackNodes {
            active: members.active.as_slice().into(),
            rendezvous: Rendezvous::among(members),
            rehash_rule,
        })
    }

    /// Returns the member that takes `key`, whose hash by `hash` leads to `primary`. `place` maps another
    /// hash to a member.
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
