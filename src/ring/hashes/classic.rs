//! The functions that twemproxy and libmemcached share, as computed by their builds for x86 and other
//! machines with a signed `char`: some sign-extend bytes from 0x80 up.

use md5::{Digest, Md5};

use super::padded;

/// Widens a byte as C widens a signed `char`.
fn signed(byte: u8) -> u32 {
    byte as i8 as u32
}

pub(super) fn one_at_a_time(key: &[u8]) -> u32 {
    let mut hash = 0u32;
    for &byte in key {
        hash = hash.wrapping_add(signed(byte));
        hash = hash.wrapping_add(hash << 10);
        hash ^= hash >> 6;
    }
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}

pub(super) fn md5(key: &[u8]) -> u32 {
    let digest: [u8; 16] = Md5::digest(key).into();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

const CRC16: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 {
                crc << 1 ^ 0x1021
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[byte] = crc as u32;
        byte += 1;
    }
    table
};

pub(super) fn crc16(key: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)];
    key.iter().fold(0, step)
}

pub(super) fn fnv1(key: &[u8], basis: u32, prime: u32) -> u32 {
    let step = |hash: u32, &byte: &u8| hash.wrapping_mul(prime) ^ signed(byte);
    key.iter().fold(basis, step)
}

pub(super) fn fnv1a(key: &[u8], basis: u32, prime: u32) -> u32 {
    let step = |hash: u32, &byte: &u8| (hash ^ signed(byte)).wrapping_mul(prime);
    key.iter().fold(basis, step)
}

/// [`fnv1a`] of eight keys, side by side: each step of one waits for the step before.
pub(super) fn eight_fnv1a(keys: [&[u8]; 8], basis: u32, prime: u32) -> [u32; 8] {
    let common = keys.iter().map(|key| key.len()).min().unwrap_or(0);
    let fronts = keys.map(|key| &key[..common]);
    let mut hashes = [basis; 8];
    for at in 0..common {
        for (hash, front) in hashes.iter_mut().zip(fronts) {
            *hash = (*hash ^ signed(front[at])).wrapping_mul(prime);
        }
    }
    std::array::from_fn(|index| fnv1a(&keys[index][common..], hashes[index], prime))
}

pub(super) fn hsieh(key: &[u8]) -> u32 {
    if key.is_empty() {
        return 0;
    }
    let pair = |bytes: &[u8]| u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let (fours, rest) = key.as_chunks::<4>();
    let mut hash = 0u32;
    for four in fours {
        hash = hash.wrapping_add(pair(&four[..2]));
        hash = hash << 16 ^ pair(&four[2..]) << 11 ^ hash;
        hash = hash.wrapping_add(hash >> 11);
    }
    match rest {
        &[_, _, last] => {
            hash = hash.wrapping_add(pair(rest));
            hash ^= hash << 16 ^ signed(last) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [_, _] => {
            hash = hash.wrapping_add(pair(rest));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        &[last] => {
            hash = hash.wrapping_add(u32::from(last));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

pub(super) fn jenkins(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32).wrapping_add(13);
    if key.is_empty() {
        return start;
    }
    // The final mix takes the last one to twelve bytes, even if they are a full block of twelve.
    let (body, tail) = key.split_at((key.len() - 1) / 12 * 12);
    let mut state = [start; 3];
    for twelve in body.as_chunks::<12>().0 {
        state = jenkins_mixed(jenkins_added(state, twelve));
    }
    jenkins_ended(jenkins_added(state, &padded(tail)))
}

fn jenkins_added([a, b, c]: [u32; 3], twelve: &[u8; 12]) -> [u32; 3] {
    let word = |at: usize| u32::from_le_bytes([twelve[at], twelve[at + 1], twelve[at + 2], twelve[at + 3]]);
    [
        a.wrapping_add(word(0)),
        b.wrapping_add(word(4)),
        c.wrapping_add(word(8)),
    ]
}

fn jenkins_mixed([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    for turns in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(turns[0]);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(turns[1]);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(turns[2]);
        b = b.wrapping_add(a);
    }
    [a, b, c]
}

fn jenkins_ended([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}
