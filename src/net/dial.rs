//! How a connection to a node is made.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::stream::Stream;
use super::unix::UnixSocket;

/// Connects to the first of `addresses` that answers; each may take an equal part of `limit`, so that a
/// name with a dead IPv6 address still leads to its IPv4 one.
///
/// # Errors
/// The last address's error; `TimedOut` where it did not answer in time; `NotFound` where there is none.
pub async fn tcp(addresses: &[SocketAddr], limit: Duration) -> io::Result<Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        match timeout(limit / addresses.len() as u32, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(Stream::Tcp(stream));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Connects to the unix socket at `path`.
///
/// # Errors
/// As the kernel gives them; `TimedOut` where it took longer than `limit`.
pub async fn unix(path: &Path, limit: Duration) -> io::Result<Stream> {
    let stream = timeout(limit, UnixStream::connect(path)).await??;
    UnixSocket::new(stream.into_std()?).map(Stream::Unix)
}
