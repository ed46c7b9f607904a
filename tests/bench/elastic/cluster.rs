//! Five memcached nodes and a Ringway in front of some of them; all end with the run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Mode, SERVE};

const NODES: usize = 5;

/// The programs.
pub struct Cluster {
    /// Where Ringway listens for clients.
    pub port: u16,
    admin: u16,
    mode: Mode,
    nodes: Vec<String>,
    config: PathBuf,
    _programs: Vec<Program>,
    _directory: tempfile::TempDir,
}

/// A program; killed when it is dropped.
struct Program(Child);

/// A pool of the first nodes, with these weights. Their names alone decide where a key goes.
pub fn pool(mode: Mode, nodes: &[String], weights: &[u32]) -> String {
    let nodes = (1..).zip(nodes).zip(weights);
    let nodes: Vec<String> = nodes
        .map(|((number, node), weight)| {
            format!("{{address: '{node}', name: cache-{number}, weight: {weight}}}")
        })
        .collect();
    let handover = match mode {
        Mode::Off => "off".to_owned(),
        _ => format!("{{prepare: 0s, serve: {}s}}", SERVE.as_secs()),
    };
    format!(
        "pools:\n  main: {{distribution: ringway, handover: {handover}, nodes: [{}]}}\n",
        nodes.join(", ")
    )
}

impl Cluster {
    /// Starts all, and waits until they serve.
    pub fn start(mode: Mode, weights: &[u32]) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let mut programs = Vec::new();
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let port = free_port();
            let mut memcached = Command::new("memcached");
            memcached.args(["-u", "root", "-U", "0", "-t", "1", "-m", "64", "-l", "127.0.0.1"]);
            programs.push(Program::start(memcached.args(["-p", &port.to_string()])));
            wait_for(port);
            nodes.push(format!("127.0.0.1:{port}"));
        }
        let mut cluster = Cluster {
            port: free_port(),
            admin: free_port(),
            mode,
            nodes,
            config: directory.path().join("ringway.yaml"),
            _programs: programs,
            _directory: directory,
        };
        cluster.write(weights);
        let ringway = Program::start(Command::new(binary()).arg("--config").arg(&cluster.config));
        cluster._programs.push(ringway);
        wait_for(cluster.port);
        cluster
    }

    fn write(&self, weights: &[u32]) {
        let text = format!(
            "listeners: [{{bind: '127.0.0.1:{}'}}]\nadmin: {{bind: '127.0.0.1:{}'}}\n{}",
            self.port,
            self.admin,
            pool(self.mode, &self.nodes, weights)
        );
        std::fs::write(&self.config, text).expect("a file");
    }

    /// Changes the ring; copies what moves, if the mode says so.
    pub fn change(&self, weights: &[u32]) {
        self.write(weights);
        // On a busy machine the handover before may take longer than planned.
        while self.reload().contains("once its handover") {
            thread::sleep(Duration::from_millis(100));
        }
        if self.mode == Mode::Warm {
            let mut warm = Command::new(binary());
            warm.args(["warm", "--rate", "5000", "--admin", &self.admin.to_string()]);
            let status = warm.status().expect("it starts");
            if !status.success() {
                println!("ringway warm: {status}");
            }
        }
    }

    /// Reads the file again, and returns what Ringway answers.
    fn reload(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).expect("the admin listener");
        let request = format!(
            "POST /reload HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            self.admin
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

fn binary() -> PathBuf {
    std::env::var_os("RINGWAY_BIN")
        .unwrap_or(env!("CARGO_BIN_EXE_ringway").into())
        .into()
}

impl Program {
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

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn wait_for(port: u16) {
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nobody listens on {port}");
        thread::sleep(Duration::from_millis(10));
    }
}
