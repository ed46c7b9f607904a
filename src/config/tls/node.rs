//! `pools.NAME.tls`: how connections to nodes are encrypted, and which certificates are accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use super::expiry::not_after;
use super::{Contents, Identity, certificates, identity, mismatch, private_key, provider, revoked, unusable};
use crate::config::error::{Diagnostics, Problem, quote};
use crate::config::files::{self, shown};
use crate::config::kind::Kind;
use crate::config::map_reader::YamlNode;
use crate::config::rows::{Section, render, section};
use crate::config::schema;

section! {
    /// The keys of `tls` of a pool.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NodeTlsKeys {
        /// The file of the authorities that are trusted, in PEM, or `system` for those of the system.
        ca: Option<PathBuf> = None, ca_kind();
        /// The file of the lists of certificates that are revoked, in PEM.
        crl: Option<PathBuf> = None, files::kind().optional();
        /// The name that certificates must have, instead of the host of the node's address.
        name: Option<String> = None, name_kind().optional();
        /// The file of the certificate for nodes that ask for one, in PEM, with those of the authorities between it and
        /// the root.
        cert: Option<PathBuf> = None, files::kind().optional();
        /// The file of its key, in PEM.
        key: Option<PathBuf> = None, files::kind().optional();
    }
}

/// TLS to the nodes of a pool.
#[derive(Debug, Clone)]
pub struct NodeTls {
    /// What is written.
    pub keys: NodeTlsKeys,
    /// The end of the validity of the certificate that is shown, as Unix time, if it can be read.
    pub not_after: Option<i64>,
    /// The settings of handshakes. It keeps sessions, so that later handshakes are short.
    pub client: Arc<ClientConfig>,
    contents: Contents,
}

impl PartialEq for NodeTls {
    fn eq(&self, other: &NodeTls) -> bool {
        (&self.keys, &self.contents) == (&other.keys, &other.contents)
    }
}

impl NodeTls {
    /// Returns the TLS of a client that trusts the authorities in the file `ca`, or those of the system, and shows the
    /// certificate of `pair`, the files of a certificate and its key.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn from_files(ca: Option<&Path>, pair: Option<(&Path, &Path)>) -> Result<NodeTls, Problem> {
        let identity = |(cert, key): (&Path, &Path)| {
            Ok(Identity {
                chain: certificates(cert)?,
                key: private_key(key)?,
            })
        };
        let loaded = Loaded {
            roots: ca.map_or_else(system_roots, certificates)?,
            revoked: Vec::new(),
            identity: pair.map(identity).transpose()?,
        };
        let keys = NodeTlsKeys {
            ca: ca.map(Path::to_owned),
            cert: pair.map(|(cert, _)| cert.to_owned()),
            key: pair.map(|(_, key)| key.to_owned()),
            ..NodeTlsKeys::default()
        };
        make(keys, loaded)
    }

    /// The files that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let NodeTlsKeys {
            ca, crl, cert, key, ..
        } = &self.keys;
        [ca, crl, cert, key].into_iter().flatten()
    }

    /// The name that the certificate of the node at `host` must have.
    ///
    /// # Errors
    /// `host` is not a name that a certificate can have.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        ServerName::try_from(self.keys.name.clone().unwrap_or_else(|| host.to_owned()))
    }
}

/// The key `tls` of a pool: `true`, `false` or a mapping.
pub fn kind() -> Kind<Option<Arc<NodeTls>>> {
    let show = |tls: &Option<Arc<NodeTls>>| tls.as_ref().map_or(Value::Null, |tls| render(&tls.keys));
    Kind::new(
        |value, diagnostics| Some(read(value, diagnostics).map(Arc::new)),
        show,
        || {
            let rules = json!({ "dependentRequired": { "cert": ["key"], "key": ["cert"] } });
            json!({ "anyOf": [{ "type": "boolean" }, schema::mapping(NodeTlsKeys::rows(), rules)] })
        },
    )
}

/// The file of authorities, or `system`.
fn ca_kind() -> Kind<Option<PathBuf>> {
    let file = files::kind();
    Kind::new(
        move |value, diagnostics| match value.is_word("system") {
            true => Some(None),
            false => (file.read)(value, diagnostics).map(Some),
        },
        |ca| json!(ca.as_ref().map_or("system".into(), |ca| ca.display().to_string())),
        files::kind().schema,
    )
}

