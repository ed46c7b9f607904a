//! One memcached node.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::process::{Process, Scratch};

/// A running memcached.
#[derive(Debug)]
pub struct Node {
    pub process: Process,
}

impl Node {
    /// Starts one on `address`, with one thread, 256 MiB and these arguments `more`, on `cpus` where any are given.
    ///
    /// # Errors
    /// No memcached that starts.
    pub fn start(
        name: &str,
        address: SocketAddr,
        more: &[String],
        cpus: &[usize],
        scratch: &Scratch,
    ) -> Result<Self> {
        let port = address.port().to_string();
        // As root it insists on -u; from anybody else it ignores it.
        let limits = ["-U", "0", "-t", "1", "-m", "256", "-u", "root"];
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let args = [&limits[..], &["-l", "127.0.0.1", "-p", &port], &more].concat();
        let mut process = Process::start(name, cpus, Path::new("memcached"), &args, scratch)?;
        process.wait_ready(address)?;
        Ok(Self { process })
    }
}
