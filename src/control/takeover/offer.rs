//! The process that is taken over: waits for the next one, and passes on what it has.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Message, PATIENCE, PROTOCOL};
use crate::net::fd_channel::FdChannel;
use crate::state::State;

/// The maximum time that the next process may take from getting the listening sockets until it is ready.
const START: Duration = Duration::from_secs(60);
/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits on `listener` until a process has taken over, and all is passed on. Notifies `taken` when it begins to.
pub async fn run(listener: UnixListener, state: Arc<State>, taken: Arc<Notify>) {
    loop {
        match next(&listener, &state, &taken).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                warn!(%error, "not taken over");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one process that would take over, and returns whether it did.
async fn next(listener: &UnixListener, state: &Arc<State>, taken: &Arc<Notify>) -> io::Result<bool> {
    let (stream, _) = listener.accept().await?;
    if !is_trusted(&stream)? {
        return Err(io::Error::other("a process of another user wants to take over"));
    }
    let channel = FdChannel::new(stream.into_std()?, PATIENCE)?;
    let (state, taken) = (state.clone(), taken.clone());
    spawn_blocking(move || serve(channel, &state, &taken)).await?
}

fn is_trusted(stream: &UnixStream) -> io::Result<bool> {
    let user = stream.peer_cred()?.uid();
    Ok(user == 0 || user == rustix::process::geteuid().as_raw())
}

fn serve(mut channel: FdChannel, state: &State, taken: &Notify) -> io::Result<bool> {
    let hello = Message::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    channel.send(&hello.line(), None)?;
    for socket in state.succession.open().values() {
        let owns_file = socket.owns_file;
        channel.send(&Message::Listener { owns_file }.line(), Some(socket.fd.as_fd()))?;
    }
    channel.send(&Message::Offered.line(), None)?;
    info!("another process is about to take over");
    channel.wait_at_most(START)?;
    match Message::read(channel.receive()?)? {
        Message::Take => {}
        other => return Err(io::Error::other(format!("unexpected: {}", other.line()))),
    }
    let mut sessions = state.succession.begin();
    taken.notify_one();
    let mut count = 0;
    while let Some(session) = sessions.blocking_recv() {
        let message = Message::Session {
            bind: session.bind.to_string(),
            unread: STANDARD.encode(&session.unread),
            is_authenticated: session.is_authenticated,
        };
        if let Err(error) = channel.send(&message.line(), Some(session.fd.as_fd())) {
            warn!(%error, "the process that took over is gone: clients are closed");
            break;
        }
        count += 1;
    }
    info!(sessions = count, "taken over");
    Ok(true)
}
