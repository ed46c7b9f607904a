//! Hash functions for keys: the twelve that twemproxy and libmemcached share, and those of other proxies
//! and clients.
//!
//! They reproduce the peers exactly, accidents included: some differ from their textbook for non-ASCII
//! keys.

mod classic;
mod eight_md5;
mod murmur;
mod spooky;

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(super) use murmur::{Murmur3, murmur64a};
pub(super) use spooky::spooky32;

/// A key's hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// Jenkins's one-at-a-time.
    OneAtATime,
    /// The first four bytes of the MD5, the lowest first.
    Md5,
    /// CRC-16 (CCITT), whose upper bits are not cut off: it fills 32.
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
    /// MurmurHash3 with libmemcached's seed, made of the length.
    Murmur3,
    /// The lower 31 bits of CRC-32, as mcrouter takes them.
    Crc32Of31Bits,
    /// Java's `String.hashCode`, of UTF-16.
    Java,
    /// XXH3, all 64 bits; a circle takes the lower 32. The only one that takes a seed.
    Xxh3,
}

/// Each function and its name in configurations: twemproxy's for its twelve, which come first.
const NAMED: [(&str, Hash); 16] = [
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
    ("murmur3", Hash::Murmur3),
    ("crc32_31", Hash::Crc32Of31Bits),
    ("java", Hash::Java),
    ("xxh3", Hash::Xxh3),
];

/// The first value and the factor of the 64-bit FNV. The lower bits of a product do not depend on upper ones, so the
/// lower halves suffice.
const FNV_64: u32 = 0x8422_2325;
const FNV_64_PRIME: u32 = 0x1b3;
/// The same of the 32-bit FNV.
const FNV_32: u32 = 0x811c_9dc5;
const FNV_32_PRIME: u32 = 0x0100_0193;

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

    /// Returns the function called `name`.
    pub fn from_name(name: &str) -> Option<Hash> {
        NAMED.iter().find(|named| named.0 == name).map(|named| named.1)
    }

    /// The function's name in configurations.
    pub fn name(self) -> &'static str {
        NAMED[self as usize].0
    }

    /// Returns the hash of `key`, with the seed 0: 32 bits, or 64 for [`Hash::Xxh3`].
    #[inline]
    pub fn digest(self, key: &[u8]) -> u64 {
        self.seeded(key, 0)
    }

    /// Returns the hashes of eight keys, with less work than one after the other, if there is a way.
    #[inline]
    pub(super) fn of_eight(self, keys: [&[u8]; 8]) -> Option<[u32; 8]> {
        let are_short = || keys.iter().all(|key| key.len() <= eight_md5::LONGEST);
        match self {
            Hash::Md5 if are_short() => Some(eight_md5::eight_md5(keys)),
            Hash::Fnv1a64 => Some(classic::eight_fnv1a(keys, FNV_64, FNV_64_PRIME)),
            Hash::Fnv1a32 => Some(classic::eight_fnv1a(keys, FNV_32, FNV_32_PRIME)),
            _ => None,
        }
    }

    /// Like [`Hash::digest`], with a seed, which all functions except [`Hash::Xxh3`] ignore.
    #[inline]
    pub(super) fn seeded(self, key: &[u8], seed: u64) -> u64 {
        u64::from(match self {
            Hash::OneAtATime => classic::one_at_a_time(key),
            Hash::Md5 => classic::md5(key),
            Hash::Crc16 => classic::crc16(key),
            Hash::Crc32 => (crc32fast::hash(key) >> 16) & 0x7fff,
            Hash::Crc32a => crc32fast::hash(key),
            Hash::Fnv1_64 => classic::fnv1(key, FNV_64, FNV_64_PRIME),
            Hash::Fnv1a64 => classic::fnv1a(key, FNV_64, FNV_64_PRIME),
            Hash::Fnv1_32 => classic::fnv1(key, FNV_32, FNV_32_PRIME),
            Hash::Fnv1a32 => classic::fnv1a(key, FNV_32, FNV_32_PRIME),
            Hash::Hsieh => classic::hsieh(key),
            Hash::Murmur => murmur::murmur2(key),
            Hash::Jenkins => classic::jenkins(key),
            Hash::Murmur3 => murmur::murmur3_of_libmemcached(key),
            Hash::Crc32Of31Bits => crc32fast::hash(key) & 0x7fff_ffff,
            Hash::Java => java(key),
            Hash::Xxh3 => return xxh3_64_with_seed(key, seed),
        })
    }
}

/// Java's `String.hashCode` of `key` as UTF-8 text, as an unsigned number.
fn java(key: &[u8]) -> u32 {
    let step = |hash: u32, unit: u16| hash.wrapping_mul(31).wrapping_add(u32::from(unit));
    let mut units = [0; 2];
    characters(key).fold(0, |hash, c| {
        c.encode_utf16(&mut units)
            .iter()
            .fold(hash, |hash, &unit| step(hash, unit))
    })
}

/// Decodes `key` as UTF-8; each invalid byte becomes one character.
pub(super) fn characters(key: &[u8]) -> impl Iterator<Item = char> {
    key.utf8_chunks().flat_map(|chunk| {
        let bytes = chunk.invalid().iter().map(|&byte| char::from(byte));
        chunk.valid().chars().chain(bytes)
    })
}

/// Returns `bytes`, at most `N`, padded with zeros.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all[..bytes.len()].copy_from_slice(bytes);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_eight_keys_has_the_hash_that_it_has_alone() {
        let mut random = fastrand::Rng::with_seed(5);
        for round in 0..1000 {
            let keys: [Vec<u8>; 8] = std::array::from_fn(|at| {
                let length = if round < 56 {
                    (round + 7 * at) % 56
                } else {
                    random.usize(..=eight_md5::LONGEST + 1)
                };
                (0..length).map(|_| random.u8(..)).collect()
            });
            let keys = keys.each_ref().map(|key| &key[..]);
            for (name, hash) in NAMED {
                let alone = keys.map(|key| hash.digest(key) as u32);
                if let Some(together) = hash.of_eight(keys) {
                    assert_eq!(together, alone, "{name} of {keys:?}");
                }
            }
        }
        let together = NAMED.map(|(_, hash)| hash.of_eight([b"a"; 8]).is_some());
        assert_eq!(together.iter().filter(|&&is| is).count(), 3);
    }

    #[test]
    fn every_function_gives_its_known_values() {
        // "apple" is the word that twemproxy's own tests hash.
        let known: [(&str, [u64; 3]); 12] = [
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
        assert_eq!(Hash::NAMES.len(), 16);
        for name in Hash::NAMES {
            assert_eq!(Hash::from_name(name).expect("listed").name(), *name);
        }
        assert_eq!(Hash::from_name("fnv1a-64"), None);
    }
}
