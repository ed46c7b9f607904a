//! Keeps the running configuration up to date while the workers forward requests.
//!
//! ```text
//!  file ──▶ watch ─┐
//!  SIGHUP ▶ signals├─▶ reload ──▶ snapshot ──▶ workers
//!  POST ──▶ admin ─┘                 ▲
//!           sources ──▶ members ──▶ reload
//!           discovery ─▶ addresses   │ without the nodes that are down
//!           prober ────▶ health ──▶ rehash
//!             └──▶ rejoin ───▲
//!           hot_keys ─▶ what workers count, merged: admin shows it
//!           slow_log ─▶ from when on a request is slow
//!           miss_ratio ─▶ what more memory would bring, from what workers note
//!           replay ─▶ deletes what nodes missed;  recovery: what an earlier process left
//!           handover ─▶ phases of a ring's change;  leftovers: what an earlier ring left
//! ```
//!
//! All of it except `signals` and `log` runs on one thread with its own current-thread runtime, so control
//! tasks never delay traffic; files and names are awaited on other threads. Code without an `await` is
//! atomic for the other tasks, so those that publish snapshots, reload, rehash and handover, need no lock
//! between them. Control never touches a session or a link; it only shares the snapshot, the nodes and the counters
//! with the workers.

pub mod admin;
pub mod discovery;
pub mod exposition;
pub mod handover;
mod hot_keys;
mod jitter;
pub mod kept_handovers;
mod leftovers;
pub mod limits;
pub mod listed;
pub mod live_lookup;
pub mod log;
pub mod miss_ratio;
pub mod node_version;
mod outliers;
pub mod per_node_tasks;
pub mod probe_client;
pub mod probe_valkey;
pub mod prober;
pub mod recovery;
pub mod rehash;
mod rejoin;
pub mod reload;
pub mod remembered;
pub mod replay;
mod second_changes;
pub mod shutdown;
pub mod signals;
mod slow_log;
pub mod sources;
pub mod swept;
pub mod systemd;
pub mod takeover;
pub mod watch;

#[cfg(test)]
mod testing;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::net::listen::Listening;
use crate::state::State;
use reload::Reloader;

/// Spawns every task of this floor on the current runtime, except [`shutdown::wait`].
///
/// `path` is the configuration file; `None` for the built-in quickstart. `admin` is bound
/// already, `hangups` come from [`signals::Signals`]. Fails if the listener cannot be handed to the
/// runtime.
pub fn start(
    state: &Arc<State>,
    path: Option<PathBuf>,
    admin: Listening,
    hangups: Arc<Notify>,
) -> io::Result<()> {
    let reloader = Arc::new(Reloader::new(path, state.clone()));
    let server = admin::AdminServer::new(admin, state.clone(), reloader.clone())?;
    signals::reload_on_hangup(hangups, reloader.clone());
    tokio::spawn(server.run());
    tokio::spawn(discovery::run(state.clone()));
    tokio::spawn(sources::run(state.clone(), reloader.clone()));
    tokio::spawn(handover::run(state.clone(), reloader.clone()));
    tokio::spawn(prober::run(state.clone()));
    tokio::spawn(replay::run(state.clone()));
    tokio::spawn(rehash::run(state.clone()));
    tokio::spawn(outliers::run(state.clone()));
    tokio::spawn(limits::run(state.clone()));
    tokio::spawn(hot_keys::run(state.clone()));
    tokio::spawn(slow_log::run(state.clone()));
    tokio::spawn(miss_ratio::run(state.clone()));
    if let Some(path) = reloader.path() {
        tokio::spawn(watch::run(path.to_owned(), reloader));
    }
    Ok(())
}
