//! Real memcached processes, on free ports or on unix sockets.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::program;
use super::ringway::{Client, free_port, signal, wait_for};

/// A running memcached; killed when it is dropped.
pub struct Memcached {
    child: Child,
    port: u16,
}

impl Memcached {
    /// Starts one on a free port.
    pub fn start() -> Memcached {
        Memcached::start_with(&[])
    }

    /// Starts one on a free port with these arguments more.
    pub fn start_with(arguments: &[&str]) -> Memcached {
        Memcached::try_to_start(&[&["-l", "127.0.0.1"], arguments].concat())
    }

    /// Starts one on the same port of `ip`, another address of this machine.
    pub fn start_beside(&self, ip: &str) -> Memcached {
        let is_up = || TcpStream::connect((ip, self.port)).is_ok();
        let started = Memcached::start_once(self.port, &["-l", ip], is_up);
        started.expect("nobody is there")
    }

    /// Starts one that listens on each address of this machine: on all of 127.0.0.0/8, too.
    pub fn start_everywhere() -> Memcached {
        Memcached::try_to_start(&["-l", "0.0.0.0"])
    }

    fn try_to_start(arguments: &[&str]) -> Memcached {
        let mut tries = (0..5).map(|_| Memcached::start_at(free_port(), arguments));
        tries
            .find_map(|started| started)
            .expect("memcached finds a free port")
    }

    /// Starts one on `port`. `None`: somebody else is there.
    pub fn start_on(port: u16) -> Option<Memcached> {
        Memcached::start_at(port, &["-l", "127.0.0.1"])
    }

    /// Ends it, and starts another one on its port, with these arguments more.
    pub fn replace_with(self, arguments: &[&str]) -> Memcached {
        let port = self.port;
        drop(self);
        let mut started = None;
        wait_for("the port to be free", || {
            started = Memcached::start_at(port, &[&["-l", "127.0.0.1"], arguments].concat());
            started.is_some()
        });
        started.expect("waited for above")
    }

    fn start_at(port: u16, arguments: &[&str]) -> Option<Memcached> {
        let is_up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        Memcached::start_once(port, arguments, is_up)
    }

    fn start_once(port: u16, arguments: &[&str], is_up: impl Fn() -> bool) -> Option<Memcached> {
        let port_text = port.to_string();
        let mut child = program::start(&mut command(&[&["-p", &port_text], arguments].concat()));
        let is_up = answers(&mut child, is_up);
        is_up.then_some(Memcached { child, port })
    }

    /// Starts one on a unix socket at `path`; its [`port`](Memcached::port) is 0.
    pub fn start_unix(path: &Path) -> Memcached {
        let mut child = program::start(&mut command(&["-s", path.to_str().expect("a path in UTF-8")]));
        assert!(
            answers(&mut child, || UnixStream::connect(path).is_ok()),
            "memcached ended"
        );
        Memcached { child, port: 0 }
    }

    /// Starts one with `-S` that knows one user, whom it keeps in a database in `folder`. Its hosts are its realm.
    pub fn start_sasl(folder: &Path, user: &str, password: &str) -> Memcached {
        let database = folder.join("sasldb");
        let configuration = format!(
            "mech_list: plain\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\n",
            database.display()
        );
        fs::write(folder.join("memcached.conf"), configuration).expect("written");
        let realm = program::output(&mut Command::new("hostname")).stdout;
        let realm = String::from_utf8(realm).expect("UTF-8");
        let mut saslpasswd = program::start(
            Command::new("saslpasswd2")
                .args(["-p", "-c", "-a", "memcached", "-u", realm.trim(), "-f"])
                .arg(&database)
                .arg(user)
                .stdin(Stdio::piped()),
        );
        let mut stdin = saslpasswd.stdin.take().expect("piped");
        stdin.write_all(password.as_bytes()).expect("written");
        drop(stdin);
        assert!(saslpasswd.wait().expect("it ends").success());
        let start = || {
            let port = free_port();
            let port_text = port.to_string();
            let mut command = command(&["-p", &port_text, "-l", "127.0.0.1", "-S"]);
            let mut child = program::start(command.env("SASL_CONF_PATH", folder));
            let is_up = answers(&mut child, || TcpStream::connect(("127.0.0.1", port)).is_ok());
            is_up.then_some(Memcached { child, port })
        };
        let started = (0..5).find_map(|_| start());
        started.expect("memcached finds a free port")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as a configuration has it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sends it a signal by name. After `STOP` it has stopped when this returns.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
        if name == "STOP" {
            wait_for("memcached to stop", || self.has_stopped());
        }
    }

    /// Whether every thread has stopped: a busy one takes a moment to see the signal.
    fn has_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        tasks.flatten().all(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.contains("State:\tT")
        })
    }

    /// A client of its own.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("memcached");
    command
        .args(["-u", "root", "-U", "0", "-t", "2", "-m", "64"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Waits until somebody answers. False: the process ended first, as it does where its port is taken.
fn answers(child: &mut Child, is_there: impl Fn() -> bool) -> bool {
    let mut is_gone = false;
    wait_for("memcached", || {
        // Asked last, since who answers may be somebody else, whose port this one failed to take.
        let is_there = is_there();
        is_gone = child.try_wait().expect("a child").is_some();
        is_gone || is_there
    });
    !is_gone
}

#[test]
fn a_node_on_a_unix_socket_is_reached() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let _node = Memcached::start_unix(&path);
    let nodes = [format!("unix:{}", path.display())];
    let ringway = super::ringway::Ringway::start(&super::ringway::pool(&nodes, &[]));
    ringway.client().set("k", "v");
    assert_eq!(ringway.client().get("k").as_deref(), Some(&b"v"[..]));
}
