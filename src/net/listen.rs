//! How an address is listened on.

use std::io;
use std::net;
use std::os::unix::net::UnixListener;

use socket2::{Domain, Socket, Type};

use super::keepalive;
use super::socket_file::SocketFile;
use crate::config::{Access, Bind};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens, and does not block.
#[derive(Debug)]
pub enum Listening {
    /// On a TCP port.
    Tcp(net::TcpListener),
    /// On a unix socket, with its file.
    Unix(UnixListener, SocketFile),
}

/// Listens on `bind`; a unix socket lets those connect whom `access` allows. A unix socket that a killed process left
/// behind is replaced. May wait for the disk.
///
/// # Errors
/// As the kernel gives them; `AddrInUse` if somebody listens there, `AlreadyExists` if the path is a file of another
/// kind.
pub fn listen(bind: &Bind, access: &Access) -> io::Result<Listening> {
    match bind {
        Bind::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            // Those that it accepts have it from here.
            keepalive::set(&socket)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG)?;
            Ok(Listening::Tcp(socket.into()))
        }
        Bind::Unix(path) => {
            let (socket, file) = SocketFile::listen(path, access, BACKLOG)?;
            Ok(Listening::Unix(socket, file))
        }
    }
}

/// Tries whether `bind` could be listened on, and leaves no trace. May wait for the disk.
///
/// # Errors
/// Those of [`listen`].
pub fn try_listen(bind: &Bind, access: &Access) -> io::Result<()> {
    if let Listening::Unix(_socket, file) = listen(bind, access)? {
        file.remove();
    }
    Ok(())
}