/// Reads `tls` of a pool. Returns `None` if it is `false`, or holds a mistake.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<NodeTls> {
    if value.is_scalar() {
        let is_on = value.read(diagnostics, switch)?;
        let made = is_on.then(|| NodeTls::from_files(None, None))?;
        let location = value.location();
        return made.map_err(|problem| diagnostics.add(&location, problem)).ok();
    }
    let mut read = NodeTlsKeys::default();
    let mut keys = value.keys(diagnostics);
    read.read_rows(&mut keys);
    let roots = match &read.ca {
        Some(path) => keys.made("ca", certificates(path)),
        None if !keys.is_good("ca") => None,
        None => system_roots().map_err(|problem| keys.diagnostic(problem)).ok(),
    };
    let revoked = read.crl.as_deref().map(revoked).transpose();
    let revoked = keys.made("crl", revoked);
    let identity = identity(&mut keys, read.cert.as_deref(), read.key.as_deref());
    let is_whole = ["ca", "crl", "cert", "key"].iter().all(|key| keys.is_good(key));
    let is_paired = identity.is_some() || read.cert.is_none() && read.key.is_none();
    let loaded = roots.filter(|_| is_whole && is_paired).map(|roots| Loaded {
        roots,
        revoked: revoked.flatten().unwrap_or_default(),
        identity,
    });
    let made = loaded.map(|loaded| make(read, loaded));
    let made = made.and_then(|made| made.map_err(|problem| keys.diagnostic(problem)).ok());
    keys.finish();
    made
}

/// What is in the files.
struct Loaded {
    /// The certificates of the authorities.
    roots: Vec<CertificateDer<'static>>,
    /// The lists of certificates that are revoked.
    revoked: Vec<CertificateRevocationListDer<'static>>,
    /// What is shown to nodes that ask.
    identity: Option<Identity>,
}

impl Loaded {
    fn contents(&self) -> Contents {
        let key = self.identity.iter().map(|identity| identity.key.secret_der());
        let chain = self.identity.iter().flat_map(|identity| &identity.chain);
        let trusted = self.roots.iter().map(AsRef::as_ref);
        let trusted = trusted.chain(self.revoked.iter().map(AsRef::as_ref));
        Contents::of(trusted.chain(chain.map(AsRef::as_ref)).chain(key))
    }
}

/// Makes what checks the certificates of nodes.
fn verifier(
    keys: &NodeTlsKeys,
    trusted: Vec<CertificateDer<'static>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<WebPkiServerVerifier>, Problem> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    verifier
        .with_crls(revoked)
        .build()
        .map_err(|error| match (&error, &keys.crl) {
            (VerifierBuilderError::InvalidCrl(_), Some(crl)) => unusable(crl, &error),
            _ => {
                let place = keys.ca.as_deref().map_or("the system".to_owned(), shown);
                Problem::new(format!("no certificate of {place} can be used"))
                    .hint("name a file of CA certificates in `ca`")
            }
        })
}

fn make(keys: NodeTlsKeys, loaded: Loaded) -> Result<NodeTls, Problem> {
    let contents = loaded.contents();
    let Loaded {
        roots,
        revoked,
        identity,
    } = loaded;
    let shown_first = identity.as_ref().and_then(|identity| identity.chain.first());
    let not_after = shown_first.and_then(|certificate| not_after(certificate));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has all that both versions need")
        .with_webpki_verifier(verifier(&keys, roots, revoked)?);
    let client = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { chain, key }) => {
            let client = builder.with_client_auth_cert(chain, key);
            let mut client =
                client.map_err(|error| mismatch(keys.cert.as_deref(), keys.key.as_deref(), &error))?;
            // A server that asks for certificates and gives its sessions no context, as memcached, breaks off at one that
            // is resumed.
            client.resumption = Resumption::disabled();
            client
        }
    };
    Ok(NodeTls {
        keys,
        not_after,
        client: Arc::new(client),
        contents,
    })
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, Problem> {
    let loaded = rustls_native_certs::load_native_certs();
    if loaded.certs.is_empty() {
        let problem = Problem::new("this system has no CA certificates");
        return Err(problem.hint("install the package ca-certificates, or name a file in `ca`"));
    }
    Ok(loaded.certs)
}

fn switch(text: &str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let problem = Problem::new(format!("{} is neither true nor false", quote(text)));
            Err(problem.hint("write true, or a mapping: `tls: {ca: ca.crt}`"))
        }
    }
}

/// A name that a certificate can have.
fn name_kind() -> Kind<String> {
    let read = |text: &str| match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::new(format!("{} is not a host name", quote(text)))
            .hint("write the name that the nodes' certificates have")),
    };
    Kind::text(read, |name| json!(name), || json!({ "type": "string" }))
}
