//! Where the process stands in a line of processes: it may begin in the place of another one, and leave its own to the
//! next.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::warn;

use crate::config::{Access, Admin, Bind, Config};
use crate::control::systemd;
use crate::control::takeover::offer;
use crate::control::takeover::predecessor::{CannotTakeOver, Predecessor};
use crate::net::inherited::{self, Inherited, OpenSocket};
use crate::net::listen::{BindError, Listening};
use crate::net::socket_file::SocketFile;
use crate::net::succession::PassedSession;
use crate::state::State;

/// The maximum time for the last sessions to reach the next process.
const LAST: Duration = Duration::from_secs(5);
/// Only processes of the same user may take over.
const ACCESS: Access = Access {
    mode: Some(0o600),
    group: None,
};

/// What was there before this process.
#[derive(Debug)]
pub struct Before {
    /// Sockets that are open already.
    pub inherited: Inherited,
    predecessor: Option<Predecessor>,
    sessions: UnboundedReceiver<PassedSession>,
}

impl Before {
    /// Looks for a process to take over from, as `config` says.
    ///
    /// # Errors
    /// There is one that does not do its part.
    pub fn find(config: &Config, inherited: Inherited) -> Result<Before, CannotTakeOver> {
        let find = |path: &Path| Predecessor::find(path, &inherited);
        let predecessor = config.takeover.as_deref().map(find).transpose()?.flatten();
        let (_, sessions) = unbounded_channel();
        Ok(Before {
            inherited,
            predecessor,
            sessions,
        })
    }

    /// Returns the admin listener: that of the process before, or a new one.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn admin(&self, settings: &Admin) -> io::Result<Listening> {
        inherited::open(
            self.inherited.take(&settings.bind),
            &settings.bind,
            &settings.access,
        )
    }

    /// Takes over now, although this process is not ready, and waits until the process before is gone: what it keeps on
    /// disk can be had only then. Returns whether there was one.
    pub async fn take_early(&mut self, config: &Config) -> bool {
        let Some(receiving) = self.begin(config) else {
            return false;
        };
        // It cannot fail: nothing aborts it, and it does not panic.
        let _done = receiving.await;
        true
    }

    /// Takes over, if that is not done. Returns the clients' connections as they come.
    pub fn take(mut self, config: &Config) -> UnboundedReceiver<PassedSession> {
        self.begin(config);
        self.sessions
    }

    fn begin(&mut self, config: &Config) -> Option<JoinHandle<()>> {
        let predecessor = self.predecessor.take()?;
        // Before the main process of the service ends.
        systemd::took_over();
        let (sessions, receiving) = predecessor.take(config);
        self.sessions = sessions;
        Some(receiving)
    }
}

/// What comes after this process.
#[derive(Debug)]
pub struct After {
    /// Notified when the next process takes over.
    pub taken: Arc<Notify>,
    offering: Option<JoinHandle<()>>,
    file: Option<SocketFile>,
}

impl After {
    /// Listens for a process that takes over, if the configuration allows it. `admin` is passed on too.
    ///
    /// # Errors
    /// The takeover socket cannot be opened.
    pub fn wait(state: &Arc<State>, admin: OpenSocket) -> Result<After, BindError> {
        let mut after = After {
            taken: Arc::default(),
            offering: None,
            file: None,
        };
        let config = state.snapshot.load().config.clone();
        if let Some(path) = &config.takeover {
            let bind = Bind::Unix(path.clone());
            let opened = after.listen(state, &bind);
            opened.map_err(|source| BindError { bind, source })?;
            state.succession.keep(config.admin.bind.clone(), admin);
        }
        Ok(after)
    }

    fn listen(&mut self, state: &Arc<State>, bind: &Bind) -> io::Result<()> {
        let listening = inherited::open(state.succession.inherited.take(bind), bind, &ACCESS)?;
        let copy = OpenSocket::copy_of(&listening)?;
        if let Listening::Unix(socket, file) = listening {
            let listener = UnixListener::from_std(socket)?;
            state.succession.keep(bind.clone(), copy);
            self.file = file;
            self.offering = Some(tokio::spawn(offer::run(
                listener,
                state.clone(),
                self.taken.clone(),
            )));
        }
        Ok(())
    }

    /// Ends: waits until the last sessions are passed on if another process took over, and otherwise lets none do so.
    pub async fn end(self, state: &State) {
        let Some(offering) = self.offering else {
            return;
        };
        if !state.succession.has_begun() {
            if let Some(file) = self.file {
                file.remove();
            }
            return offering.abort();
        }
        state.succession.end();
        if timeout(LAST, offering).await.is_err() {
            warn!("the process that took over does not take the last clients: they are closed");
        }
    }
}
