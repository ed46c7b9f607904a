//! How items are stored in a Valkey or Redis.
//!
//! An item without flags is a plain string under its key: the value and nothing else, so that programs that speak Redis
//! read and write it. Any other item is a string that begins with a header:
//!
//! ```text
//!   F5 52 57 31   marks    flags        cas id       value
//!   4 bytes       1 byte   4 bytes      8 bytes      the rest        numbers are big-endian
//! ```
//!
//! It is a string, too, because GET, MGET and SET then read and write every item in one round trip, and because the
//! server evicts, expires, persists and replicates it as one. No text in UTF-8 contains the first byte of a
//! header. A value that begins with those four bytes itself gets a header, even without flags.
//!
//! An item has a cas id without a place for it: that of a plain string is a digest of its bytes. It changes with the
//! value, whoever writes it, and is the same again if the value is. The ids in headers are new with each write and
//! grow with time, as memcached's.

use sha1::{Digest, Sha1};

/// The first bytes of a header.
pub const MAGIC: &[u8; 4] = b"\xf5RW1";
/// The length of a header in bytes.
pub const HEADER: usize = 17;
/// The bit that tells digests from ids in headers, which are below it. Signed numbers of clients hold both.
const DIGEST: u64 = 1 << 62;

/// The marks of an item, a set of the constants below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks(pub u8);

impl Marks {
    /// It is stale, and one client may refill it.
    pub const STALE: Marks = Marks(1);
    /// A client was given the token to refill it.
    pub const TOKEN_SENT: Marks = Marks(2);
    /// A client chose its cas id, so it has a header.
    pub const CHOSEN_ID: Marks = Marks(4);

    /// Whether `mark` is among them.
    pub fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marks.
    pub marks: Marks,
    /// The client's flags.
    pub flags: u32,
    /// The cas id.
    pub cas: u64,
}

impl Header {
    /// Returns the header of a new item with `value`; `None` if it is stored as a plain string.
    pub fn needed(flags: u32, cas: u64, marks: Marks, value: &[u8]) -> Option<Header> {
        let is_plain = flags == 0 && marks == Marks::default() && !value.starts_with(MAGIC);
        (!is_plain).then_some(Header { marks, flags, cas })
    }

    /// The header as it is stored.
    pub fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = self.marks.0;
        bytes[5..9].copy_from_slice(&self.flags.to_be_bytes());
        bytes[9..].copy_from_slice(&self.cas.to_be_bytes());
        bytes
    }

    /// Splits a stored string into its header, if it has one, and its value.
    #[inline]
    pub fn split(stored: &[u8]) -> (Option<Header>, &[u8]) {
        let Some((header, value)) = stored
            .split_first_chunk::<HEADER>()
            .filter(|_| stored.starts_with(MAGIC))
        else {
            return (None, stored);
        };
        let [_, _, _, _, marks, f1, f2, f3, f4, cas @ ..] = *header;
        let header = Header {
            marks: Marks(marks),
            flags: u32::from_be_bytes([f1, f2, f3, f4]),
            cas: u64::from_be_bytes(cas),
        };
        (Some(header), value)
    }
}

/// Returns the cas id of a plain string.
pub fn digest(value: &[u8]) -> u64 {
    let digest = Sha1::digest(value);
    let (first, _) = digest.split_first_chunk::<8>().expect("it has 20 bytes");
    u64::from_be_bytes(*first) & (DIGEST - 1) | DIGEST
}

/// Whether a cas id is the digest of a value, so that it comes back if the value does.
pub fn is_digest(cas: u64) -> bool {
    cas >= DIGEST
}

/// Returns the cas id for a write at the Unix time `millis`: later ones are higher, and two of one millisecond differ
/// in `random`. It leaves room until the year 2109.
pub fn new_id(millis: u64, random: u32) -> u64 {
    (millis << 20 | u64::from(random >> 12)) & (DIGEST - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header::needed(7, 1 << 61 | 9, Marks::STALE, b"").expect("flags need one");
        let stored = [&header.bytes()[..], b"value"].concat();
        assert_eq!(Header::split(&stored), (Some(header), &b"value"[..]));
        assert_eq!(stored[..4], [0xf5, b'R', b'W', b'1']);
    }

    #[test]
    fn only_what_says_nothing_more_than_its_value_is_a_plain_string() {
        let none = Marks::default();
        assert_eq!(Header::needed(0, 9, none, b"value"), None);
        assert_eq!(Header::needed(0, 9, none, b""), None);
        assert!(Header::needed(1, 9, none, b"value").is_some());
        assert!(Header::needed(0, 9, Marks::CHOSEN_ID, b"value").is_some());
        assert!(
            Header::needed(0, 9, none, b"\xf5RW1").is_some(),
            "it would be read as a header"
        );
        for plain in [&b""[..], b"\xf5RW1 too short", b"\xf5RW2 is of another kind"] {
            assert_eq!(Header::split(plain), (None, plain));
        }
    }

    #[test]
    fn ids_are_positive_and_never_digests() {
        // Of Redis: EVAL "return redis.sha1hex('abc')" 0 begins with a9993e364706816a.
        assert_eq!(digest(b"abc"), 0x6999_3e36_4706_816a);
        assert_ne!(digest(b"abc"), digest(b"abd"));
        let now = 1_800_000_000_000;
        assert!(new_id(now, u32::MAX) < new_id(now + 1, 0));
        assert!(!is_digest(new_id(now, 0)) && is_digest(digest(b"")) && digest(b"") < 1 << 63);
    }
}
