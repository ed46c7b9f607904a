//! The server's side of the TLS handshake with a client.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::counters::{self, Outcome, Side};
use super::pace::paced;
use super::reason::explained;
use crate::config::ListenerTls;

/// The maximum time for a client's handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first byte that every TLS client sends: that of a handshake record.
pub const HANDSHAKE: u8 = 0x16;
/// The answer to a client that begins with another byte: memcached's, and HTTP's.
const NO_TLS: &[u8] = b"ERROR this port speaks TLS\r\n";
const NO_HTTPS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 28\r\n\r\nthis port speaks TLS: https\n";

/// The maximum number of reads of what a refused client has sent.
const MAX_READS: usize = 16;

/// Encrypts `stream`, on which a client of this `side` connected, after validating the client.
///
/// # Errors
/// Why the client is refused, for people.
pub async fn accept(
    stream: TcpStream,
    settings: &ListenerTls,
    side: Side,
) -> io::Result<TlsStream<TcpStream>> {
    let accepted = timeout(PATIENCE, shake_hands(stream, settings, side)).await;
    let late = || {
        (
            Outcome::Failed,
            io::Error::new(ErrorKind::TimedOut, "TLS: the client was too slow"),
        )
    };
    match accepted.unwrap_or_else(|_| Err(late())) {
        Ok(stream) => {
            counters::count(side, Outcome::of(stream.get_ref().1.handshake_kind()));
            Ok(stream)
        }
        Err((outcome, error)) => {
            counters::count(side, outcome);
            Err(error)
        }
    }
}

async fn shake_hands(
    mut stream: TcpStream,
    settings: &ListenerTls,
    side: Side,
) -> Result<TlsStream<TcpStream>, (Outcome, io::Error)> {
    let failed = |error: io::Error| (Outcome::Failed, explained(&error));
    let mut first = [HANDSHAKE];
    if stream.peek(&mut first).await.map_err(failed)? == 1 && first[0] != HANDSHAKE {
        let answer = if side == Side::Admin { NO_HTTPS } else { NO_TLS };
        let _best_effort = stream.write_all(answer).await;
        take_what_has_come(&stream);
        let reason = "the client speaks no TLS";
        return Err((Outcome::Plain, io::Error::new(ErrorKind::InvalidData, reason)));
    }
    let acceptor = TlsAcceptor::from(settings.server.clone());
    let mut stream = paced(acceptor.accept(stream)).await.map_err(failed)?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    if settings.client_ca.is_some() && !shown.is_some_and(|shown| settings.allows(shown)) {
        let _best_effort = stream.shutdown().await;
        let reason = "the client's certificate has no name of `tls.allow`";
        return Err((
            Outcome::Refused,
            io::Error::new(ErrorKind::PermissionDenied, reason),
        ));
    }
    Ok(stream.into())
}

/// Reads what the client has sent: a close with unread bytes resets the connection, and the client may never read the
/// answer.
fn take_what_has_come(stream: &TcpStream) {
    let mut chunk = [0; 4096];
    for _ in 0..MAX_READS {
        if !matches!(stream.try_read(&mut chunk), Ok(1..)) {
            return;
        }
    }
}
