//! The MD5 of eight short keys at once. MD5 is one chain of steps that wait for each other, so eight chains side by side
//! take little longer than one.

use std::array;

use wide::u32x8;

/// The maximum length of a key in bytes: a longer one takes a second block.
pub(super) const LONGEST: usize = 55;

/// The first four bytes of the digest of each key, the lowest first. No key may be longer than [`LONGEST`].
pub(super) fn eight_md5(keys: [&[u8]; 8]) -> [u32; 8] {
    let halves = keys.map(block);
    // The first word of each key, then the second of each, and so on.
    let words: [[u32x8; 8]; 2] = array::from_fn(|half| u32x8::transpose(halves.map(|block| block[half])));
    let words = words.as_flattened();
    let start = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476].map(u32x8::splat);
    let state = round::<0, 7, 12, 17, 22>(start, words, |b, c, d| d ^ (b & (c ^ d)));
    let state = round::<1, 5, 9, 14, 20>(state, words, |b, c, d| c ^ (d & (b ^ c)));
    let state = round::<2, 4, 11, 16, 23>(state, words, |b, c, d| b ^ c ^ d);
    let state = round::<3, 6, 10, 15, 21>(state, words, |b, c, d| c ^ (b | !d));
    (state[0] + start[0]).to_array()
}

/// The sixteen words of a key's block in two halves: the key, a bit, zeros, and the number of bits of the key.
#[inline]
fn block(key: &[u8]) -> [u32x8; 2] {
    let mut bytes = [0; 64];
    bytes[..key.len()].copy_from_slice(key);
    bytes[key.len()] = 0x80;
    bytes[56..58].copy_from_slice(&(8 * key.len() as u16).to_le_bytes());
    let (words, _) = bytes.as_chunks::<4>();
    array::from_fn(|half| u32x8::new(array::from_fn(|word| u32::from_le_bytes(words[8 * half + word]))))
}

/// Takes the sixteen steps of a round. Every fourth step rotates by `R0` bits, the next by `R1`, and so on.
#[inline]
fn round<const ROUND: usize, const R0: u32, const R1: u32, const R2: u32, const R3: u32>(
    [mut a, mut b, mut c, mut d]: [u32x8; 4],
    words: &[u32x8],
    mix: impl Fn(u32x8, u32x8, u32x8) -> u32x8,
) -> [u32x8; 4] {
    let (first, stride) = ORDER[ROUND];
    let addend = |step: usize| {
        let word = words[(first + stride * step) % 16];
        word + u32x8::splat(SINES[16 * ROUND + step])
    };
    for step in (0..16).step_by(4) {
        a = b + rotate::<R0>(a + mix(b, c, d) + addend(step));
        d = a + rotate::<R1>(d + mix(a, b, c) + addend(step + 1));
        c = d + rotate::<R2>(c + mix(d, a, b) + addend(step + 2));
        b = c + rotate::<R3>(b + mix(c, d, a) + addend(step + 3));
    }
    [a, b, c, d]
}

#[inline]
fn rotate<const BITS: u32>(words: u32x8) -> u32x8 {
    words << BITS | words >> (32 - BITS)
}

/// The word that each round begins with, and the distance to the next.
const ORDER: [(usize, usize); 4] = [(0, 1), (1, 5), (5, 3), (0, 7)];

/// The sine of each step's number from 1 on, without its sign, as a fraction of 2³².
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];
