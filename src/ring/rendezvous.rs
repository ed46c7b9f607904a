//! Weighted rendezvous: each node has a score for each hash, and the node with the highest score owns it.
//!
//! When a node comes or goes, only the hashes that it gains or loses move, and shares match weights
//! exactly. Computing scores asks every node, so [`SlotTable`] does it once for each of 65536 parts of the
//! hash space, when the ring is built.
//!
//! ```text
//! hash ─▶ mixed, upper 16 bits ─▶ slots[…] ─▶ the node with the highest score for the slot
//! ```

use xxhash_rust::xxh3::xxh3_64;

use super::names::RingMembers;

/// The number of parts of the hash space, a power of two.
const SLOTS: usize = 1 << 16;

/// The owner of each slot.
#[derive(Debug)]
pub(super) struct SlotTable {
    owners: Box<[u32]>,
}

impl SlotTable {
    /// Builds the slots of the active `members`.
    pub(super) fn build(members: &RingMembers) -> SlotTable {
        let rendezvous = Rendezvous::among(members);
        let owner = |slot: usize| rendezvous.highest(slot as u64) as u32;
        SlotTable {
            owners: (0..SLOTS).map(owner).collect(),
        }
    }

    /// Returns the index of the member that owns `hash`.
    #[inline]
    pub(super) fn owner(&self, hash: u64) -> usize {
        self.owners[(mixed(hash) >> (u64::BITS - SLOTS.trailing_zeros())) as usize] as usize
    }
}

/// Nodes that compete by score.
#[derive(Debug)]
pub(super) struct Rendezvous {
    /// Nodes grouped by weight: within a group the highest number wins, so only the winners need weighing.
    groups: Box<[WeightGroup]>,
}

/// Nodes of one weight.
#[derive(Debug)]
struct WeightGroup {
    weight: f64,
    /// The hash of each node's name, and its index among the members.
    nodes: Box<[(u64, u32)]>,
}

impl Rendezvous {
    /// Groups the active `members`.
    pub(super) fn among(members: &RingMembers) -> Rendezvous {
        let mut active: Vec<usize> = members.active().collect();
        active.sort_by_key(|&index| members.weights[index]);
        let group = |indices: &[usize]| WeightGroup {
            weight: f64::from(members.weights[indices[0]]),
            nodes: indices
                .iter()
                .map(|&index| (xxh3_64(members.names[index].as_bytes()), index as u32))
                .collect(),
        };
        let groups = active.chunk_by(|&a, &b| members.weights[a] == members.weights[b]);
        Rendezvous {
            groups: groups.map(group).collect(),
        }
    }

    /// Returns the index of the member with the highest score for `hash`.
    pub(super) fn highest(&self, hash: u64) -> usize {
        let hash = mixed(hash);
        let best = |group: &WeightGroup| {
            let score = |&(node, index): &(u64, u32)| (mixed(node ^ hash), index);
            group.nodes.iter().map(score).max().expect("a group has a node")
        };
        if let [only] = &*self.groups {
            return best(only).1 as usize;
        }
        let weighed = self.groups.iter().map(|group| {
            let (score, index) = best(group);
            // Uniform in ]0, 1[: a float holds 53 of the 64 bits.
            let even = ((score >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            (group.weight / -even.ln(), index)
        });
        let highest = weighed.max_by(|a, b| a.0.total_cmp(&b.0));
        highest.expect("a group has a node").1 as usize
    }
}

/// Mixes the bits of `hash` so that each influences all others: SplitMix64's last steps.
#[inline]
pub(super) fn mixed(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}
