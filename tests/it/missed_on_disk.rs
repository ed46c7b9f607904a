//! What nodes missed survives the end of the process, with `missed_writes.dir`: over real nodes, and a Ringway that is
//! killed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use ringway::journal::record::{Change, replay};
use tempfile::TempDir;

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, Ringway, pool, wait_for};

/// Down after a few failures, and up again soon.
const QUICK: &str = "max_down: 100%\n    health: {down_after: 3, up_after: 1, probe_interval: 100ms, probe_timeout: 500ms, \
                     max_probe_interval: 100ms}";
const TIMEOUT: &str = "request_timeout: 100ms";

fn text(dir: &Path, nodes: &[&Memcached], settings: &[&str]) -> String {
    let addresses: Vec<String> = nodes.iter().map(|node| node.address()).collect();
    let pools = pool(&addresses, &[&[TIMEOUT, QUICK], settings].concat());
    format!("missed_writes: {{dir: {}}}\n{pools}", dir.display())
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn missed(ringway: &Ringway) -> f64 {
    ringway.metric("ringway_missed_writes", &[])
}

fn errors(ringway: &Ringway) -> f64 {
    ringway.metric("ringway_missed_writes_disk_errors_total", &[])
}

fn is_written(dir: &TempDir, expected: Change<'_>) -> bool {
    let mut log = File::open(dir.path().join("missed-writes.log")).expect("it was made at the start");
    let mut is_there = false;
    replay(&mut log, |record| is_there |= record.change == expected).expect("it is read");
    is_there
}

/// What the client was told of is on disk; where that was too slow it may come later.
fn expect_written(ringway: &Ringway, dir: &TempDir, expected: Change<'_>) {
    if errors(ringway) > 0.0 {
        wait_for("the disk", || is_written(dir, expected));
    }
    assert!(is_written(dir, expected), "{expected:?}");
}

fn is_clean(ringway: &Ringway) -> bool {
    missed(ringway) == 0.0 && ringway.metric("ringway_missed_all", &[]) == 0.0
}

fn wait_until_down(ringway: &Ringway, client: &mut Client) {
    wait_for("the node to be down", || {
        client.get("other");
        ringway.get("/nodes").1.contains("\"state\":\"down\"")
    });
}

fn has_old(client: &mut Client, key: &str) -> bool {
    client.get(key).as_deref() == Some(&b"old"[..])
}

#[test]
fn no_old_value_is_read_after_ringway_was_killed() {
    let (dir, node) = (directory(), Memcached::start());
    let text = text(dir.path(), &[&node], &[]);
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    for key in ["set", "down", "kept"] {
        client.set(key, "old");
    }
    node.signal("STOP");
    assert_eq!(client.ask("set set 0 0 3\r\nnew\r\n"), "NOT_STORED");
    wait_until_down(&ringway, &mut client);
    assert_eq!(client.ask("delete down\r\n"), "NOT_FOUND");
    expect_written(&ringway, &dir, Change::Missed(b"set"));
    expect_written(&ringway, &dir, Change::Missed(b"down"));
    drop(ringway);
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    assert_eq!(missed(&ringway), 2.0);
    node.signal("CONT");
    wait_for("all that was missed to be deleted", || {
        for key in ["set", "down"] {
            assert_eq!(client.get(key), None, "{key} was written in vain");
        }
        is_clean(&ringway)
    });
    let mut direct = node.client();
    assert_eq!((direct.get("set"), direct.get("down")), (None, None));
    assert!(has_old(&mut client, "kept"));
    wait_for("the disk", || {
        is_written(&dir, Change::Deleted(b"set")) && is_written(&dir, Change::Deleted(b"down"))
    });
    drop(ringway);
    let ringway = Ringway::start(&text);
    assert!(is_clean(&ringway), "what was deleted is forgotten");
    assert_eq!(errors(&ringway), 0.0);
}

#[test]
fn a_flush_that_failed_survives_too() {
    let (dir, node) = (directory(), Memcached::start());
    let text = text(dir.path(), &[&node], &[]);
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    client.set("k", "old");
    node.signal("STOP");
    let _any_answer = client.ask("flush_all\r\n");
    expect_written(&ringway, &dir, Change::FlushMissed);
    drop(ringway);
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    node.signal("CONT");
    wait_for("the node to be flushed", || {
        assert_eq!(client.get("k"), None);
        is_clean(&ringway)
    });
    assert_eq!(node.client().get("k"), None);
}

#[test]
fn a_node_that_was_out_of_its_ring_is_flushed_though_ringway_was_killed_meanwhile() {
    let (dir, nodes) = (directory(), [Memcached::start(), Memcached::start()]);
    let text = text(
        dir.path(),
        &nodes.each_ref(),
        &["on_node_down: rehash", "on_write_error: error"],
    );
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    keys.iter().for_each(|key| client.set(key, "old"));
    nodes[0].signal("STOP");
    for key in &keys {
        wait_for("the other node to take the key", || {
            client.ask(format!("set {key} 0 0 3\r\nnew\r\n")) == "STORED"
        });
    }
    wait_for("the disk", || is_written(&dir, Change::Left));
    drop(ringway);
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    nodes[0].signal("CONT");
    wait_for("the node to be flushed", || {
        keys.iter()
            .for_each(|key| assert!(!has_old(&mut client, key), "{key}"));
        is_clean(&ringway)
    });
    let mut direct = nodes[0].client();
    keys.iter()
        .for_each(|key| assert!(!has_old(&mut direct, key), "{key}"));
}

#[test]
fn a_full_disk_costs_no_request_and_is_written_again_when_it_has_room() {
    let (dir, node) = (directory(), Memcached::start());
    // Files may have 64 KiB, or 128: shells count in different blocks.
    let shell = "ulimit -f 128; exec \"$@\"";
    let ringway = Ringway::start_by(shell, &text(dir.path(), &[&node], &[]));
    let mut client = ringway.client();
    let keys: Vec<String> = (0..800).map(|number| format!("{number:0>240}")).collect();
    client.set(&keys[799], "old");
    node.signal("STOP");
    wait_until_down(&ringway, &mut client);
    for key in &keys {
        assert_eq!(client.ask(format!("delete {key}\r\n")), "NOT_FOUND");
    }
    assert!(errors(&ringway) > 0.0);
    ringway.wait_logged("missed writes are kept in memory only");
    assert!(missed(&ringway) >= 800.0);
    node.signal("CONT");
    wait_for("all that was missed to be deleted", || is_clean(&ringway));
    assert_eq!(client.get(&keys[799]), None);
    wait_for("the disk to be used again", || {
        ringway.log().contains("missed writes are on disk again")
    });
}

#[test]
fn a_directory_is_for_one_process_and_must_be_there() {
    let (dir, node) = (directory(), Memcached::start());
    let ringway = Ringway::start(&text(dir.path(), &[&node], &[]));
    let config = ringway.path("second.yaml");
    let listens = "listeners: [{bind: 127.0.0.1:0}]\nadmin: {bind: 127.0.0.1:0}\n";
    fs::write(&config, listens.to_owned() + &text(dir.path(), &[&node], &[])).expect("written");
    let second = run(&["--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(said.contains("is used by another Ringway"), "{said}");
    fs::write(&config, text(Path::new("away"), &[&node], &[])).expect("written");
    let checked = run(&["check", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(
        said.contains("second.yaml:1:") && said.contains("missed_writes.dir") && said.contains("away"),
        "{said}"
    );
}

fn run(arguments: &[&str]) -> Output {
    program::output(Command::new(env!("CARGO_BIN_EXE_ringway")).args(arguments))
}
