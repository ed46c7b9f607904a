//! What systemd and Ringway tell each other: sockets that systemd opened, and messages to it.
//!
//! Needs systemd-socket-activate (Debian package systemd); `tests/run` installs it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};

use crate::support::program;
use crate::support::ringway::{DEADLINE, Ringway, free_port, http, wait_for};

const POOL: &str = "pools: {main: {nodes: [{name: e, embedded: 1MiB}]}}\n";

fn version(mut client: impl Read + Write) -> String {
    client.write_all(b"version\r\nquit\r\n").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn sockets_that_systemd_opened_are_served_and_stay_systemds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let (port, admin, other) = (free_port(), free_port(), free_port());
    let config = folder.path().join("ringway.yaml");
    // systemd opens a port for every interface as [::].
    let text = format!(
        "listeners: [{{bind: '0.0.0.0:{port}'}}, {{bind: 'unix:{}'}}]\nadmin: {{bind: '127.0.0.1:{admin}'}}\n{POOL}",
        path.display()
    );
    fs::write(&config, text).expect("written");
    let log = folder.path().join("log");
    let mut child = program::start(
        Command::new("systemd-socket-activate")
            .args(["--fdname=clients:local:admin:other", "-l"])
            .arg(port.to_string())
            .arg("-l")
            .arg(&path)
            .args([
                "-l",
                &format!("127.0.0.1:{admin}"),
                "-l",
                &format!("127.0.0.1:{other}"),
            ])
            .args([env!("CARGO_BIN_EXE_ringway"), "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log")),
    );
    wait_for("systemd to listen", || path.exists());
    // The first client starts the program, and waits for it.
    let tcp = version(TcpStream::connect(("127.0.0.1", port)).expect("systemd listens"));
    let unix = version(UnixStream::connect(&path).expect("systemd listens"));
    let ready = http(admin, "GET", "/readyz");
    program::signal(&child, "TERM");
    let status = child.wait().expect("a child");
    let log = fs::read_to_string(log).expect("readable");
    assert!(
        tcp.starts_with("VERSION ") && unix.starts_with("VERSION "),
        "{log}"
    );
    assert_eq!(ready.map(|(status, _)| status), Some(200), "{log}");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(path.exists(), "the file is systemd's");
    let unused = log.lines().find(|line| line.contains("no listener has"));
    let unused = unused.unwrap_or_else(|| panic!("no word of the socket that is not used in {log}"));
    assert!(
        unused.contains("name=\"other\"") || unused.contains("name=other"),
        "{unused}"
    );
}

#[test]
fn systemd_hears_that_it_is_ready_that_it_reloads_and_that_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("bound");
    systemd.set_read_timeout(Some(DEADLINE)).expect("set");
    let hear = || {
        let mut bytes = [0; 4096];
        let length = systemd.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    };
    let start = format!("NOTIFY_SOCKET={} exec \"$@\"", path.display());
    let mut ringway = Ringway::start_by(&start, POOL);
    assert!(hear().starts_with("READY=1\n"));

    ringway.signal("HUP");
    let reloading = hear();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(hear(), "READY=1\nSTATUS=serving");

    fs::write(ringway.path("ringway.yaml"), "pools: {}\n").expect("written");
    ringway.signal("HUP");
    assert!(hear().starts_with("RELOADING=1\n"));
    let refused = hear();
    assert!(
        refused.starts_with("READY=1\nSTATUS=serving; the last configuration was refused: "),
        "{refused}"
    );

    ringway.signal("TERM");
    assert!(hear().starts_with("STOPPING=1\n"));
    assert_eq!(ringway.wait().code(), Some(0));
}
