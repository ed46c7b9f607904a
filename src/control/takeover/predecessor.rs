//! The process that takes over: asks the one before for its sockets, and for its clients once it is ready.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

use super::{Message, PATIENCE, PROTOCOL};
use crate::config::{Bind, Config};
use crate::net::fd_channel::FdChannel;
use crate::net::inherited::{Inherited, PassedSocket};
use crate::net::succession::PassedSession;

/// Why a process that listens on the takeover socket is not taken over.
#[derive(Debug, Error)]
pub enum CannotTakeOver {
    /// Its answers are missing or not understood.
    #[error(
        "cannot take over from the process that listens on {path}: {source}; stop it, or set another `takeover`"
    )]
    Peer {
        /// The takeover socket.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// The process before, which serves until [`Predecessor::take`].
#[derive(Debug)]
pub struct Predecessor {
    channel: FdChannel,
}

impl Predecessor {
    /// Connects to the process that listens on `path`, and adds its listening sockets to `inherited`. `None` if there is
    /// no such process.
    ///
    /// # Errors
    /// It does not do its part.
    pub fn find(path: &Path, inherited: &Inherited) -> Result<Option<Predecessor>, CannotTakeOver> {
        let asked = match UnixStream::connect(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            stream => stream.and_then(|stream| ask(stream, inherited)),
        };
        let path = path.display().to_string();
        asked
            .map(Some)
            .map_err(|source| CannotTakeOver::Peer { path, source })
    }

    /// Tells it that this process is ready. Returns the clients' connections as they come; the task ends with the process
    /// before.
    pub fn take(self, config: &Config) -> (UnboundedReceiver<PassedSession>, JoinHandle<()>) {
        let (sender, sessions) = unbounded_channel();
        let listeners = config.listeners.iter();
        let binds = listeners
            .map(|listener| Arc::new(listener.bind.clone()))
            .collect();
        let receiving = spawn_blocking(move || match receive(self.channel, binds, &sender) {
            Ok(count) => info!(sessions = count, "took over"),
            Err(error) => warn!(%error, "the process before ended early"),
        });
        (sessions, receiving)
    }
}

fn ask(stream: UnixStream, inherited: &Inherited) -> io::Result<Predecessor> {
    let mut channel = FdChannel::new(stream, PATIENCE)?;
    match Message::read(channel.receive()?)? {
        Message::Hello { protocol, version } if protocol == PROTOCOL => info!(version, "taking over"),
        Message::Hello { version, .. } => {
            return Err(io::Error::other(format!(
                "Ringway {version} passes its sockets in another way"
            )));
        }
        other => return Err(unexpected(&other)),
    }
    loop {
        match Message::read(channel.receive()?)? {
            Message::Listener { owns_file } => {
                let fd = channel.take_fd()?;
                inherited.add(PassedSocket::new(fd, "taken over".to_owned(), owns_file)?);
            }
            Message::Offered => return Ok(Predecessor { channel }),
            other => return Err(unexpected(&other)),
        }
    }
}

fn receive(
    mut channel: FdChannel,
    binds: Vec<Arc<Bind>>,
    sessions: &UnboundedSender<PassedSession>,
) -> io::Result<u64> {
    channel.send(&Message::Take.line(), None)?;
    channel.wait_for_ever()?;
    let mut count = 0;
    while let Some(line) = channel.receive()? {
        let Message::Session {
            bind,
            unread,
            is_authenticated,
        } = Message::read(Some(line))?
        else {
            return Err(ErrorKind::InvalidData.into());
        };
        let fd = channel.take_fd()?;
        let unread = STANDARD.decode(unread).map_err(io::Error::other)?;
        // A client of a listener that is no longer configured is closed.
        if let Some(bind) = binds.iter().find(|known| known.to_string() == bind) {
            let _is_ending = sessions.send(PassedSession {
                bind: bind.clone(),
                fd,
                unread,
                is_authenticated,
            });
            count += 1;
        }
    }
    Ok(count)
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::other(format!("unexpected: {}", message.line()))
}
