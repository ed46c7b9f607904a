//! What an operator types and reads: stdin, addresses of every form, pipes that end, tables, and ways out.

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::memcached::Memcached;
use crate::support::program::{fed, ringway, said};
use crate::support::ringway::{Ringway, free_port, pool, signal, wait_for};

const ONE: &str = "pools: {main: {nodes: [a:1]}}\n";

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&ringway(arguments).output().expect("the program runs"))
}

#[test]
fn a_file_without_an_option_says_how_it_is_run_and_checked() {
    let (code, _, err) = run(&["config/minimal.yaml"]);
    assert_eq!(code, Some(2));
    assert!(
        err.starts_with(
            "to run it: ringway --config config/minimal.yaml; to check it: ringway check config/minimal.yaml\n"
        ),
        "{err}"
    );
    let (code, _, err) = run(&["chekc"]);
    assert!(code == Some(2) && !err.contains("to run it"), "{err}");
}

#[test]
fn a_hyphen_is_stdin_wherever_a_file_is_read() {
    let ok = "stdin: ok: 1 pool, 1 node, 1 listener\n".to_owned();
    assert_eq!(fed(&["check", "-"], ONE), (Some(0), ok, String::new()));
    let (code, _, err) = fed(&["check", "-"], &format!("workers: 0\n{ONE}"));
    assert!(
        code == Some(1) && err.starts_with("stdin:1:10: workers: "),
        "{err}"
    );
    let (code, out, _) = fed(&["explain", "-c", "-", "key"], ONE);
    assert_eq!((code, out.as_str()), (Some(0), "key main main a:1\n"));
    for files in [["-", "config/minimal.yaml"], ["config/minimal.yaml", "-"]] {
        let (code, out, err) = fed(&["diff", files[0], files[1]], ONE);
        assert!(code == Some(0) && out.contains("keys move"), "{out}{err}");
    }
    let minimal = "config/minimal.yaml";
    let (code, out, _) = fed(&["diff", minimal, minimal, "--keys", "-"], "one\ntwo\n");
    assert!(
        code == Some(0) && out.contains("main: 0 of 2 keys move (0.0%)"),
        "{out}"
    );
    assert!(!out.contains("-0.0%"), "{out}");
    let (code, _, err) = fed(&["diff", "-", "-"], ONE);
    assert!(code == Some(1) && err.contains("once"), "{err}");
}

#[test]
fn a_configuration_from_stdin_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let mut child = ringway(&["--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let yaml = format!(
        "pools: {{main: {{nodes: [{{name: a, embedded: 1MiB}}]}}}}\nadmin: {{bind: 127.0.0.1:0}}\n\
         listeners: [{{bind: 'unix:{}'}}]\n",
        socket.display()
    );
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(yaml.as_bytes()).expect("it reads");
    drop(stdin);
    wait_for("the listener", || socket.exists());
    signal(&child, "TERM");
    let (code, out, _) = said(&child.wait_with_output().expect("it ends"));
    assert_eq!((code, out.as_str()), (Some(0), ""), "no quickstart greets");
}

#[test]
fn a_pipe_that_ends_is_no_error() {
    let keys: Vec<String> = (0..20_000).map(|n| format!("key-{n}")).collect();
    let mut arguments = vec!["explain", "-c", "config/minimal.yaml", "--steps"];
    arguments.extend(keys.iter().map(String::as_str));
    let mut child = ringway(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let (code, _, err) = said(&child.wait_with_output().expect("it ends"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn an_admin_address_may_be_a_name_or_a_url() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let port = ringway.admin;
    for address in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!(":{port}"),
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1:{port}"),
    ] {
        let ready = (Some(0), "ready\n".to_owned(), String::new());
        assert_eq!(run(&["health", "--admin", &address]), ready, "{address}");
        assert_eq!(run(&["nodes", "--admin", &address]).0, Some(0), "{address}");
        let (code, out, _) = run(&["explain", "--admin", &address, "key"]);
        assert!(code == Some(0) && out.starts_with("key "), "{address}: {out}");
    }
    let (code, _, err) = run(&["health", "--admin", "ftp://localhost"]);
    assert!(code == Some(2) && err.contains("http://host:port"), "{err}");
}

#[test]
fn nodes_are_shown_as_a_table_with_what_went_wrong_and_since_when() {
    let node = Memcached::start();
    let dead = format!("127.0.0.1:{}", free_port());
    let ringway = Ringway::start(&pool(
        &[node.address(), dead.clone()],
        &["health: {down_after: 1}"],
    ));
    let label = format!("node=\"{dead}\"");
    wait_for("the node is down", || {
        ringway.metric("ringway_node_up", &[&label]) == 0.0
    });
    let admin = format!(":{}", ringway.admin);
    let (code, out, err) = run(&["nodes", "--admin", &admin]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert_eq!(lines[0][..4], ["POOL", "NODE", "STATE", "SINCE"], "{out}");
    assert_eq!(lines[1][..3], ["main", &node.address(), "up"], "{out}");
    assert_eq!(lines[2][..3], ["main", &dead, "down"], "{out}");
    assert!(
        lines[2][3].starts_with("20") && lines[2][3].ends_with('Z'),
        "{out}"
    );
    assert!(out.contains("Connection refused"), "{out}");
    let (_, json, _) = run(&["nodes", "--admin", &admin, "--json"]);
    let nodes: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(nodes[0]["last_error"], serde_json::Value::Null);
    assert!(
        nodes[1]["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("refused")),
        "{json}"
    );
    assert!(nodes[1]["since"].is_string());
}

#[test]
fn a_quickstart_whose_port_is_taken_says_how_to_go_on() {
    // Taken by this test, or by somebody else already.
    let _taken = TcpListener::bind("127.0.0.1:11211");
    let (code, _, err) = run(&[]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("cannot listen on 127.0.0.1:"), "{err}");
    assert!(
        err.contains("ringway --config FILE") && err.contains("config/minimal.yaml"),
        "{err}"
    );
}
