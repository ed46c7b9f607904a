//! `listeners[].tls`: the certificate for clients, and which clients are admitted.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};

use super::expiry::not_after;
use super::{Contents, LoadedPair, Pair, Revoked, certificates, pair, path, provider, shown};
use crate::config::error::{Diagnostics, Problem, quote};
use crate::config::kind::Kind;
use crate::config::map_reader::YamlNode;
use crate::config::schema;

/// TLS for the clients of a listener.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// The certificate and key for clients.
    pub pair: Pair,
    /// The file of the authorities whose clients are admitted; `None`: clients show no certificate.
    pub client_ca: Option<PathBuf>,
    /// The file of the lists of certificates that are revoked; `None`: none is.
    pub client_crl: Option<PathBuf>,
    /// Names of which the certificate of a client must have one; empty: any.
    pub allow: Vec<String>,
    /// The settings of handshakes.
    pub server: Arc<ServerConfig>,
    /// Until when the certificate holds, as Unix time, if that can be read.
    pub not_after: Option<i64>,
    contents: Contents,
}

impl PartialEq for ListenerTls {
    fn eq(&self, other: &ListenerTls) -> bool {
        let ListenerTls {
            pair,
            client_ca,
            client_crl,
            allow,
            server: _,
            not_after: _,
            contents,
        } = self;
        (pair, client_ca, client_crl) == (&other.pair, &other.client_ca, &other.client_crl)
            && (allow, contents) == (&other.allow, &other.contents)
    }
}

impl ListenerTls {
    /// The files that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.pair.cert, &self.pair.key]
            .into_iter()
            .chain(&self.client_ca)
            .chain(&self.client_crl)
    }

    /// Whether a client with the certificate `shown` is admitted.
    pub fn allows(&self, shown: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = webpki::EndEntityCert::try_from(shown) else {
            return false;
        };
        let names = || certificate.valid_dns_names().chain(certificate.valid_uri_names());
        self.allow.is_empty()
            || self
                .allow
                .iter()
                .any(|allowed| names().any(|name| covers(allowed, name)))
    }

    /// Renders it, as it is written.
    pub fn show(&self) -> Value {
        let mut shown = json!({
            "cert": self.pair.cert.display().to_string(),
            "key": self.pair.key.display().to_string(),
        });
        if let Some(ca) = &self.client_ca {
            shown["client_ca"] = json!(ca.display().to_string());
            shown["allow"] = json!(self.allow);
        }
        if let Some(crl) = &self.client_crl {
            shown["client_crl"] = json!(crl.display().to_string());
        }
        shown
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
    let show = |tls: &Option<Arc<ListenerTls>>| tls.as_ref().map_or(Value::Null, |tls| tls.show());
    Kind::new(
        |value, diagnostics| Some(read(value, diagnostics).map(Arc::new)),
        show,
        || {
            let file = json!({ "type": "string", "minLength": 1 });
            let names = json!({ "type": "array", "items": { "type": "string" } });
            schema::or_false(json!({
                "type": "object",
                "properties": { "cert": file, "key": file, "client_ca": file, "client_crl": file, "allow": names },
                "required": ["cert", "key"],
                "dependentRequired": { "allow": ["client_ca"], "client_crl": ["client_ca"] },
                "additionalProperties": false,
            }))
        },
    )
}

/// Reads `tls` of a listener. Returns `None` if it is `false`, or holds a mistake.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<ListenerTls> {
    if value.is_false() {
        return None;
    }
    let folder = diagnostics.folder();
    let mut keys = value.keys(diagnostics);
    let loaded = pair(&mut keys, &folder);
    if !keys.has("cert") && !keys.has("key") {
        let problem = Problem::new("there is no certificate to show to clients");
        keys.require(
            "cert",
            problem.hint("add `cert:` and `key:` with their files, in PEM"),
        );
    }
    let ca = keys.value("client_ca", |text| {
        let path = path(text, &folder)?;
        Ok((certificates(&path)?, path))
    });
    let crl = keys.value("client_crl", |text| Revoked::read(text, &folder));
    let allow = keys.get("allow", |value, diagnostics| {
        let items = value.items(diagnostics)?;
        Some(
            items
                .iter()
                .filter_map(|item| item.read(diagnostics, allowed))
                .collect::<Vec<_>>(),
        )
    });
    for needs in ["allow", "client_crl"] {
        if keys.has(needs) && !keys.has("client_ca") {
            let problem = Problem::new(format!(
                "`{needs}` needs certificates of clients, and none is requested"
            ));
            let hint = "add `client_ca:` with the file of their authority";
            keys.require("client_ca", problem.hint(hint));
        }
    }
    let is_whole = (ca.is_some() || !keys.has("client_ca")) && (crl.is_some() || !keys.has("client_crl"));
    let made = loaded
        .filter(|_| is_whole)
        .map(|loaded| make(loaded, ca, crl, allow.unwrap_or_default()));
    let made = made.and_then(|made| made.map_err(|problem| keys.diagnostic(problem)).ok());
    keys.finish();
    made
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

fn make(
    loaded: LoadedPair,
    ca: Option<(Vec<CertificateDer<'static>>, PathBuf)>,
    crl: Option<Revoked>,
    allow: Vec<String>,
) -> Result<ListenerTls, Problem> {
    let LoadedPair { pair, chain, key } = loaded;
    let trusted = ca.iter().flat_map(|(trusted, _)| trusted);
    let lists = crl.iter().flat_map(|crl| &crl.lists).map(AsRef::as_ref);
    let parts = chain.iter().chain(trusted).map(AsRef::as_ref).chain(lists);
    let contents = Contents::of(parts.chain([key.secret_der()]));
    let not_after = chain.first().and_then(|certificate| not_after(certificate));
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has all that both versions need");
    let (builder, client_ca) = match ca {
        None => (builder.with_no_client_auth(), None),
        Some((trusted, path)) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(trusted);
            let lists = crl.iter().flat_map(|crl| crl.lists.clone());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let verifier = verifier.with_crls(lists).build();
            let verifier = verifier.map_err(|error| match (&error, &crl) {
                (VerifierBuilderError::InvalidCrl(_), Some(crl)) => crl.unusable(&error),
                _ => Problem::new(format!("no certificate of {} can be used: {error}", shown(&path)))
                    .hint("name a file of CA certificates in `client_ca`"),
            })?;
            (builder.with_client_cert_verifier(verifier), Some(path))
        }
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .map_err(|error| pair.mismatch(&error))?;
    server.ticketer = Ticketer::new().map_err(|error| Problem::new(format!("no random numbers: {error}")))?;
    Ok(ListenerTls {
        pair,
        client_ca,
        client_crl: crl.map(|crl| crl.path),
        allow,
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
