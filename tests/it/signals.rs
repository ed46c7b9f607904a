//! Signals: which ask for something, which do nothing, and which end the process whatever it waits for.

use std::fs;
use std::io::{ErrorKind, PipeWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::io::ioctl_fionbio;

use crate::support::program::{self, signal};
use crate::support::ringway::{DEADLINE, Ringway, pool, wait_for};

const EMBEDDED: &str = "pools: {main: {nodes: [{name: a, embedded: 1MiB}]}}\n";

/// SIGHUP, SIGUSR1 and SIGUSR2, as `/proc/PID/status` numbers them.
const ASKING: u64 = 1 << 0 | 1 << 9 | 1 << 11;
/// SIGTERM and SIGINT.
const ENDING: u64 = 1 << 14 | 1 << 1;

/// Waits until the process has handlers for all of `signals`.
fn wait_caught(child: &Child, signals: u64) {
    let path = format!("/proc/{}/status", child.id());
    wait_for("handlers of signals", || {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.map(|mask| u64::from_str_radix(mask.trim(), 16).expect("hexadecimal"));
        caught.is_some_and(|caught| caught & signals == signals)
    });
}

/// A configuration whose only listener is the unix socket `socket` in `dir`.
fn listens_at(socket: &std::path::Path) -> String {
    let socket = socket.display();
    format!("{EMBEDDED}admin: {{bind: '127.0.0.1:0'}}\nlisteners: [{{bind: 'unix:{socket}'}}]\n")
}

/// Ends it, and holds that nothing else ended it before.
fn ends_well(mut child: Child) {
    signal(&child, "TERM");
    let mut status = None;
    wait_for("its end", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_process_that_still_reads_its_configuration_outlives_signals_that_do_not_end_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let mut child = program::start(
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["--config", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null()),
    );
    // It cannot go on: nobody gave it a configuration yet.
    wait_caught(&child, ASKING);
    for name in ["HUP", "USR1", "USR2"] {
        signal(&child, name);
    }
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(listens_at(&socket).as_bytes()).expect("it reads");
    drop(stdin);
    wait_for("the listener", || socket.exists());
    ends_well(child);
}

#[test]
fn a_hangup_right_after_the_start_ends_none_of_many() {
    let dir = tempfile::tempdir().expect("a directory");
    for number in 0..20 {
        let (file, socket) = (
            dir.path().join(format!("{number}.yaml")),
            dir.path().join(format!("{number}")),
        );
        fs::write(&file, listens_at(&socket)).expect("written");
        let child = program::start(
            Command::new(env!("CARGO_BIN_EXE_ringway"))
                .arg("--config")
                .arg(&file)
                .stderr(Stdio::null()),
        );
        wait_caught(&child, ASKING);
        signal(&child, "HUP");
        wait_for("the listener", || socket.exists());
        ends_well(child);
    }
}

#[test]
fn what_asks_a_program_to_open_its_log_again_does_nothing() {
    let mut ringway = Ringway::start(EMBEDDED);
    let mut client = ringway.client();
    client.set("k", "v");
    for name in ["USR1", "USR2", "USR1"] {
        ringway.signal(name);
        assert_eq!(client.get("k").as_deref(), Some(&b"v"[..]));
        assert_eq!(ringway.get("/readyz").0, 200);
    }
    ringway.signal("TERM");
    assert_eq!(ringway.wait().code(), Some(0), "{}", ringway.log());
}

#[test]
fn two_signals_end_it_though_a_pipe_is_in_the_place_of_its_file() {
    for name in ["TERM", "INT"] {
        let mut ringway = Ringway::start(&("shutdown: {delay: 1h}\n".to_owned() + EMBEDDED));
        let path = ringway.path("ringway.yaml");
        fs::remove_file(&path).expect("it is there");
        let made = program::output(Command::new("mkfifo").arg(&path));
        assert!(made.status.success());
        ringway.signal("HUP");
        ringway.signal(name);
        wait_for("it to leave", || ringway.get("/readyz").0 == 503);
        assert!(ringway.is_running());
        ringway.signal(name);
        assert_eq!(ringway.wait().code(), Some(0), "{}", ringway.log());
    }
}

/// The full side of a pipe that nobody reads.
fn full_pipe() -> (std::io::PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    ioctl_fionbio(&writer, true).expect("a pipe");
    // Whole pages first; then what is left of the last.
    for chunk in [4096, 1] {
        let full = loop {
            if let Err(error) = writer.write_all(&vec![b'x'; chunk]) {
                break error.kind();
            }
        };
        assert_eq!(full, ErrorKind::WouldBlock);
    }
    ioctl_fionbio(&writer, false).expect("a pipe");
    (reader, writer)
}

#[test]
fn two_signals_end_a_process_whose_threads_wait_for_a_log_that_nobody_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, socket) = (dir.path().join("ringway.yaml"), dir.path().join("s"));
    fs::write(&file, listens_at(&socket)).expect("written");
    let (_unread, log) = full_pipe();
    let mut child = program::start(
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .arg("--config")
            .arg(&file)
            .stderr(log),
    );
    wait_caught(&child, ASKING | ENDING);
    // Two that come at once may count as one.
    let mut status = None;
    wait_for("its end", || {
        signal(&child, "TERM");
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

/// Whether clients of the unix socket `path` are answered. A reload binds a new one once before, to see if it can, and
/// resets whoever connects meanwhile.
fn is_served(path: &std::path::Path) -> bool {
    let ask = || {
        let mut client = UnixStream::connect(path)?;
        client.set_read_timeout(Some(DEADLINE))?;
        client.write_all(b"mn\r\n")?;
        client.read_exact(&mut [0; 4])
    };
    ask().is_ok()
}

/// Asks at the unix socket `path` for what was set there, until it is answered.
fn set_and_get(path: &std::path::Path) {
    let mut client = UnixStream::connect(path).expect("it listens");
    client.set_read_timeout(Some(DEADLINE)).expect("a time");
    client.write_all(b"set k 0 0 1\r\nv\r\nget k\r\n").expect("sent");
    let mut answer = [0; 29];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer[..], b"STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn a_process_whose_output_nobody_reads_serves_reloads_and_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, first, second) = (
        dir.path().join("ringway.yaml"),
        dir.path().join("1"),
        dir.path().join("2"),
    );
    fs::write(&file, listens_at(&first)).expect("written");
    let ((_unread, log), (_unheard, out)) = (full_pipe(), full_pipe());
    let child = program::start(
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["--log", "debug", "--config"])
            .arg(&file)
            .stdout(out)
            .stderr(log),
    );
    wait_for("the listener", || is_served(&first));
    set_and_get(&first);
    // Each is refused or taken, and logged.
    for (text, socket) in [("no: [", &first), (&listens_at(&second), &second)] {
        fs::write(&file, text).expect("written");
        signal(&child, "HUP");
        wait_for("the listener", || is_served(socket));
        set_and_get(socket);
    }
    ends_well(child);
}

#[test]
fn only_a_regular_file_or_stdin_is_a_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let made = program::output(Command::new("mkfifo").arg(path("pipe")));
    assert!(made.status.success());
    fs::write(path("large"), vec![b'#'; (4 << 20) + 1]).expect("written");
    let cases = [
        (path("pipe"), "a pipe, not a regular file; write - to read stdin"),
        (path(""), "a folder, not a regular file; name the file in it"),
        (
            "/dev/zero".to_owned(),
            "a device, not a regular file; write - to read stdin",
        ),
        (path("large"), "the maximum is 4194304"),
    ];
    for (file, expected) in &cases {
        for argument in ["check", "--config"] {
            let output = program::output(Command::new(env!("CARGO_BIN_EXE_ringway")).args([argument, file]));
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{argument} {file}: {told}");
            assert!(told.contains(expected), "{argument} {file}: {told}");
        }
    }
    // A pipe of the shell's is good enough for what is read once, by hand.
    fs::write(path("good"), pool(&["127.0.0.1:1".to_owned()], &[])).expect("written");
    let script = "cat \"$2\" > \"$1\" & exec \"$0\" diff \"$1\" \"$2\"";
    let output = program::output(Command::new("sh").args([
        "-c",
        script,
        env!("CARGO_BIN_EXE_ringway"),
        &path("pipe"),
        &path("good"),
    ]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
