//! Listening sockets that another process opened: systemd, by socket activation, or the Ringway whose place this one
//! takes.
//!
//! A listener takes the socket whose address is its own. So the configuration says which addresses are served, whoever
//! opened them, and a socket whose address no listener has is reported and not served.

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

use listenfd::ListenFd;
use socket2::SockRef;

use super::keepalive;
use super::listen::{Listening, listen};
use super::socket_file::SocketFile;
use crate::config::{Access, Bind};

/// A listening socket of another process.
#[derive(Debug)]
pub struct PassedSocket {
    /// Its address.
    pub bind: Bind,
    /// Its name: that of `FileDescriptorName=` of systemd, or that of the process that had it.
    pub name: String,
    fd: OwnedFd,
    /// Whether the file of a unix socket is this process's to remove. systemd's is not.
    owns_file: bool,
}

impl PassedSocket {
    /// Returns the listening socket `fd`.
    ///
    /// # Errors
    /// It is no listening socket over TCP or unix.
    pub fn new(fd: OwnedFd, name: String, owns_file: bool) -> io::Result<PassedSocket> {
        let socket = SockRef::from(&fd);
        if !socket.is_listener()? {
            return Err(io::Error::other("it does not listen"));
        }
        let address = socket.local_addr()?;
        let path = address.as_pathname().map(|path| Bind::Unix(path.to_owned()));
        let bind = address.as_socket().map(Bind::Tcp).or(path);
        let bind = bind.ok_or_else(|| io::Error::other("it is neither TCP nor a unix socket with a path"))?;
        Ok(PassedSocket {
            bind,
            name,
            fd,
            owns_file,
        })
    }

    /// Returns it as if this process had opened it, with the mode and group that `access` says.
    ///
    /// # Errors
    /// Those of the kernel.
    fn into_listening_by(self, access: &Access) -> io::Result<Listening> {
        let listening = self.into_listening()?;
        if let Listening::Unix(_, Some(file)) = &listening {
            file.permit(access)?;
        }
        Ok(listening)
    }

    fn into_listening(self) -> io::Result<Listening> {
        SockRef::from(&self.fd).set_nonblocking(true)?;
        match self.bind {
            Bind::Tcp(_) => {
                keepalive::set(&self.fd)?;
                Ok(Listening::Tcp(self.fd.into()))
            }
            Bind::Unix(path) => {
                let file = self.owns_file.then(|| SocketFile::adopt(&path)).transpose()?;
                Ok(Listening::Unix(UnixListener::from(self.fd), file))
            }
        }
    }
}

/// Returns the socket that another process `passed`, or else a new one that is bound to `bind`.
///
/// # Errors
/// Those of the kernel.
pub fn open(passed: Option<PassedSocket>, bind: &Bind, access: &Access) -> io::Result<Listening> {
    match passed {
        Some(passed) => passed.into_listening_by(access),
        None => listen(bind, access),
    }
}

/// The sockets that no listener has taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Mutex<Vec<PassedSocket>>);

impl Inherited {
    /// Takes the sockets that systemd passed (`LISTEN_FDS`). Call it once, before there are threads: it changes the
    /// environment.
    ///
    /// # Errors
    /// One of them is no listening stream socket.
    pub fn from_systemd() -> io::Result<Inherited> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for (index, name) in (0..passed.len()).zip(names.split(':').chain(std::iter::repeat(""))) {
            let tcp = passed
                .take_tcp_listener(index)
                .map(|socket| socket.map(OwnedFd::from));
            let fd = match tcp {
                Ok(fd) => fd,
                Err(_) => passed.take_unix_listener(index)?.map(OwnedFd::from),
            };
            if let Some(fd) = fd {
                sockets.push(PassedSocket::new(fd, name.to_owned(), false)?);
            }
        }
        Ok(Inherited(Mutex::new(sockets)))
    }

    /// Adds a socket.
    pub fn add(&self, socket: PassedSocket) {
        self.0.lock().expect("no holder panics").push(socket);
    }

    /// Returns the socket for a listener on `bind`, if there is one. For every interface, `[::]` is as good as
    /// `0.0.0.0`, because systemd binds the former if it is given a port alone.
    pub fn take(&self, bind: &Bind) -> Option<PassedSocket> {
        let mut sockets = self.0.lock().expect("no holder panics");
        let place = sockets.iter().position(|socket| is_for(&socket.bind, bind))?;
        Some(sockets.remove(place))
    }

    /// Closes those that are left, and returns their names and addresses.
    pub fn discard(&self) -> Vec<(String, Bind)> {
        let sockets = std::mem::take(&mut *self.0.lock().expect("no holder panics"));
        let discard = |socket: PassedSocket| {
            let (name, bind) = (socket.name.clone(), socket.bind.clone());
            if let Ok(Listening::Unix(_socket, Some(file))) = socket.into_listening() {
                file.remove();
            }
            (name, bind)
        };
        sockets.into_iter().map(discard).collect()
    }
}

fn is_for(passed: &Bind, wanted: &Bind) -> bool {
    match (passed, wanted) {
        (Bind::Tcp(passed), Bind::Tcp(wanted)) => {
            let both_any = passed.ip().is_unspecified() && wanted.ip().is_unspecified();
            passed == wanted || both_any && passed.port() == wanted.port() && passed.is_ipv6()
        }
        (passed, wanted) => passed == wanted,
    }
}

/// A copy of a listening socket that is open, for the process that takes this one's place.
#[derive(Debug)]
pub struct OpenSocket {
    /// The socket.
    pub fd: OwnedFd,
    /// Whether the file of a unix socket is this process's to remove.
    pub owns_file: bool,
}

impl OpenSocket {
    /// Copies the descriptor of a listening socket.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn copy_of(listening: &Listening) -> io::Result<OpenSocket> {
        let (fd, owns_file) = match listening {
            Listening::Tcp(socket) => (socket.as_fd(), false),
            Listening::Unix(socket, file) => (socket.as_fd(), file.is_some()),
        };
        Ok(OpenSocket {
            fd: fd.try_clone_to_owned()?,
            owns_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn bind(text: &str) -> Bind {
        Bind::Tcp(text.parse().unwrap())
    }

    #[test]
    fn a_listener_takes_the_socket_with_its_address() {
        let inherited = Inherited::default();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Bind::Tcp(socket.local_addr().unwrap());
        inherited.add(PassedSocket::new(socket.into(), "clients".to_owned(), false).unwrap());
        assert!(inherited.take(&bind("127.0.0.1:1")).is_none());
        let Listening::Tcp(socket) = inherited.take(&address).unwrap().into_listening().unwrap() else {
            panic!("it is TCP");
        };
        assert_eq!(Bind::Tcp(socket.local_addr().unwrap()), address);
        assert!(inherited.take(&address).is_none());
        inherited.add(PassedSocket::new(socket.into(), "clients".to_owned(), false).unwrap());
        assert_eq!(inherited.discard(), [("clients".to_owned(), address)]);
        assert!(inherited.discard().is_empty());
    }

    #[test]
    fn every_interface_may_be_written_in_two_ways() {
        assert!(is_for(&bind("[::]:11211"), &bind("0.0.0.0:11211")));
        assert!(
            !is_for(&bind("0.0.0.0:11211"), &bind("[::]:11211")),
            "it has no IPv6"
        );
        assert!(!is_for(&bind("[::]:11211"), &bind("0.0.0.0:11212")));
        assert!(!is_for(&bind("[::]:11211"), &bind("127.0.0.1:11211")));
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(PassedSocket::new(client.into(), String::new(), false).is_err());
    }
}
