//! `listeners[].tls`: the certificate for clients, and which clients are admitted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::Ticketer;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};

use super::expiry::not_after;
use super::{Contents, Identity, certificates, identity, mismatch, provider, revoked, unusable};
use crate::config::error::{Diagnostics, Problem, quote};
use crate::config::files::{self, shown};
use crate::config::kind::{Kind, list};
use crate::config::map_reader::YamlNode;
use crate::config::rows::{Section, render, section};
use crate::config::schema;

section! {
    /// The keys of `tls` of a listener.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ListenerTlsKeys {
        /// The file of the certificate for clients, in PEM, with those of the authorities between it and the root.
        cert: Option<PathBuf> = None, files::kind().optional();
        /// The file of its key, in PEM.
        key: Option<PathBuf> = None, files::kind().optional();
        /// The file of the authorities whose clients are admitted, in PEM; without it, clients show no certificate.
        client_ca: Option<PathBuf> = None, files::kind().optional();
        /// The file of the lists of certificates of clients that are revoked, in PEM.
        client_crl: Option<PathBuf> = None, files::kind().optional();
        /// Names of which the certificate of a client must have one; none: any.
        allow: Vec<String> = Vec::new(), names_kind();
    }
}

/// TLS for the clients of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// What is written.
    pub keys: ListenerTlsKeys,
    /// The settings of handshakes.
    pub server: Arc<ServerConfig>,
    /// Until when the certificate holds, as Unix time, if that can be read.
    pub not_after: Option<i64>,
    contents: Contents,
}

impl PartialEq for ListenerTls {
    fn eq(&self, other: &ListenerTls) -> bool {
        (&self.keys, &self.contents) == (&other.keys, &other.contents)
    }
}

impl ListenerTls {
    /// The files that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let ListenerTlsKeys {
            cert,
            key,
            client_ca,
            client_crl,
            ..
        } = &self.keys;
        [cert, key, client_ca, client_crl].into_iter().flatten()
    }

    /// Whether a client with the certificate `shown` is admitted.
    pub fn allows(&self, shown: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = webpki::EndEntityCert::try_from(shown) else {
            return false;
        };
        let names = || certificate.valid_dns_names().chain(certificate.valid_uri_names());
        let mut allow = self.keys.allow.iter();
        self.keys.allow.is_empty() || allow.any(|allowed| names().any(|name| covers(allowed, name)))
    }
}

/// Whether `allowed` means `name`: a URI or a host name as it is, or with `*` for its first label.
fn covers(allowed: &str, name: &str) -> bool {
    if allowed.contains("://") || name.contains("://") {
        return allowed == name;
    }
    match allowed.strip_prefix("*.") {
        None => allowed.eq_ignore_ascii_case(name),
        Some(parent) => name.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(parent)
        }),
    }
}

/// The key `tls` of a listener: `false` or a mapping.
pub fn kind() -> Kind<Option<Arc<ListenerTls>>> {
    let show = |tls: &Option<Arc<ListenerTls>>| tls.as_ref().map_or(Value::Null, |tls| render(&tls.keys));
    Kind::new(
        |value, diagnostics| Some(read(value, diagnostics).map(Arc::new)),
        show,
        || {
            schema::or_false(schema::mapping(
                ListenerTlsKeys::rows(),
                json!({
                    "required": ["cert", "key"],
                    "dependentRequired": { "allow": ["client_ca"], "client_crl": ["client_ca"] },
                }),
            ))
        },
    )
}

/// Names of clients; none is not rendered.
fn names_kind() -> Kind<Vec<String>> {
    let name = Kind::text(allowed, |name| json!(name), || json!({ "type": "string" }));
    Kind {
        show: Box::new(|names| match names.is_empty() {
            true => Value::Null,
            false => json!(names),
        }),
        ..list(name)
    }
}

