//! Maglev hashing (Eisenbud and others): nodes take the slots of a table in turns, each in the order of its
//! own permutation.
//!
//! Shares are as even as a table allows. When a node joins or leaves, some hashes of other nodes move too.
//! While a node is out, rendezvous distributes its slots among the active nodes, and no other slot moves.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::names::RingMembers;
use super::rendezvous::{Rendezvous, mixed};

/// The number of slots: a prime, because every step through the table must reach each slot.
const SLOTS: u64 = 65537;

/// The owner of each slot.
#[derive(Debug, Clone)]
pub(super) struct Maglev {
    owners: Box<[u32]>,
}

/// A node that is taking slots.
struct Taker {
    index: u32,
    /// The next slot to try, and the step to the one after.
    at: u64,
    step: u64,
    /// The node's accumulated share of a turn. Each round adds its share; at 1 it takes a slot.
    saved: f64,
    gain: f64,
}

impl Maglev {
    /// Builds the table of all `members`, with fallback nodes for those that are out.
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

    /// Returns the index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> usize {
        // The product's upper half maps the hash onto the slots.
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
