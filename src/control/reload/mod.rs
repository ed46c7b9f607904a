//! Applies another configuration while requests are served.
//!
//! A reload is all or nothing: a file with an error changes nothing, and every error is logged and kept for
//! `/readyz` and the metrics. Names of new nodes are resolved before workers see them, so that no request
//! fails only because its node is new. What triggers a reload (a signal, a request, the file watch) is
//! elsewhere.

mod restart;
mod source;
mod told;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::{error, info, warn};

use self::restart::{restart_kept, without_restart};
use self::source::{PATIENCE, Seen, look, read};
use self::told::tell_difference;
use super::discovery::{LOOKUP, resolve_new};
use super::remembered::Keeping;
use super::second_changes::without_second_changes;
use super::{kept_handovers, leftovers};
use crate::config::{self, Config, Discover};
use crate::net::listen::{BindError, try_listen};
use crate::route::Pool;
use crate::route::handover::progress::Progress;
use crate::snapshot::Snapshot;
use crate::state::{Reloads, State};

/// Why a configuration was not taken.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// There is no file to read again.
    #[error(
        "nothing to reload: the configuration came from no file, but from stdin or the built-in quickstart"
    )]
    NoFile,
    /// The file cannot be read, or has mistakes.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// New listeners cannot be opened: at least one.
    #[error("{}", config::error::lines(.0))]
    Bind(Vec<BindError>),
    /// The disk or the network takes too long.
    #[error("not done within {PATIENCE:?}")]
    Late,
    /// A thread ended before its work was done.
    #[error(transparent)]
    Thread(#[from] JoinError),
}

impl ReloadError {
    /// A line for each mistake.
    fn diagnostics(&self) -> Vec<String> {
        match self {
            ReloadError::Config(config::Error::Diagnostics(list)) => {
                list.iter().map(ToString::to_string).collect()
            }
            ReloadError::Bind(list) => list.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

/// A configuration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// False if the file is equivalent to the running configuration.
    pub changed: bool,
    /// Settings that require a restart.
    pub requires_restart: Vec<&'static str>,
    /// Pools whose ring changes once the handover that is going on has ended.
    pub waiting: Vec<String>,
}

/// What became of a change of the discovered nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembersTaken {
    /// It is applied.
    Applied,
    /// It must wait for the handover that is going on.
    Waits,
    /// The running configuration has another discovery for the pool.
    OtherDiscovery,
}

/// Reads the configuration file again and applies it. Reloads are serialised.
#[derive(Debug)]
pub struct Reloader {
    path: Option<PathBuf>,
    state: Arc<State>,
    /// What was last read; `None` if it could not be read.
    seen: Mutex<Option<Seen>>,
    /// The files that the last configuration names, also if it was refused.
    named: std::sync::Mutex<Vec<PathBuf>>,
    remembered: Keeping,
    /// Held while handovers are written to `state_dir`, so that the newest are written last.
    keeping: Mutex<()>,
}

impl Reloader {
    /// Returns a reloader of `path`, from which `state` was built; `None` for the built-in quickstart.
    pub fn new(path: Option<PathBuf>, state: Arc<State>) -> Reloader {
        // The file may have changed since the process read it: then it counts as not seen yet.
        let seen = path.as_deref().and_then(|path| {
            let seen = look(path, &files(&state)).ok();
            seen.filter(|seen| is_running(&seen.bytes, path, &state))
        });
        Reloader {
            path,
            state,
            seen: Mutex::new(seen),
            named: std::sync::Mutex::default(),
            remembered: Keeping::default(),
            keeping: Mutex::default(),
        }
    }

    /// The configuration file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The files that the running configuration names, and those that one which was refused names.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut all = files(&self.state);
        let named = self.named.lock().expect("no holder panics");
        for path in named.iter() {
            if !all.contains(path) {
                all.push(path.clone());
            }
        }
        all
    }

    /// Reads the file and applies it.
    ///
    /// # Errors
    /// One line per error, if nothing was applied.
    pub async fn reload(&self) -> Result<Applied, ReloadError> {
        let Some(path) = self.path() else {
            let refused = ReloadError::NoFile;
            let reason = refused.to_string();
            warn!(reason, "reload refused");
            return Err(refused);
        };
        let mut seen = self.seen.lock().await;
        let read = read(path, self.files()).await;
        *seen = read.as_ref().ok().cloned();
        let taken = self.try_take(path, read.map(|seen| seen.bytes)).await;
        taken.inspect_err(|refused| self.refuse(path, refused.diagnostics()))
    }

