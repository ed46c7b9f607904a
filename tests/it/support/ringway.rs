//! The running program: the real binary with a configuration of the test's own, and its admin.
//!
//! A [`Ringway`] listens on free ports and is killed when it is dropped. Its configuration is YAML; `PORT`,
//! `ADMIN` and `DIR` in it stand for the ports and the directory that were chosen. A text without
//! `listeners:` or `admin:` gets them, so most tests write only their pools.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use super::client::{Client, shown};
pub use super::ports::free_port;
use super::program;
pub use super::program::signal;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// How many lines of its log are shown if a test fails. The file is kept.
const LAST_LINES: usize = 8;
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// Free ports may be taken by others before the program binds them.
const TRIES: u32 = 5;

/// A running `ringway --config FILE`.
pub struct Ringway {
    child: Child,
    dir: TempDir,
    /// Where it listens for clients, on 127.0.0.1.
    pub port: u16,
    /// Where it listens for HTTP, on 127.0.0.1.
    pub admin: u16,
}

impl Ringway {
    /// Starts it and waits until it is ready.
    pub fn start(yaml: &str) -> Ringway {
        Ringway::start_by("exec \"$@\"", yaml)
    }

    /// Starts it by a line of the shell, for which `"$@"` is the program with its arguments, and waits until it
    /// is ready.
    pub fn start_by(shell: &str, yaml: &str) -> Ringway {
        Ringway::start_until("/readyz", shell, yaml)
    }

    /// Starts it and waits until it lives, ready or not.
    pub fn start_unready(yaml: &str) -> Ringway {
        Ringway::start_until("/livez", "exec \"$@\"", yaml)
    }

    /// Starts it and waits until it takes clients: for one whose admin listener cannot be asked in plain HTTP.
    pub fn start_silent(yaml: &str) -> Ringway {
        Ringway::start_when("exec \"$@\"", yaml, |ringway| {
            TcpStream::connect(("127.0.0.1", ringway.port)).is_ok()
        })
    }

    fn start_until(path: &str, shell: &str, yaml: &str) -> Ringway {
        Ringway::start_when(shell, yaml, |ringway| {
            ringway.try_get(path).is_some_and(|(status, _)| status == 200)
        })
    }

    fn start_when(shell: &str, yaml: &str, is_there: impl Fn(&Ringway) -> bool) -> Ringway {
        for _ in 0..TRIES {
            let mut ringway = Ringway::spawn_by(shell, yaml);
            if ringway.answers(&is_there) {
                return ringway;
            }
        }
        panic!("ringway found no free port in {TRIES} tries");
    }

    fn spawn_by(shell: &str, yaml: &str) -> Ringway {
        let dir = tempfile::tempdir().expect("a directory");
        let (port, admin) = (free_port(), free_port());
        let config = dir.path().join("ringway.yaml");
        fs::write(&config, complete(yaml, port, admin, &dir)).expect("config written");
        let log = File::create(dir.path().join("stderr")).expect("log");
        let child = program::start(
            Command::new("sh")
                .args(["-c", shell, "sh", env!("CARGO_BIN_EXE_ringway"), "--config"])
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log),
        );
        Ringway {
            child,
            dir,
            port,
            admin,
        }
    }

    /// Waits until it `is_there`. Returns false if its ports were taken by somebody else meanwhile.
    fn answers(&mut self, is_there: impl Fn(&Ringway) -> bool) -> bool {
        let mut is_taken = false;
        wait_for("ringway to start", || {
            match self.child.try_wait().expect("a child") {
                Some(status) if status.code() == Some(3) => is_taken = true,
                Some(status) => panic!("ringway ended with {status}:\n{}", self.log()),
                None => {}
            }
            is_taken || is_there(self)
        });
        !is_taken
    }

    /// A new client.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// The status and the body of an HTTP answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path)
            .unwrap_or_else(|| panic!("no answer to GET {path}:\n{}", self.log()))
    }

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        http(self.admin, "GET", path)
    }

    /// Writes another configuration over the old one and asks for it to be loaded.
    pub fn reload(&self, yaml: &str) -> (u16, String) {
        let text = complete(yaml, self.port, self.admin, &self.dir);
        fs::write(self.dir.path().join("ringway.yaml"), text).expect("config written");
        http(self.admin, "POST", "/reload").expect("an answer to POST /reload")
    }

    /// The sum of a metric's samples whose line holds every one of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.get("/metrics");
        text.lines()
            .filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with([' ', '{']))
                    && labels.iter().all(|label| line.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Sends it a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// The status and the body of the answer to a POST.
    pub fn post(&self, path: &str) -> (u16, String) {
        http(self.admin, "POST", path).expect("an answer to a POST")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end of the program", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("waited for above")
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Waits until a line of its log contains `text`: lines are written by a thread of their own.
    pub fn wait_logged(&self, text: &str) {
        wait_for(text, || self.log().contains(text));
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// A file in its directory, which `DIR` stands for.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many file descriptors it has open.
    pub fn open_files(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        open.expect("it runs").count()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.expect("VmRSS in kB") << 10
    }
}

impl Drop for Ringway {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            let file = self.path("stderr");
            eprintln!("-- the last lines of ringway's log, {}:\n{last}", file.display());
        }
    }
}

/// The text of a configuration with `nodes`, each an address, in a pool named `main`; `settings` are lines
/// such as `request_timeout: 1s`.
pub fn pool(nodes: &[String], settings: &[&str]) -> String {
    let mut text = String::from("pools:\n  main:\n    nodes:\n");
    for node in nodes {
        text += &format!("      - {node}\n");
    }
    for setting in settings {
        text += &format!("    {setting}\n");
    }
    text
}

/// The configuration `yaml` with all series of each node in `/metrics`.
pub fn full(yaml: &str) -> String {
    format!("{yaml}metrics: {{nodes: full}}\n")
}

fn complete(yaml: &str, port: u16, admin: u16, dir: &TempDir) -> String {
    let mut text = String::new();
    let has = |key: &str| yaml.lines().any(|line| line.starts_with(key));
    if !has("listeners:") {
        text += "listeners:\n  - bind: 127.0.0.1:PORT\n";
    }
    if !has("admin:") {
        text += "admin:\n  bind: 127.0.0.1:ADMIN\n";
    }
    (text + yaml)
        .replace("PORT", &port.to_string())
        .replace("ADMIN", &admin.to_string())
        .replace("DIR", &dir.path().display().to_string())
}

/// Looks again and again until `is_done`; fails the test at the deadline.
pub fn wait_for(what: &str, is_done: impl FnMut() -> bool) {
    wait_at_most(DEADLINE, what, is_done);
}

/// The same, with a deadline of its own.
pub fn wait_at_most(most: Duration, what: &str, mut is_done: impl FnMut() -> bool) {
    let end = Instant::now() + most;
    while !is_done() {
        assert!(Instant::now() < end, "waited too long for {what}");
        sleep(PAUSE);
    }
}

/// One HTTP request on a connection of its own. `None`: nobody answers.
pub fn http(port: u16, method: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let host = format!("127.0.0.1:{port}");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((
        status,
        if is_chunked {
            join_chunks(body)
        } else {
            body.to_owned()
        },
    ))
}

fn join_chunks(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size + 2 {
            break;
        }
        whole += &rest[..size];
        body = &rest[size + 2..];
    }
    whole
}
