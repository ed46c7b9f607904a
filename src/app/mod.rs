//! The composition root: the only module that knows every part. It starts them in order, and stops them.

mod takeover;
pub mod worker_thread;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::client::listener::Listeners;
use crate::config::{Bind, Config};
use crate::control::recovery::{self, CannotRecover};
use crate::control::signals::{Orders, Signals};
use crate::control::takeover::predecessor::CannotTakeOver;
use crate::control::takeover::successor;
use crate::control::{self, discovery, kept_handovers, remembered, shutdown, sources, systemd};
use crate::health;
use crate::journal::file::Unusable;
use crate::net::inherited::{Inherited, OpenSocket};
use crate::net::listen::BindError;
use crate::net::succession::PassedSession;
use crate::node::{Kind, Node};
use crate::snapshot::Snapshot;
use crate::state::{Phase, State};
use takeover::{After, Before};

/// The maximum time to resolve the names of nodes before clients are accepted.
const RESOLVE: Duration = Duration::from_secs(2);
/// The maximum time to wait for the nodes' versions before clients are accepted.
const MEET: Duration = Duration::from_millis(250);
/// The interval between attempts to open a listener.
const RETRY: Duration = Duration::from_secs(1);
/// The maximum time to wait until the process before, which was taken over, is gone.
const GONE: Duration = Duration::from_secs(5);
/// The polling interval while waiting for something to end.
const LOOK: Duration = Duration::from_millis(10);

/// The advice if the quickstart cannot bind one of its two addresses.
const OTHER_PORTS: &str = "\n\
    The quickstart needs 127.0.0.1:11211 and 127.0.0.1:9155. Stop the program that has the port (memcached?), or\n\
    choose other ports in a file: copy config/minimal.yaml, set listeners[].bind and admin.bind, and start\n\
    ringway --config FILE";

/// The advice if `observe` cannot bind one of its two addresses.
const OTHER_ADDRESSES: &str = "\n    --listen and --admin choose other addresses";

/// What the quickstart says.
const QUICKSTART: &str = "\
    Ringway quickstart: NODES embedded nodes behind one ring.\n\
    \x20 point a memcached client at   CLIENTS\n\
    \x20 health and metrics            http://ADMIN/readyz  http://ADMIN/metrics\n\
    \x20 nodes, and where a key goes   http://ADMIN/nodes   http://ADMIN/explain?key=foo\n\
    \x20 your own nodes                ringway --config FILE  (start from config/minimal.yaml)\n";

/// What `observe` says.
const OBSERVED: &str = "\
    Ringway observes NODE.\n\
    \x20 point its clients at          CLIENTS\n\
    \x20 the status page               http://ADMIN/\n\
    \x20 in a terminal                 ringway top --admin ADMIN\n\
    \x20 single requests               ringway tap --admin ADMIN\n";

