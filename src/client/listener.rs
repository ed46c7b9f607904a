//! Accepts clients and hands them to the workers in turn.
//!
//! Listeners follow the snapshot: a reload may add and remove them. One that is removed stops accepting at
//! once; its sessions end once nothing is outstanding.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::{Access, Bind, ListenerTls};
use crate::log_limit::LogLimit;
use crate::net::inherited::{self, OpenSocket};
use crate::net::listen::{BindError, Listening};
use crate::net::socket_file::SocketFile;
use crate::net::succession::PassedSession;
use crate::snapshot::ListenerCounters;
use crate::state::{Phase, State};

/// The pause after the process ran out of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The minimum interval between logs of a listener that cannot accept.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// The maximum time to remove a socket's file: its file system may hang.
const REMOVE: Duration = Duration::from_secs(1);

/// Rate-limits the log of clients that came over from another process and are closed.
static NOT_ADOPTED: LogLimit = LogLimit::new(LOG_EVERY);

/// An accepted client, on its way to a worker.
#[derive(Debug)]
pub struct Accepted {
    /// Its connection.
    pub socket: Client,
    /// The bind address of its listener.
    pub bind: Arc<Bind>,
    /// Its encryption; `None` for none.
    pub tls: Option<Arc<ListenerTls>>,
    /// Whether it must authenticate.
    pub login: Login,
    /// The time after which it is closed if idle; `None` for never.
    pub idle_timeout: Option<Duration>,
    /// Its place among the listener's connections.
    pub place: ConnectionGuard,
    /// What another process read of its first request.
    pub unread: BytesMut,
}

/// Whether a client must authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It need not.
    NotNeeded,
    /// Before anything else.
    Required,
    /// It has.
    Done,
}

