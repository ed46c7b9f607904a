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
/// The answer to a client that begins with another byte.
const NO_TLS: &[u8] = b"ERROR this port speaks TLS\r\n";

/// Encrypts `stream`, on which a client connected, after validating the client.
///
/// # Errors
/// Why the client is refused, for people.
pub async fn accept(stream: TcpStream, settings: &ListenerTls) -> io::Result<TlsStream<TcpStream>> {
    let accepted = timeout(PATIENCE, shake_hands(stream, settings)).await;
    let late = || {
        (
            Outcome::Failed,
            io::Error::new(ErrorKind::TimedOut, "TLS: the client was too slow"),
        )
    };
    match accepted.unwrap_or_else(|_| Err(late())) {
        Ok(stream) => {
            counters::count(Side::Client, Outcome::of(stream.get_ref().1.handshake_kind()));
            Ok(stream)
        }
        Err((outcome, error)) => {
            counters::count(Side::Client, outcome);
            Err(error)
        }
    }
}

async fn shake_hands(
    mut stream: TcpStream,
    settings: &ListenerTls,
) -> Result<TlsStream<TcpStream>, (Outcome, io::Error)> {
    let failed = |error: io::Error| (Outcome::Failed, explained(&error));
    let mut first = [HANDSHAKE];
    if stream.peek(&mut first).await.map_err(failed)? == 1 && first[0] != HANDSHAKE {
        let _best_effort = stream.write_all(NO_TLS).await;
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
