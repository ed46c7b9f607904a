//! What the control thread asks a Valkey or Redis, on a connection of [`ProbeConnection`](super::probe_client).

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::time::timeout;

use crate::net::greet::{ask, exchange, unexpected};
use crate::net::stream::Stream;
use crate::protocol::resp::greeting;
use crate::protocol::resp::value::Value;
use crate::protocol::resp::words::write_words;

/// Where a list of all keys begins and ends.
pub const START: &[u8] = b"0";

/// A connection to a Valkey or Redis.
pub struct Valkey<'a> {
    /// Greeted, and without anything outstanding.
    pub stream: &'a mut BufReader<Stream>,
}

impl Valkey<'_> {
    /// Asks whether the server can serve, and for its version. `HELLO` says what it is and whether it became a replica;
    /// `PING` fails while it loads, is busy with a script, or cannot write to its disk.
    ///
    /// # Errors
    /// Why it cannot serve; that it is late.
    pub async fn version(&mut self, limit: Duration) -> io::Result<String> {
        let mut questions = Vec::new();
        write_words(&[b"PING"], &mut |bytes| questions.extend_from_slice(bytes));
        greeting::write(None, &mut |bytes| questions.extend_from_slice(bytes));
        let answers = within(limit, "PING", exchange(self.stream, &questions, 2)).await?;
        let [pong, hello] = &answers[..] else {
            return Err(unexpected("PING"));
        };
        match pong {
            Value::Text(pong) if pong == b"PONG" => {}
            Value::Error(error) => return Err(io::Error::other(error.clone())),
            _ => return Err(unexpected("PING")),
        }
        greeting::read(hello).map_err(io::Error::other)
    }

    /// Asks whether the server has `key`.
    ///
    /// # Errors
    /// Its refusal; that it is late.
    pub async fn holds(&mut self, key: &[u8], limit: Duration) -> io::Result<bool> {
        match self.ask(&[b"EXISTS", key], limit).await? {
            Value::Integer(count) => Ok(count > 0),
            answer => Err(refused("EXISTS", &answer)),
        }
    }

    /// Removes all keys of the database.
    ///
    /// # Errors
    /// Its refusal; that it is late.
    pub async fn flush(&mut self, limit: Duration) -> io::Result<()> {
        match self.ask(&[b"FLUSHDB", b"ASYNC"], limit).await? {
            Value::Text(_) => Ok(()),
            answer => Err(refused("FLUSHDB", &answer)),
        }
    }

    /// Sends `commands`, which are `count` deletes, and reads all answers.
    ///
    /// # Errors
    /// Its refusal; that it is late.
    pub async fn delete(&mut self, commands: &[u8], count: usize, limit: Duration) -> io::Result<()> {
        let answers = within(limit, "DEL", exchange(self.stream, commands, count)).await?;
        match answers.iter().find(|answer| !matches!(answer, Value::Integer(_))) {
            None => Ok(()),
            Some(answer) => Err(refused("DEL", answer)),
        }
    }

    /// Returns the string at `key`, if there is one.
    ///
    /// # Errors
    /// Its refusal; that it is late.
    pub async fn get(&mut self, key: &[u8], limit: Duration) -> io::Result<Option<Vec<u8>>> {
        match self.ask(&[b"GET", key], limit).await? {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            answer => Err(refused("GET", &answer)),
        }
    }

    /// Stores `value` for this number of seconds.
    ///
    /// # Errors
    /// Its refusal; that it is late.
    pub async fn set(&mut self, key: &[u8], value: &[u8], seconds: u64, limit: Duration) -> io::Result<()> {
        let seconds = seconds.to_string();
        match self
            .ask(&[b"SET", key, value, b"EX", seconds.as_bytes()], limit)
            .await?
        {
            Value::Text(_) => Ok(()),
            answer => Err(refused("SET", &answer)),
        }
    }

    /// Lists some of the keys that have strings, and where to go on; it begins and ends at [`START`]. A key that is there
    /// all the time is listed at least once.
    ///
    /// # Errors
    /// Its refusal; that it is late.
    pub async fn list(&mut self, from: &[u8], limit: Duration) -> io::Result<(Vec<u8>, Vec<Vec<u8>>)> {
        let words = [&b"SCAN"[..], from, b"COUNT", b"200", b"TYPE", b"string"];
        let answer = self.ask(&words, limit).await?;
        let Value::Array(mut parts) = answer else {
            return Err(refused("SCAN", &answer));
        };
        let (Some(Value::Array(keys)), Some(Value::Text(next))) = (parts.pop(), parts.pop()) else {
            return Err(unexpected("SCAN"));
        };
        let text = |key| match key {
            Value::Text(key) => Ok(key),
            _ => Err(unexpected("SCAN")),
        };
        Ok((next, keys.into_iter().map(text).collect::<io::Result<_>>()?))
    }

    async fn ask(&mut self, words: &[&[u8]], limit: Duration) -> io::Result<Value> {
        within(limit, "a command", ask(self.stream, words)).await
    }
}

async fn within<T>(
    limit: Duration,
    what: &str,
    exchange: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = |_| {
        io::Error::new(
            ErrorKind::TimedOut,
            format!("no answer to {what} within {limit:?}"),
        )
    };
    timeout(limit, exchange).await.map_err(late)?
}

fn refused(question: &str, answer: &Value) -> io::Error {
    match answer {
        Value::Error(error) => io::Error::new(ErrorKind::InvalidData, format!("{question}: {error}")),
        _ => unexpected(question),
    }
}
