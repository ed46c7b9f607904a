//! TCP keepalive: what it takes to notice that the other side of a silent connection is gone.
//!
//! Load balancers and firewalls forget a connection that carries nothing, many after 350 s, and machines go without a
//! word. So every connection to a node and from a client asks the other side's kernel after a minute of silence; that
//! keeps the connection known on its way, and closes it if nobody answers.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Silence before the other side is asked.
pub const IDLE: Duration = Duration::from_secs(60);
/// Time between questions that get no answer.
pub const INTERVAL: Duration = Duration::from_secs(15);
/// Questions without an answer after which the connection is closed: two minutes after the last byte.
pub const QUESTIONS: u32 = 4;

/// Lets the kernel look after `socket`.
///
/// # Errors
/// As the kernel gives them.
pub fn set(socket: &impl AsFd) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(IDLE)
        .with_interval(INTERVAL)
        .with_retries(QUESTIONS);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
