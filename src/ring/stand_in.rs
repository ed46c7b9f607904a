//! Who takes a key whose node is out, in a ring that counts its nodes by numbers.
//!
//! Such a ring keeps all of its nodes, so that no key of a standing one moves. Where the peer has a rule of its own
//! for a node that is dead, it is kept: python-memcached and dalli hash the key again, up to so many times. Else,
//! and after that, those that stand draw for the key.

use super::Hash;
use super::names::Roll;
use super::reading::{LONGEST, joined};
use super::rendezvous::Draw;

/// python-memcached looks so often for a server, the first time included.
const TRIES_OF_PYTHON: u32 = 10;

/// dalli does.
const TRIES_OF_DALLI: u32 = 20;

/// Whose rule is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Nobody's.
    Never,
    /// The hash in digits, and the number of the try behind it, are hashed.
    Python,
    /// The number of the try, and the key behind it, are hashed.
    Dalli,
}

/// Those who stand in for others.
#[derive(Debug)]
pub(super) struct StandIns {
    stands: Box<[bool]>,
    draw: Draw,
    again: Again,
}

impl StandIns {
    /// Those in `roll` that stand; none where all do.
    pub(super) fn of(roll: &Roll, again: Again) -> Option<StandIns> {
        (!roll.is_whole()).then(|| StandIns {
            stands: roll.stands.as_slice().into(),
            draw: Draw::among(roll),
            again,
        })
    }

    /// The member that takes `key`, whose hash by `hash` leads to `home`; `place` says where another hash leads.
    pub(super) fn instead(&self, home: usize, key: &[u8], hash: Hash, place: impl Fn(u64) -> usize) -> usize {
        if self.stands[home] {
            return home;
        }
        let found = match self.again {
            Again::Never => None,
            Again::Python => self.as_python_does(hash.digest(key), hash, place),
            Again::Dalli => self.as_dalli_does(key, hash, place),
        };
        found.unwrap_or_else(|| self.draw.highest(Hash::Xxh3.digest(key)))
    }

    fn as_python_does(&self, mut number: u64, hash: Hash, place: impl Fn(u64) -> usize) -> Option<usize> {
        let mut text = [0; LONGEST];
        let tries = (0..TRIES_OF_PYTHON - 1).map(|count| {
            let (mut digits, mut turn) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (digits, turn) = (digits.format(number), turn.format(count));
            number = hash.digest(joined(digits.as_bytes(), turn.as_bytes(), &mut text));
            place(number)
        });
        tries.into_iter().find(|&member| self.stands[member])
    }

    fn as_dalli_does(&self, key: &[u8], hash: Hash, place: impl Fn(u64) -> usize) -> Option<usize> {
        let mut text = [0; LONGEST];
        let mut tries = (0..TRIES_OF_DALLI - 1).map(|count| {
            let mut turn = itoa::Buffer::new();
            place(hash.digest(joined(turn.format(count).as_bytes(), key, &mut text)))
        });
        tries.find(|&member| self.stands[member])
    }
}
