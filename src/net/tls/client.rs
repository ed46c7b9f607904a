//! The client's side of the TLS handshake with a node.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::counters::{self, Outcome, Side};
use super::pace::paced;
use super::reason::explained;
use super::socket::TlsSocket;
use crate::config::{Address, NodeTls};

/// Encrypts `stream`, which leads to the node at `address`, after validating its certificate.
///
/// # Errors
/// Why the handshake failed, for people.
pub async fn encrypt(
    stream: TcpStream,
    address: &Address,
    settings: &NodeTls,
) -> io::Result<TlsStream<TlsSocket>> {
    let Address::Tcp { host, .. } = address else {
        return Err(io::Error::new(ErrorKind::Unsupported, "TLS is for TCP only"));
    };
    let name = settings.server_name(host).map_err(|_| {
        let reason = format!("TLS: no certificate can have the name {host}: set `tls.name`");
        io::Error::new(ErrorKind::InvalidInput, reason)
    })?;
    let connector = TlsConnector::from(settings.client.clone());
    let socket = TlsSocket::new(stream, Arc::default());
    match paced(connector.connect(name, socket)).await {
        Ok(mut stream) => {
            stream.get_mut().0.finish();
            counters::count(Side::Node, Outcome::of(stream.get_ref().1.handshake_kind()));
            Ok(stream.into())
        }
        Err(error) => {
            counters::count(Side::Node, Outcome::Failed);
            Err(explained(&error))
        }
    }
}
