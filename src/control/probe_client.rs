//! A connection on which the control thread queries a node: one question, one answer, each within its
//! timeout.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::probe_valkey::Valkey;
use crate::config::{Address, Protection};
use crate::net::dial::dial;
use crate::net::outgoing::PART;
use crate::net::stream::Stream;
use crate::node::version;

/// The maximum length of a line in bytes.
const MAX_LINE: u64 = 1024;
/// The maximum number of lines in one answer.
const MAX_LINES: usize = 1024;

/// One connection to a node.
pub struct ProbeConnection {
    stream: BufReader<Stream>,
    /// The peer's address; `None` for a unix socket.
    peer: Option<SocketAddr>,
    /// Whether it leads to a Valkey or Redis, and not to a memcached.
    is_valkey: bool,
    /// Whether the maximum item size was asked on it.
    pub asked_size: bool,
}

impl ProbeConnection {
    /// Connects to the node at `address`, whose name resolves to `resolved`, within `limit`, protected as
    /// `protection` says.
    ///
    /// # Errors
    /// Those of [`dial`].
    pub async fn dial(
        address: &Address,
        resolved: &[SocketAddr],
        protection: &Protection,
        limit: Duration,
    ) -> io::Result<ProbeConnection> {
        let stream = dial(address, resolved, protection, limit).await?;
        Ok(ProbeConnection {
            peer: stream.peer(),
            is_valkey: address.is_valkey(),
            asked_size: false,
            stream: BufReader::with_capacity(MAX_LINE as usize, stream),
        })
    }

    /// Returns true if its peer is one of the addresses in `resolved`.
    pub fn leads_to(&self, resolved: &[SocketAddr]) -> bool {
        self.peer.is_none_or(|peer| resolved.contains(&peer))
    }

    /// Asks for the node's version, such as `1.6.18`.
    ///
    /// # Errors
    /// Those of [`version::ask`].
    pub async fn version(&mut self, limit: Duration) -> io::Result<String> {
        match self.is_valkey {
            true => self.valkey().version(limit).await,
            false => version::ask(&mut self.stream, limit).await,
        }
    }

