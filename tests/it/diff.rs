//! `ringway diff`: what another configuration changes and which keys it moves, before and after it is taken.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::ringway::{Ringway, pool, wait_for};

const OLD: &str = "pools:\n  main:\n    nodes: [10.0.0.1:11211, 10.0.0.2:11211, 10.0.0.3:11211]\n";
const NEW: &str = "pools:\n  main:\n    nodes: [10.0.0.1:11211, 10.0.0.2:11211, 10.0.0.3:11211, 10.0.0.4:11211]\n    \
                   request_timeout: 1s\n";

/// Compares `old` and `new`; says how it ended, and what it printed to stdout and stderr.
fn diff(old: &str, new: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("old.yaml"), old).expect("written");
    fs::write(dir.path().join("new.yaml"), new).expect("written");
    let keys: String = (0..100).map(|n| format!("user:{n}\r\n\n")).collect();
    fs::write(dir.path().join("keys"), keys).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .current_dir(dir.path())
        .args(["diff", "old.yaml", "new.yaml"])
        .args(more)
        .output()
        .expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn diff_tells_each_change_and_from_which_node_to_which_keys_move() {
    let (code, out, err) = diff(OLD, NEW, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[0],
        "+ pools.main.nodes.10.0.0.4:11211: {\"address\":\"10.0.0.4:11211\",\"weight\":1}"
    );
    assert_eq!(lines[1], "~ pools.main.request_timeout: 500ms → 1s");
    assert!(
        lines[2].starts_with("main: 2") && lines[2].ends_with("% of all keys move (exact)"),
        "{out}"
    );
    assert_eq!(lines.len(), 6, "{out}");
    assert!(
        lines[3..].iter().all(|line| line.contains(" → 10.0.0.4:11211: ")),
        "{out}"
    );
    assert_eq!(diff(OLD, OLD, &["--fail-over", "0%"]).0, Some(0));
}

#[test]
fn a_change_that_moves_too_many_keys_fails_a_build() {
    for (limit, code) in [("30%", 0), ("20.5%", 1), ("0%", 1)] {
        let (got, _, err) = diff(OLD, NEW, &["--fail-over", limit]);
        assert_eq!(got, Some(code), "{limit}: {err}");
        assert_eq!(err.contains("of the keys move, more than"), code == 1, "{err}");
    }
    assert_eq!(diff(OLD, NEW, &["--fail-over", "30"]).0, Some(2));
    assert_eq!(diff(OLD, "pools: {}", &[]).0, Some(1));
}

#[test]
fn a_change_of_the_hash_tag_moves_keys_and_fails_a_build() {
    let tagged = format!("{OLD}    hash_tag: '{{}}'\n");
    let stopped = format!("{OLD}    distribution: {{preset: ketama, hash_stop: '|#|'}}\n");
    for (old, new) in [
        (OLD, tagged.as_str()),
        (tagged.as_str(), OLD),
        (tagged.as_str(), &tagged.replace("{}", "[]")),
        (OLD, &stopped),
    ] {
        let (code, out, err) = diff(old, new, &["--fail-over", "1%"]);
        assert_eq!(code, Some(1), "{old}{new}{out}");
        assert!(out.contains("main: up to 6"), "two thirds: {out}");
        assert!(err.contains("main: up to 6"), "{err}");
        // None of them has a tag.
        let counted = diff(old, new, &["--fail-over", "0%", "--keys", "keys"]);
        assert_eq!(counted.0, Some(0), "{counted:?}");
    }
}

#[test]
fn a_reload_with_another_hash_tag_says_that_keys_moved() {
    let nodes: Vec<String> = (1..=2).map(|n| format!("127.0.0.1:{n}")).collect();
    let ringway = Ringway::start(&pool(&nodes, &[]));
    assert_eq!(ringway.reload(&pool(&nodes, &["hash_tag: '{}'"])).0, 200);
    ringway.wait_logged("keys moved");
    let shown: Value = serde_json::from_str(&ringway.get("/config").1).expect("JSON");
    let pool = &shown["last_reload"]["pools"][0];
    let moved = pool["moved"].as_f64().expect("a share");
    assert!((0.4..0.6).contains(&moved) && pool["at_most"] == true, "{shown}");
}