    /// Reloads if the bytes of the file, or of a file that it names, differ from those last read, and returns whether they
    /// did. Fails if the file cannot be read, which is not a reload: it may be about to be replaced.
    pub async fn reload_if_touched(&self) -> io::Result<bool> {
        let Some(path) = self.path() else {
            return Ok(false);
        };
        let mut seen = self.seen.lock().await;
        let before = seen.take();
        let read = read(path, self.files()).await?;
        *seen = Some(read.clone());
        if before.as_ref() == Some(&read) {
            return Ok(false);
        }
        // The outcome is logged and kept; no caller waits for it here. A configuration that names other files is read
        // once more, since they may have changed after they were read.
        let is_same_file = before.is_some_and(|before| before.bytes == read.bytes);
        if let Err(refused) = self.try_take(path, Ok(read.bytes)).await {
            let diagnostics = refused.diagnostics();
            if !(is_same_file && self.keeps(&diagnostics)) {
                self.refuse(path, diagnostics);
            }
        }
        Ok(true)
    }

    /// Makes `members` the discovered nodes of `pool`.
    pub async fn take_members(
        &self,
        pool: &str,
        discover: &Discover,
        members: Vec<config::Node>,
    ) -> MembersTaken {
        let _turn = self.seen.lock().await;
        let current = self.state.snapshot.load_full();
        let mut next = current.config.clone();
        let settings = next.pools.get_mut(pool);
        let Some(settings) = settings.filter(|pool| pool.discover.as_ref() == Some(discover)) else {
            return MembersTaken::OtherDiscovery;
        };
        settings.set_discovered(members);
        let (next, waiting) = without_second_changes(next, &current);
        if !waiting.is_empty() {
            return MembersTaken::Waits;
        }
        self.begin(next, &current).await;
        MembersTaken::Applied
    }

    /// Runs `next` in place of `current`.
    async fn begin(&self, next: Config, current: &Snapshot) {
        let snapshot = Snapshot::build(next, Some(current));
        resolve_new(&snapshot, LOOKUP).await;
        leftovers::mark(&snapshot).await;
        begin_handovers(&snapshot, current);
        let kept = self.keeping.lock().await;
        // Before workers see them: a process that ends now must know of the handovers when it starts again.
        kept_handovers::keep(&snapshot).await;
        self.state.publish(snapshot);
        drop(kept);
        self.remember().await;
    }

    /// Writes the running handovers to `state_dir`, if there is one.
    pub async fn keep_handovers(&self) {
        let _kept = self.keeping.lock().await;
        kept_handovers::keep(&self.state.snapshot.load_full()).await;
    }

    /// Writes the discovered nodes with their addresses to `state_dir`, if there is one and they have changed.
    pub async fn remember(&self) {
        self.remembered.keep(&self.state.snapshot.load_full()).await;
    }

    /// Records that the file cannot be read. The running configuration stays, but a restart would fail.
    pub fn note_unreadable(&self, error: &io::Error) {
        let path = self.path().unwrap_or(Path::new("")).display().to_string();
        self.record(|reloads| reloads.diagnostics = vec![format!("{path}: {error}")]);
    }

    /// Whether the last configuration was refused for these reasons.
    fn keeps(&self, diagnostics: &[String]) -> bool {
        self.state.reloads.lock().expect("no holder panics").diagnostics == diagnostics
    }

