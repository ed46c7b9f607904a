//! The binary format of the log of missed writes. Pure.
//!
//! ```text
//! file    "ringway missed writes 1\n" record record …
//! record  length u32 │ CRC-32 of length and payload u32 │ payload of that length
//! payload kind u8 │ length of pool u16 │ length of node u16 │ pool │ node │ key, to the end
//! ```
//!
//! Numbers are little-endian. A record that was written in part, or whose bytes changed, does not decode;
//! lengths that no record can have are rejected.

use std::io::{self, Read};

/// The beginning of a file.
pub const MAGIC: &[u8] = b"ringway missed writes 1\n";
/// The length and the checksum.
const HEAD: usize = 8;
/// The kind and the lengths of two names.
const FIXED: usize = 5;
/// The maximum length of a payload: each part's length fits into two bytes.
const MAX_PAYLOAD: usize = FIXED + 3 * u16::MAX as usize;
/// The number of bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// A change of one node's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The node's pool.
    pub pool: &'a str,
    /// The node's name, or its address if it has none.
    pub node: &'a str,
    /// The change.
    pub change: Change<'a>,
}

/// A change of a node's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// A write of this key failed.
    Missed(&'a [u8]),
    /// This key was deleted there, or replaced.
    Deleted(&'a [u8]),
    /// More was missed than can be recorded, so the node must be flushed.
    Overflowed,
    /// A flush_all failed.
    FlushMissed,
    /// The node has no old values any more.
    Cleared,
    /// The node left its ring.
    Left,
    /// The node is in its ring again.
    Admitted,
    /// This key was written there in place of its primary node.
    Copied(&'a [u8]),
}

/// Bytes that are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a complete record.
    Whole,
    /// With a part of one: the process or the machine ended while it was written.
    Truncated,
    /// With bytes that no record can have.
    Damaged,
}

impl Record<'_> {
    /// Appends the record to `out`, unless its key or names are longer than 65535 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, key) = self.change.parts();
        let (Ok(pool), Ok(node), Ok(_)) = (
            u16::try_from(self.pool.len()),
            u16::try_from(self.node.len()),
            u16::try_from(key.len()),
        ) else {
            return debug_assert!(false, "no key and no name is so long");
        };
        let length = FIXED + self.pool.len() + self.node.len() + key.len();
        let length = u32::try_from(length).expect("three times 65535 is less than 2^32");
        let start = out.len();
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(kind);
        out.extend_from_slice(&pool.to_le_bytes());
        out.extend_from_slice(&node.to_le_bytes());
        out.extend_from_slice(self.pool.as_bytes());
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(key);
        let sum = checksum(length, &out[start + HEAD..]);
        out[start + 4..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    }
}

impl<'a> Change<'a> {
    fn parts(self) -> (u8, &'a [u8]) {
        match self {
            Change::Missed(key) => (0, key),
            Change::Deleted(key) => (1, key),
            Change::Overflowed => (2, b""),
            Change::FlushMissed => (3, b""),
            Change::Cleared => (4, b""),
            Change::Left => (5, b""),
            Change::Admitted => (6, b""),
            Change::Copied(key) => (7, key),
        }
    }

