//! The functions that turn a key into a number: the twelve that twemproxy and libmemcached share.
//!
//! They are theirs to the letter, as their builds for x86 and for other machines with a signed `char`
//! compute them: some functions extend the sign of bytes from 0x80 up, so that they differ from their
//! textbook for keys that are not ASCII.

use md5::{Digest, Md5};

/// A key's hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// Jenkins's one-at-a-time.
    OneAtATime,
    /// The first four bytes of the MD5, the lowest first.
    Md5,
    /// CRC-16 (CCITT), whose upper bits are never cut off: it fills 32.
    Crc16,
    /// CRC-32, of which 15 bits are left. Nearly useless on a circle: all keys fall into its first 2⁻¹⁷.
    Crc32,
    /// CRC-32.
    Crc32a,
    /// The lower half of the 64-bit FNV-1.
    Fnv1_64,
    /// The lower half of the 64-bit FNV-1a.
    Fnv1a64,
    /// FNV-1.
    Fnv1_32,
    /// FNV-1a.
    Fnv1a32,
    /// Hsieh's SuperFastHash.
    Hsieh,
    /// MurmurHash2 with a seed made of the length.
    Murmur,
    /// Jenkins's lookup3 (`hashlittle`), seed 13.
    Jenkins,
}

/// Each function and its name in configurations: twemproxy's.
const NAMED: [(&str, Hash); 12] = [
    ("one_at_a_time", Hash::OneAtATime),
    ("md5", Hash::Md5),
    ("crc16", Hash::Crc16),
    ("crc32", Hash::Crc32),
    ("crc32a", Hash::Crc32a),
    ("fnv1_64", Hash::Fnv1_64),
    ("fnv1a_64", Hash::Fnv1a64),
    ("fnv1_32", Hash::Fnv1_32),
    ("fnv1a_32", Hash::Fnv1a32),
    ("hsieh", Hash::Hsieh),
    ("murmur", Hash::Murmur),
    ("jenkins", Hash::Jenkins),
];

impl Hash {
    /// The names that [`Hash::from_name`] knows.
    pub const NAMES: &[&str] = &{
        let mut names = [""; NAMED.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = NAMED[at].0;
            at += 1;
        }
        names
    };

    /// The function called `name`.
    pub fn from_name(name: &str) -> Option<Hash> {
        NAMED.iter().find(|named| named.0 == name).map(|named| named.1)
    }

    /// What it is called in configurations.
    pub fn name(self) -> &'static str {
        NAMED[self as usize].0
    }

    /// The hash of `key`.
    #[inline]
    pub fn digest(self, key: &[u8]) -> u32 {
        match self {
            Hash::OneAtATime => one_at_a_time(key),
            Hash::Md5 => md5(key),
            Hash::Crc16 => crc16(key),
            Hash::Crc32 => (crc32(key) >> 16) & 0x7fff,
            Hash::Crc32a => crc32(key),
            // Lower bits of a product hear nothing of upper ones: the lower halves do for 64 bits.
            Hash::Fnv1_64 => fnv1(key, 0x8422_2325, 0x1b3),
            Hash::Fnv1a64 => fnv1a(key, 0x8422_2325, 0x1b3),
            Hash::Fnv1_32 => fnv1(key, 0x811c_9dc5, 0x0100_0193),
            Hash::Fnv1a32 => fnv1a(key, 0x811c_9dc5, 0x0100_0193),
            Hash::Hsieh => hsieh(key),
            Hash::Murmur => murmur(key),
            Hash::Jenkins => jenkins(key),
        }
    }
}

/// A `char` of C as it is widened where `char` has a sign.
fn signed(byte: u8) -> u32 {
    byte as i8 as u32
}

fn one_at_a_time(key: &[u8]) -> u32 {
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

fn md5(key: &[u8]) -> u32 {
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

fn crc16(key: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)];
    key.iter().fold(0, step)
}

const CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc32(key: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| crc >> 8 ^ CRC32[usize::from(crc as u8 ^ byte)];
    !key.iter().fold(!0, step)
}

fn fnv1(key: &[u8], basis: u32, prime: u32) -> u32 {
    let step = |hash: u32, &byte: &u8| hash.wrapping_mul(prime) ^ signed(byte);
    key.iter().fold(basis, step)
}

fn fnv1a(key: &[u8], basis: u32, prime: u32) -> u32 {
    let step = |hash: u32, &byte: &u8| (hash ^ signed(byte)).wrapping_mul(prime);
    key.iter().fold(basis, step)
}

fn hsieh(key: &[u8]) -> u32 {
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

fn murmur(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = key.len() as u32;
    let (fours, rest) = key.as_chunks::<4>();
    let mut hash = 0xdead_beef_u32.wrapping_mul(length) ^ length;
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

fn jenkins(key: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32).wrapping_add(13);
    if key.is_empty() {
        return start;
    }
    // The last one to twelve bytes are for the end, even where they are twelve.
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

/// `bytes`, at most `N`, and zeros after them.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all[..bytes.len()].copy_from_slice(bytes);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_gives_its_known_values() {
        // "apple" is the word that twemproxy's own tests hash.
        let known: [(&str, [u32; 3]); 12] = [
            ("one_at_a_time", [2297466611, 1968136217, 0]),
            ("md5", [3195025439, 1925876898, 3649838548]),
            ("crc16", [3662830516, 4083502016, 0]),
            ("crc32", [10542, 1735, 0]),
            ("crc32a", [2838417488, 113715828, 0]),
            ("fnv1_64", [473199127, 4044155928, 2216829733]),
            ("fnv1a_64", [1488911807, 503911478, 2216829733]),
            ("fnv1_32", [67176023, 2864616632, 2166136261]),
            ("fnv1a_32", [280767167, 1733572406, 2166136261]),
            ("hsieh", [3738850110, 386485210, 0]),
            ("murmur", [4142305122, 558373031, 0]),
            ("jenkins", [1442444624, 3774723105, 3735928572]),
        ];
        for (name, expected) in known {
            let hash = Hash::from_name(name).expect("named");
            let digests = ["apple", "cl\u{e9}", ""].map(|key| hash.digest(key.as_bytes()));
            assert_eq!(digests, expected, "{name}");
        }
    }

    #[test]
    fn every_name_leads_to_its_function_and_back() {
        assert_eq!(Hash::NAMES.len(), 12);
        for name in Hash::NAMES {
            assert_eq!(Hash::from_name(name).expect("listed").name(), *name);
        }
        assert_eq!(Hash::from_name("fnv1a-64"), None);
    }
}
