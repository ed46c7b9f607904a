//! What a session asks, in any of the three protocols, and what it is answered.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;

mod binary;
mod text;

/// The reading side of a session.
pub type Reader = BufReader<OwnedReadHalf>;

/// What a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireFormat {
    Classic,
    Meta,
    Binary,
}

/// One request.
#[derive(Debug)]
pub enum Ask {
    /// Reads keys, each by its name.
    Get(Vec<String>),
    /// Stores a value.
    Set(String, Vec<u8>),
    /// Stores a value and wants no reply.
    QuietSet(String, Vec<u8>),
    /// Deletes a key.
    Delete(String),
    /// Adds 1 to a counter.
    Count(String),
    /// Makes a counter of 0 if there is none.
    Create(String),
}

/// What it was answered.
#[derive(Debug)]
pub enum Answer {
    /// Keys that were found, in the order in which they were asked, by their place in the request.
    Values(VecDeque<(usize, Vec<u8>)>),
    Done,
    /// Nothing was wanted.
    Silence,
    NotFound,
    NotStored,
    Number(u64),
    /// The node failed; nothing is known of what it did.
    Failed,
}

impl WireFormat {
    /// Appends the bytes that ask for it.
    pub fn write(self, ask: &Ask, out: &mut Vec<u8>) {
        match self {
            WireFormat::Classic => text::write_classic(ask, out),
            WireFormat::Meta => text::write_meta(ask, out),
            WireFormat::Binary => binary::write(ask, out),
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// The session was closed, or an answer that is none.
    pub async fn read(self, ask: &Ask, reader: &mut Reader) -> Result<Answer> {
        match self {
            WireFormat::Classic => text::read_classic(ask, reader).await,
            WireFormat::Meta => text::read_meta(ask, reader).await,
            WireFormat::Binary => binary::read(ask, reader).await,
        }
        .with_context(|| format!("{self:?}, {}", ask.describe()))
    }

    /// The bytes that begin to store a value of `length` bytes, which is to follow.
    pub fn set_head(self, key: &str, length: usize) -> Vec<u8> {
        match self {
            WireFormat::Classic => format!("set {key} 0 0 {length}\r\n").into_bytes(),
            WireFormat::Meta => format!("ms {key} {length}\r\n").into_bytes(),
            WireFormat::Binary => binary::set_head(key, length),
        }
    }

    /// The bytes that say good-bye.
    pub fn quit(self) -> Vec<u8> {
        match self {
            WireFormat::Classic | WireFormat::Meta => b"quit\r\n".to_vec(),
            WireFormat::Binary => binary::quit(),
        }
    }
}

impl Ask {
    fn describe(&self) -> String {
        match self {
            Ask::Get(keys) => format!("get of {} keys, from {}", keys.len(), keys[0]),
            Ask::Set(key, value) => format!("set {key}, {} bytes", value.len()),
            Ask::QuietSet(key, value) => format!("quiet set {key}, {} bytes", value.len()),
            Ask::Delete(key) => format!("delete {key}"),
            Ask::Count(key) => format!("incr {key}"),
            Ask::Create(key) => format!("add {key}"),
        }
    }
}

/// The values of a get, which come in the order in which they were asked.
struct Found<'a> {
    keys: &'a [String],
    /// The place behind the last key that was found.
    next: usize,
    values: VecDeque<(usize, Vec<u8>)>,
}

impl<'a> Found<'a> {
    fn new(keys: &'a [String]) -> Self {
        Self {
            keys,
            next: 0,
            values: VecDeque::new(),
        }
    }

    fn add(&mut self, key: &[u8], value: Vec<u8>) -> Result<()> {
        let place = self.keys[self.next..]
            .iter()
            .position(|asked| asked.as_bytes() == key);
        let Some(place) = place else {
            bail!("a value for {}, out of order or not asked", key.escape_ascii());
        };
        self.values.push_back((self.next + place, value));
        self.next += place + 1;
        Ok(())
    }

    fn answer(self) -> Answer {
        Answer::Values(self.values)
    }
}

/// A line, without its line end.
async fn line(reader: &mut Reader) -> Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if line.is_empty() => bail!("closed"),
        None => bail!("a line without its end: {}", line.escape_ascii()),
    }
}

/// So many bytes.
async fn exact(reader: &mut Reader, count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    reader.read_exact(&mut bytes).await?;
    Ok(bytes)
}
