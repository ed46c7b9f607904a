//! `ringway check --live`: every node is asked, and each that cannot be used is named with its reason.

use std::fs;
use std::net::TcpListener;

use crate::support::certificates::Authority;
use crate::support::memcached::Memcached;
use crate::support::program::fed;
use crate::support::redis::Redis;
use crate::support::ringway::free_port;

/// What it prints about `pools`: exit code, the lines behind the first one, and stderr.
fn check(pools: &str) -> (Option<i32>, Vec<String>, String) {
    let (code, out, err) = fed(
        &["check", "--live", "-"],
        &format!("pools: {{{pools}}}\nlisteners: [{{route: main}}]\n"),
    );
    let mut lines = out.lines().map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("stdin: ok: "), "{out}{err}");
    (code, lines.collect(), err)
}

/// What it says behind the warnings about pools that no route leads to.
fn said(err: &str) -> &str {
    let warnings = err.lines().filter(|line| line.contains(": warning: "));
    let length: usize = warnings.map(|line| line.len() + 1).sum();
    err[length..].trim_end()
}

#[test]
fn nodes_of_all_kinds_give_their_version() {
    let (memcached, redis) = (Memcached::start(), Redis::start());
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("m.sock");
    let _unix = Memcached::start_unix(&socket);
    let (code, lines, err) = check(&format!(
        "main: {{nodes: [{{name: a, address: '{}', weight: 2}}, 'unix:{}', {{name: own, embedded: 1MiB}}]}}, \
         values: {{nodes: ['{}']}}",
        memcached.address(),
        socket.display(),
        redis.address()
    ));
    assert_eq!((code, said(&err)), (Some(0), ""), "{lines:?}");
    let starts = [
        "main: 3 nodes".to_owned(),
        format!("  a at {}, weight 2: version 1.", memcached.address()),
        format!("  unix:{}: version 1.", socket.display()),
        "  own: embedded".to_owned(),
        "values: 1 node".to_owned(),
        format!("  {}: version ", redis.address()),
        "3 nodes answered".to_owned(),
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(&start), "{line} is not {start}");
    }
}

#[test]
fn nodes_that_cannot_be_used_are_named_with_their_reason_and_the_exit_code_is_1() {
    let (memcached, folder) = (Memcached::start(), tempfile::tempdir().expect("a folder"));
    let (nodes, other) = (Authority::new(), Authority::new());
    let pair = nodes.pair("node", &["localhost"]);
    let encrypted = Memcached::start_with(&[
        "-Z",
        "-o",
        &format!("ssl_chain_cert={}", pair.cert.display()),
        "-o",
        &format!("ssl_key={}", pair.key.display()),
    ]);
    let users = folder.path().join("users");
    fs::write(&users, "ringway:right\n").expect("written");
    let protected = Memcached::start_with(&["-Y", users.to_str().expect("UTF-8")]);
    let password = folder.path().join("password");
    fs::write(&password, "wrong\n").expect("written");
    let protected_redis = Redis::start_with(&["--save", "", "--requirepass", "secret"]);
    // Accepts connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent
        .local_addr()
        .map(|address| (silent, address))
        .expect("bound");
    let (closed, no_socket) = (free_port(), folder.path().join("none.sock"));
    let (code, lines, err) = check(&format!(
        "main: {{connect_timeout: 2s, nodes: ['{good}', '127.0.0.1:{closed}', 'no-such-host.invalid:11211', \
         '{silent}', 'unix:{no_socket}', '{asks}']}}, \
         secret: {{auth: {{user: ringway, password: {{file: {password}}}}}, nodes: ['{asks}']}}, \
         tls: {{tls: {{ca: {ca}}}, nodes: ['localhost:{encrypted}']}}, \
         values: {{nodes: ['{redis}', 'valkey://{good}']}}",
        good = memcached.address(),
        silent = silent.1,
        no_socket = no_socket.display(),
        asks = protected.address(),
        password = password.display(),
        ca = other.ca().display(),
        encrypted = encrypted.port(),
        redis = protected_redis.address(),
    ));
    assert_eq!((code, said(&err)), (Some(1), "9 of 10 nodes cannot be used"));
    let reasons = [
        "version 1.",
        "cannot be used: Connection refused",
        "cannot be used: cannot look up its name: ",
        "cannot be used: no answer to version within ",
        "cannot be used: No such file or directory",
        "cannot be used: unexpected answer to version: CLIENT_ERROR unauthenticated",
        "cannot be used: authentication as ringway failed, see `auth` of the pool",
        "cannot be used: TLS: invalid peer certificate: UnknownIssuer",
        "cannot be used: it asks for a password: set `auth` of the pool (NOAUTH)",
        "cannot be used: ",
    ];
    let nodes: Vec<&String> = lines.iter().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(nodes.len(), reasons.len(), "{lines:?}");
    for (line, reason) in nodes.into_iter().zip(reasons) {
        assert!(line.contains(reason), "{line} does not say {reason}");
    }
}
