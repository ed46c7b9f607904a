//! What `--tls` needs: a certificate for all nodes, and stunnel for a proxy that cannot encrypt.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::nodes::Nodes;
use super::process::Scratch;

/// The files of a certificate of `localhost`, which is its own authority, and of its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Makes a new one.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn new(scratch: &Scratch) -> Result<Certificate> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let (cert, key) = (scratch.path("node.crt"), scratch.path("node.key"));
        fs::write(&cert, made.cert.pem()).context("write a certificate")?;
        fs::write(&key, made.signing_key.serialize_pem()).context("write a key")?;
        Ok(Certificate { cert, key })
    }

    /// What a memcached is told besides to show it.
    pub fn arguments(&self) -> Vec<String> {
        let chain = format!("ssl_chain_cert={}", self.cert.display());
        let key = format!("ssl_key={}", self.key.display());
        ["-Z", "-o", &chain, "-o", &key].map(str::to_owned).into()
    }

    /// The file of a configuration of stunnel, which accepts at `doors` and encrypts to the nodes, one for each.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn stunnel(&self, doors: &[SocketAddr], nodes: &Nodes, scratch: &Scratch) -> Result<String> {
        let mut config = "foreground = yes\npid =\nclient = yes\nverifyChain = yes\n".to_owned();
        writeln!(config, "CAfile = {}\ncheckHost = localhost", self.cert.display())?;
        for (door, (name, address)) in doors.iter().zip(nodes.named()) {
            writeln!(config, "[{name}]\naccept = {door}\nconnect = {address}")?;
        }
        let path = scratch.path("stunnel.conf");
        fs::write(&path, config).with_context(|| format!("write {}", path.display()))?;
        Ok(path.display().to_string())
    }
}
