//! What is soaked: the running program before four memcached nodes, its configuration, and how it is asked over HTTP.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::node::Node;
use super::process::{Process, Scratch, free_address};

/// Nodes.
pub const NODES: usize = 4;
/// Traffic threads, each with a link of its own to each node.
pub const WORKERS: usize = 2;
/// For an answer over HTTP.
const PATIENCE: Duration = Duration::from_secs(20);

/// The settings that a reload changes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All of them, or one fewer.
    pub nodes: usize,
    /// In milliseconds.
    pub request_timeout: usize,
    pub connections: usize,
    pub on_node_down: &'static str,
    pub max_in_flight: usize,
    /// In milliseconds.
    pub probe_interval: usize,
    /// In seconds; 0: never.
    pub idle_timeout: usize,
    /// There is one more listener, which nobody uses.
    pub has_second_listener: bool,
}

/// What the soak begins and ends with.
pub const BASE: Settings = Settings {
    nodes: NODES,
    request_timeout: 500,
    connections: 1,
    on_node_down: "fail",
    max_in_flight: 16384,
    probe_interval: 250,
    idle_timeout: 0,
    has_second_listener: false,
};

/// The program and its nodes.
#[derive(Debug)]
pub struct Cluster {
    pub ringway: Process,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    /// Where each node is; the process only while it lives.
    nodes: Vec<(SocketAddr, Option<Node>)>,
    scratch: Scratch,
}

impl Cluster {
    /// Starts the nodes, and the program at `path`.
    ///
    /// # Errors
    /// Something does not start.
    pub fn start(path: &Path) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mut nodes = Vec::new();
        for index in 0..NODES {
            let address = free_address()?;
            nodes.push((address, Some(start_node(index, address, &scratch)?)));
        }
        let (address, admin) = (free_address()?, free_address()?);
        let config = scratch.path("ringway.yaml");
        fs::write(&config, text(&BASE, address, admin, &nodes, &scratch))?;
        let config = config.to_str().context("a path in UTF-8")?;
        let mut ringway = Process::start("ringway", &[], path, &["--config", config], &scratch)?;
        ringway.wait_ready(address)?;
        Ok(Self {
            ringway,
            address,
            admin,
            nodes,
            scratch,
        })
    }

    /// Ends a node as it is.
    pub fn kill_node(&mut self, index: usize) {
        self.nodes[index].1 = None;
    }

    /// Starts a node again that was killed.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart_node(&mut self, index: usize) -> Result<()> {
        let node = start_node(index, self.nodes[index].0, &self.scratch)?;
        self.nodes[index].1 = Some(node);
        Ok(())
    }

    /// Sends a signal to a node that lives.
    ///
    /// # Errors
    /// It does not live.
    pub fn signal_node(&self, index: usize, signal: Signal) -> Result<()> {
        let node = self.nodes[index].1.as_ref().context("the node lives")?;
        node.process.signal(signal)
    }

    /// Replaces the configuration file.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_config(&self, settings: &Settings) -> Result<()> {
        self.write_text(&text(
            settings,
            self.address,
            self.admin,
            &self.nodes,
            &self.scratch,
        ))
    }

    /// Replaces the configuration file by any text.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_text(&self, text: &str) -> Result<()> {
        let next = self.scratch.path("next.yaml");
        fs::write(&next, text)?;
        fs::rename(&next, self.config())?;
        Ok(())
    }

    fn config(&self) -> PathBuf {
        self.scratch.path("ringway.yaml")
    }
}

fn start_node(index: usize, address: SocketAddr, scratch: &Scratch) -> Result<Node> {
    Node::start(&format!("memcached-{index}"), address, &[], &[], scratch)
}

fn text(
    settings: &Settings,
    address: SocketAddr,
    admin: SocketAddr,
    nodes: &[(SocketAddr, Option<Node>)],
    scratch: &Scratch,
) -> String {
    let mut text = format!("workers: {WORKERS}\nadmin: {{bind: '{admin}'}}\nlisteners:\n");
    text += &format!(
        "  - {{bind: '{address}', idle_timeout: {}s}}\n",
        settings.idle_timeout
    );
    if settings.has_second_listener {
        text += &format!("  - bind: 'unix:{}'\n", scratch.path("second.sock").display());
    }
    text += "pools:\n  main:\n    nodes:\n";
    for (index, (address, _)) in nodes[..settings.nodes].iter().enumerate() {
        text += &format!("      - {{address: '{address}', name: node-{index}}}\n");
    }
    text += &format!(
        "    request_timeout: {}ms\n    connections: {}\n    on_node_down: {}\n    max_in_flight: {}\n    \
         on_write_error: error\n    health: {{probe_interval: {}ms}}\n",
        settings.request_timeout,
        settings.connections,
        settings.on_node_down,
        settings.max_in_flight,
        settings.probe_interval
    );
    text
}

/// The status and the body of an HTTP answer.
///
/// # Errors
/// Nobody answers.
pub async fn http(admin: SocketAddr, method: &str, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("{method} {path} is not answered in {PATIENCE:?}"))?
        .with_context(|| format!("{method} {path}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an HTTP answer has a head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("an HTTP answer has a status")?, body.to_owned()))
}
