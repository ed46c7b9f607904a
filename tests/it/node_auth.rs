//! Nodes that ask who is there: Debian's own memcached with `-Y` behind Ringway.

use std::fs;
use std::path::Path;
use std::process::Command;

use ringway::config;
use serde_json::Value;

use crate::support::certificates::Authority;
use crate::support::diagnostics::diagnostics;
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool, wait_for};

const SECRET: &str = "s3cret-of-the-nodes";

/// A folder with the file of users that a node reads, and that of the password.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("users"),
        format!("other:x\nringway:{SECRET}\n"),
    )
    .expect("written");
    fs::write(folder.path().join("password"), format!("{SECRET}\n")).expect("written");
    folder
}

fn node(folder: &Path, more: &[&str]) -> Memcached {
    let users = folder.join("users");
    Memcached::start_with(&[&["-Y", users.to_str().expect("UTF-8")], more].concat())
}

fn auth(folder: &Path) -> String {
    let password = folder.join("password");
    format!(
        "auth: {{user: ringway, password: {{file: {}}}}}",
        password.display()
    )
}

fn last_error(ringway: &Ringway) -> String {
    let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    nodes[0]["last_error"].as_str().unwrap_or_default().to_owned()
}

/// Everything that can be read of a running Ringway.
fn all_that_is_said(ringway: &Ringway) -> String {
    let paths = [
        "/",
        "/readyz",
        "/metrics",
        "/nodes",
        "/pools",
        "/config",
        "/explain?key=k&live=1",
    ];
    let answers: Vec<String> = paths.iter().map(|path| ringway.get(path).1).collect();
    answers.join("\n") + &ringway.log()
}

#[test]
fn clients_that_cannot_authenticate_reach_nodes_that_ask_over_plain_tcp_and_tls() {
    let folder = folder();
    let authority = Authority::new();
    let pair = authority.pair("node", &["localhost"]);
    let chain = format!("ssl_chain_cert={}", pair.cert.display());
    let key = format!("ssl_key={}", pair.key.display());
    let tls = format!("tls: {{ca: {}}}", authority.ca().display());
    let cases = [
        (node(folder.path(), &[]), "connections: 2"),
        (node(folder.path(), &["-Z", "-o", &chain, "-o", &key]), &*tls),
    ];
    for (node, setting) in &cases {
        let address = format!("localhost:{}", node.port());
        let ringway = Ringway::start(&pool(&[address], &[&auth(folder.path()), setting]));
        let mut client = ringway.client();
        client.set("k", "v");
        assert_eq!(client.get("k").as_deref(), Some(&b"v"[..]));
        assert_eq!(client.get("auth"), None, "the words are no value");
        wait_for("a probe", || ringway.get("/nodes").1.contains("1.6"));
        assert!(ringway.get("/explain?key=k&live=1").1.contains("true"));
        assert!(!all_that_is_said(&ringway).contains(SECRET));
    }
}

#[test]
fn a_wrong_password_is_told_with_its_reason_and_without_the_secret_and_a_right_one_is_taken_from_its_file() {
    let folder = folder();
    let node = node(folder.path(), &[]);
    let wrong = "a-wrong-guess";
    fs::write(folder.path().join("password"), wrong).expect("written");
    let ringway = Ringway::start(&pool(&[node.address()], &[&auth(folder.path())]));
    ringway.client().expects("get k\r\n", "END\r\n");
    wait_for("the reason", || {
        last_error(&ringway).contains("authentication as ringway failed")
    });
    wait_for("the node to count as down", || {
        ringway.metric("ringway_node_up", &[]) == 0.0
    });
    ringway.wait_logged("authentication as ringway failed");
    assert!(!all_that_is_said(&ringway).contains(wrong));

    fs::write(folder.path().join("password"), SECRET).expect("written");
    wait_for("the right password", || {
        let mut client = ringway.client();
        client.send("set k 0 0 1\r\nv\r\n");
        client.line() == "STORED"
    });
    let said = all_that_is_said(&ringway);
    assert!(!said.contains(SECRET) && !said.contains(wrong));
}

#[test]
fn a_node_that_asks_nobody_keeps_nothing_of_it() {
    let folder = folder();
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[&auth(folder.path())]));
    ringway.client().set("k", "v");
    assert_eq!(node.client().get("auth"), None);
}

#[test]
fn each_mistake_in_the_auth_of_a_pool_is_told_without_the_secret() {
    let folder = folder();
    let shown = folder.path().display();
    fs::write(folder.path().join("empty"), "\n").expect("written");
    fs::write(folder.path().join("two"), format!("{SECRET}\n{SECRET}\n")).expect("written");
    let cases = [
        (format!("auth: {{user: a, password: {SECRET}}}"), "5:31: pools.main.auth.password: a secret must not be in the configuration itself, write {file: PATH} or {env: NAME}".to_owned()),
        ("auth: {user: a}".to_owned(), "5:11: pools.main.auth: the password is missing, add `password:".to_owned()),
        (format!("auth: {{password: {{file: {shown}/password}}}}"), "pools.main.auth: the user is missing, add `user:`".to_owned()),
        (format!("auth: {{user: 'a b', password: {{file: {shown}/password}}}}"), "\"a b\" is not a user".to_owned()),
        (format!("auth: {{user: a, password: {{file: {shown}/none}}}}"), format!("cannot read \"{shown}/none\"")),
        (format!("auth: {{user: a, password: {{file: {shown}/empty}}}}"), "is not a secret, it is one word of text".to_owned()),
        (format!("auth: {{user: a, password: {{file: {shown}/two}}}}"), "is not a secret, it is one word of text".to_owned()),
        ("auth: {user: a, password: {env: NOT_THERE}}".to_owned(), "the environment has no \"NOT_THERE\", set it".to_owned()),
        ("auth: {user: a, password: {}}".to_owned(), "the place of the secret is missing".to_owned()),
    ];
    for (setting, expected) in cases {
        let told = diagnostics(&pool(&["a:1".to_owned()], &[&setting]));
        assert!(told.contains(&expected), "{setting}:\n{told}\n{expected}");
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[test]
fn no_command_shows_the_secret() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let nodes = ["a:1".to_owned()];
    fs::write(folder.path().join("old.yaml"), pool(&nodes, &[])).expect("written");
    fs::write(
        folder.path().join("new.yaml"),
        pool(&nodes, &[&auth(folder.path())]),
    )
    .expect("written");
    for arguments in [
        ["check", &path("new.yaml")].to_vec(),
        ["diff", &path("old.yaml"), &path("new.yaml")].to_vec(),
        ["explain", &path("new.yaml"), "key"].to_vec(),
    ] {
        let output = program::output(Command::new(env!("CARGO_BIN_EXE_ringway")).args(&arguments));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains(SECRET), "{arguments:?}: {said}");
    }
    let config = config::load(&folder.path().join("new.yaml")).expect("good");
    assert!(!format!("{config:?}").contains(SECRET));
    let shown = config::show(&config).to_string();
    assert_eq!(config::parse(&shown, "shown").expect("good"), config);
}
