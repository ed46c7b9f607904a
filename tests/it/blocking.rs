//! The threads that accept clients and answer `/livez` and signals wait for no file, name or connect call: nothing in
//! `control/` and `client/` calls what may block, but for the places listed here.

use std::fs;
use std::path::{Path, PathBuf};

/// What may block.
const BLOCKING: [&str; 9] = [
    "std::fs::",
    "use std::fs",
    "File::open",
    "to_socket_addrs",
    "thread::sleep",
    "config::load",
    "read_regular",
    "std::os::unix::net::UnixStream::connect",
    "std::net::TcpStream::connect",
];

/// Where it is allowed, and why.
const ALLOWED: [(&str, &str); 3] = [
    // Before the process serves, and on a thread of its own at a reload.
    ("control/reload.rs", "read_regular"),
    // The metadata of the folders that hold the configuration file.
    ("control/watch.rs", "std::fs::"),
    ("control/testing.rs", ""),
];

#[test]
fn control_and_clients_call_nothing_that_blocks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for folder in ["control", "client"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "{files:?}");
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("below").display().to_string();
        let text = fs::read_to_string(&file).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_allowed = |call: &str| {
            ALLOWED
                .iter()
                .any(|(path, allowed)| *path == name && call.contains(allowed))
        };
        let is_test = name.ends_with("tests.rs");
        for (number, line) in code.lines().enumerate().filter(|_| !is_test) {
            let is_comment = line.trim_start().starts_with("//");
            let calls = BLOCKING
                .iter()
                .filter(|call| line.contains(**call) && !is_allowed(call));
            found.extend(
                calls
                    .filter(|_| !is_comment)
                    .map(|call| format!("{name}:{}: {call}", number + 1)),
            );
        }
    }
    assert!(found.is_empty(), "these may block:\n{}", found.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
