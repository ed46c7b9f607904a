//! Connects to nodes, for links, probes and other queries.
//!
//! A name may have several addresses, some of which drop packets. They are tried in order, each as soon as
//! those before it failed or had their head start, and earlier attempts continue meanwhile: the first that
//! answers wins. So the time limit is spent once, whatever the number of addresses, and a slow address
//! keeps its chance.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::authenticate::authenticate;
use super::greet::greet;
use super::keepalive;
use super::stream::Stream;
use super::tls::client::encrypt;
use super::unix::UnixSocket;
use crate::config::{Address, Protection};

/// The maximum time before the next address is tried too (the value that RFC 8305 recommends).
const LONGEST_HEAD_START: Duration = Duration::from_millis(250);
/// The interval between attempts on a unix socket whose backlog is full.
const AGAIN: Duration = Duration::from_millis(5);

/// Connects to the node at `address`, whose name resolves to `resolved`, within `limit`, which includes the
/// handshake and the authentication that `protection` requires, and the greeting of a Valkey or Redis.
///
/// # Errors
/// The error of the last address that failed; `TimedOut` if none answered in time; `NotFound` if there is
/// none; the reason if TLS or authentication failed.
pub async fn dial(
    address: &Address,
    resolved: &[SocketAddr],
    protection: &Protection,
    limit: Duration,
) -> io::Result<Stream> {
    let dialled = async {
        let mut stream = match address {
            Address::Tcp { .. } => {
                let stream = tcp(resolved, limit).await?;
                match &protection.tls {
                    None => Ok(Stream::Tcp(stream)),
                    Some(tls) => Ok(Stream::Tls(Box::new(encrypt(stream, address, tls).await?))),
                }
            }
            Address::Unix { path, .. } => unix(path).await,
            Address::Undiscovered => Err(io::Error::new(ErrorKind::NotFound, "no node was discovered yet")),
            Address::Embedded(_) => Err(io::Error::other("an embedded node has no connection")),
        }?;
        match (address.database(), &protection.auth) {
            (Some(database), auth) => greet(&mut stream, database, auth.as_deref()).await?,
            (None, Some(auth)) => authenticate(&mut stream, auth).await?,
            (None, None) => {}
        }
        Ok(stream)
    };
    let late = |_| {
        let reason = format!("cannot connect within {limit:?}");
        io::Error::new(ErrorKind::TimedOut, reason)
    };
    timeout(limit, dialled).await.map_err(late)?
}

async fn tcp(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let stream = match addresses {
        [only] => TcpStream::connect(only).await?,
        several => first_of(several, limit / several.len().max(1) as u32).await?,
    };
    stream.set_nodelay(true)?;
    keepalive::set(&stream)?;
    Ok(stream)
}

/// Connects to the first of `addresses` that answers; each has `head_start` before the next is tried too.
async fn first_of(addresses: &[SocketAddr], head_start: Duration) -> io::Result<TcpStream> {
    let head_start = head_start.min(LONGEST_HEAD_START);
    let mut failure = io::Error::new(ErrorKind::NotFound, "its name has no known address");
    let mut untried = addresses.iter();
    let mut attempts = JoinSet::new();
    loop {
        match untried.next() {
            Some(&address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            biased;
            Some(attempt) = attempts.join_next() => match attempt? {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = sleep(head_start), if untried.len() > 0 => {}
        }
    }
}

async fn unix(path: &Path) -> io::Result<Stream> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return UnixSocket::new(stream.into_std()?).map(Stream::Unix),
            // Its backlog is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(AGAIN).await,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, SockRef, Socket, Type};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    fn refusing() -> SocketAddr {
        listening().1
    }

    /// Returns an address that drops packets: its backlog is full and it never accepts, as long as the
    /// sockets exist.
    fn dropping() -> (SocketAddr, Vec<Socket>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("made");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).expect("a free port");
        listener.listen(0).expect("listens");
        let address = listener.local_addr().expect("bound").as_socket().expect("IPv4");
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("made");
            client.set_nonblocking(true).expect("set");
            let _in_progress = client.connect(&address.into());
            sockets.push(client);
        }
        (address, sockets)
    }

    async fn peer(addresses: &[SocketAddr], limit: Duration) -> io::Result<SocketAddr> {
        let address = Address::memcached("name".into(), 1);
        let stream = dial(&address, addresses, &Protection::default(), limit).await?;
        Ok(stream.peer().expect("TCP has one"))
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken_whatever_the_others_do() {
        let (_listener, good) = listening();
        let (_other, better) = listening();
        let (dead, _full) = dropping();
        for (addresses, expected) in [
            (vec![good], good),
            (vec![good, better], good),
            (vec![refusing(), good], good),
            (vec![dead, good], good),
            (vec![dead, refusing(), dead, good], good),
            (vec![good, dead], good),
        ] {
            let found = peer(&addresses, LIMIT).await.expect("one answers");
            assert_eq!(found, expected, "{addresses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_address_takes_more_than_the_time_for_all() {
        let (dead, _full) = dropping();
        for addresses in [vec![dead], vec![dead; 5]] {
            let begun = tokio::time::Instant::now();
            let error = peer(&addresses, LIMIT).await.expect_err("none answers");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert_eq!(begun.elapsed(), LIMIT);
        }
    }

    #[tokio::test]
    async fn a_failure_is_told() {
        let error = peer(&[], LIMIT).await.expect_err("no address");
        assert!(error.to_string().contains("no known address"), "{error}");
        let refused = peer(&[refusing(), refusing()], LIMIT).await;
        assert_eq!(
            refused.expect_err("nobody listens").kind(),
            ErrorKind::ConnectionRefused
        );
    }

    #[tokio::test]
    async fn connections_are_kept_alive() {
        let (_listener, good) = listening();
        for addresses in [vec![good], vec![good, good]] {
            let stream = tcp(&addresses, LIMIT).await.expect("it listens");
            assert!(SockRef::from(&stream).keepalive().expect("a socket"));
        }
    }
}
