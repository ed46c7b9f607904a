//! The token of the admin listener: who may change something, and who may read.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::diagnostics::diagnostics;
use crate::support::ringway::{DEADLINE, Ringway, wait_for};

const POOL: &str = "pools: {main: {nodes: [{name: e, embedded: 4MiB}]}}\n";

/// The status of the answer to a request that brings `token`.
fn status(ringway: &Ringway, request: &str, token: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", ringway.admin)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    let fields = format!("Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n");
    write!(stream, "{request} HTTP/1.1\r\n{fields}\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number")
}

#[test]
fn changes_need_the_token_that_stands_in_the_file_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    fs::write(&file, "first-token\n").expect("written");
    let yaml = |protect: &str| {
        let file = file.display();
        format!("admin:\n  bind: 127.0.0.1:ADMIN\n  token: {{file: {file}}}\n  protect: {protect}\n{POOL}")
    };
    let ringway = Ringway::start(&yaml("changes"));
    assert_eq!(ringway.post("/reload").0, 401);
    assert_eq!(status(&ringway, "POST /reload", "a-guess"), 401);
    assert_eq!(status(&ringway, "POST /reload", "first-token"), 200);
    assert_eq!(ringway.get("/nodes").0, 200);
    assert_eq!(
        ringway.metric("ringway_admin_refused_total", &["unauthorized"]),
        2.0
    );

    fs::write(&file, "second-token\n").expect("written");
    wait_for("the new token", || {
        status(&ringway, "POST /reload", "second-token") == 200
    });
    assert_eq!(status(&ringway, "POST /reload", "first-token"), 401);
    let said = ringway.get("/config").1 + &ringway.get("/").1 + &ringway.log();
    assert!(!said.contains("first-token") && !said.contains("second-token"));

    let all = Ringway::start(&yaml("all"));
    assert_eq!(all.get("/nodes").0, 401);
    assert_eq!(all.get("/metrics").0, 401);
    assert_eq!(all.get("/livez").0, 200);
    assert_eq!(status(&all, "GET /metrics", "second-token"), 200);
}

#[test]
fn a_token_that_stands_in_the_configuration_or_nowhere_is_a_mistake() {
    let cases = [
        (
            "token: t",
            "admin.token: a secret must not be in the configuration itself",
        ),
        (
            "protect: all",
            "admin.protect: there is no token to protect it with, add `token:",
        ),
        ("protect: most", "admin.protect: \"most\""),
    ];
    for (settings, expected) in cases {
        let told = diagnostics(&format!("admin: {{{settings}}}\n{POOL}"));
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(diagnostics(&format!("admin: {{token: false}}\n{POOL}")), "fine");
}
