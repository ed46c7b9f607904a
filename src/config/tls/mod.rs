//! Reads what TLS needs from files: certificates, keys, and the authorities that are trusted.
//!
//! A configuration that names such files holds their contents at the time it was read. A missing file, or a key that is
//! not that of its certificate, is a mistake like any other: a reload refuses it, and the running configuration stays.

mod expiry;
mod listener;
mod node;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::{Digest, Md5};
use rustls::client::VerifierBuilderError;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::error::{Problem, quote};
use super::exposed::warn_if_exposed;
use super::map_reader::MapReader;
use super::read_regular;

pub use listener::{ListenerTls, kind as listener_kind};
pub use node::{NodeTls, kind as node_kind};

/// A certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The file of the certificate, in PEM, with those of the authorities between it and the root.
    pub cert: PathBuf,
    /// The file of its key, in PEM.
    pub key: PathBuf,
}

impl Pair {
    /// The problem if rustls does not accept the pair.
    fn mismatch(&self, error: &rustls::Error) -> Problem {
        let (cert, key) = (shown(&self.cert), shown(&self.key));
        Problem::new(format!("{key} is not the key of {cert}: {error}"))
            .hint("name the certificate and the key that were made together")
    }
}

/// The contents of a pair's files.
struct LoadedPair {
    pair: Pair,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// A digest of the files' contents, so that configurations differ if their files do.
#[derive(Clone, Default, PartialEq, Eq)]
struct Contents(Vec<u8>);

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents")
    }
}

impl Contents {
    fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Contents {
        let mut digest = Md5::new();
        for part in parts {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        Contents(digest.finalize().to_vec())
    }
}

/// The cryptography of every handshake.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads the keys `cert` and `key`: both or none.
fn pair(keys: &mut MapReader<'_, '_>, folder: &Path) -> Option<LoadedPair> {
    let read = |text: &str| path(text, folder);
    let cert = keys.at("cert", |text| {
        let path = read(text)?;
        Ok((certificates(&path)?, path))
    });
    let key = keys.at("key", |text| {
        let path = read(text)?;
        Ok((private_key(&path)?, path))
    });
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if keys.has(one) && !keys.has(other) {
            let problem = Problem::new(format!("`{one}` needs `{other}`"));
            keys.require(
                other,
                problem.hint(format!("name the file of the {other}, in PEM")),
            );
        }
    }
    let (cert, key) = (cert?, key?);
    warn_if_exposed(&key.value.1, &key.location, keys);
    Some(LoadedPair {
        pair: Pair {
            cert: cert.value.1,
            key: key.value.1,
        },
        chain: cert.value.0,
        key: key.value.0,
    })
}

/// A path from `folder` on.
fn path(text: &str, folder: &Path) -> Result<PathBuf, Problem> {
    match text {
        "" => Err(Problem::new("the path is empty").hint("name a file in PEM")),
        text => Ok(folder.join(text)),
    }
}

/// The certificates in the PEM file at `path`, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = bytes(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Problem::new(format!("{} has no certificate", shown(path)))
            .hint("it must be PEM, with a line -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The lists of revoked certificates in a PEM file.
struct Revoked {
    path: PathBuf,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

impl Revoked {
    /// Reads the file that `text` names, from `folder` on; it must have a list.
    fn read(text: &str, folder: &Path) -> Result<Revoked, Problem> {
        let path = path(text, folder)?;
        let bytes = bytes(&path)?;
        let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
        match read {
            Ok(lists) if !lists.is_empty() => Ok(Revoked { path, lists }),
            Ok(_) => {
                let problem = Problem::new(format!("{} has no list of revoked certificates", shown(&path)));
                Err(problem.hint("it must be PEM, with a line -----BEGIN X509 CRL-----"))
            }
            Err(error) => Err(unreadable(&path, &error)),
        }
    }

    /// The problem if rustls does not accept them.
    fn unusable(&self, error: &VerifierBuilderError) -> Problem {
        Problem::new(format!("no list of {} can be used: {error}", shown(&self.path)))
            .hint("write the file again, with the lists that the authorities have signed")
    }
}

/// The private key in the PEM file at `path`.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    match PrivateKeyDer::from_pem_slice(&bytes(path)?) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let problem = Problem::new(format!("{} has no private key", shown(path)));
            Err(problem.hint("it must be PEM, with a line -----BEGIN PRIVATE KEY-----, and not encrypted"))
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    read_regular(path).map_err(|error| {
        let problem = Problem::new(format!("cannot read {}: {error}", shown(path)));
        problem.hint("a relative path leads from the folder of the configuration file")
    })
}

fn unreadable(path: &Path, error: &pem::Error) -> Problem {
    Problem::new(format!("{} is not valid PEM: {error}", shown(path))).hint("write the file again")
}

fn shown(path: &Path) -> String {
    quote(&path.display().to_string())
}
