//! What `--tls` needs: a certificate for all nodes and proxies, stunnel for a proxy that cannot encrypt, and clients that
//! can.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

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

    /// What clients that trust it make handshakes with.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn client(&self) -> Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.cert).context("read a certificate")?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// What a memcached is told besides to show it.
    pub fn arguments(&self) -> Vec<String> {
        let chain = format!("ssl_chain_cert={}", self.cert.display());
        let key = format!("ssl_key={}", self.key.display());
        ["-Z", "-o", &chain, "-o", &key].map(str::to_owned).into()
    }

    /// The file of a configuration of stunnel, which accepts at `doors` and encrypts to the nodes, one for each. With
    /// `front`, two addresses, it also decrypts what comes to the first one and hands it to the second.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn stunnel(
        &self,
        doors: &[SocketAddr],
        front: Option<[SocketAddr; 2]>,
        nodes: &Nodes,
        scratch: &Scratch,
    ) -> Result<String> {
        let mut config = "foreground = yes\npid =\n".to_owned();
        let (cert, key) = (self.cert.display(), self.key.display());
        for (door, (name, address)) in doors.iter().zip(nodes.named()) {
            writeln!(
                config,
                "[{name}]\nclient = yes\naccept = {door}\nconnect = {address}"
            )?;
            writeln!(
                config,
                "verifyChain = yes\nCAfile = {cert}\ncheckHost = localhost"
            )?;
        }
        if let Some([door, behind]) = front {
            writeln!(
                config,
                "[front]\nclient = no\naccept = {door}\nconnect = {behind}"
            )?;
            writeln!(config, "cert = {cert}\nkey = {key}")?;
        }
        let path = scratch.path("stunnel.conf");
        fs::write(&path, config).with_context(|| format!("write {}", path.display()))?;
        Ok(path.display().to_string())
    }
}