/// Reads `tls` of a listener. Returns `None` if it is `false`, or holds a mistake.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<ListenerTls> {
    if value.is_false() {
        return None;
    }
    let mut read = ListenerTlsKeys::default();
    let mut keys = value.keys(diagnostics);
    read.read_rows(&mut keys);
    let identity = identity(&mut keys, read.cert.as_deref(), read.key.as_deref());
    if !keys.has("cert") && !keys.has("key") {
        let problem = Problem::new("there is no certificate to show to clients");
        keys.require(
            "cert",
            problem.hint("add `cert:` and `key:` with their files, in PEM"),
        );
    }
    let trusted = read.client_ca.as_deref().map(certificates).transpose();
    let trusted = keys.made("client_ca", trusted);
    let revoked = read.client_crl.as_deref().map(revoked).transpose();
    let revoked = keys.made("client_crl", revoked);
    for needs in ["allow", "client_crl"] {
        if keys.has(needs) && !keys.has("client_ca") {
            let problem = Problem::new(format!(
                "`{needs}` needs certificates of clients, and none is requested"
            ));
            let hint = "add `client_ca:` with the file of their authority";
            keys.require("client_ca", problem.hint(hint));
        }
    }
    let is_whole = keys.is_good("client_ca") && keys.is_good("client_crl");
    let loaded = identity.filter(|_| is_whole).map(|identity| Loaded {
        identity,
        trusted: trusted.flatten().unwrap_or_default(),
        revoked: revoked.flatten().unwrap_or_default(),
    });
    let made = loaded.map(|loaded| make(read, loaded));
    let made = made.and_then(|made| made.map_err(|problem| keys.diagnostic(problem)).ok());
    keys.finish();
    made
}

/// What is in the files.
struct Loaded {
    identity: Identity,
    /// The certificates of the authorities whose clients are admitted.
    trusted: Vec<CertificateDer<'static>>,
    /// The lists of certificates of clients that are revoked.
    revoked: Vec<CertificateRevocationListDer<'static>>,
}

impl Loaded {
    fn contents(&self) -> Contents {
        let Identity { chain, key } = &self.identity;
        let parts = chain.iter().chain(&self.trusted).map(AsRef::as_ref);
        let lists = self.revoked.iter().map(AsRef::as_ref);
        Contents::of(parts.chain(lists).chain([key.secret_der()]))
    }
}

/// Reads a name that certificates of clients may have.
fn allowed(text: &str) -> Result<String, Problem> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let is_uri = text
        .split_once("://")
        .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
    if is_uri
        || (!host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)))
    {
        return Ok(text.to_owned());
    }
    let problem = Problem::new(format!("{} is not a name of a certificate", quote(text)));
    Err(problem.hint("write a URI such as spiffe://prod/app, or a host name, or *.apps.example"))
}

/// Makes what checks the certificates of clients, which the authorities in the file `client_ca` must have signed.
fn verifier(
    keys: &ListenerTlsKeys,
    client_ca: &Path,
    trusted: Vec<CertificateDer<'static>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    verifier
        .with_crls(revoked)
        .build()
        .map_err(|error| match (&error, &keys.client_crl) {
            (VerifierBuilderError::InvalidCrl(_), Some(crl)) => unusable(crl, &error),
            _ => Problem::new(format!(
                "no certificate of {} can be used: {error}",
                shown(client_ca)
            ))
            .hint("name a file of CA certificates in `client_ca`"),
        })
}

fn make(keys: ListenerTlsKeys, loaded: Loaded) -> Result<ListenerTls, Problem> {
    let contents = loaded.contents();
    let Loaded {
        identity: Identity { chain, key },
        trusted,
        revoked,
    } = loaded;
    let not_after = chain.first().and_then(|certificate| not_after(certificate));
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has all that both versions need");
    let builder = match &keys.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(verifier(&keys, path, trusted, revoked)?),
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .map_err(|error| mismatch(keys.cert.as_deref(), keys.key.as_deref(), &error))?;
    server.ticketer = Ticketer::new().map_err(|error| Problem::new(format!("no random numbers: {error}")))?;
    Ok(ListenerTls {
        keys,
        server: Arc::new(server),
        not_after,
        contents,
    })
}

#[test]
fn a_name_is_allowed_as_it_is_or_with_a_wildcard_for_its_first_label() {
    for (allowed, name, expected) in [
        ("spiffe://prod/app", "spiffe://prod/app", true),
        ("spiffe://prod/app", "spiffe://prod/app2", false),
        ("a.example", "A.example", true),
        ("a.example", "b.a.example", false),
        ("*.apps.example", "web.apps.example", true),
        ("*.apps.example", "apps.example", false),
        ("*.apps.example", "a.b.apps.example", false),
        ("*.apps.example", "*.apps.example", false),
        ("*.apps.example", ".apps.example", false),
        ("*.apps.example", "spiffe://web.apps.example", false),
    ] {
        assert_eq!(covers(allowed, name), expected, "{allowed} {name}");
    }
}
