//! Five memcached nodes and a Ringway in front of some of them; all end with the run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::program::{Program, binary, free_port, wait_for};
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
            programs.push(Program::memcached(port, &["-m", "64", "-l", "127.0.0.1"]));
            wait_for(port, || TcpStream::connect(("127.0.0.1", port)).is_ok());
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
        cluster._programs.push(Program::ringway(&cluster.config));
        wait_for(cluster.port, || {
            TcpStream::connect(("127.0.0.1", cluster.port)).is_ok()
        });
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
