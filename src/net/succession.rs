//! What one process leaves to the next that takes its place: its listening sockets, and its clients' connections.
//!
//! Any thread may use it. A connection is passed on while nothing is outstanding on it, so that the socket and the
//! beginning of a request are all there is of it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::inherited::{Inherited, OpenSocket};
use crate::config::Bind;

/// The maximum number of bytes that are passed on with a connection: longer requests are completed first.
pub const MAX_PASSED: usize = 8 << 10;

/// A client's connection on its way to the next process, and the address of its listener.
#[derive(Debug)]
pub struct PassedSession {
    /// The address of its listener.
    pub bind: Arc<Bind>,
    /// Its socket.
    pub fd: OwnedFd,
    /// What was read of a request that is not complete.
    pub unread: Vec<u8>,
    /// Whether the client has authenticated.
    pub is_authenticated: bool,
}

/// What was inherited, and what is left to a successor.
#[derive(Debug, Default)]
pub struct Succession {
    /// Listening sockets that another process opened.
    pub inherited: Inherited,
    /// Copies of the open listening sockets. Empty if no process may take this one's place.
    open: Mutex<BTreeMap<Bind, OpenSocket>>,
    successor: Mutex<Option<UnboundedSender<PassedSession>>>,
}

impl Succession {
    /// Keeps a copy of the socket that is bound to `bind`, to pass it on.
    pub fn keep(&self, bind: Bind, copy: OpenSocket) {
        self.open().insert(bind, copy);
    }

    /// Drops the copy of the socket that is bound to `bind`.
    pub fn forget(&self, bind: &Bind) {
        self.open().remove(bind);
    }

    /// The copies of all open listening sockets.
    pub fn open(&self) -> MutexGuard<'_, BTreeMap<Bind, OpenSocket>> {
        self.open.lock().expect("no holder panics")
    }

    /// Begins to pass sessions on, to the returned channel.
    pub fn begin(&self) -> UnboundedReceiver<PassedSession> {
        let (sender, sessions) = unbounded_channel();
        *self.successor.lock().expect("no holder panics") = Some(sender);
        sessions
    }

    /// Whether a successor takes this process's place.
    pub fn has_begun(&self) -> bool {
        self.successor.lock().expect("no holder panics").is_some()
    }

    /// Passes a session on. Without a successor it closes.
    pub fn pass(&self, session: PassedSession) {
        if let Some(successor) = &*self.successor.lock().expect("no holder panics") {
            // A successor that ended meanwhile takes no sessions.
            let _is_gone = successor.send(session);
        }
    }

    /// Passes no more sessions on: the successor's channel ends.
    pub fn end(&self) {
        self.successor.lock().expect("no holder panics").take();
    }
}
