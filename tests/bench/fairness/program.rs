//! Ringway with one worker, and memcached behind it; both end with the measurement.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nodes of the pool over memcached. All are the same memcached, by several addresses.
const NODES: usize = 100;

/// The programs that run.
pub struct Cluster {
    /// The listener whose route is an embedded node.
    pub embedded: PathBuf,
    /// The one whose route is a pool over memcached.
    pub remote: PathBuf,
    _programs: Vec<Program>,
    _directory: tempfile::TempDir,
}

/// A program; killed when it is dropped.
struct Program(Child);

impl Cluster {
    /// Starts both, and waits until they serve.
    pub fn new() -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let (embedded, remote) = (directory.path().join("embedded"), directory.path().join("remote"));
        let port = free_port();
        let mut memcached = Command::new("memcached");
        memcached.args(["-u", "root", "-U", "0", "-t", "1", "-m", "256", "-l", "0.0.0.0"]);
        let memcached = Program::start(memcached.args(["-p", &port.to_string()]));
        let nodes: Vec<String> = (1..=NODES).map(|n| format!("'127.0.0.{n}:{port}'")).collect();
        let config = directory.path().join("ringway.yaml");
        let text = format!(
            "workers: 1\nadmin: {{bind: '127.0.0.1:{}'}}\nlisteners:\n- {{bind: 'unix:{}', route: embedded}}\n\
             - {{bind: 'unix:{}', route: remote}}\npools:\n  embedded: {{nodes: [{{name: here, embedded: 256MiB}}]}}\n  \
             remote: {{request_timeout: 10s, nodes: [{}]}}\n",
            free_port(),
            embedded.display(),
            remote.display(),
            nodes.join(", ")
        );
        std::fs::write(&config, text).expect("a file");
        let binary = std::env::var_os("RINGWAY_BIN").unwrap_or(env!("CARGO_BIN_EXE_ringway").into());
        let ringway = Program::start(Command::new(binary).arg("--config").arg(&config));
        [&embedded, &remote].into_iter().for_each(|path| wait_for(path));
        Cluster {
            embedded,
            remote,
            _programs: vec![memcached, ringway],
            _directory: directory,
        }
    }
}

impl Program {
    fn start(command: &mut Command) -> Program {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let name = command.get_program().to_owned();
        Program(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("cannot start {name:?}: {error}")),
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _status = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn wait_for(listener: &Path) {
    let end = Instant::now() + Duration::from_secs(30);
    while UnixStream::connect(listener).is_err() {
        assert!(
            Instant::now() < end,
            "ringway does not listen on {}",
            listener.display()
        );
        thread::sleep(Duration::from_millis(10));
    }
}
