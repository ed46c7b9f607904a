//! Austin Appleby's Murmur: version 2 as twemproxy seeds it, its 64-bit form (A) of mcrouter, and version 3.

use super::padded;

/// The seed, which twemproxy and libmemcached multiply by the length.
const SEED: u32 = 0xdead_beef;

/// MurmurHash2 with twemproxy's seed.
pub(super) fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = key.len() as u32;
    let (fours, rest) = key.as_chunks::<4>();
    let mut hash = SEED.wrapping_mul(length) ^ length;
    for &four in fours {
        let mut word = u32::from_le_bytes(four).wrapping_mul(M);
        word = (word ^ word >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    if !rest.is_empty() {
        hash = (hash ^ u32::from_le_bytes(padded(rest))).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

/// MurmurHash64A.
pub(crate) fn murmur64a(key: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let (eights, rest) = key.as_chunks::<8>();
    let mut hash = seed ^ (key.len() as u64).wrapping_mul(M);
    for &eight in eights {
        let word = u64::from_le_bytes(eight).wrapping_mul(M);
        hash = (hash ^ (word ^ word >> 47).wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash = (hash ^ u64::from_le_bytes(padded(rest))).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^ hash >> 47
}

/// MurmurHash3 (x86, 32 bits) with libmemcached's seed.
pub(super) fn murmur3_of_libmemcached(key: &[u8]) -> u32 {
    let mut state = Murmur3::new(SEED.wrapping_mul(key.len() as u32));
    key.iter().for_each(|&byte| state.push(byte));
    state.finish()
}

/// MurmurHash3 (x86, 32 bits), computed incrementally.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Murmur3 {
    hash: u32,
    /// The bytes of the incomplete word, the first one lowest.
    word: u32,
    length: u32,
}

impl Murmur3 {
    /// Returns the state before any byte.
    pub(crate) fn new(seed: u32) -> Murmur3 {
        Murmur3 {
            hash: seed,
            word: 0,
            length: 0,
        }
    }

    /// Appends one byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.word |= u32::from(byte) << (self.length % 4 * 8);
        self.length = self.length.wrapping_add(1);
        if self.length.is_multiple_of(4) {
            self.hash = (self.hash ^ scrambled(self.word)).rotate_left(13);
            self.hash = self.hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
            self.word = 0;
        }
    }

    /// Returns the hash of all bytes.
    #[inline]
    pub(crate) fn finish(self) -> u32 {
        let mut hash = self.hash ^ scrambled(self.word) ^ self.length;
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

fn scrambled(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593)
}
