//! Asks name servers one question: one after the other, over UDP, and over TCP if the answer is truncated.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Error;
use super::conf::Conf;
use super::message::{self, Kind, Read, Reply};

/// The maximum size of a datagram: without EDNS a server sends at most 512 bytes.
const LARGEST: usize = 4096;

/// Asks the servers of `conf` for the records of `name`, beginning with the one with the index `first`.
///
/// # Errors
/// The error in a server's answer, or otherwise why the last server did not answer.
pub async fn ask(conf: &Conf, first: usize, name: &str, kind: Kind) -> Result<Reply, Error> {
    let mut failure = Error::Timeout;
    for _ in 0..conf.attempts {
        for index in 0..conf.servers.len() {
            let server = conf.servers[(first + index) % conf.servers.len()];
            let answer = timeout(conf.timeout, ask_one(server, name, kind)).await;
            match answer.unwrap_or(Err(Error::Timeout)) {
                Ok(reply) => return Ok(reply),
                Err(error) if error.is_absence() => return Err(error),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

async fn ask_one(server: SocketAddr, name: &str, kind: Kind) -> Result<Reply, Error> {
    let id = unpredictable();
    let question = message::question(id, name, kind).ok_or(Error::NoSuchName)?;
    let unreachable = |error: io::Error| Error::Unreachable(format!("{server}: {error}"));
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Each question has a port of its own, and datagrams from other addresses are dropped.
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(&question).await.map_err(unreachable)?;
    let mut bytes = [0; LARGEST];
    loop {
        let length = socket.recv(&mut bytes).await.map_err(unreachable)?;
        match message::read(&bytes[..length], id, name, kind) {
            Read::Reply(reply) => return reply,
            Read::Truncated => break,
            Read::Foreign => {}
        }
    }
    let bytes = over_tcp(server, &question).await.map_err(unreachable)?;
    match message::read(&bytes, id, name, kind) {
        Read::Reply(reply) => reply,
        Read::Truncated | Read::Foreign => Err(Error::Malformed),
    }
}

/// Returns the answer of `server` to `question` over TCP, where both are preceded by their length.
async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).expect("a name has 255 bytes at most");
    stream
        .write_all(&[&length.to_be_bytes(), question].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Returns an unpredictable number: the keys of std's hashes come from the system.
fn unpredictable() -> u16 {
    RandomState::new().hash_one(0) as u16
}
