//! The protocols a client may speak: how requests are written, and what their right replies look like.
//!
//! Classic text has replies of several values and its own reader in [`super::checker`]. Meta and binary ask for one key at
//! a time, so each reply has one right form, which [`Wire::read`] compares byte for byte.

use anyhow::{Result, bail};

use super::dataset::Item;

/// What the clients of a workload speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Classic,
    Meta,
    Binary,
}

/// What a request did, as far as its reply depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Set,
}

/// What one whole reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Hit,
    Miss,
    Stored,
    Error,
}

/// Bytes before the body of a binary packet.
const HEAD: usize = 24;
/// Where a binary packet has its cas id, which nobody can foresee.
const CAS: std::ops::Range<usize> = 16..24;

impl Wire {
    /// Appends a get of one item; its number tells binary replies apart.
    pub fn write_get(self, item: &Item, number: u32, out: &mut Vec<u8>) {
        match self {
            Wire::Classic => out.extend_from_slice(&[b"get ", item.key().as_bytes(), b"\r\n"].concat()),
            Wire::Meta => out.extend_from_slice(&[b"mg ", item.key().as_bytes(), b" k v\r\n"].concat()),
            Wire::Binary => {
                write_head(out, 0x80, 0x00, item.key().len(), 0, item.key().len(), number);
                out.extend_from_slice(item.key().as_bytes());
            }
        }
    }

    /// Appends the request that stores the item.
    pub fn write_set(self, item: &Item, number: u32, out: &mut Vec<u8>) {
        let (key, data) = (item.key(), item.data());
        match self {
            Wire::Classic => item.write_set(out),
            Wire::Meta => {
                out.extend_from_slice(format!("ms {key} {}\r\n", data.len()).as_bytes());
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
            Wire::Binary => {
                write_head(out, 0x80, 0x01, key.len(), 8, 8 + key.len() + data.len(), number);
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(data);
            }
        }
    }

    /// Reads the reply at the front of `bytes`: what it says and how long it is, `None` where it is not whole.
    ///
    /// # Errors
    /// A byte that no right reply has there.
    pub fn read(self, verb: Verb, item: &Item, number: u32, bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
        let (right, said) = match (self, verb) {
            (Wire::Classic, _) => bail!("classic text is read by the checker"),
            (Wire::Meta, Verb::Get) => (meta_hit(item), Answer::Hit),
            (Wire::Meta, Verb::Set) => (b"HD\r\n".to_vec(), Answer::Stored),
            (Wire::Binary, Verb::Get) => (binary_hit(item, number), Answer::Hit),
            (Wire::Binary, Verb::Set) => {
                let mut right = Vec::new();
                write_head(&mut right, 0x81, 0x01, 0, 0, 0, number);
                (right, Answer::Stored)
            }
        };
        let come = bytes.len().min(right.len());
        if self.is_same(&bytes[..come], &right[..come]) {
            return Ok((come == right.len()).then_some((said, come)));
        }
        match self.failure(number, bytes) {
            Some(failure) => Ok(failure),
            None => bail!("no right reply"),
        }
    }

    fn is_same(self, read: &[u8], right: &[u8]) -> bool {
        let skipped = if self == Wire::Binary { CAS } else { 0..0 };
        read.iter()
            .zip(right)
            .enumerate()
            .all(|(at, (read, right))| skipped.contains(&at) || read == right)
    }

    /// A miss or an error, where `bytes` begin with one; `Some(None)` where they may become one.
    fn failure(self, number: u32, bytes: &[u8]) -> Option<Option<(Answer, usize)>> {
        if self == Wire::Binary {
            let Some(head) = bytes.get(..HEAD) else {
                return Some(None);
            };
            let status = u16::from_be_bytes([head[6], head[7]]);
            if head[0] != 0x81 || status == 0 || head[12..16] != number.to_be_bytes() {
                return None;
            }
            let body = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let answer = if status == 1 { Answer::Miss } else { Answer::Error };
            return Some((bytes.len() >= HEAD + body).then_some((answer, HEAD + body)));
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            return Some(None);
        };
        let answer = match &bytes[..=end] {
            b"EN\r\n" => Answer::Miss,
            line if line.starts_with(b"SERVER_ERROR ") || line.starts_with(b"CLIENT_ERROR ") => Answer::Error,
            _ => return None,
        };
        Some(Some((answer, end + 1)))
    }
}

fn meta_hit(item: &Item) -> Vec<u8> {
    let head = format!("VA {} k{}\r\n", item.data().len(), item.key());
    [head.as_bytes(), item.data(), b"\r\n"].concat()
}

fn binary_hit(item: &Item, number: u32) -> Vec<u8> {
    let mut right = Vec::new();
    write_head(&mut right, 0x81, 0x00, 0, 4, 4 + item.data().len(), number);
    right.extend_from_slice(&[0; 4]);
    right.extend_from_slice(item.data());
    right
}

fn write_head(out: &mut Vec<u8>, magic: u8, opcode: u8, key: usize, extras: u8, body: usize, number: u32) {
    out.extend_from_slice(&[magic, opcode]);
    out.extend_from_slice(&(key as u16).to_be_bytes());
    out.extend_from_slice(&[extras, 0, 0, 0]);
    out.extend_from_slice(&(body as u32).to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
}
