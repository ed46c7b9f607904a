//! Rings in which every node is asked for its score of a key, and the best one owns it: mcrouter's rendezvous, its
//! weighted form, and pymemcache's.
//!
//! One look-up takes time in proportion to the number of nodes.

use super::furc;
use super::hashes::{Murmur3, characters, murmur64a};
use super::names::RingMembers;

/// The seed of keys.
const KEY_SEED: u64 = 2_718_281_828;

/// mcrouter's nodes: the hash of each one's name, its weight, its index among the members.
#[derive(Debug)]
pub(super) struct Mcrouter {
    nodes: Box<[(u64, f64, u32)]>,
}

impl Mcrouter {
    /// The active `members`; a node of the weight `full` weighs 1.
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

    /// What the nodes' scores are made of, of a key.
    pub(super) fn hash(key: &[u8]) -> u64 {
        murmur64a(key, KEY_SEED)
    }

    /// The index of the member whose score of `hash` is the highest; the last one of those.
    pub(super) fn owner(&self, hash: u64) -> usize {
        // Compared as 64-bit floats, which hold 53 bits of a score.
        let scores = self.nodes.iter().map(|node| (mixed(node.0, hash) as f64, node.2));
        let best = scores.max_by(|a, b| a.0.total_cmp(&b.0));
        best.expect("somebody stands").1 as usize
    }

    /// The same with weights; the first one of those.
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

/// CityHash's 128 bits to 64.
fn mixed(upper: u64, lower: u64) -> u64 {
    const M: u64 = 0x9ddf_ea08_eb38_2d69;
    let a = (lower ^ upper).wrapping_mul(M);
    let b = (upper ^ (a ^ a >> 47)).wrapping_mul(M);
    (b ^ b >> 47).wrapping_mul(M)
}

/// pymemcache's nodes: MurmurHash3 of `name-`, to which a key's characters come, and the index among the members.
#[derive(Debug)]
pub(super) struct Pymemcache {
    /// In the order of names, as of two with one score the one with the greater name wins.
    nodes: Box<[(Murmur3, u32)]>,
}

impl Pymemcache {
    /// The active `members`.
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

    /// The highest score of `key`, and the index of the member whose it is.
    pub(super) fn best(&self, key: &[u8]) -> (u32, usize) {
        let score = |&(mut hash, index): &(Murmur3, u32)| {
            push(&mut hash, key);
            (hash.finish(), index as usize)
        };
        let best = self.nodes.iter().map(score).max_by_key(|score| score.0);
        best.expect("somebody stands")
    }
}

/// Python hashes a text's characters, each cut to eight bits.
fn push(hash: &mut Murmur3, text: &[u8]) {
    characters(text).for_each(|c| hash.push(c as u32 as u8));
}
