//! The programs that a bench runs beside itself, and free ports for them. All end with the bench.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take until it serves.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program; killed when it is dropped.
pub struct Program(Child);

impl Program {
    /// Starts a memcached with one thread on `port`; `arguments` say where it listens.
    pub fn memcached(port: u16, arguments: &[&str]) -> Program {
        let mut memcached = Command::new("memcached");
        memcached.args(["-u", "root", "-U", "0", "-t", "1", "-p", &port.to_string()]);
        Program::start(memcached.args(arguments))
    }

    /// Starts a Ringway with the configuration in `config`.
    pub fn ringway(config: &Path) -> Program {
        Program::start(Command::new(binary()).arg("--config").arg(config))
    }

    fn start(command: &mut Command) -> Program {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let name = command.get_program().to_owned();
        let started = command.spawn();
        Program(started.unwrap_or_else(|error| panic!("cannot start {name:?}: {error}")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _status = self.0.wait();
    }
}

/// The Ringway that is tried: that of `RINGWAY_BIN`, or the one that was built here.
pub fn binary() -> OsString {
    std::env::var_os("RINGWAY_BIN").unwrap_or(env!("CARGO_BIN_EXE_ringway").into())
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Waits until a program serves, as `is_up` says; `place` is where.
pub fn wait_for(place: impl std::fmt::Display, is_up: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_up() {
        assert!(Instant::now() < end, "nobody listens on {place}");
        thread::sleep(Duration::from_millis(10));
    }
}