    fn from_parts(kind: u8, key: &'a [u8]) -> Result<Change<'a>, Damaged> {
        match (kind, key) {
            (0, key) => Ok(Change::Missed(key)),
            (1, key) => Ok(Change::Deleted(key)),
            (2, b"") => Ok(Change::Overflowed),
            (3, b"") => Ok(Change::FlushMissed),
            (4, b"") => Ok(Change::Cleared),
            (5, b"") => Ok(Change::Left),
            (6, b"") => Ok(Change::Admitted),
            (7, key) => Ok(Change::Copied(key)),
            _ => Err(Damaged),
        }
    }
}

/// Decodes the record at the beginning of `bytes`, and returns its length too; `None` if it is incomplete.
///
/// # Errors
/// There is no record, whatever follows.
pub fn decode(bytes: &[u8]) -> Result<Option<(Record<'_>, usize)>, Damaged> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length);
    let payload = usize::try_from(length).map_err(|_| Damaged)?;
    if !(FIXED..=MAX_PAYLOAD).contains(&payload) {
        return Err(Damaged);
    }
    let Some((sum, rest)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    let Some(payload) = rest.get(..payload) else {
        return Ok(None);
    };
    if checksum(length, payload) != u32::from_le_bytes(*sum) {
        return Err(Damaged);
    }
    Ok(Some((read(payload)?, HEAD + payload.len())))
}

fn read(payload: &[u8]) -> Result<Record<'_>, Damaged> {
    let (&[kind, p0, p1, n0, n1], rest) = payload.split_first_chunk().ok_or(Damaged)?;
    let (pool, rest) = rest
        .split_at_checked(u16::from_le_bytes([p0, p1]).into())
        .ok_or(Damaged)?;
    let (node, key) = rest
        .split_at_checked(u16::from_le_bytes([n0, n1]).into())
        .ok_or(Damaged)?;
    Ok(Record {
        pool: std::str::from_utf8(pool).map_err(|_| Damaged)?,
        node: std::str::from_utf8(node).map_err(|_| Damaged)?,
        change: Change::from_parts(kind, key)?,
    })
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Reads a whole file from `source`, and passes `each` the records up to the first invalid one. Takes no
/// more memory than the longest record.
///
/// # Errors
/// Those of `source`.
pub fn replay(source: &mut impl Read, mut each: impl FnMut(Record<'_>)) -> io::Result<Ending> {
    let mut bytes = Vec::new();
    let mut has_magic = false;
    loop {
        let read = source.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        if !has_magic {
            let expected = &MAGIC[..MAGIC.len().min(bytes.len())];
            if !bytes.starts_with(expected) {
                return Ok(Ending::Damaged);
            }
            if expected.len() < MAGIC.len() {
                return Ok(if bytes.is_empty() {
                    Ending::Whole
                } else {
                    Ending::Truncated
                });
            }
            has_magic = true;
            bytes.drain(..MAGIC.len());
        }
        let mut used = 0;
        loop {
            match decode(&bytes[used..]) {
                Ok(Some((record, length))) => {
                    each(record);
                    used += length;
                }
                Ok(None) => break,
                Err(Damaged) => return Ok(Ending::Damaged),
            }
        }
        bytes.drain(..used);
        if read == 0 {
            return Ok(if bytes.is_empty() {
                Ending::Whole
            } else {
                Ending::Truncated
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> Vec<Record<'static>> {
        let changes = [
            Change::Missed(b"a key \x00\xff"),
            Change::Deleted(b""),
            Change::Overflowed,
            Change::FlushMissed,
            Change::Cleared,
            Change::Left,
            Change::Admitted,
        ];
        let record = |change| Record {
            pool: "main",
            node: "10.0.0.1:11211",
            change,
        };
        changes.map(record).to_vec()
    }

    /// Returns a file of `records`, and the offset at which each of them ends.
    fn file(records: &[Record<'_>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut ends = vec![bytes.len()];
        for record in records {
            record.encode(&mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn replayed(mut bytes: &[u8]) -> (Vec<String>, Ending) {
        let mut seen = Vec::new();
        let ending = replay(&mut bytes, |record| seen.push(format!("{record:?}"))).expect("bytes are read");
        (seen, ending)
    }

    fn shown(records: &[Record<'_>]) -> Vec<String> {
        records.iter().map(|record| format!("{record:?}")).collect()
    }

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(replayed(&file(&records()).0), (shown(&records()), Ending::Whole));
        assert_eq!(replayed(b""), (Vec::new(), Ending::Whole), "a new file");
    }

    #[test]
    fn a_tail_that_is_torn_at_any_byte_costs_the_record_that_was_not_whole() {
        let (bytes, ends) = file(&records());
        for length in 1..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= length).count();
            let expected = shown(&records()[..whole.saturating_sub(1)]);
            let ending = if ends.contains(&length) {
                Ending::Whole
            } else {
                Ending::Truncated
            };
            assert_eq!(replayed(&bytes[..length]), (expected, ending), "after {length}");
        }
    }

    #[test]
    fn a_bit_that_changed_ends_the_file_before_its_record() {
        let (bytes, ends) = file(&records());
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[index] ^= 1 << bit;
                let before = ends.iter().filter(|end| **end <= index).count();
                let (seen, ending) = replayed(&bytes);
                assert_eq!(
                    seen,
                    shown(&records()[..before.saturating_sub(1)]),
                    "byte {index} bit {bit}"
                );
                // A length that grew may ask for more than there is.
                assert_ne!(ending, Ending::Whole, "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn a_file_is_read_through_chunks_of_any_size() {
        let key = vec![b'k'; 40_000];
        let long: Vec<Record<'_>> = (0..10)
            .map(|_| Record {
                change: Change::Missed(&key),
                ..records()[0]
            })
            .collect();
        assert_eq!(replayed(&file(&long).0), (shown(&long), Ending::Whole));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _any_outcome = decode(&bytes);
            let (seen, _) = replayed(&[MAGIC, &bytes].concat());
            prop_assert!(seen.is_empty(), "no checksum is right by chance");
        }

        #[test]
        fn any_record_is_read_again(
            pool in "\\PC{0,20}", node in "\\PC{0,20}", key in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let record = Record { pool: &pool, node: &node, change: Change::Missed(&key) };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(Some((record, bytes.len()))));
        }
    }
}
