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
