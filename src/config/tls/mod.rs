//! Reads what TLS needs from files: certificates, keys, and the authorities that are trusted.
//!
//! A configuration that names such files holds their contents at the time it was read. A missing file, or a key that is
//! not that of its certificate, is a mistake like any other: a reload refuses it, and the running configuration stays.

mod expiry;
mod listener;
mod node;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use md5::{Digest, Md5};
use rustls::client::VerifierBuilderError;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::error::Problem;
use super::exposed::warn_if_exposed;
use super::files::{read, shown};
use super::map_reader::MapReader;

pub use listener::{ListenerTls, kind as listener_kind};
pub use node::{NodeTls, kind as node_kind};

/// A certificate with those of the authorities between it and the root, and its key.
struct Identity {
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

/// Reads the files `cert` and `key`, which are the values of these keys: both or none.
fn identity(keys: &mut MapReader<'_, '_>, cert: Option<&Path>, key: Option<&Path>) -> Option<Identity> {
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if keys.has(one) && !keys.has(other) {
            let problem = Problem::new(format!("`{one}` needs `{other}`"));
            keys.require(
                other,
                problem.hint(format!("name the file of the {other}, in PEM")),
            );
        }
    }
    let chain = cert.and_then(|path| keys.made("cert", certificates(path)));
    let private = key.and_then(|path| keys.made("key", private_key(path)));
    let identity = Identity {
        chain: chain?,
        key: private?,
    };
    warn_if_exposed(key?, "key", keys);
    Some(identity)
}

/// The problem if rustls does not accept the key in the file `key` for the certificate in the file `cert`.
fn mismatch(cert: Option<&Path>, key: Option<&Path>, error: &rustls::Error) -> Problem {
    let [cert, key] = [cert, key].map(|path| path.map(shown).unwrap_or_default());
    Problem::new(format!("{key} is not the key of {cert}: {error}"))
        .hint("name the certificate and the key that were made together")
}

/// The certificates in the PEM file at `path`, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Problem::new(format!("{} has no certificate", shown(path)))
            .hint("it must be PEM, with a line -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The lists of revoked certificates in the PEM file at `path`, at least one.
fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => {
            let problem = Problem::new(format!("{} has no list of revoked certificates", shown(path)));
            Err(problem.hint("it must be PEM, with a line -----BEGIN X509 CRL-----"))
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The problem if rustls does not accept the lists of revoked certificates in the file `crl`.
fn unusable(crl: &Path, error: &VerifierBuilderError) -> Problem {
    Problem::new(format!("no list of {} can be used: {error}", shown(crl)))
        .hint("write the file again, with the lists that the authorities have signed")
}

/// The private key in the PEM file at `path`.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    match PrivateKeyDer::from_pem_slice(&read(path)?) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let problem = Problem::new(format!("{} has no private key", shown(path)));
            Err(problem.hint("it must be PEM, with a line -----BEGIN PRIVATE KEY-----, and not encrypted"))
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &pem::Error) -> Problem {
    Problem::new(format!("{} is not valid PEM: {error}", shown(path))).hint("write the file again")
}
