//! Ringway with one worker, and memcached behind it; both end with the measurement.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::program::{Program, free_port, wait_for};

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

impl Cluster {
    /// Starts both, and waits until they serve.
    pub fn new() -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let (embedded, remote) = (directory.path().join("embedded"), directory.path().join("remote"));
        let port = free_port();
        let memcached = Program::memcached(port, &["-m", "256", "-l", "0.0.0.0"]);
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
        let ringway = Program::ringway(&config);
        for path in [&embedded, &remote] {
            wait_for(path.display(), || UnixStream::connect(path).is_ok());
        }
        Cluster {
            embedded,
            remote,
            _programs: vec![memcached, ringway],
            _directory: directory,
        }
    }
}
