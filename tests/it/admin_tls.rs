//! The admin listener over TLS and on a unix socket: curl's kind of clients, and Ringway's own commands.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::support::certificates::Authority;
use crate::support::diagnostics::diagnostics;
use crate::support::program::{output, ringway, said};
use crate::support::ringway::{DEADLINE, Ringway, wait_for};
use crate::tls_for_clients::ask_at;

const POOL: &str = "pools: {main: {nodes: [{name: e, embedded: 4MiB}]}}\n";
const TOKEN: &str = "token-of-the-operators";

/// What each command that asks a running Ringway says, with these arguments more: exit code, stdout and stderr.
fn commands(more: &[&str]) -> Vec<(Option<i32>, String, String)> {
    let commands: [&[&str]; 4] = [
        &["health"],
        &["nodes"],
        &["top", "--once"],
        &["explain", "--live", "key"],
    ];
    let run = |command: &[&str]| said(&output(&mut ringway(&[command, more].concat())));
    commands.map(run).into()
}

fn assert_all_good(said: &[(Option<i32>, String, String)]) {
    for (code, out, err) in said {
        assert_eq!(*code, Some(0), "{out}{err}");
    }
    assert!(
        said[1].1.contains("embedded") || said[1].1.contains('e'),
        "{}",
        said[1].1
    );
    assert!(said[3].1.starts_with("key"), "{}", said[3].1);
}

#[test]
fn every_command_reaches_an_admin_listener_with_tls_and_a_token() {
    let authority = Authority::new();
    let pair = authority.pair("admin", &["localhost"]);
    let token = authority.folder().join("token");
    fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let (cert, key) = (pair.cert.display(), pair.key.display());
    let running = Ringway::start_silent(&format!(
        "admin:\n  bind: 127.0.0.1:ADMIN\n  tls: {{cert: {cert}, key: {key}}}\n  token: {{file: {}}}\n  protect: all\n{POOL}",
        token.display()
    ));
    let address = format!("https://localhost:{}", running.admin);
    let [ca, token] = [authority.ca(), token].map(|path| path.display().to_string());
    assert_all_good(&commands(&[
        "--admin",
        &address,
        "--ca",
        &ca,
        "--token-file",
        &token,
    ]));

    let without = commands(&["--admin", &address, "--ca", &ca]);
    assert_eq!(without[0].0, Some(0), "a probe needs no token");
    assert!(without[1].2.contains("this needs the token"), "{}", without[1].2);
    let by_environment = said(&output(
        ringway(&["nodes", "--admin", &address, "--ca", &ca]).env("RINGWAY_ADMIN_TOKEN", TOKEN),
    ));
    assert_eq!(by_environment.0, Some(0), "{}", by_environment.2);

    let other = Authority::new().ca().display().to_string();
    let foreign = commands(&["--admin", &address, "--ca", &other]);
    assert!(foreign[0].2.contains("cannot read"), "{}", foreign[0].2);
    let stranger = Authority::new();
    let ca_of_stranger = stranger.ca().display().to_string();
    let foreign = commands(&["--admin", &address, "--ca", &ca_of_stranger]);
    assert!(foreign[0].2.contains("UnknownIssuer"), "{}", foreign[0].2);
    let plain = format!("127.0.0.1:{}", running.admin);
    let plain = commands(&["--admin", &plain]);
    assert!(plain[0].2.contains("this port speaks TLS"), "{}", plain[0].2);

    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    let metrics = ask_at(&format!("127.0.0.1:{}", running.admin), &request, &["-ign_eof"]);
    for result in ["full", "failed", "plain"] {
        let series = format!("ringway_tls_handshakes_total{{side=\"admin\",result=\"{result}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        assert!(line.is_some_and(|number| number != "0"), "{series}\n{metrics}");
    }
    assert!(!running.log().contains(TOKEN));
}

#[test]
fn half_a_handshake_on_every_place_shuts_no_probe_out_and_a_new_certificate_is_shown() {
    let authority = Authority::new();
    let pair = authority.pair("admin", &["localhost"]);
    let (cert, key) = (pair.cert.display(), pair.key.display());
    let running = Ringway::start_silent(&format!(
        "admin:\n  bind: 127.0.0.1:ADMIN\n  tls: {{cert: {cert}, key: {key}}}\n{POOL}"
    ));
    let half = || {
        let mut stream = TcpStream::connect(("127.0.0.1", running.admin)).expect("it listens");
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).expect("sent");
        stream
    };
    let _held: Vec<TcpStream> = (0..200).map(|_| half()).collect();
    let address = format!("https://localhost:{}", running.admin);
    let ca = authority.ca().display().to_string();
    assert_all_good(&commands(&["--admin", &address, "--ca", &ca]));

    let next = Authority::new();
    let renewed = next.pair("admin", &["localhost"]);
    fs::copy(&renewed.cert, &pair.cert).expect("copied");
    fs::copy(&renewed.key, &pair.key).expect("copied");
    let ca = next.ca().display().to_string();
    wait_for("the new certificate", || {
        commands(&["--admin", &address, "--ca", &ca])[0].0 == Some(0)
    });
}

/// The status of the answer to a request at the unix socket `path`.
fn status(path: &Path, request: &str, fields: &str) -> u16 {
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    write!(stream, "{request} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer[9..12].parse().expect("a status")
}

#[test]
fn every_command_reaches_an_admin_listener_on_a_unix_socket_which_keeps_its_guard() {
    let mut running = Ringway::start_silent(&format!(
        "admin: {{bind: 'unix:DIR/admin.sock', mode: '0600'}}\n{POOL}"
    ));
    let path = running.path("admin.sock");
    wait_for("the file", || path.exists());
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let address = format!("unix:{}", path.display());
    assert_all_good(&commands(&["--admin", &address]));

    assert_eq!(status(&path, "GET /nodes", "Host: localhost\r\n"), 200);
    assert_eq!(status(&path, "GET /nodes", "Host: evil.example\r\n"), 403);
    let origin = "Host: localhost\r\nOrigin: http://evil.example\r\n";
    assert_eq!(status(&path, "POST /reload", origin), 403);
    assert_eq!(status(&path, "POST /reload", "Host: localhost\r\n"), 200);

    running.signal("TERM");
    assert!(running.wait().success());
    assert!(!path.exists(), "its file is removed");
}

#[test]
fn each_mistake_in_the_address_of_the_admin_listener_is_told_where_it_stands() {
    let cases = [
        (
            "admin: {bind: 'unix:/a.sock', tls: {cert: a, key: b}}",
            "admin.tls: a unix socket is not encrypted",
        ),
        ("admin: {mode: '0600'}", "admin.mode: a TCP port has none"),
        (
            "admin: {bind: 'unix:/s'}\nlisteners: [{bind: 'unix:/s'}]",
            "unix:/s is taken: admin binds unix:/s",
        ),
    ];
    for (yaml, expected) in cases {
        let told = diagnostics(&format!("{yaml}\n{POOL}"));
        assert!(told.contains(expected), "{told}");
    }
    let text = format!("admin: {{bind: 'unix:/s', mode: '0640', group: root}}\n{POOL}");
    let config = ringway::config::parse(&text, "f").expect("good");
    let shown = ringway::config::show(&config).to_string();
    assert_eq!(ringway::config::parse(&shown, "shown").expect("good"), config);
}
