//! Maglev hashing (Eisenbud and others): nodes take the slots of a table in turns, each by its own permutation.
//!
//! Shares are as even as a table can be. When a node comes or goes some hashes of others move, too. While a node
//! is out its slots are drawn for, one by one, among the active ones, and no other slot moves.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::names::RingMembers;
use super::rendezvous::{Rendezvous, mixed};

/// How many slots there are: a prime, as every step through it must reach each slot.
const SLOTS: u64 = 65537;

/// Who owns each slot.
#[derive(Debug)]
pub(super) struct Maglev {
    owners: Box<[u32]>,
}

/// A node that takes slots.
struct Taker {
    index: u32,
    /// Where it looks next, and how far it steps then.
    at: u64,
    step: u64,
    /// How much of a turn it has saved, and gets a round; a whole turn is 1.
    saved: f64,
    gain: f64,
}

impl Maglev {
    /// The table of all in `members`, in which those that are out have been stood in for.
    pub(super) fn build(members: &RingMembers) -> Maglev {
        let mut owners = filled(members);
        if !members.is_whole() {
            let rendezvous = Rendezvous::among(members);
            for (slot, owner) in owners.iter_mut().enumerate() {
                if !members.active[*owner as usize] {
                    *owner = rendezvous.highest(slot as u64) as u32;
                }
            }
        }
        Maglev {
            owners: owners.into(),
        }
    }

    /// The index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> usize {
        // The product's upper half is the hash's share of the slots.
        let slot = (u128::from(mixed(hash)) * u128::from(SLOTS)) >> 64;
        self.owners[slot as usize] as usize
    }
}

fn filled(members: &RingMembers) -> Vec<u32> {
    const NOBODY: u32 = u32::MAX;
    let heaviest = members.weights.iter().copied().max().unwrap_or(1).max(1);
    let taker = |&index: &usize| {
        let name = members.names[index].as_bytes();
        Taker {
            index: index as u32,
            at: xxh3_64(name) % SLOTS,
            step: xxh3_64_with_seed(name, 1) % (SLOTS - 1) + 1,
            saved: 0.0,
            gain: f64::from(members.weights[index]) / f64::from(heaviest),
        }
    };
    let mut takers: Vec<Taker> = members.order.iter().map(taker).collect();
    // Turns are in the order of names, so that the order of the list does not matter.
    takers.sort_by_key(|taker| &members.names[taker.index as usize]);
    let mut owners = vec![NOBODY; SLOTS as usize];
    let mut left = owners.len();
    for turn in (0..takers.len()).cycle() {
        let taker = &mut takers[turn];
        taker.saved += taker.gain;
        if taker.saved < 1.0 {
            continue;
        }
        taker.saved -= 1.0;
        while owners[taker.at as usize] != NOBODY {
            taker.at = (taker.at + taker.step) % SLOTS;
        }
        owners[taker.at as usize] = taker.index;
        left -= 1;
        if left == 0 {
            break;
        }
    }
    owners
}
