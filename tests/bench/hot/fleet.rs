//! Four nodes of memcached and a fleet of Ringways in front of them; all end with the measurement.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::program::{Program, free_port, wait_for};

/// The nodes of the pool.
const NODES: usize = 4;
/// The Ringways in front of them.
pub const SIDECARS: usize = 8;

/// The programs that run.
pub struct Fleet {
    /// Where each Ringway listens.
    pub listeners: Vec<PathBuf>,
    nodes: Vec<u16>,
    _programs: Vec<Program>,
    _directory: tempfile::TempDir,
}

impl Fleet {
    /// Starts all of them, with this route, and waits until they serve.
    pub fn start(route: &str) -> Fleet {
        let directory = tempfile::tempdir().expect("a directory");
        let nodes: Vec<u16> = (0..NODES).map(|_| free_port()).collect();
        let memcached = |port: &u16| Program::memcached(*port, &["-l", "127.0.0.1"]);
        let mut programs: Vec<Program> = nodes.iter().map(memcached).collect();
        for &port in &nodes {
            wait_for(port, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        let addresses: Vec<String> = nodes.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let listeners: Vec<PathBuf> = (0..SIDECARS)
            .map(|number| {
                let listener = directory.path().join(format!("clients{number}"));
                let config = directory.path().join(format!("ringway{number}.yaml"));
                let text = format!(
                    "workers: 1\nadmin: {{bind: 'unix:{}'}}\nlisteners:\n- {{bind: 'unix:{}', route: default}}\n\
                     pools:\n  main: {{distribution: ringway, request_timeout: 5s, nodes: [{}]}}\n\
                     routes: {{default: {route}}}\n",
                    directory.path().join(format!("admin{number}")).display(),
                    listener.display(),
                    addresses.join(", ")
                );
                std::fs::write(&config, text).expect("a file");
                programs.push(Program::ringway(&config));
                listener
            })
            .collect();
        for path in &listeners {
            wait_for(path.display(), || UnixStream::connect(path).is_ok());
        }
        Fleet {
            listeners,
            nodes,
            _programs: programs,
            _directory: directory,
        }
    }

    /// The gets that each node has answered so far.
    pub fn gets(&self) -> Vec<u64> {
        let gets = |port: &u16| {
            let mut node = TcpStream::connect(("127.0.0.1", *port)).expect("a node");
            node.write_all(b"stats\r\nquit\r\n").expect("written");
            let mut text = String::new();
            node.read_to_string(&mut text).expect("answered");
            let line = text.lines().find_map(|line| line.strip_prefix("STAT cmd_get "));
            line.and_then(|number| number.parse().ok()).expect("a number")
        };
        self.nodes.iter().map(gets).collect()
    }
}

/// A client that speaks classic text.
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to a Ringway.
    pub fn connect(listener: &Path) -> Client {
        Client(BufReader::new(UnixStream::connect(listener).expect("a listener")))
    }

    /// Reads `key`. Returns whether it is there.
    pub fn get(&mut self, key: &str) -> bool {
        self.send(&format!("get {key}\r\n"));
        let line = self.line();
        if line == "END" {
            return false;
        }
        let length: usize = line
            .rsplit(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("{line:?} is no value"));
        self.0.read_exact(&mut vec![0; length + 2]).expect("the value");
        assert_eq!(self.line(), "END");
        true
    }

    /// Stores `value` for `seconds`; 0: for ever.
    pub fn set(&mut self, key: &str, seconds: u32, value: &str) {
        self.send(&format!("set {key} 0 {seconds} {}\r\n{value}\r\n", value.len()));
        assert_eq!(self.line(), "STORED");
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, key: &str) {
        self.send(&format!("delete {key}\r\n"));
        self.line();
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("written");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("answered");
        line.trim_end().to_owned()
    }
}
