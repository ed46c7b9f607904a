//! Opens a link: dials the node and asks for its version, which determines the dialect; to a Valkey or Redis, loads the
//! script.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use thiserror::Error;
use tokio::time::timeout;

use crate::config::{self, Protocol};
use crate::net::dial::dial;
use crate::net::greet::load_script;
use crate::net::stream::Stream;
use crate::net::tls::socket::SESSION;
use crate::node::{Kind, Node, version};
use crate::protocol::Failure;
use crate::protocol::dialect::Dialect;

/// The errors of a connection that a process took, or keeps from us.
const REACHED: [ErrorKind; 7] = [
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::InvalidData,
    ErrorKind::PermissionDenied,
    ErrorKind::UnexpectedEof,
    ErrorKind::Unsupported,
];

/// A connection to a node.
pub struct Opened {
    /// The connection.
    pub stream: Stream,
    /// The dialect to speak on it.
    pub dialect: Dialect,
    /// [`Remote::moves`](crate::node::Remote::moves), as it was before the address was read.
    pub moves: u64,
    /// Over TLS: where the part that is being written ends among all that goes to the connection.
    pub part_end: u64,
}

/// Why a link does not open.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The node has no address: it is embedded.
    #[error("an embedded node has no links")]
    Embedded,
    /// There is no connection within `connect_timeout`.
    #[error("connection failed: {0}")]
    Dial(#[source] io::Error),
    /// The node does not tell its version within `request_timeout`.
    #[error(transparent)]
    Version(io::Error),
    /// A Valkey or Redis does not load the script within `request_timeout`.
    #[error(transparent)]
    Script(io::Error),
}

impl ConnectError {
    /// Whether the node, or its machine, refused the connection or ended it, and did not let it run into a timeout.
    pub fn is_quick(&self) -> bool {
        use ErrorKind::{ConnectionRefused, NotFound};
        let is_refusal = matches!(self, ConnectError::Dial(error) if [ConnectionRefused, NotFound].contains(&error.kind()));
        is_refusal || self.failure() == Failure::Unopened
    }

    /// How requests fail that need the connection. A process that ends it as it opens, or answers otherwise than a node
    /// that can be used, still has its items.
    pub fn failure(&self) -> Failure {
        let is_reached = match self {
            ConnectError::Embedded => false,
            ConnectError::Dial(error) => REACHED.contains(&error.kind()),
            ConnectError::Version(error) | ConnectError::Script(error) => error.kind() != ErrorKind::TimedOut,
        };
        match is_reached {
            true => Failure::Unopened,
            false => Failure::Connect,
        }
    }
}

/// Returns how many bytes a connection holds while it opens, besides what is queued for it.
pub fn held(settings: &config::Pool) -> usize {
    settings.protection.tls.as_ref().map_or(0, |_| SESSION)
}

/// Connects to `node` and chooses the dialect. Stores the node's version if it was asked.
///
/// # Errors
/// The reason, for the log.
pub async fn open(node: &Node, settings: &config::Pool) -> Result<Opened, ConnectError> {
    let Kind::Remote(remote) = &node.kind else {
        return Err(ConnectError::Embedded);
    };
    let moves = remote.moves();
    let resolved = remote.resolved.load_full();
    let dialled = dial(
        &node.address,
        &resolved,
        &settings.protection,
        settings.connect_timeout,
    )
    .await;
    let mut stream = dialled.map_err(ConnectError::Dial)?;
    let opened = |stream, dialect| Opened {
        stream,
        dialect,
        moves,
        part_end: 0,
    };
    if node.address.is_valkey() {
        let loaded = timeout(settings.request_timeout, load_script(&mut stream)).await;
        let late = |_| io::Error::new(ErrorKind::TimedOut, "no answer to SCRIPT LOAD in time");
        loaded.map_err(late).flatten().map_err(ConnectError::Script)?;
        return Ok(opened(stream, Dialect::Resp));
    }
    match settings.protocol {
        Protocol::Meta => return Ok(opened(stream, Dialect::Meta)),
        Protocol::Classic => return Ok(opened(stream, Dialect::Classic)),
        Protocol::Auto => {}
    }
    let version = version::ask(&mut stream, settings.request_timeout)
        .await
        .map_err(ConnectError::Version)?;
    let dialect = Dialect::of_version(&version);
    remote.version.store(Arc::new(version));
    Ok(opened(stream, dialect))
}