    /// The same connection for questions that only a Valkey or Redis understands.
    pub fn valkey(&mut self) -> Valkey<'_> {
        Valkey {
            stream: &mut self.stream,
        }
    }

    /// Asks how many seconds ago the node was started, if it had no items then; `None` if it may have had some, as a
    /// Valkey or Redis that keeps them on disk. memcached reports up to three seconds too many.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`].
    pub async fn uptime(&mut self, limit: Duration) -> io::Result<Option<u64>> {
        if self.is_valkey {
            return Ok(None);
        }
        let uptime = self.stat("stats", "uptime", limit).await?;
        uptime.map(Some).ok_or_else(|| unexpected("stats", "no uptime"))
    }

    /// Asks for the maximum size of an item in bytes (`memcached -I`); `None` if the node does not say.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`].
    pub async fn item_size_max(&mut self, limit: Duration) -> io::Result<Option<u64>> {
        match self.is_valkey {
            true => Ok(None),
            false => self.stat("stats settings", "item_size_max", limit).await,
        }
    }

    /// Asks `question`, one of the `stats`, for the figure `name`; `None` if it is not in the answer.
    async fn stat(&mut self, question: &str, name: &str, limit: Duration) -> io::Result<Option<u64>> {
        let exchange = async {
            self.write(format!("{question}\r\n").as_bytes()).await?;
            let mut found = None;
            for _ in 0..MAX_LINES {
                let line = self.line().await?;
                if line == "END" {
                    return Ok(found);
                }
                let Some(stat) = line.strip_prefix("STAT ") else {
                    return Err(unexpected(question, &line));
                };
                if let Some((_, figure)) = stat.split_once(' ').filter(|(stat, _)| *stat == name) {
                    found = figure.parse().ok();
                }
            }
            Err(unexpected(question, "no end"))
        };
        timeout(limit, exchange)
            .await
            .map_err(|_| late(&format!("no answer to {question}"), limit))?
    }

    /// Asks whether the node has `key`. Nothing else may be asked after it.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`].
    pub async fn holds(&mut self, key: &[u8], limit: Duration) -> io::Result<bool> {
        if self.is_valkey {
            return self.valkey().holds(key, limit).await;
        }
        match self.ask(&[b"me ", key, b"\r\n"].concat(), limit).await?.as_str() {
            "EN" => return Ok(false),
            line if line.starts_with("ME ") => return Ok(true),
            // Versions before 1.6 do not know the command.
            "ERROR" => {}
            line => return Err(unexpected("me", line)),
        }
        match self.ask(&[b"get ", key, b"\r\n"].concat(), limit).await?.as_str() {
            "END" => Ok(false),
            line if line.starts_with("VALUE ") => Ok(true),
            line => Err(unexpected("get", line)),
        }
    }

    /// Sends `question`, which is for memcached only, and returns the answer's line.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`].
    pub async fn question(&mut self, question: &str, limit: Duration) -> io::Result<String> {
        self.ask(format!("{question}\r\n").as_bytes(), limit).await
    }

    /// Sends `question`, whose answer has many lines: see [`ProbeConnection::next_line`].
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`].
    pub async fn begin(&mut self, question: &str) -> io::Result<()> {
        self.write(format!("{question}\r\n").as_bytes()).await
    }

    /// Reads the next line of an answer within `limit`, without its end; `None` if that is `END`.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`].
    pub async fn next_line(&mut self, limit: Duration) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(MAX_LINE);
        let read = timeout(limit, bounded.read_until(b'\n', &mut line)).await;
        read.map_err(|_| late("no next line", limit))??;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed the connection"));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok((line != b"END").then_some(line))
    }

    /// Flushes the node.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`]; [`ErrorKind::InvalidData`] if the node refuses.
    pub async fn flush(&mut self, limit: Duration) -> io::Result<()> {
        if self.is_valkey {
            return self.valkey().flush(limit).await;
        }
        match self.ask(b"flush_all\r\n", limit).await?.as_str() {
            "OK" => Ok(()),
            line => Err(unexpected("flush_all", line)),
        }
    }

    /// Sends `commands`, which are `count` deletes, and reads all answers.
    ///
    /// # Errors
    /// Those of [`ProbeConnection::version`]. A refusal of a key that the node can never have is not an error.
    pub async fn delete(&mut self, commands: &[u8], count: usize, limit: Duration) -> io::Result<()> {
        if self.is_valkey {
            return self.valkey().delete(commands, count, limit).await;
        }
        let exchange = async {
            self.write(commands).await?;
            for _ in 0..count {
                let line = self.line().await?;
                let word = line.split(' ').next().unwrap_or_default();
                if !matches!(
                    word,
                    "DELETED" | "NOT_FOUND" | "HD" | "NF" | "EX" | "CLIENT_ERROR"
                ) {
                    return Err(unexpected("delete", &line));
                }
            }
            Ok(())
        };
        timeout(limit, exchange)
            .await
            .map_err(|_| late("no answer to deletes", limit))?
    }

    /// Writes complete `commands`, without values; `net::outgoing` explains why a part must end with one.
    async fn write(&mut self, commands: &[u8]) -> io::Result<()> {
        let mut rest = commands;
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(PART)];
            let end = memchr::memrchr(b'\n', part).map_or(rest.len(), |end| end + 1);
            self.stream.write_all(&rest[..end]).await?;
            rest = &rest[end..];
        }
        self.stream.flush().await
    }

    /// Sends `question` and reads a line, both within `limit`.
    async fn ask(&mut self, question: &[u8], limit: Duration) -> io::Result<String> {
        let exchange = async {
            self.write(question).await?;
            self.line().await
        };
        timeout(limit, exchange)
            .await
            .map_err(|_| late("no answer", limit))?
    }

    /// Reads a line and returns it without its end. Bytes that are unfit for a log are escaped.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(MAX_LINE);
        bounded.read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed the connection"));
        }
        let whole = line.strip_suffix(b"\r\n");
        whole
            .map(|line| line.escape_ascii().to_string())
            .ok_or_else(|| unexpected("a question", &line.escape_ascii().to_string()))
    }
}

fn unexpected(question: &str, answer: &str) -> io::Error {
    let reason = format!("unexpected answer to {question}: {answer}");
    io::Error::new(ErrorKind::InvalidData, reason)
}

fn late(what: &str, limit: Duration) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("{what} within {limit:?}"))
}
