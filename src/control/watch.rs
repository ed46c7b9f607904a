//! Detects changes of the configuration file, and of the files that it names, such as certificates.
//!
//! A file is written in place, or replaced by a rename, or a symbolic link on the way to it is swapped, as
//! Kubernetes does with a ConfigMap (`ringway.yaml → ..data/ringway.yaml`, `..data → ..2024_…`). All of
//! these cause events in the folders that the path passes through, so those are watched and not the file.
//! An event is only a hint to look: what decides is whether the file's bytes differ from those last read.
//! Polling every few seconds covers what causes no event: a folder removed and recreated, a network file
//! system, no watches left. Without events a change is just seen later.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::reload::Reloader;

/// The delay from an event to the look: writers need a moment.
const SETTLE: Duration = Duration::from_millis(200);
/// The polling interval without events.
const LOOK: Duration = Duration::from_secs(3);
/// The maximum number of symbolic links on the way to the file; the kernel's own limit
/// (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Reloads whenever the content of the file at `path` changes, until this future is dropped.
pub async fn run(path: PathBuf, reloader: Arc<Reloader>) {
    run_with(path, reloader, LOOK).await;
}

async fn run_with(path: PathBuf, reloader: Arc<Reloader>, look: Duration) {
    let touched = Arc::new(Notify::new());
    let mut folders = Folders::new(touched.clone());
    // Why the file could not be read the last time.
    let mut unreadable = None;
    loop {
        // The watch is set before the look, or a change between the two would be missed.
        let mut looked = reloader.files();
        looked.push(path.clone());
        let follow = move || {
            folders.follow(&looked);
            folders
        };
        // A file system that hangs blocks this watch, and nothing else.
        match tokio::task::spawn_blocking(follow).await {
            Ok(followed) => folders = followed,
            Err(error) => return warn!(%error, "the configuration file is no longer watched"),
        }
        let now = reloader.reload_if_touched().await.err();
        let reason = now.as_ref().map(io::Error::to_string);
        if reason != unreadable {
            match &now {
                Some(error) => {
                    reloader.note_unreadable(error);
                    warn!(path = %path.display(), %error, "configuration file cannot be read, the running one stays");
                }
                None => info!(path = %path.display(), "configuration file can be read again"),
            }
        }
        unreadable = reason;
        if timeout(look, touched.notified()).await.is_ok() {
            sleep(SETTLE).await;
        }
    }
}

/// The watched folders.
pub struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: Vec<Folder>,
}

/// A folder by path and by identity: one that was removed and recreated is another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Folders {
    /// Returns a watch on no folders yet; events in those that [`Folders::follow`] adds notify `touched`.
    pub fn new(touched: Arc<Notify>) -> Folders {
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| changes(event.kind)) {
                touched.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(on_event)
            .inspect_err(|error| warn!(%error, every = ?LOOK, "cannot watch files, looking at them instead"))
            .ok();
        Folders {
            watcher,
            watched: Vec::new(),
        }
    }

    /// Watches the folders that `paths` pass through now.
    pub fn follow(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut wanted: Vec<Folder> = Vec::new();
        for folder in paths.iter().flat_map(|path| folders(path)) {
            let known = identify(&folder).ok().filter(|folder| !wanted.contains(folder));
            wanted.extend(known);
        }
        for folder in self.watched.iter().filter(|folder| !wanted.contains(folder)) {
            // Fails if the folder is gone, and the watch with it.
            let _ = watcher.unwatch(&folder.path);
        }
        wanted.retain(|folder| {
            self.watched.contains(folder) || watcher.watch(&folder.path, RecursiveMode::NonRecursive).is_ok()
        });
        self.watched = wanted;
    }
}

