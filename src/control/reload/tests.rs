//! A reload is all or nothing, and what it did is kept.

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
    bench.write(
        "{workers: 7, admin: {bind: '127.0.0.1:1'}, pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2']}}}",
    );
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
async fn a_bad_file_that_was_gone_for_a_while_is_bad_again() {
    let bench = bench(ONE);
    bench.write("pools: {main: {nodes: [}");
    assert!(bench.reloader.reload_if_touched().await.unwrap());
    let refused = bench.reloads().diagnostics;
    std::fs::remove_file(bench.directory.path().join("ringway.yaml")).unwrap();
    bench
        .reloader
        .note_unreadable(&bench.reloader.reload_if_touched().await.unwrap_err());
    assert_ne!(bench.reloads().diagnostics, refused);
    bench.write("pools: {main: {nodes: [}");
    bench.reloader.reload_if_touched().await.unwrap();
    assert_eq!(bench.reloads().diagnostics, refused);
}

#[tokio::test]
async fn a_file_that_a_refused_configuration_names_is_awaited() {
    let bench = bench(ONE);
    let listener = "{bind: '127.0.0.1:0', auth: {users: users.txt}}";
    bench.write(&format!(
        "{{listeners: [{listener}], {}}}",
        "pools: {main: {nodes: ['127.0.0.1:1']}}"
    ));
    for _ in 0..3 {
        bench.reloader.reload_if_touched().await.unwrap();
        assert_eq!(bench.reloads().failed, 1, "it is refused once");
    }
    let users = bench.directory.path().join("users.txt");
    for (text, failed) in [("no user", 2), ("app:secret\n", 2)] {
        std::fs::write(&users, text).unwrap();
        assert!(bench.reloader.reload_if_touched().await.unwrap(), "{text}");
        assert_eq!(bench.reloads().failed, failed, "{text}");
    }
    assert_eq!(bench.reloads().succeeded, 1);
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

#[tokio::test]
async fn the_newest_handovers_are_kept_whatever_is_written_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("handovers.json");
    let text = |nodes: &str| {
        let pool = "handover: {prepare: 1m, serve: 1m}, distribution: ringway";
        let dir = directory.path().display();
        format!("{{state_dir: '{dir}', pools: {{main: {{{pool}, nodes: [{nodes}]}}}}}}")
    };
    for _ in 0..30 {
        let bench = bench(&text("'127.0.0.1:1'"));
        bench.reloader.keep_handovers().await;
        let before = std::fs::read_to_string(&file).unwrap();
        bench.write(&text("'127.0.0.1:1', '127.0.0.1:2'"));
        let others = async {
            for _ in 0..5 {
                bench.reloader.keep_handovers().await;
            }
        };
        let (applied, ()) = tokio::join!(changed(&bench), others);
        assert!(applied);
        let after = std::fs::read_to_string(&file).unwrap();
        assert!(
            !before.contains("main") && after.contains("main"),
            "{before}{after}"
        );
    }
}
