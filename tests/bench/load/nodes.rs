//! The four memcached nodes, which stay for the whole run; emptied before each measurement.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};

use super::node::Node;
use super::options::Options;
use super::process::{Scratch, free_address};

const NODES: usize = 4;

/// The memcached nodes behind each contender.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
}

impl Nodes {
    /// Starts them, one thread and 256 MiB each.
    ///
    /// # Errors
    /// No memcached that starts.
    pub fn start(options: &Options, scratch: &Scratch) -> Result<Self> {
        let mut nodes = Vec::new();
        for index in 0..NODES {
            let name = format!("memcached-{index}");
            nodes.push(Node::start(&name, free_address()?, &[options.load_cpu], scratch)?);
        }
        Ok(Self { nodes })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// The names they bear in a ring, so that keys spread alike whatever ports were free, and their addresses.
    pub fn named(&self) -> impl Iterator<Item = (String, SocketAddr)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (format!("node-{index}"), node.address))
    }

    /// Their process ids.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.process.pid()).collect()
    }

    /// Empties them, so that each contender finds only what it stored itself.
    ///
    /// # Errors
    /// A node that does not answer `OK`.
    pub fn flush(&self) -> Result<()> {
        for node in &self.nodes {
            let mut stream = TcpStream::connect(node.address).context("connect to a node")?;
            stream.write_all(b"flush_all\r\n")?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer)?;
            if &answer != b"OK\r\n" {
                bail!("flush_all was answered {:?}", answer.escape_ascii().to_string());
            }
        }
        Ok(())
    }
}
