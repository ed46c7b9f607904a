//! The protocols a client may speak: how requests are written, and what their right replies look like.
//!
//! Classic text has replies of several values and its own reader in [`super::checker`]. Meta and binary ask for one
//! key at a time, so each reply has one right form, which [`Wire::read`] compares byte for byte; and so has each value
//! of RESP, which a client speaks that asks Redis itself.

use anyhow::{Result, bail};

use super::dataset::Item;

/// What the clients of a workload speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Classic,
    Meta,
    Binary,
    /// Of Redis and Valkey.
    Resp,
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
        let key = item.key().as_bytes();
        let (before, after): (&[u8], &[u8]) = match self {
            Wire::Classic => (b"get ", b"\r\n"),
            Wire::Meta => (b"mg ", b" k v\r\n"),
            Wire::Binary => (&head(0x80, 0x00, key.len(), 0, key.len(), number), b""),
            Wire::Resp => return write_command(&[b"GET", key], out),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(key);
        out.extend_from_slice(after);
    }

    /// Appends a get of several items, in classic text or RESP.
    pub fn write_multi_get<'a>(self, items: impl ExactSizeIterator<Item = &'a Item>, out: &mut Vec<u8>) {
        if self == Wire::Resp {
            write_head(b'*', items.len() + 1, out);
            write_word(b"MGET", out);
            items.for_each(|item| write_word(item.key().as_bytes(), out));
            return;
        }
        out.extend_from_slice(b"get");
        for item in items {
            out.push(b' ');
            out.extend_from_slice(item.key().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the request that stores the item.
    pub fn write_set(self, item: &Item, number: u32, out: &mut Vec<u8>) {
        let (key, data) = (item.key().as_bytes(), item.data());
        match self {
            Wire::Classic => item.write_set(out),
            Wire::Meta => {
                out.extend_from_slice(b"ms ");
                out.extend_from_slice(key);
                out.push(b' ');
                out.extend_from_slice(itoa::Buffer::new().format(data.len()).as_bytes());
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(item.line());
            }
            Wire::Binary => {
                let body = 8 + key.len() + data.len();
                out.extend_from_slice(&head(0x80, 0x01, key.len(), 8, body, number));
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(key);
                out.extend_from_slice(data);
            }
            Wire::Resp => write_command(&[b"SET", key, data], out),
        }
    }

    /// Reads the reply at the front of `bytes`: what it says and how long it is, `None` if it is not whole.
    ///
    /// # Errors
    /// A byte that no right reply has there.
    pub fn read(self, verb: Verb, item: &Item, number: u32, bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
        let data = item.data();
        let stored = head(0x81, 0x01, 0, 0, 0, number);
        // Flags of 0 stand between the header and the value.
        let mut hit = [0; HEAD + 4];
        hit[..HEAD].copy_from_slice(&head(0x81, 0x00, 0, 4, 4 + data.len(), number));
        let mut bulk = Vec::new();
        if self == Wire::Resp {
            write_head(b'$', data.len(), &mut bulk);
        }
        let (before, rest, said): (&[u8], &[u8], Answer) = match (self, verb) {
            (Wire::Classic, _) => bail!("classic text is read by the checker"),
            (Wire::Meta, Verb::Get) => (item.meta_head(), item.line(), Answer::Hit),
            (Wire::Meta, Verb::Set) => (b"HD\r\n", b"", Answer::Stored),
            (Wire::Binary, Verb::Get) => (&hit, data, Answer::Hit),
            (Wire::Binary, Verb::Set) => (&stored, b"", Answer::Stored),
            (Wire::Resp, Verb::Get) => (&bulk, item.line(), Answer::Hit),
            (Wire::Resp, Verb::Set) => (b"+OK\r\n", b"", Answer::Stored),
        };
        if self.begins(bytes, before, rest) {
            let length = before.len() + rest.len();
            return Ok((bytes.len() >= length).then_some((said, length)));
        }
        match self.failure(number, bytes) {
            Some(failure) => Ok(failure),
            None => bail!("no right reply"),
        }
    }

    /// Whether `bytes`, as far as they have come, are `before` and `rest`.
    fn begins(self, bytes: &[u8], before: &[u8], rest: &[u8]) -> bool {
        let (front, back) = bytes.split_at(bytes.len().min(before.len()));
        let is_front_right = if self == Wire::Binary {
            let skipped = CAS.start.min(front.len())..CAS.end.min(front.len());
            front[..skipped.start] == before[..skipped.start]
                && front[skipped.end..] == before[skipped.end..front.len()]
        } else {
            *front == before[..front.len()]
        };
        let come = back.len().min(rest.len());
        is_front_right && back[..come] == rest[..come]
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
            b"EN\r\n" if self == Wire::Meta => Answer::Miss,
            b"$-1\r\n" if self == Wire::Resp => Answer::Miss,
            line if self == Wire::Resp && line.starts_with(b"-") => Answer::Error,
            line if line.starts_with(b"SERVER_ERROR ") || line.starts_with(b"CLIENT_ERROR ") => Answer::Error,
            _ => return None,
        };
        Some(Some((answer, end + 1)))
    }
}

/// The head of an array that has `count` elements, as a RESP reply begins with it.
pub fn array_head(count: usize) -> Vec<u8> {
    let mut head = Vec::new();
    write_head(b'*', count, &mut head);
    head
}

fn write_command(words: &[&[u8]], out: &mut Vec<u8>) {
    write_head(b'*', words.len(), out);
    words.iter().for_each(|word| write_word(word, out));
}

fn write_word(word: &[u8], out: &mut Vec<u8>) {
    write_head(b'$', word.len(), out);
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

fn write_head(kind: u8, count: usize, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The header of a packet, with no status and no cas id.
fn head(magic: u8, opcode: u8, key: usize, extras: u8, body: usize, number: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..2].copy_from_slice(&[magic, opcode]);
    head[2..4].copy_from_slice(&(key as u16).to_be_bytes());
    head[4] = extras;
    head[8..12].copy_from_slice(&(body as u32).to_be_bytes());
    head[12..16].copy_from_slice(&number.to_be_bytes());
    head
}
