//! The server's side of the TLS handshake with a client.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::counters::{self, Outcome, Side};
use super::pace::paced;
use super::reason::explained;
use super::socket::{SESSION, TlsSocket};
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

/// Encrypts `stream`, on which a client of this `side` connected, after validating the client. `may_hold` is told how many
/// bytes the handshake holds, and says whether it may.
///
/// # Errors
/// Why the client is refused, for people.
pub async fn accept(
    stream: TcpStream,
    settings: &ListenerTls,
    side: Side,
    may_hold: impl Fn(usize) -> bool,
) -> io::Result<TlsStream<TlsSocket>> {
    let accepted = timeout(PATIENCE, shake_hands(stream, settings, side, may_hold)).await;
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
    may_hold: impl Fn(usize) -> bool,
) -> Result<TlsStream<TlsSocket>, (Outcome, io::Error)> {
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
    let read = Arc::new(AtomicUsize::new(0));
    let accepting = paced(acceptor.accept(TlsSocket::new(stream, read.clone())));
    let mut stream = held(accepting, &read, may_hold).await.map_err(failed)?;
    stream.get_mut().0.finish();
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    if settings.keys.client_ca.is_some() && !shown.is_some_and(|shown| settings.allows(shown)) {
        let _best_effort = stream.shutdown().await;
        let reason = "the client's certificate has no name of `tls.allow`";
        return Err((
            Outcome::Refused,
            io::Error::new(ErrorKind::PermissionDenied, reason),
        ));
    }
    Ok(stream.into())
}

/// Drives `accepting`, which adds to `read` what it reads, as long as it may hold that.
async fn held<T>(
    accepting: impl Future<Output = io::Result<T>>,
    read: &AtomicUsize,
    may_hold: impl Fn(usize) -> bool,
) -> io::Result<T> {
    let mut accepting = pin!(accepting);
    poll_fn(|cx| {
        let polled = accepting.as_mut().poll(cx);
        if may_hold(SESSION + read.load(Relaxed)) || polled.is_ready() {
            return polled;
        }
        let reason = "there is no memory for so large a handshake";
        Poll::Ready(Err(io::Error::new(ErrorKind::OutOfMemory, reason)))
    })
    .await
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
