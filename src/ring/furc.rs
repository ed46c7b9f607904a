//! mcrouter's Ch3, also called furc: a key's bits lead down a binary tree whose leaves are the nodes.
//!
//! Nodes are numbers here: only one at the end of the list comes or goes without moving the keys of others.

use super::hashes::{murmur64a, spooky32};

/// The seed of the bits.
pub(super) const SEED: u64 = 4_193_360_111;

/// The seed of the draw that a weight decides.
const DRAW_SEED: u64 = 0xface_2014;

/// So often mcrouter tries before it takes what it has.
const TRIES: u32 = 32;

/// How many bits of the sequence one step down takes.
const STRIDE: u32 = 23;

/// The number among `count` that `key` leads to.
pub(super) fn furc(key: &[u8], count: usize) -> usize {
    if count <= 1 {
        return 0;
    }
    let mut bits = Bits::of(key);
    let mut depth = usize::BITS - (count - 1).leading_zeros();
    let mut at = depth;
    for _ in 0..TRIES {
        while !bits.get(at) {
            depth -= 1;
            if depth == 0 {
                return 0;
            }
            at = depth;
        }
        at += STRIDE;
        let mut number = 1;
        for _ in 1..depth {
            number = number << 1 | usize::from(bits.get(at));
            at += STRIDE;
        }
        if number < count {
            return number;
        }
    }
    0
}

/// The same where the node with the number `i` takes `shares[i]` of 2³² of the keys that lead to it; the others
/// are tried again with the number of the try behind the key.
pub(super) fn weighted(key: &[u8], shares: &[u32]) -> usize {
    let mut index = furc(key, shares.len());
    if spooky32(key, DRAW_SEED) < shares[index] {
        return index;
    }
    let mut text = [0; LONGEST + 2];
    let length = key.len().min(LONGEST);
    text[..length].copy_from_slice(&key[..length]);
    for salt in 0..TRIES - 1 {
        // The lowest digit comes first.
        text[length] = b'0' + (salt % 10) as u8;
        text[length + 1] = b'0' + (salt / 10) as u8;
        let salted = &text[..length + if salt < 10 { 1 } else { 2 }];
        index = furc(salted, shares.len());
        if spooky32(salted, DRAW_SEED) < shares[index] {
            break;
        }
    }
    index
}

/// What a node of `weight` takes of 2³² keys, where one of `full` takes all.
pub(super) fn share(weight: u32, full: u32) -> u32 {
    let part = (f64::from(weight) / f64::from(full)).min(1.0);
    (part * f64::from(u32::MAX)) as u32
}

/// A key with its salt is no longer.
const LONGEST: usize = super::hash_input::LONGEST;

/// An endless sequence of bits: those of the key's hash, of that hash's hash, and so on.
struct Bits {
    first: u64,
    /// The word that was looked at last, and its place.
    word: u64,
    at: u32,
}

impl Bits {
    fn of(key: &[u8]) -> Bits {
        let first = murmur64a(key, SEED);
        Bits {
            first,
            word: first,
            at: 0,
        }
    }

    fn get(&mut self, bit: u32) -> bool {
        if bit / 64 < self.at {
            (self.word, self.at) = (self.first, 0);
        }
        while self.at < bit / 64 {
            self.word = murmur64a(&self.word.to_le_bytes(), SEED);
            self.at += 1;
        }
        self.word >> (bit % 64) & 1 == 1
    }
}
