//! Applies another configuration while requests are served.
//!
//! A reload is all or nothing: a file with an error changes nothing, and every error is logged and kept for
//! `/readyz` and the metrics. Names of new nodes are resolved before workers see them, so that no request
//! fails only because its node is new. What triggers a reload (a signal, a request, the file watch) is
//! elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use md5::{Digest, Md5};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::discovery::{LOOKUP, resolve_new};
use super::handover_start::{self, without_second_changes};
use super::remembered::Keeping;
use crate::config::{self, Admin, Config, Discover, MissedWrites};
use crate::diff::{Difference, Shown, percent};
use crate::net::listen::{BindError, try_listen};
use crate::snapshot::Snapshot;
use crate::state::{Reloads, State};

/// The maximum time to wait for the file system.
const PATIENCE: Duration = Duration::from_secs(10);
/// The maximum number of one reload's changes that are logged on lines of their own.
const MAX_LOGGED: usize = 50;

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
    remembered: Keeping,
}

/// What a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// The bytes of its file.
    bytes: Vec<u8>,
    /// A digest of the files that it names.
    named: Vec<u8>,
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
            remembered: Keeping::default(),
        }
    }

    /// The configuration file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The files that the running configuration names.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.state)
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
        self.take(path, read.map(|seen| seen.bytes)).await
    }

    /// Reloads if the bytes of the file, or of a file that it names, differ from those last read, and returns whether they
    /// did. Fails if the file cannot be read, which is not a reload: it may be about to be replaced.
    pub async fn reload_if_touched(&self) -> io::Result<bool> {
        let Some(path) = self.path() else {
            return Ok(false);
        };
        let mut seen = self.seen.lock().await;
        let read = read(path, self.files()).await?;
        if seen.as_ref() == Some(&read) {
            return Ok(false);
        }
        *seen = Some(read.clone());
        // The outcome is logged and kept; no caller waits for it here. A configuration that names other files is read
        // once more, since they may have changed after they were read.
        let _ = self.take(path, Ok(read.bytes)).await;
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
        handover_start::begin(&snapshot).await;
        self.state.publish(snapshot);
        self.remember().await;
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

    /// Records that the file can be read again, and is unchanged.
    pub fn note_readable(&self) {
        self.record(|reloads| reloads.diagnostics.clear());
    }

    async fn take(&self, path: &Path, read: io::Result<Vec<u8>>) -> Result<Applied, ReloadError> {
        let taken = self.try_take(path, read).await;
        if let Err(refused) = &taken {
            self.refuse(path, refused);
        }
        taken
    }

    async fn try_take(&self, path: &Path, read: io::Result<Vec<u8>>) -> Result<Applied, ReloadError> {
        let bytes = read.map_err(|source| config::Error::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let source = path.display().to_string();
        let checked = aside(move || Ok(config::check_bytes(&bytes, &source)?)).await?;
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

    fn refuse(&self, path: &Path, refused: &ReloadError) {
        let diagnostics = refused.diagnostics();
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

/// Logs and keeps what `next` changed relative to `old`, unless yet another configuration runs by then. The
/// rings are built on a thread of their own, while the new configuration serves.
async fn tell_difference(state: Arc<State>, old: Arc<Snapshot>, next: Config) {
    let compared = next.clone();
    let compare = move || Difference::between(&old.config, &compared, None);
    let Ok(difference) = tokio::task::spawn_blocking(compare).await else {
        return;
    };
    for change in difference.changes.iter().take(MAX_LOGGED) {
        let shown = |value: &Option<serde_json::Value>| value.as_ref().map(|value| Shown(value).to_string());
        let (old, new) = (shown(&change.old), shown(&change.new));
        info!(path = change.path, old, new, "setting changed");
    }
    if let Some(more @ 1..) = difference.changes.len().checked_sub(MAX_LOGGED) {
        info!(more, "settings changed");
    }
    for moves in &difference.pools {
        let (pool, moved) = (moves.name(), percent(moves.moved));
        info!(pool, moved, exact = moves.exact, "keys moved");
    }
    if state.snapshot.load().config == next {
        let mut reloads = state.reloads.lock().expect("no holder panics");
        reloads.difference = Some(difference);
    }
}

/// Runs `work`, which may block on the disk or take long, on a thread of its own; for at most [`PATIENCE`].
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReloadError> + Send + 'static,
) -> Result<T, ReloadError> {
    let done = timeout(PATIENCE, tokio::task::spawn_blocking(work)).await;
    done.map_err(|_| ReloadError::Late)??
}

/// Reads the file and a digest of the files in `named`. Refuses a pipe, a device or a folder, and gives up a file system
/// that hangs.
async fn read(path: &Path, named: Vec<PathBuf>) -> io::Result<Seen> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || look(&path, &named));
    timeout(PATIENCE, reading).await??
}

fn look(path: &Path, named: &[PathBuf]) -> io::Result<Seen> {
    let mut digest = Md5::new();
    for path in named {
        // One that cannot be read is a mistake of the configuration that names it.
        let bytes = config::read_regular(path).unwrap_or_default();
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    }
    Ok(Seen {
        bytes: config::read_regular(path)?,
        named: digest.finalize().to_vec(),
    })
}

fn files(state: &State) -> Vec<PathBuf> {
    state.snapshot.load().config.files()
}

fn is_running(bytes: &[u8], path: &Path, state: &State) -> bool {
    let current = state.snapshot.load();
    config::parse_bytes(bytes, &path.display().to_string())
        .is_ok_and(|config| restart_kept(config, &current.config) == current.config)
}

/// Returns `next` without the changes that require a restart, which keep the values of `current`; logs
/// them.
fn without_restart(next: Config, current: &Config) -> (Config, Vec<&'static str>) {
    let mut requires_restart = Vec::new();
    if next.workers != current.workers {
        let (running, wanted) = (current.workers, next.workers);
        warn!(running, wanted, "`workers` needs a restart");
        requires_restart.push("workers");
    }
    if next.admin.bind != current.admin.bind {
        warn!(running = %current.admin.bind, wanted = %next.admin.bind, "`admin.bind` needs a restart");
        requires_restart.push("admin.bind");
    } else if next.admin.access != current.admin.access {
        warn!("`admin.mode` and `admin.group` need a restart");
        requires_restart.push("admin.mode");
    }
    if next.missed_writes.dir != current.missed_writes.dir {
        let [running, wanted] = [current, &next].map(|config| format!("{:?}", config.missed_writes.dir));
        warn!(running, wanted, "`missed_writes.dir` needs a restart");
        requires_restart.push("missed_writes.dir");
    }
    if next.takeover != current.takeover {
        let [running, wanted] = [current, &next].map(|config| format!("{:?}", config.takeover));
        warn!(running, wanted, "`takeover` needs a restart");
        requires_restart.push("takeover");
    }
    (restart_kept(next, current), requires_restart)
}

/// Tests the addresses that `next` binds and `current` does not, so that a reload is all or nothing. The
/// error has one line for each that cannot be bound.
fn try_new_listeners(next: &Config, current: &Snapshot) -> Result<(), ReloadError> {
    let is_new = |listener: &&config::Listener| current.listener(&listener.bind).is_none();
    let tried = next.listeners.iter().filter(is_new);
    let failed: Vec<BindError> = tried
        .filter_map(|listener| try_listen(&listener.bind, &listener.access).err())
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(ReloadError::Bind(failed))
    }
}

