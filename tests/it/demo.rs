//! `ringway demo`, as a newcomer sees it.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::program;
use crate::support::ringway::free_port;

/// What the demo says in five seconds, of which a node is away for two.
fn shown(prepare: impl FnOnce(&mut Command)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, admin) = (free_port(), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command
        .args(["demo", "--every=4", "--seconds=5"])
        .arg(format!("--listen=127.0.0.1:{port}"))
        .arg(format!("--admin=127.0.0.1:{admin}"))
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null());
    prepare(&mut command);
    let output = program::output(&mut command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{said}{errors}");
    let left = fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(left, 0, "its folder is removed");
    assert!(said.contains(&format!("http://127.0.0.1:{admin}/")), "{said}");
    said
}

/// A node goes and comes back, and the load goes on.
fn assert_story(said: &str) {
    let at = |part: &str| {
        said.find(part)
            .unwrap_or_else(|| panic!("no {part:?} in\n{said}"))
    };
    assert!(at("cache-1 is killed") < at("killed: cache-1\n"), "{said}");
    assert!(at("killed: cache-1\n") < at("cache-1 is revived"), "{said}");
    let figures: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(" requests/s "))
        .collect();
    // How many there are in a second is the machine's to say.
    assert!(
        figures.iter().any(|figure| !figure.contains(" 0 requests/s")),
        "{said}"
    );
    for figure in figures {
        assert!(figure.contains("  0 errors  0 closed"), "{said}");
    }
}

#[test]
fn a_node_of_memcached_dies_and_comes_back_and_the_load_goes_on() {
    let said = shown(|_| {});
    assert!(said.contains("which are memcached processes"), "{said}");
    assert_story(&said);
}

#[test]
fn without_memcached_the_nodes_are_embedded() {
    let said = shown(|command| {
        command.env("PATH", "/nonexistent");
    });
    assert!(said.contains("since memcached is not installed"), "{said}");
    assert_story(&said);
}

#[test]
fn an_address_that_is_taken_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let admin = format!("--admin=127.0.0.1:{}", free_port());
    let output = program::output(
        Command::new(env!("CARGO_BIN_EXE_ringway")).args(["demo", "--listen", &address, &admin]),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("--listen") && said.contains(&address), "{said}");
}
