//! mcrouter's Ch3, also called furc: a key's bits lead down a binary tree whose leaves are the nodes.
//!
//! Nodes are numbered: only a node at the end of the list can come or go without moving the keys of others.

use super::hashes::{murmur64a, spooky32};

/// The seed of the bits.
pub(super) const SEED: u64 = 4_193_360_111;

/// The seed of the draw against a node's weight.
const DRAW_SEED: u64 = 0xface_2014;

/// The number of attempts after which mcrouter takes the last node found.
const TRIES: u32 = 32;

/// The number of bits in the sequence that one step down consumes.
const STRIDE: u32 = 23;

/// Returns the number below `count` that `key` leads to.
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

/// Like [`furc`], but the node with the number `i` accepts `shares[i]` of 2³² of the keys that lead to it.
/// A rejected key is tried again with the number of the attempt appended.
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

/// Returns how many of 2³² keys a node of `weight` accepts, if one of `full` accepts all.
pub(super) fn share(weight: u32, full: u32) -> u32 {
    let part = (f64::from(weight) / f64::from(full)).min(1.0);
    (part * f64::from(u32::MAX)) as u32
}

/// The maximum length of a key with its salt.
const LONGEST: usize = super::hash_input::LONGEST;

/// An endless sequence of bits: the key's hash, the hash of that hash, and so on.
struct Bits {
    first: u64,
    /// The most recently used word and its index.
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
