//! Binds listening sockets.

use std::io;
use std::net;
use std::os::unix::net::UnixListener;

use socket2::{Domain, Socket, Type};

use super::keepalive;
use super::socket_file::SocketFile;
use crate::config::{Access, Bind};

/// The number of connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bind}: {source}")]
pub struct BindError {
    /// The address.
    pub bind: Bind,
    /// Why not.
    pub source: io::Error,
}

/// A non-blocking listening socket.
#[derive(Debug)]
pub enum Listening {
    /// On a TCP port.
    Tcp(net::TcpListener),
    /// On a unix socket, with its file, if that is this process's.
    Unix(UnixListener, Option<SocketFile>),
}

/// Listens on `bind`; `access` restricts who may connect to a unix socket. A unix socket that a killed
/// process left behind is replaced. May block on the disk.
///
/// # Errors
/// Those of the kernel; `AddrInUse` if another process listens there, `AlreadyExists` if the path is a file
/// of another kind.
pub fn listen(bind: &Bind, access: &Access) -> io::Result<Listening> {
    match bind {
        Bind::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            // Accepted sockets inherit it.
            keepalive::set(&socket)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG)?;
            Ok(Listening::Tcp(socket.into()))
        }
        Bind::Unix(path) => {
            let (socket, file) = SocketFile::listen(path, access, BACKLOG)?;
            Ok(Listening::Unix(socket, Some(file)))
        }
    }
}

/// Tests whether `bind` could be listened on, and leaves no trace. May block on the disk.
///
/// # Errors
/// Those of [`listen`].
pub fn try_listen(bind: &Bind, access: &Access) -> Result<(), BindError> {
    let listening = listen(bind, access).map_err(|source| BindError {
        bind: bind.clone(),
        source,
    })?;
    if let Listening::Unix(_socket, Some(file)) = listening {
        file.remove();
    }
    Ok(())
}