#[test]
fn a_file_without_keys_is_a_mistake() {
    let nothing = tempfile::NamedTempFile::new().expect("a file");
    fs::write(nothing.path(), "\n \r\n").expect("written");
    let path = nothing.path().to_str().expect("UTF-8");
    let (code, out, err) = diff(OLD, NEW, &["--keys", path]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, format!("{path} has no keys: write one per line\n"));
}

#[test]
fn the_keys_of_a_file_are_counted() {
    let (code, out, _) = diff(OLD, NEW, &["--keys", "keys", "--json"]);
    assert_eq!(code, Some(0));
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    let pool = &shown["pools"][0];
    assert_eq!(
        (pool["pool"].as_str(), pool["keys"]["count"].as_u64()),
        (Some("main"), Some(100))
    );
    let moved = pool["keys"]["moved"].as_u64().expect("a number");
    assert!((5..50).contains(&moved), "{pool}");
    assert_eq!(shown["changes"][0]["path"], "pools.main.nodes.10.0.0.4:11211");
    let limit = |percent: u64| {
        diff(
            OLD,
            NEW,
            &["--keys", "keys", "--fail-over", &format!("{percent}%")],
        )
        .0
    };
    assert_eq!((limit(moved), limit(moved - 1)), (Some(0), Some(1)));
    assert_eq!(diff(OLD, NEW, &["--keys", "no-such-file"]).0, Some(1));
}

#[test]
fn a_reload_says_in_the_log_and_in_config_how_many_keys_it_moved() {
    let nodes = |count| (1..=count).map(|n| format!("127.0.0.1:{n}")).collect::<Vec<_>>();
    let ringway = Ringway::start(&pool(&nodes(3), &[]));
    let last_reload =
        || serde_json::from_str::<Value>(&ringway.get("/config").1).expect("JSON")["last_reload"].clone();
    assert_eq!(last_reload(), Value::Null);
    assert_eq!(ringway.reload(&pool(&nodes(4), &[])).0, 200);
    wait_for("the difference", || last_reload() != Value::Null);
    let shown = last_reload();
    let moved = shown["pools"][0]["moved"].as_f64().expect("a share");
    assert!(
        (0.15..0.35).contains(&moved) && shown["pools"][0]["exact"] == true,
        "{shown}"
    );
    assert_eq!(shown["changes"][0]["path"], "pools.main.nodes.127.0.0.1:4");
    ringway.wait_logged("keys moved");
    let log = ringway.log();
    assert!(
        log.contains(r#"setting changed path="pools.main.nodes.127.0.0.1:4" new=""#),
        "{log}"
    );
    assert!(
        log.contains("keys moved") && log.contains(&format!("{:.1}%", moved * 100.0)),
        "{log}"
    );
}

#[test]
fn a_thousand_nodes_are_compared_without_holding_up_the_reload() {
    let nodes = |count| {
        (1..=count)
            .map(|n| format!("127.0.{}.{}:11211", n / 250, n % 250 + 1))
            .collect::<Vec<_>>()
    };
    let ringway = Ringway::start(&pool(&nodes(1000), &["health: {probe_interval: 1h}"]));
    assert_eq!(
        ringway
            .reload(&pool(&nodes(1001), &["health: {probe_interval: 1h}"]))
            .0,
        200
    );
    wait_for("the difference", || {
        let shown: Value = serde_json::from_str(&ringway.get("/config").1).expect("JSON");
        shown["last_reload"]["pools"][0]["moved"]
            .as_f64()
            .is_some_and(|moved| moved > 0.0 && moved < 0.05)
    });
}
