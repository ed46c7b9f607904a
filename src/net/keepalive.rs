//! TCP keepalive, to detect that the peer of a silent connection is gone.
//!
//! Load balancers and firewalls forget a connection that carries nothing, many after 350 s, and machines
//! disappear without a word. So the kernel probes the peer of every connection, to nodes and from clients,
//! after a minute of silence; that keeps the connection known on its way, and closes it if the peer does
//! not answer.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The silence before the first probe.
pub const IDLE: Duration = Duration::from_secs(60);
/// The interval between unanswered probes.
pub const INTERVAL: Duration = Duration::from_secs(15);
/// The number of unanswered probes after which the connection is closed: two minutes after the last byte.
pub const QUESTIONS: u32 = 4;

/// Enables keepalive on `socket`.
///
/// # Errors
/// Those of the kernel.
pub fn set(socket: &impl AsFd) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(IDLE)
        .with_interval(INTERVAL)
        .with_retries(QUESTIONS);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