/// Returns `next` with what no file changes from `current`: settings that require a restart, and discovered
/// nodes.
fn restart_kept(mut next: Config, current: &Config) -> Config {
    next.keep_discovered(current);
    Config {
        workers: current.workers,
        admin: Admin {
            bind: current.admin.bind.clone(),
            access: current.admin.access.clone(),
            ..next.admin
        },
        missed_writes: MissedWrites {
            dir: current.missed_writes.dir.clone(),
            ..next.missed_writes
        },
        takeover: current.takeover.clone(),
        ..next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::per_node_tasks::remote;
    use crate::control::testing;

    const ONE: &str = "pools: {main: {nodes: ['127.0.0.1:1']}}";
    const TWO: &str = "pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2']}}";

    struct Bench {
        directory: tempfile::TempDir,
        state: Arc<State>,
        reloader: Reloader,
    }

    /// Whether a reload that is taken changes anything.
    async fn changed(bench: &Bench) -> bool {
        bench.reloader.reload().await.unwrap().changed
    }

    fn bench(yaml: &str) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        std::fs::write(&path, yaml).unwrap();
        let state = testing::state(yaml);
        Bench {
            reloader: Reloader::new(Some(path), state.clone()),
            directory,
            state,
        }
    }

    impl Bench {
        fn write(&self, yaml: &str) {
            std::fs::write(self.directory.path().join("ringway.yaml"), yaml).unwrap();
        }

        fn labels(&self) -> Vec<String> {
            let nodes = &self.state.snapshot.load().nodes;
            nodes.iter().map(|node| node.label.clone()).collect()
        }

        fn reloads(&self) -> Reloads {
            self.state.reloads.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn a_good_file_is_taken_and_its_nodes_that_stay_are_kept() {
        let bench = bench(ONE);
        let before = bench.state.snapshot.load_full();
        bench.write(TWO);
        assert!(changed(&bench).await);
        assert_eq!(bench.labels(), ["127.0.0.1:1", "127.0.0.1:2"]);
        let after = bench.state.snapshot.load_full();
        assert!(Arc::ptr_eq(&before.nodes[0], &after.nodes[0]));
        assert_eq!(bench.reloads().succeeded, 1);
        assert!(bench.reloads().taken_at.is_some());
        assert_eq!(*bench.state.changed.subscribe().borrow(), 1);
    }

    #[tokio::test]
    async fn a_reload_tells_how_many_keys_it_moved() {
        let bench = bench(ONE);
        bench.write(TWO);
        assert!(changed(&bench).await);
        testing::eventually("the difference is known", || bench.reloads().difference.is_some()).await;
        let difference = bench.reloads().difference.unwrap();
        assert_eq!(difference.changes.len(), 1);
        let moved = difference.pools[0].moved;
        assert!(
            difference.pools[0].exact && (0.3..0.7).contains(&moved),
            "{moved}"
        );
    }

    #[tokio::test]
    async fn the_address_of_a_new_node_is_known_before_workers_see_it() {
        let bench = bench(ONE);
        bench.write("pools: {main: {nodes: ['127.0.0.1:2', 'localhost:3']}}");
        bench.reloader.reload().await.unwrap();
        let snapshot = bench.state.snapshot.load();
        for node in &snapshot.nodes {
            let resolved = remote(node).unwrap().resolved.load();
            assert!(!resolved.is_empty(), "{}", node.label);
        }
    }

    #[tokio::test]
    async fn a_bad_file_changes_nothing_and_its_mistakes_are_kept_until_a_good_one_comes() {
        let bench = bench(ONE);
        bench.write("pools: {main: {nodes: [}");
        let refused = bench.reloader.reload().await.unwrap_err();
        assert_eq!(bench.labels(), ["127.0.0.1:1"]);
        assert_eq!(*bench.state.changed.subscribe().borrow(), 0);
        let reloads = bench.reloads();
        assert_eq!((reloads.succeeded, reloads.failed), (0, 1));
        assert_eq!(reloads.diagnostics.join("\n"), refused.to_string());
        bench.write(ONE);
        assert!(!changed(&bench).await);
        let reloads = bench.reloads();
        assert_eq!((reloads.succeeded, reloads.failed), (1, 1));
        assert!(reloads.diagnostics.is_empty());
        assert_eq!(*bench.state.changed.subscribe().borrow(), 0, "nothing to publish");
    }

    #[tokio::test]
    async fn a_missing_file_is_a_mistake_for_a_reload_that_was_asked_for() {
        let bench = bench(ONE);
        std::fs::remove_file(bench.directory.path().join("ringway.yaml")).unwrap();
        assert!(bench.reloader.reload().await.is_err());
        assert_eq!(bench.reloads().failed, 1);
        assert!(bench.reloader.reload_if_touched().await.is_err());
        assert_eq!(bench.reloads().failed, 1, "but none for the watch");
    }

    #[tokio::test]
    async fn workers_and_the_admin_address_stay_until_a_restart() {
        let bench = bench(ONE);
        bench.write("{workers: 7, admin: {bind: '127.0.0.1:1'}, pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2']}}}");
        let before = bench.state.snapshot.load_full();
        assert!(changed(&bench).await);
        let after = bench.state.snapshot.load_full();
        assert_eq!(after.config.workers, before.config.workers);
        assert_eq!(after.config.admin, before.config.admin);
        assert_eq!(after.nodes.len(), 2);
    }

    #[tokio::test]
    async fn only_touched_files_are_reloaded_by_the_watch() {
        let bench = bench(ONE);
        assert!(!bench.reloader.reload_if_touched().await.unwrap());
        bench.write(TWO);
        assert!(bench.reloader.reload_if_touched().await.unwrap());
        assert!(!bench.reloader.reload_if_touched().await.unwrap());
        assert_eq!(bench.reloads().succeeded, 1);
        assert_eq!(bench.labels().len(), 2);
    }

    #[tokio::test]
    async fn a_file_that_changed_while_the_process_started_counts_as_touched() {
        let bench = bench(ONE);
        bench.write(TWO);
        let path = bench.directory.path().join("ringway.yaml");
        let late = Reloader::new(Some(path), bench.state.clone());
        assert!(late.reload_if_touched().await.unwrap());
        assert_eq!(bench.labels().len(), 2);
    }

    #[tokio::test]
    async fn the_quickstart_has_nothing_to_reload() {
        let state = testing::state(ONE);
        let reloader = Reloader::new(None, state.clone());
        let refused = reloader.reload().await.unwrap_err();
        assert!(refused.to_string().contains("quickstart"), "{refused}");
        assert_eq!(state.reloads.lock().unwrap().failed, 0);
    }
}