/// Why the process cannot run: exit code 3.
#[derive(Debug, Error)]
pub enum CannotRun {
    /// The system does not give a resource.
    #[error("{what}: {source}")]
    System {
        /// What cannot be done without it.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// `admin.bind` cannot be bound.
    #[error("cannot listen on {address}, which is `admin.bind`: {source}{way_out}")]
    Admin {
        /// The address.
        address: Bind,
        /// Why not.
        source: io::Error,
        /// What to do about it.
        way_out: &'static str,
    },
    /// A listener cannot be opened.
    #[error("{source}{way_out}")]
    Listener {
        /// Which, and why not.
        source: BindError,
        /// What to do about it.
        way_out: &'static str,
    },
    /// What an earlier process remembered cannot be had.
    #[error(transparent)]
    Recover(#[from] CannotRecover),
    /// The process before does not let this one take its place.
    #[error(transparent)]
    TakeOver(#[from] CannotTakeOver),
}

impl CannotRun {
    fn because(what: &'static str) -> impl FnOnce(io::Error) -> CannotRun {
        move |source| CannotRun::System { what, source }
    }
}

/// The source of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, which is watched.
    File(PathBuf),
    /// Stdin, which cannot be read again.
    Stdin,
    /// The command line: one memcached is observed.
    Observed,
    /// The built-in one.
    Quickstart,
}

/// Runs `config`, which came from `source`, on the sockets that were `inherited` and on its own. Returns after one of
/// `signals`, or after another process took over, once all sessions are drained or the time for it is over.
///
/// # Errors
/// [`CannotRun`] before the first client is accepted.
pub fn run(config: Config, source: Source, signals: Signals, inherited: Inherited) -> Result<(), CannotRun> {
    let orders = signals
        .start()
        .map_err(CannotRun::because("cannot wait for signals"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CannotRun::because("cannot make an event loop"))?;
    let result = runtime.block_on(serve(config, source, orders, inherited));
    // Does not wait for a lookup or a file access that hangs on a blocking thread.
    runtime.shutdown_background();
    result
}

async fn serve(
    config: Config,
    source: Source,
    orders: Orders,
    inherited: Inherited,
) -> Result<(), CannotRun> {
    let (greeting, way_out) = match &source {
        Source::Quickstart => (Some(QUICKSTART), OTHER_PORTS),
        Source::Observed => (Some(OBSERVED), OTHER_ADDRESSES),
        Source::File(_) | Source::Stdin => (None, ""),
    };
    let file = match source {
        Source::File(path) => Some(path),
        Source::Stdin | Source::Observed | Source::Quickstart => None,
    };
    let mut before = Before::find(&config, inherited)?;
    let admin = before.admin(&config.admin).map_err(|source| CannotRun::Admin {
        address: config.admin.bind.clone(),
        source,
        way_out,
    })?;
    let admin_copy =
        OpenSocket::copy_of(&admin).map_err(CannotRun::because("cannot copy the admin listener"))?;
    let is_early = config.missed_writes.dir.is_some() && before.take_early(&config).await;
    let state = begin(config, std::mem::take(&mut before.inherited), is_early).await?;
    discovery::resolve_new(&state.snapshot.load_full(), RESOLVE).await;
    remembered::recall_addresses(&state.snapshot.load());

    let workers = (0..state.workers.len())
        .map(|index| worker_thread::start(state.clone(), index))
        .collect::<Result<Vec<_>, _>>()
        .map_err(CannotRun::because("cannot start a worker"))?;
    tokio::spawn(successor::run(state.clone(), orders.succeed, file.is_some()));
    control::start(&state, file, admin, orders.reload)
        .map_err(CannotRun::because("cannot start the admin listener"))?;
    sources::wait_for_first(&state, RESOLVE).await;
    meet_nodes(&state).await;
    let mut listeners = Listeners::new(state.clone(), workers);
    let listening = listeners.follow().await;
    listening.map_err(|source| CannotRun::Listener { source, way_out })?;
    let after = After::wait(&state, admin_copy);
    let after = after.map_err(|source| CannotRun::Listener { source, way_out })?;
    for (name, bind) in state.succession.inherited.discard() {
        warn!(%bind, name, "a socket was passed to the process that no listener has: it is closed");
    }
    let mut sessions = before.take(&state.snapshot.load().config);
    systemd::ready();
    if let Some(greeting) = greeting {
        greet(&state, greeting);
    }

    let mut changed = state.changed.subscribe();
    tokio::select! {
        () = shutdown::wait(state.clone(), orders.stop) => {}
        () = after.taken.notified() => shutdown::hand_over(&state),
        () = follow(&mut listeners, &mut changed, &mut sessions) => {}
        () = become_ready(&state) => {}
    }
    listeners.close().await;
    drain(&state).await;
    after.end(&state).await;
    Ok(())
}

/// Logs that the process is ready once every pool has nodes, and then waits for ever.
async fn become_ready(state: &State) {
    sources::wait_for_first(state, Duration::MAX).await;
    let is_first = state.phase.send_if_modified(|phase| {
        let is_first = *phase == Phase::Starting;
        if is_first {
            *phase = Phase::Serving;
        }
        is_first
    });
    if is_first {
        let admin = state.snapshot.load().config.admin.bind.clone();
        info!(version = env!("CARGO_PKG_VERSION"), workers = state.workers.len(), %admin, "ready");
    }
    std::future::pending().await
}

/// Returns the state that all threads share, with what an earlier process recorded of its nodes.
/// If `is_early`, the process before has just ended and may still hold the record.
async fn begin(mut config: Config, inherited: Inherited, is_early: bool) -> Result<Arc<State>, CannotRun> {
    remembered::recall(&mut config);
    let first = kept_handovers::recall(&config).first_snapshot(config);
    let new = |first| {
        let mut state = State::new(first);
        state.succession.inherited = inherited;
        Arc::new(state)
    };
    let until = Instant::now() + GONE;
    let directory = loop {
        match recovery::recover(&first) {
            Err(CannotRecover::Directory(Unusable::Taken(_))) if is_early && Instant::now() < until => {
                sleep(LOOK).await;
            }
            recovered => break recovered?,
        }
    };
    let Some(directory) = directory else {
        return Ok(new(first));
    };
    // Only now is it known which nodes stay out of their rings until they are admitted.
    let next = Snapshot::build(first.config.clone(), Some(&first));
    let state = new(first);
    state.publish(next);
    recovery::keep(&state, directory)?;
    Ok(state)
}

/// Waits until each node has reported its version or failed to, so that the first clients read an accurate
/// version; but not long, because a node may be silent.
async fn meet_nodes(state: &State) {
    let is_met = |node: &Arc<Node>| match &node.kind {
        Kind::Embedded(_) => true,
        Kind::Remote(remote) => !remote.version.load().is_empty() || node.state() != health::State::Up,
    };
    let until = Instant::now() + MEET;
    while !state.snapshot.load().nodes.iter().all(is_met) && Instant::now() < until {
        sleep(LOOK).await;
    }
}

/// Opens and closes listeners after each reload, and serves the `sessions` of the process before, for ever.
/// A listener whose address another process took since the reload checked it is tried again.
async fn follow(
    listeners: &mut Listeners,
    changed: &mut watch::Receiver<u64>,
    sessions: &mut UnboundedReceiver<PassedSession>,
) {
    let mut is_complete = true;
    loop {
        tokio::select! {
            told = changed.changed() => if told.is_err() { return },
            () = sleep(RETRY), if !is_complete => {}
            Some(session) = sessions.recv() => {
                listeners.adopt(session);
                continue;
            }
        }
        is_complete = listeners.follow().await.is_ok();
    }
}

async fn drain(state: &State) {
    let limit = state.snapshot.load().config.shutdown.drain;
    let until = Instant::now() + limit;
    while sessions(state) + in_progress(state) > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
    let cut: u64 = state
        .snapshot
        .load()
        .nodes
        .iter()
        .map(|node| node.sum(|shard| &shard.in_flight))
        .sum();
    match sessions(state) + in_progress(state) {
        0 => info!("drained"),
        _ => warn!(
            sessions = sessions(state),
            requests = cut,
            "drain ran out of time"
        ),
    }
}

/// The number of requests that policies are processing. Some of their clients may be gone, but writes are
/// completed.
fn in_progress(state: &State) -> u64 {
    state.workers.iter().map(|shard| shard.in_progress.get()).sum()
}

/// The number of open sessions, and of accepted clients that no worker has taken over yet.
fn sessions(state: &State) -> u64 {
    let served: u64 = state.workers.iter().map(|shard| shard.sessions.get()).sum();
    let snapshot = state.snapshot.load();
    let accepted = snapshot
        .listeners
        .iter()
        .map(|listener| listener.counters.open.load(Relaxed) as u64);
    served.max(accepted.sum())
}

/// Says where clients and browsers find what runs.
fn greet(state: &State, greeting: &str) {
    let snapshot = state.snapshot.load();
    let config = &snapshot.config;
    let text = greeting
        .replace("NODES", &snapshot.nodes.len().to_string())
        .replace("CLIENTS", &config.listeners[0].bind.to_string())
        .replace("ADMIN", &config.admin.bind.to_string())
        .replace("NODE", &snapshot.nodes[0].label);
    // A closed stdout needs no greeting, and one that is not read must not block the start.
    tokio::task::spawn_blocking(move || std::io::stdout().write_all(text.as_bytes()));
}
