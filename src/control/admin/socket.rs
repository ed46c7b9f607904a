//! The listening socket of the admin listener: TCP or unix.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio::net::unix::SocketAddr;
use tokio::net::{TcpListener, UnixListener};

use crate::config::Bind;
use crate::net::listen::Listening;
use crate::net::socket_file::SocketFile;
use crate::net::stream::Stream;
use crate::net::unix::UnixSocket;

/// The listening socket.
#[derive(Debug)]
pub enum AdminSocket {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a unix socket, with its file, if that is this process's.
    Unix(UnixListener, Option<SocketFile>),
}

impl AdminSocket {
    /// Registers `socket` with this thread's runtime.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn new(socket: Listening) -> io::Result<AdminSocket> {
        Ok(match socket {
            Listening::Tcp(socket) => AdminSocket::Tcp(TcpListener::from_std(socket)?),
            Listening::Unix(socket, file) => AdminSocket::Unix(UnixListener::from_std(socket)?, file),
        })
    }

    /// Removes the file of a unix socket, so that the next process finds none.
    pub fn remove_file(&self) {
        if let AdminSocket::Unix(_, Some(file)) = self {
            file.remove();
        }
    }

    /// Returns the next connection.
    ///
    /// # Errors
    /// Those of the kernel.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            AdminSocket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            AdminSocket::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                UnixSocket::new(stream.into_std()?).map(Stream::Unix)
            }
        }
    }
}

impl fmt::Display for AdminSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bind = match self {
            AdminSocket::Tcp(socket) => socket.local_addr().map(Bind::Tcp),
            AdminSocket::Unix(socket, _) => {
                let path =
                    |address: SocketAddr| address.as_pathname().map_or_else(PathBuf::new, PathBuf::from);
                socket.local_addr().map(|address| Bind::Unix(path(address)))
            }
        };
        match bind {
            Ok(bind) => bind.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}
