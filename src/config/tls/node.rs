//! `pools.NAME.tls`: how connections to nodes are encrypted, and which certificates are accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use super::expiry::not_after;
use super::{Contents, LoadedPair, Pair, Revoked, certificates, pair, path, private_key, provider, shown};
use crate::config::error::{Diagnostics, Problem, quote};
use crate::config::kind::Kind;
use crate::config::map_reader::YamlNode;

/// TLS to the nodes of a pool.
#[derive(Debug, Clone)]
pub struct NodeTls {
    /// The file of the authorities that are trusted; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The file of the lists of certificates that are revoked; `None`: none is.
    pub crl: Option<PathBuf>,
    /// The name that certificates must have; `None`: the host of the node's address.
    pub name: Option<String>,
    /// The certificate and key for nodes that ask for one.
    pub identity: Option<Pair>,
    /// The end of the validity of the certificate that is shown, as Unix time, if it can be read.
    pub not_after: Option<i64>,
    /// The settings of handshakes. It keeps sessions, so that later handshakes are short.
    pub client: Arc<ClientConfig>,
    contents: Contents,
}

impl PartialEq for NodeTls {
    fn eq(&self, other: &NodeTls) -> bool {
        let NodeTls {
            ca,
            crl,
            name,
            identity,
            not_after: _,
            client: _,
            contents,
        } = self;
        (ca, crl, name) == (&other.ca, &other.crl, &other.name)
            && (identity, contents) == (&other.identity, &other.contents)
    }
}

impl NodeTls {
    /// Returns the TLS of a client that trusts the authorities in the file `ca`, or those of the system, and shows the
    /// certificate of `pair`, the files of a certificate and its key.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn from_files(ca: Option<&Path>, pair: Option<(&Path, &Path)>) -> Result<NodeTls, Problem> {
        let roots = ca.map_or_else(system_roots, certificates)?;
        let load = |(cert, key): (&Path, &Path)| {
            Ok(LoadedPair {
                chain: certificates(cert)?,
                key: private_key(key)?,
                pair: Pair {
                    cert: cert.to_owned(),
                    key: key.to_owned(),
                },
            })
        };
        let trust = Trust {
            ca: ca.map(Path::to_owned),
            roots,
            crl: None,
        };
        make(trust, None, pair.map(load).transpose()?)
    }

    /// The files that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let identity = self.identity.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        self.ca.iter().chain(&self.crl).chain(identity)
    }

    /// The name that the certificate of the node at `host` must have.
    ///
    /// # Errors
    /// `host` is not a name that a certificate can have.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        ServerName::try_from(self.name.clone().unwrap_or_else(|| host.to_owned()))
    }

    /// Renders it, as it is written.
    pub fn show(&self) -> Value {
        let mut shown = json!({ "ca": "system" });
        if let Some(ca) = &self.ca {
            shown["ca"] = json!(ca.display().to_string());
        }
        if let Some(crl) = &self.crl {
            shown["crl"] = json!(crl.display().to_string());
        }
        if let Some(name) = &self.name {
            shown["name"] = json!(name);
        }
        if let Some(Pair { cert, key }) = &self.identity {
            shown["cert"] = json!(cert.display().to_string());
            shown["key"] = json!(key.display().to_string());
        }
        shown
    }
}

/// The key `tls` of a pool: `true`, `false` or a mapping.
pub fn kind() -> Kind<Option<Arc<NodeTls>>> {
    let show = |tls: &Option<Arc<NodeTls>>| tls.as_ref().map_or(Value::Null, |tls| tls.show());
    Kind::new(
        |value, diagnostics| Some(read(value, diagnostics).map(Arc::new)),
        show,
        schema,
    )
}

fn schema() -> Value {
    let file = json!({ "type": "string", "minLength": 1 });
    let keys = json!({
        "type": ["object", "null"],
        "properties": { "ca": file, "crl": file, "name": { "type": "string" }, "cert": file, "key": file },
        "dependentRequired": { "cert": ["key"], "key": ["cert"] },
        "additionalProperties": false,
    });
    json!({ "anyOf": [{ "type": "boolean" }, keys] })
}

