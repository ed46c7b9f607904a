//! Asks every memcached node for its version, over and over: that is how a node that is down is found
//! to be back, and how links know what a node understands.
//!
//! A probe goes over a connection of its own, kept from one probe to the next. A node that closes it
//! between probes (memcached's `-o idle_timeout`, a restart) did not fail: only a fresh connection
//! tells. What follows from a failure is decided by the node's health.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tracing::info;

use super::discovery::{LOOKUP, resolve_once};
use super::follow::{follow, remote};
use super::jitter::jittered;
use crate::config::Address;
use crate::node::{Node, Remote};
use crate::state::State;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 128;

/// Probes every node, new ones at once, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let each = {
        let state = state.clone();
        move |node| keep_probing(state.clone(), node)
    };
    follow(state, each).await;
}

/// Probes one node for as long as its pool is there.
async fn keep_probing(state: Arc<State>, node: Arc<Node>) {
    let Some(remote) = remote(&node) else {
        return;
    };
    // At the very start the name may not be known yet: that is no failure of the node.
    resolve_once(&node, LOOKUP).await;
    let mut kept = None;
    loop {
        // Read each time: a reload may have changed the settings.
        let Some((limits, interval)) = limits(&state, &node) else {
            return;
        };
        match probe(&mut kept, &node.address, remote, limits).await {
            Ok(version) => {
                note_version(&node, remote, version);
                node.probed();
            }
            Err(error) => node.failed(&format!("probe: {error}")),
        }
        sleep(jittered(interval)).await;
    }
}

/// How long the parts of a probe may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connect: Duration,
    answer: Duration,
}

fn limits(state: &State, node: &Node) -> Option<(Limits, Duration)> {
    let snapshot = state.snapshot.load();
    let pool = snapshot.config.pools.get(&node.pool)?;
    let limits = Limits {
        connect: pool.connect_timeout,
        answer: pool.health.probe_timeout,
    };
    Some((limits, pool.health.probe_interval))
}

fn note_version(node: &Node, remote: &Remote, version: String) {
    if **remote.version.load() != version {
        info!(
            pool = node.pool,
            node = node.label,
            version,
            "node gave its version"
        );
        remote.version.store(Arc::new(version));
    }
}

/// What a probe reads from and writes to.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    /// Where it leads; `None` for a unix socket.
    peer: Option<SocketAddr>,
}

/// One probe, over the `kept` connection where that still serves. Answers with the node's version.
async fn probe(
    kept: &mut Option<Connection>,
    address: &Address,
    remote: &Remote,
    limits: Limits,
) -> io::Result<String> {
    let resolved = remote.resolved.load_full();
    let still_leads_there =
        |connection: &Connection| connection.peer.is_none_or(|peer| resolved.contains(&peer));
    if let Some(mut connection) = kept.take().filter(still_leads_there) {
        match ask(&mut connection, limits.answer).await {
            Ok(version) => {
                *kept = Some(connection);
                return Ok(version);
            }
            Err(error) if is_closed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let dialed = timeout(limits.connect, dial(address, &resolved)).await;
    let mut connection = dialed.map_err(|_| late("cannot connect", limits.connect))??;
    let version = ask(&mut connection, limits.answer).await?;
    *kept = Some(connection);
    Ok(version)
}

async fn dial(address: &Address, resolved: &[SocketAddr]) -> io::Result<Connection> {
    match address {
        Address::Tcp { .. } => dial_tcp(resolved).await,
        Address::Unix(path) => dial_unix(path).await,
        Address::Embedded(_) => Err(io::Error::other("an embedded node has no connection")),
    }
}

async fn dial_tcp(resolved: &[SocketAddr]) -> io::Result<Connection> {
    let mut failure = io::Error::other("its name has no known address");
    for &peer in resolved {
        match TcpStream::connect(peer).await {
            Ok(stream) => return Ok(connection(Box::new(stream), Some(peer))),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn dial_unix(path: &Path) -> io::Result<Connection> {
    Ok(connection(Box::new(UnixStream::connect(path).await?), None))
}

fn connection(stream: Box<dyn Stream>, peer: Option<SocketAddr>) -> Connection {
    Connection {
        stream: BufReader::with_capacity(MAX_ANSWER as usize, stream),
        peer,
    }
}

/// Sends `version` and reads the answer, both within `limit`.
async fn ask(connection: &mut Connection, limit: Duration) -> io::Result<String> {
    let exchange = async {
        connection.stream.write_all(b"version\r\n").await?;
        let mut line = Vec::new();
        let mut bounded = (&mut connection.stream).take(MAX_ANSWER);
        bounded.read_until(b'\n', &mut line).await?;
        version_in(&line)
    };
    timeout(limit, exchange)
        .await
        .map_err(|_| late("no answer", limit))?
}

/// The version in a line such as `VERSION 1.6.18\r\n`.
fn version_in(line: &[u8]) -> io::Result<String> {
    if line.is_empty() {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed the connection"));
    }
    line.strip_prefix(b"VERSION ")
        .and_then(|rest| rest.strip_suffix(b"\r\n"))
        .filter(|version| !version.is_empty() && version.iter().all(u8::is_ascii_graphic))
        .map(|version| String::from_utf8_lossy(version).into_owned())
        .ok_or_else(|| {
            let answer = line.escape_ascii();
            io::Error::new(
                ErrorKind::InvalidData,
                format!("unexpected answer to version: {answer}"),
            )
        })
}

fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

fn late(what: &str, limit: Duration) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("{what} within {limit:?}"))
}

#[cfg(test)]
mod tests;