/// Returns true for events after which a file's content may differ. Not for reading: we read ourselves.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn identify(path: &Path) -> io::Result<Folder> {
    let metadata = std::fs::metadata(path)?;
    Ok(Folder {
        path: path.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// Returns every folder that holds a symbolic link on the way to `path`, and the one that holds the file.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut links = 0;
    walk(
        &std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        &mut links,
        &mut found,
    );
    found
}

/// Walks `path` from its root. Adds the folders of the links it meets and, at the end, the last folder.
fn walk(path: &Path, links: &mut usize, found: &mut Vec<PathBuf>) {
    let mut here = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        if component == Component::ParentDir {
            here.pop();
            continue;
        }
        let folder = here.clone();
        here.push(component);
        let is_last = rest.as_path().as_os_str() == OsStr::new("");
        let target = std::fs::read_link(&here).ok();
        if (is_last || target.is_some()) && !found.contains(&folder) {
            found.push(folder.clone());
        }
        if let Some(target) = target {
            *links += 1;
            if *links <= MAX_LINKS {
                walk(&folder.join(target).join(rest.as_path()), links, found);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::control::testing::{self, eventually};
    use crate::state::State;

    /// Polling comes far too late for these tests.
    const NEVER: Duration = Duration::from_secs(3600);

    fn yaml(nodes: usize) -> String {
        let nodes: Vec<String> = (1..=nodes).map(|port| format!("'127.0.0.1:{port}'")).collect();
        format!("pools: {{main: {{nodes: [{}]}}}}\n", nodes.join(", "))
    }

    fn watch(path: &Path, look: Duration) -> Arc<State> {
        let state = testing::state(&yaml(1));
        let reloader = Arc::new(Reloader::new(Some(path.to_owned()), state.clone()));
        tokio::spawn(run_with(path.to_owned(), reloader, look));
        state
    }

    async fn runs(state: &State, nodes: usize) {
        let claim = format!("{nodes} nodes run");
        eventually(&claim, || state.snapshot.load().nodes.len() == nodes).await;
    }

    #[tokio::test]
    async fn a_file_written_in_place_is_taken_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        fs::write(&path, yaml(1)).unwrap();
        let state = watch(&path, NEVER);
        for nodes in [2, 3, 1] {
            tokio::task::yield_now().await;
            fs::write(&path, yaml(nodes)).unwrap();
            runs(&state, nodes).await;
        }
    }

    #[tokio::test]
    async fn a_file_replaced_by_rename_is_taken_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        fs::write(&path, yaml(1)).unwrap();
        let state = watch(&path, NEVER);
        for nodes in [2, 3, 1] {
            tokio::task::yield_now().await;
            let draft = directory.path().join("draft");
            fs::write(&draft, yaml(nodes)).unwrap();
            fs::rename(&draft, &path).unwrap();
            runs(&state, nodes).await;
        }
    }

    #[tokio::test]
    async fn a_config_map_swapped_behind_its_links_is_taken_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let swap = |generation: usize, nodes: usize| {
            let folder = root.join(format!("..2024_{generation}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("ringway.yaml"), yaml(nodes)).unwrap();
            symlink(format!("..2024_{generation}"), root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
            if generation > 0 {
                fs::remove_dir_all(root.join(format!("..2024_{}", generation - 1))).unwrap();
            }
        };
        swap(0, 1);
        symlink("..data/ringway.yaml", root.join("ringway.yaml")).unwrap();
        let state = watch(&root.join("ringway.yaml"), NEVER);
        for (generation, nodes) in [(1, 2), (2, 3), (3, 1)] {
            tokio::task::yield_now().await;
            swap(generation, nodes);
            runs(&state, nodes).await;
        }
    }

    #[tokio::test]
    async fn a_file_behind_a_link_from_another_folder_is_taken() {
        let (front, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = back.path().join("real.yaml");
        fs::write(&target, yaml(1)).unwrap();
        let path = front.path().join("ringway.yaml");
        symlink(&target, &path).unwrap();
        let state = watch(&path, NEVER);
        tokio::task::yield_now().await;
        fs::write(&target, yaml(2)).unwrap();
        runs(&state, 2).await;
    }

    #[tokio::test]
    async fn a_bad_file_is_reported_and_the_good_one_after_it_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        fs::write(&path, yaml(1)).unwrap();
        let state = watch(&path, NEVER);
        tokio::task::yield_now().await;
        fs::write(&path, "pools: {main: {no").unwrap();
        eventually("the half-written file is refused", || {
            !state.reloads.lock().unwrap().diagnostics.is_empty()
        })
        .await;
        assert_eq!(state.snapshot.load().nodes.len(), 1);
        fs::write(&path, yaml(2)).unwrap();
        runs(&state, 2).await;
        assert!(state.reloads.lock().unwrap().diagnostics.is_empty());
    }

    #[tokio::test]
    async fn a_folder_removed_and_made_again_is_found_by_looking_and_watched_again() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("etc");
        let path = folder.join("ringway.yaml");
        fs::create_dir(&folder).unwrap();
        fs::write(&path, yaml(1)).unwrap();
        let state = watch(&path, Duration::from_millis(100));
        tokio::task::yield_now().await;
        fs::remove_dir_all(&folder).unwrap();
        eventually("it is noted that the file is gone", || {
            !state.reloads.lock().unwrap().diagnostics.is_empty()
        })
        .await;
        assert_eq!(
            state.snapshot.load().nodes.len(),
            1,
            "a missing file changes nothing"
        );
        assert_eq!(state.reloads.lock().unwrap().failed, 0);
        fs::create_dir(&folder).unwrap();
        fs::write(&path, yaml(2)).unwrap();
        runs(&state, 2).await;
    }

    #[tokio::test]
    async fn why_a_file_cannot_be_read_is_told_as_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.yaml");
        fs::write(&path, yaml(1)).unwrap();
        let state = watch(&path, Duration::from_millis(50));
        let is_told = async |reason: &str| {
            let told = || state.reloads.lock().unwrap().diagnostics.concat();
            eventually(reason, || told().contains(reason)).await;
        };
        fs::remove_file(&path).unwrap();
        is_told("No such file").await;
        fs::create_dir(&path).unwrap();
        is_told("a folder").await;
    }

    #[test]
    fn every_folder_that_holds_a_link_on_the_way_is_watched() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for folder in ["a", "b", "c"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        fs::write(root.join("c/real"), "").unwrap();
        symlink("../c", root.join("b/folder")).unwrap();
        symlink("../b/folder/real", root.join("a/link")).unwrap();
        assert_eq!(
            folders(&root.join("a/link")),
            [root.join("a"), root.join("b"), root.join("c")]
        );
        symlink("circle", root.join("circle")).unwrap();
        assert_eq!(folders(&root.join("circle")), std::slice::from_ref(&root));
        assert_eq!(folders(&root.join("a/missing")), [root.join("a")]);
    }

    #[test]
    fn reading_a_file_is_no_change_but_writing_it_is() {
        assert!(!changes(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!changes(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(changes(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(changes(EventKind::Create(notify::event::CreateKind::File)));
    }
}
