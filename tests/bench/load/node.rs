//! One node: memcached, or Redis.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::process::{Process, Scratch};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Memcached,
    Redis,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    pub process: Process,
}

impl Node {
    /// Starts a memcached on `address`, with one thread, 256 MiB and these arguments `more`, on `cpus` where any are given.
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

    /// Starts a Redis on `address`, which keeps nothing on disk and evicts as memcached does, on `cpus`.
    ///
    /// # Errors
    /// No Redis that starts.
    pub fn start_redis(name: &str, address: SocketAddr, cpus: &[usize], scratch: &Scratch) -> Result<Self> {
        let port = address.port().to_string();
        let limits = [
            "--maxmemory",
            "256mb",
            "--maxmemory-policy",
            "allkeys-lru",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let args = [&limits[..], &["--bind", "127.0.0.1", "--port", &port]].concat();
        let mut process = Process::start(name, cpus, Path::new(&redis()), &args, scratch)?;
        process.wait_ready(address)?;
        Ok(Self { process })
    }
}

/// The Redis, or what takes its place.
pub fn redis() -> OsString {
    env::var_os("REDIS_SERVER").unwrap_or("redis-server".into())
}
