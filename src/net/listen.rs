//! How an address is listened on.

use std::io;
use std::net;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, Socket, Type};

use crate::config::Bind;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens, and does not block.
#[derive(Debug)]
pub enum Listening {
    /// On a TCP port.
    Tcp(net::TcpListener),
    /// On a unix socket.
    Unix(UnixListener),
}

/// Listens on `bind`. A unix socket that a killed process left behind is replaced.
///
/// # Errors
/// As the kernel gives them; `AddrInUse` where somebody listens there, `AlreadyExists` where the path is a
/// file of another kind.
pub fn listen(bind: &Bind) -> io::Result<Listening> {
    match bind {
        Bind::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(BACKLOG)?;
            Ok(Listening::Tcp(socket.into()))
        }
        Bind::Unix(path) => {
            remove_stale(path)?;
            let socket = UnixListener::bind(path)?;
            socket.set_nonblocking(true)?;
            Ok(Listening::Unix(socket))
        }
    }
}

/// Tries whether `bind` could be listened on, and leaves no trace.
///
/// # Errors
/// Those of [`listen`].
pub fn try_listen(bind: &Bind) -> io::Result<()> {
    drop(listen(bind)?);
    match bind {
        Bind::Tcp(_) => Ok(()),
        Bind::Unix(path) => std::fs::remove_file(path),
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        )),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens there",
        )),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}
