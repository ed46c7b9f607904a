//! Rings that compute every node's score for a key and pick the best: mcrouter's rendezvous, its weighted
//! form, and pymemcache's.
//!
//! A look-up takes time in proportion to the number of nodes.

use super::furc;
use super::hashes::{Murmur3, characters, murmur64a};
use super::names::RingMembers;

/// The seed of keys.
const KEY_SEED: u64 = 2_718_281_828;

/// mcrouter's nodes: the hash of each one's name, its weight, its index among the members.
#[derive(Debug, Clone)]
pub(super) struct Mcrouter {
    nodes: Box<[(u64, f64, u32)]>,
}

impl Mcrouter {
    /// Builds the ring of the active `members`; a node of the weight `full` has the weight 1.
    pub(super) fn build(members: &RingMembers, full: u32) -> Mcrouter {
        let node = |index: usize| {
            let hash = murmur64a(members.names[index].as_bytes(), furc::SEED);
            let weight = f64::from(members.weights[index]) / f64::from(full);
            (hash, weight, index as u32)
        };
        Mcrouter {
            nodes: members.active().map(node).collect(),
        }
    }

    /// Returns the hash of a key from which scores are computed.
    pub(super) fn hash(key: &[u8]) -> u64 {
        murmur64a(key, KEY_SEED)
    }

    /// Returns the index of the member with the highest score for `hash`; of equal ones the last.
    pub(super) fn owner(&self, hash: u64) -> usize {
        // Compared as 64-bit floats, as mcrouter does, which hold 53 bits of a score.
        let scores = self.nodes.iter().map(|node| (mixed(node.0, hash) as f64, node.2));
        let best = scores.max_by(|a, b| a.0.total_cmp(&b.0));
        best.expect("somebody stands").1 as usize
    }

    /// Like [`Mcrouter::owner`], with weights; of equal scores the first wins.
    pub(super) fn weighted_owner(&self, hash: u64) -> usize {
        const BITS: u64 = (1 << 53) - 1;
        let mut best = (0.0, self.nodes[0].2);
        for &(node, weight, index) in &self.nodes {
            let even = (mixed(node, hash) & BITS) as f64 / (BITS + 1) as f64;
            let score = weight * (1.0 / -even.ln());
            if score > best.0 {
                best = (score, index);
            }
        }
        best.1 as usize
    }
}

/// Reduces 128 bits to 64 as CityHash does.
fn mixed(upper: u64, lower: u64) -> u64 {
    const M: u64 = 0x9ddf_ea08_eb38_2d69;
    let a = (lower ^ upper).wrapping_mul(M);
    let b = (upper ^ (a ^ a >> 47)).wrapping_mul(M);
    (b ^ b >> 47).wrapping_mul(M)
}

/// pymemcache's nodes: the MurmurHash3 state after `name-`, to which a key's characters are appended, and
/// the index among the members.
#[derive(Debug, Clone)]
pub(super) struct Pymemcache {
    /// In the order of names, because of equal scores the greater name wins.
    nodes: Box<[(Murmur3, u32)]>,
}

impl Pymemcache {
    /// Builds the ring of the active `members`.
    pub(super) fn build(members: &RingMembers) -> Pymemcache {
        let mut active: Vec<usize> = members.active().collect();
        active.sort_by_key(|&index| &members.names[index]);
        let node = |&index: &usize| {
            let mut hash = Murmur3::new(0);
            push(&mut hash, members.names[index].as_bytes());
            hash.push(b'-');
            (hash, index as u32)
        };
        Pymemcache {
            nodes: active.iter().map(node).collect(),
        }
    }

    /// Returns the highest score for `key` and the index of its member.
    pub(super) fn best(&self, key: &[u8]) -> (u32, usize) {
        let score = |&(mut hash, index): &(Murmur3, u32)| {
            push(&mut hash, key);
            (hash.finish(), index as usize)
        };
        let best = self.nodes.iter().map(score).max_by_key(|score| score.0);
        best.expect("somebody stands")
    }
}

/// Appends a text as Python does: its characters, each truncated to eight bits.
fn push(hash: &mut Murmur3, text: &[u8]) {
    characters(text).for_each(|c| hash.push(c as u32 as u8));
}