/// A connected socket that no runtime owns yet.
#[derive(Debug)]
pub enum Client {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// One of a listener's `max_connections`; free again when it is dropped.
#[derive(Debug)]
pub struct ConnectionGuard(Arc<ListenerCounters>);

impl ConnectionGuard {
    /// Takes a place although none may be free: its client was let in already.
    fn take(counters: &Arc<ListenerCounters>) -> ConnectionGuard {
        counters.open.fetch_add(1, Relaxed);
        ConnectionGuard(counters.clone())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A listening socket.
#[derive(Debug)]
enum Socketed {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// All listeners of the process. They close when this is dropped.
#[derive(Debug)]
pub struct Listeners {
    state: Arc<State>,
    workers: Workers,
    open: HashMap<Bind, OpenListener>,
    /// The last logged problem of each listener that is not as configured.
    complaints: HashMap<Bind, String>,
}

/// The workers, which get clients in turn.
#[derive(Debug, Clone)]
struct Workers {
    senders: Vec<UnboundedSender<Accepted>>,
    next: Arc<AtomicUsize>,
}

impl Workers {
    /// Gives a client to the next worker. Returns the number of that worker if it is gone.
    fn give(&self, accepted: Accepted) -> Result<(), usize> {
        let worker = self.next.fetch_add(1, Relaxed) % self.senders.len();
        self.senders[worker].send(accepted).map_err(|_| worker)
    }
}

/// An accepting listener.
#[derive(Debug)]
struct OpenListener {
    task: JoinHandle<()>,
    /// The file of a unix socket.
    file: Option<Arc<SocketFile>>,
    access: Access,
}

impl Listeners {
    /// Returns no listeners yet; clients go to `workers` in turn.
    pub fn new(state: Arc<State>, workers: Vec<UnboundedSender<Accepted>>) -> Listeners {
        Listeners {
            state,
            workers: Workers {
                senders: workers,
                next: Arc::default(),
            },
            open: HashMap::new(),
            complaints: HashMap::new(),
        }
    }

    /// Opens the listeners that are new in the running snapshot, and closes those that are no longer in it.
    ///
    /// # Errors
    /// The first address that cannot be bound, or whose socket cannot have its mode or group, with the
    /// reason; the others are open.
    pub async fn follow(&mut self) -> Result<(), BindError> {
        let snapshot = self.state.snapshot.load_full();
        let removed: Vec<Bind> = self
            .open
            .keys()
            .filter(|bind| snapshot.listener(bind).is_none())
            .cloned()
            .collect();
        for bind in removed {
            if let Some(open) = self.open.remove(&bind) {
                self.state.succession.forget(&bind);
                close(&bind, open, true).await;
            }
        }
        self.complaints
            .retain(|bind, _| snapshot.listener(bind).is_some());
        let mut result = Ok(());
        for listener in &snapshot.listeners {
            let (bind, access) = (&listener.settings.bind, &listener.settings.access);
            let done = match self.open.get_mut(bind) {
                Some(open) => permit(open, access).await,
                None => self.open(bind, access).await,
            };
            match done {
                Ok(()) => drop(self.complaints.remove(bind)),
                Err(source) => {
                    let error = source.to_string();
                    // It is tried again and again, but logged once.
                    if self.complaints.get(bind) != Some(&error) {
                        warn!(%bind, %error, "cannot listen");
                        self.complaints.insert(bind.clone(), error);
                    }
                    let bind = bind.clone();
                    result = result.and(Err(BindError { bind, source }));
                }
            }
        }
        result
    }

    /// Stops accepting. Sessions stay, and so do the files of unix sockets if a successor listens there.
    pub async fn close(&mut self) {
        let is_last = !self.state.succession.has_begun();
        for (bind, open) in std::mem::take(&mut self.open) {
            self.state.succession.forget(&bind);
            close(&bind, open, is_last).await;
        }
    }

    /// Serves a client whose connection the process before accepted. It is closed if its listener is gone, or would not
    /// admit it as it is.
    pub fn adopt(&self, session: PassedSession) {
        let PassedSession {
            bind,
            fd,
            unread,
            is_authenticated,
        } = session;
        let snapshot = self.state.snapshot.load();
        let Some((_, listener)) = snapshot.listener(&bind) else {
            return;
        };
        let settings = &listener.settings;
        let obstacle = match (&settings.tls, &settings.auth) {
            (Some(_), _) => Some("it is not encrypted, and the listener has `tls` now"),
            (None, Some(_)) if !is_authenticated => {
                Some("it has not authenticated, and the listener has `auth` now")
            }
            _ => None,
        };
        if let Some(reason) = obstacle {
            if let Some(held_back) = NOT_ADOPTED.allow(self.state.started.elapsed()) {
                warn!(%bind, reason, held_back, "client of the process before is closed");
            }
            return;
        }
        let place = ConnectionGuard::take(&listener.counters);
        self.state.sessions_taken_over.fetch_add(1, Relaxed);
        let accepted = Accepted {
            socket: match *bind {
                Bind::Tcp(_) => Client::Tcp(fd.into()),
                Bind::Unix(_) => Client::Unix(fd.into()),
            },
            bind,
            tls: None,
            login: if is_authenticated {
                Login::Done
            } else {
                Login::NotNeeded
            },
            idle_timeout: settings.idle_timeout,
            place,
            unread: BytesMut::from(&unread[..]),
        };
        if let Err(worker) = self.workers.give(accepted) {
            warn!(worker, "worker is gone");
        }
    }

    async fn open(&mut self, bind: &Bind, access: &Access) -> io::Result<()> {
        let (wanted, permitted) = (bind.clone(), access.clone());
        let passed = self.state.succession.inherited.take(bind);
        let is_passed = passed.is_some();
        let listening = aside(move || inherited::open(passed, &wanted, &permitted)).await?;
        if self.state.snapshot.load().config.takeover.is_some() {
            let copy = OpenSocket::copy_of(&listening)?;
            self.state.succession.keep(bind.clone(), copy);
        }
        let (socket, file) = match listening {
            Listening::Tcp(socket) => (Socketed::Tcp(TcpListener::from_std(socket)?), None),
            Listening::Unix(socket, file) => (Socketed::Unix(UnixListener::from_std(socket)?), file),
        };
        info!(%bind, is_passed, "listening");
        let acceptor = Acceptor {
            state: self.state.clone(),
            workers: self.workers.clone(),
            bind: Arc::new(bind.clone()),
            failures: LogLimit::new(LOG_EVERY),
        };
        let open = OpenListener {
            task: tokio::spawn(acceptor.run(socket)),
            file: file.map(Arc::new),
            access: access.clone(),
        };
        self.open.insert(bind.clone(), open);
        Ok(())
    }
}

/// Sets the mode and group of the socket's file after a reload.
async fn permit(open: &mut OpenListener, access: &Access) -> io::Result<()> {
    if open.access == *access {
        return Ok(());
    }
    if let Some(file) = open.file.clone() {
        let access = access.clone();
        aside(move || file.permit(&access)).await?;
    }
    open.access = access.clone();
    Ok(())
}

async fn close(bind: &Bind, open: OpenListener, removes_file: bool) {
    if let Some(file) = open.file.filter(|_| removes_file) {
        let remove = move || {
            file.remove();
            Ok(())
        };
        let removed = timeout(REMOVE, aside(remove)).await;
        if let Err(error) = removed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            warn!(%bind, %error, "cannot remove the socket's file");
        }
    }
    open.task.abort();
    // The socket is closed once the task is gone, so that the address is free.
    let _aborted = open.task.await;
    info!(%bind, "no longer listening");
}

/// Runs `work`, which may block on the disk, on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

struct Acceptor {
    state: Arc<State>,
    workers: Workers,
    bind: Arc<Bind>,
    failures: LogLimit,
}

impl Acceptor {
    async fn run(self, socket: Socketed) {
        loop {
            let accepted = match &socket {
                Socketed::Tcp(listener) => listener.accept().await.map(|(stream, _)| Incoming::Tcp(stream)),
                Socketed::Unix(listener) => listener.accept().await.map(|(stream, _)| Incoming::Unix(stream)),
            };
            match accepted {
                Ok(incoming) => self.admit(incoming).await,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some((_, listener)) = self.state.snapshot.load().listener(&self.bind) {
                        listener.counters.accept_errors.fetch_add(1, Relaxed);
                    }
                    if let Some(held_back) = self.failures.allow(self.state.started.elapsed()) {
                        warn!(bind = %self.bind, %error, held_back, "cannot accept; pausing");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn admit(&self, mut incoming: Incoming) {
        let snapshot = self.state.snapshot.load();
        let Some((_, listener)) = snapshot.listener(&self.bind) else {
            return;
        };
        let counters = &listener.counters;
        if counters.open.fetch_add(1, Relaxed) >= listener.settings.max_connections {
            counters.open.fetch_sub(1, Relaxed);
            counters.refused.fetch_add(1, Relaxed);
            return incoming.refuse().await;
        }
        counters.accepted.fetch_add(1, Relaxed);
        let place = ConnectionGuard(counters.clone());
        let Ok(socket) = incoming.into_client() else {
            return;
        };
        let idle_timeout = listener.settings.idle_timeout;
        let accepted = Accepted {
            socket,
            bind: self.bind.clone(),
            tls: listener.settings.tls.clone(),
            login: match listener.settings.auth {
                Some(_) => Login::Required,
                None => Login::NotNeeded,
            },
            idle_timeout,
            place,
            unread: BytesMut::new(),
        };
        if let Err(worker) = self.workers.give(accepted)
            && *self.state.phase.borrow() < Phase::Draining
        {
            warn!(worker, "worker is gone");
        }
    }
}

enum Incoming {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Incoming {
    /// With memcached's own text; a client that does not take it at once does not get it.
    async fn refuse(&mut self) {
        const LINE: &[u8] = b"ERROR Too many open connections\r\n";
        let write = async {
            match self {
                Incoming::Tcp(stream) => stream.write_all(LINE).await,
                Incoming::Unix(stream) => stream.write_all(LINE).await,
            }
        };
        let _best_effort = tokio::time::timeout(PAUSE, write).await;
    }

    fn into_client(self) -> io::Result<Client> {
        match self {
            Incoming::Tcp(stream) => {
                stream.set_nodelay(true)?;
                Ok(Client::Tcp(stream.into_std()?))
            }
            Incoming::Unix(stream) => Ok(Client::Unix(stream.into_std()?)),
        }
    }
}