    async fn try_take(&self, path: &Path, read: io::Result<Vec<u8>>) -> Result<Applied, ReloadError> {
        let bytes = read.map_err(|source| config::Error::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let source = path.display().to_string();
        let (checked, named) = aside(move || {
            let checked = config::check_bytes(&bytes, &source);
            let named = match &checked {
                Ok(checked) => checked.config.files(),
                Err(_) => config::named_files(&bytes, &source),
            };
            Ok((checked, named))
        })
        .await?;
        *self.named.lock().expect("no holder panics") = named;
        let checked = checked?;
        let current = self.state.snapshot.load_full();
        let (next, requires_restart) = without_restart(checked.config, &current.config);
        let (tried, running) = (next.clone(), current.clone());
        aside(move || try_new_listeners(&tried, &running)).await?;
        // Rehash may have published another snapshot of the same configuration meanwhile.
        let current = self.state.snapshot.load_full();
        let (next, waiting) = without_second_changes(next, &current);
        let changed = next != current.config;
        let hash = next.hash();
        if changed {
            self.record(|reloads| reloads.difference = None);
            self.begin(next.clone(), &current).await;
            tokio::spawn(tell_difference(self.state.clone(), current, next));
        }
        self.record(|reloads| {
            reloads.succeeded += 1;
            reloads.taken_at = Some(SystemTime::now());
            reloads.diagnostics.clear();
        });
        info!(path = %path.display(), hash, changed, "configuration taken");
        config::log_warnings(&checked.warnings);
        Ok(Applied {
            changed,
            requires_restart,
            waiting,
        })
    }

    fn refuse(&self, path: &Path, diagnostics: Vec<String>) {
        for diagnostic in &diagnostics {
            error!(diagnostic, "configuration mistake");
        }
        let count = diagnostics.len();
        self.record(|reloads| {
            reloads.failed += 1;
            reloads.diagnostics = diagnostics;
        });
        warn!(path = %path.display(), diagnostics = count, "configuration refused, the one before stays");
    }

    fn record(&self, outcome: impl FnOnce(&mut Reloads)) {
        outcome(&mut self.state.reloads.lock().expect("no holder panics"));
    }
}

/// The handovers of `next` that `current` has not begin now.
fn begin_handovers(next: &Snapshot, current: &Snapshot) {
    let progress = |pool: &Arc<Pool>| pool.handover.as_ref().map(|handover| handover.progress.clone());
    for (name, pool) in &next.pools {
        let before = current.pools.get(name).and_then(progress);
        let is_new = |now: &Arc<Progress>| before.is_none_or(|before| !Arc::ptr_eq(&before, now));
        if let Some(begun) = progress(pool).filter(is_new) {
            begun.restart();
        }
    }
}

/// Runs `work`, which may block on the disk or take long, on a thread of its own; for at most [`PATIENCE`].
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReloadError> + Send + 'static,
) -> Result<T, ReloadError> {
    let done = timeout(PATIENCE, tokio::task::spawn_blocking(work)).await;
    done.map_err(|_| ReloadError::Late)??
}

fn files(state: &State) -> Vec<PathBuf> {
    state.snapshot.load().config.files()
}

fn is_running(bytes: &[u8], path: &Path, state: &State) -> bool {
    let current = state.snapshot.load();
    config::parse_bytes(bytes, &path.display().to_string())
        .is_ok_and(|config| restart_kept(config, &current.config) == current.config)
}

/// Tests the addresses that `next` binds and `current` does not, so that a reload is all or nothing. The
/// error has one line for each that cannot be bound.
fn try_new_listeners(next: &Config, current: &Snapshot) -> Result<(), ReloadError> {
    let is_new = |listener: &&config::Listener| current.listener(&listener.bind).is_none();
    let tried = next.listeners.iter().filter(is_new);
    let failed: Vec<BindError> = tried
        .filter_map(|listener| try_listen(&listener.bind, &listener.access).err())
        .map(|error| naming_itself(error, &current.config))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(ReloadError::Bind(failed))
    }
}

/// Returns `error` with this process as the reason, if a listener of `current` is in the way.
fn naming_itself(error: BindError, current: &Config) -> BindError {
    let is_taken = error.source.kind() == io::ErrorKind::AddrInUse;
    let is_in_the_way =
        |own: &&config::Listener| own.bind.covers(&error.bind) || error.bind.covers(&own.bind);
    match current.listeners.iter().find(is_in_the_way) {
        Some(own) if is_taken => {
            let reason = format!(
                "this process listens on {}, which stays until the new listener is open, restart it, or use another port",
                own.bind
            );
            BindError {
                source: io::Error::new(io::ErrorKind::AddrInUse, reason),
                ..error
            }
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests;