/// Reads `tls` of a pool. Returns `None` if it is `false`, or holds a mistake.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<NodeTls> {
    if value.is_scalar() {
        let is_on = value.read(diagnostics, switch)?;
        let location = value.location();
        let made = is_on.then(|| system_roots().and_then(|roots| make(Trust::of(roots), None, None)))?;
        return made.map_err(|problem| diagnostics.add(&location, problem)).ok();
    }
    let folder = diagnostics.folder();
    let mut keys = value.keys(diagnostics);
    let ca = keys.at("ca", |text| match text {
        "system" => Ok((None, system_roots()?)),
        text => {
            let path = path(text, &folder)?;
            let roots = certificates(&path)?;
            Ok((Some(path), roots))
        }
    });
    let crl = keys.value("crl", |text| Revoked::read(text, &folder));
    let name = keys.value("name", host_name);
    let identity = pair(&mut keys, &folder);
    let is_whole = (ca.is_some() || !keys.has("ca")) && (crl.is_some() || !keys.has("crl"));
    let is_paired = identity.is_some() || !(keys.has("cert") || keys.has("key"));
    let (ca, roots) = match ca {
        Some(ca) => ca.value,
        None if keys.has("ca") => (None, Vec::new()),
        None => match system_roots() {
            Ok(roots) => (None, roots),
            Err(problem) => {
                keys.diagnostic(problem);
                (None, Vec::new())
            }
        },
    };
    let is_whole = is_whole && is_paired && !roots.is_empty();
    let made = is_whole.then(|| make(Trust { ca, roots, crl }, name, identity));
    let made = made.and_then(|made| made.map_err(|problem| keys.diagnostic(problem)).ok());
    keys.finish();
    made
}

/// What makes a certificate of a node good.
struct Trust {
    /// The file of the authorities; `None`: those of the system.
    ca: Option<PathBuf>,
    /// Their certificates.
    roots: Vec<CertificateDer<'static>>,
    /// Those that were good once.
    crl: Option<Revoked>,
}

impl Trust {
    /// That in the authorities of the system.
    fn of(roots: Vec<CertificateDer<'static>>) -> Trust {
        Trust {
            ca: None,
            roots,
            crl: None,
        }
    }

    /// Makes what checks the certificates of nodes.
    fn verifier(self) -> Result<Arc<WebPkiServerVerifier>, Problem> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.roots);
        let lists = self.crl.iter().flat_map(|crl| crl.lists.clone());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        verifier
            .with_crls(lists)
            .build()
            .map_err(|error| match (&error, &self.crl) {
                (VerifierBuilderError::InvalidCrl(_), Some(crl)) => crl.unusable(&error),
                _ => {
                    let place = self.ca.as_deref().map_or("the system".to_owned(), shown);
                    Problem::new(format!("no certificate of {place} can be used"))
                        .hint("name a file of CA certificates in `ca`")
                }
            })
    }
}

fn make(trust: Trust, name: Option<String>, identity: Option<LoadedPair>) -> Result<NodeTls, Problem> {
    let key = identity.iter().map(|loaded| loaded.key.secret_der());
    let chain = identity
        .iter()
        .flat_map(|loaded| loaded.chain.iter().map(AsRef::as_ref));
    let lists = trust.crl.iter().flat_map(|crl| &crl.lists).map(AsRef::as_ref);
    let trusted = trust.roots.iter().map(AsRef::as_ref).chain(lists);
    let contents = Contents::of(trusted.chain(chain).chain(key));
    let (ca, crl) = (trust.ca.clone(), trust.crl.as_ref().map(|crl| crl.path.clone()));
    let shown_first = identity.as_ref().and_then(|loaded| loaded.chain.first());
    let not_after = shown_first.and_then(|certificate| not_after(certificate));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has all that both versions need")
        .with_webpki_verifier(trust.verifier()?);
    let (client, identity) = match identity {
        None => (builder.with_no_client_auth(), None),
        Some(LoadedPair { pair, chain, key }) => {
            let client = builder.with_client_auth_cert(chain, key);
            let mut client = client.map_err(|error| pair.mismatch(&error))?;
            // A server that asks for certificates and gives its sessions no context, as memcached, breaks off at one that
            // is resumed.
            client.resumption = Resumption::disabled();
            (client, Some(pair))
        }
    };
    Ok(NodeTls {
        ca,
        crl,
        name,
        identity,
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

fn host_name(text: &str) -> Result<String, Problem> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Problem::new(format!("{} is not a host name", quote(text)))
            .hint("write the name that the nodes' certificates have")),
    }
}
