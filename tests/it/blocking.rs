//! The threads that accept clients and answer `/livez` and signals wait for no file, name or connect call: nothing in
//! `control/` and `client/` calls what may block, but for the places listed here.

use std::fs;
use std::path::{Path, PathBuf};

/// What may block.
const BLOCKING: [&str; 18] = [
    "std::fs::",
    "use std::fs",
    "File::open",
    "to_socket_addrs",
    "thread::sleep",
    "config::load",
    "read_regular",
    ".metadata()",
    ".is_file()",
    ".exists()",
    ".canonicalize()",
    "recv_timeout",
    // A log or an output that nobody reads.
    "io::stderr",
    "io::stdout",
    "eprint",
    "println!",
    "std::os::unix::net::UnixStream::connect",
    "std::net::TcpStream::connect",
];

/// Where it is allowed, and why.
const ALLOWED: [(&str, &str); 10] = [
    // Before the process serves, and on a thread of its own at a reload.
    ("control/reload/source.rs", "read_regular"),
    // Read before the process serves, written on a thread of its own.
    ("control/remembered.rs", "read_regular"),
    ("control/remembered.rs", "use std::fs"),
    // Read before the process serves.
    ("control/kept_handovers.rs", "read_regular"),
    // A list of nodes, on a thread of its own.
    ("control/sources/ask.rs", "read_regular"),
    // The metadata of the folders that hold the configuration file, on a thread of its own.
    ("control/watch.rs", "std::fs::"),
    // For the last lines of the log, when the process ends.
    ("control/log.rs", "recv_timeout"),
    // Its thread does nothing but write there.
    ("control/log.rs", "io::stderr"),
    // In the process in between, which serves no client.
    ("control/takeover/successor.rs", "io::stdout"),
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
        let is_allowed = |call: &str| {
            ALLOWED
                .iter()
                .any(|(path, allowed)| *path == name && call.contains(allowed))
        };
        let is_test = name.ends_with("tests.rs");
        for (number, line) in code(&text).filter(|_| !is_test) {
            let is_comment = line.trim_start().starts_with("//");
            let calls = BLOCKING
                .iter()
                .filter(|call| line.contains(**call) && !is_allowed(call));
            found.extend(
                calls
                    .filter(|_| !is_comment)
                    .map(|call| format!("{name}:{number}: {call}")),
            );
        }
    }
    assert!(found.is_empty(), "these may block:\n{}", found.join("\n"));
}

/// The lines of `text` with their numbers, without the items under `#[cfg(test)]`. As rustfmt writes it an item ends with
/// the first line that is as far to the right as its attribute and closes something.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut test_at = None;
    let lines = (1..).zip(text.lines());
    lines.filter(move |(_, line)| {
        let column = line.len() - line.trim_start().len();
        if line.trim() == "#[cfg(test)]" {
            test_at = Some(column);
            return false;
        }
        let Some(at) = test_at else { return true };
        if column == at && line.ends_with([';', '}', ',']) {
            test_at = None;
        }
        false
    })
}

#[test]
fn only_what_is_under_cfg_test_is_left_out() {
    let text = "a\n#[cfg(test)]\nmod testing;\nb\nimpl X {\n    #[cfg(test)]\n    fn t(\n        x: u8,\n    ) {\n        y();\n    }\n    c\n}\n#[cfg(test)]\nmod tests {\n    d\n}\ne\n";
    let kept: Vec<&str> = code(text).map(|(_, line)| line.trim()).collect();
    assert_eq!(kept, ["a", "b", "impl X {", "c", "}", "e"]);
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
