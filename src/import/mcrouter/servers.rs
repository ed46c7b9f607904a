//! mcrouter's servers: `HOST:PORT:PROTOCOL:SECURITY:COMPRESSION`, or `unix:PATH` in the place of host and port. What
//! follows the port may be left out.

use super::super::macros::{get, text};
use super::super::yaml::Value;
use super::{McrouterReader, location};
use crate::config::{self, tree::SpannedValue};

/// A server of one of mcrouter's pools.
pub struct Server {
    /// Its address, as Ringway writes it.
    pub node: Value,
    /// Whether its links are encrypted.
    is_encrypted: bool,
}

/// Whether mcrouter encrypts with the mechanism `name`; `None` if Ringway has nothing like it.
fn encrypts(name: &str) -> Option<bool> {
    match name {
        "" | "plain" => Some(false),
        "ssl" | "tls" | "tls13_fizz" | "ktls12" => Some(true),
        _ => None,
    }
}

/// Whether the links of a pool with the settings `layers` are encrypted, unless its servers say otherwise. A mechanism that
/// is unknown is reported with the other settings.
pub fn are_encrypted(layers: &[&SpannedValue]) -> bool {
    let mechanism = layers.iter().find_map(|layer| get(layer, "security_mech"));
    mechanism.and_then(text).and_then(encrypts).unwrap_or(false)
}

impl McrouterReader<'_> {
    /// Parses a server of the pool `name`, whose links are encrypted by default or not.
    pub fn server(&mut self, server: &SpannedValue, name: &str, is_encrypted: bool) -> Option<Server> {
        let path = format!("pools.{name}.servers");
        let Some(raw) = text(server) else {
            let why = "a route handle in the place of a server cannot be expressed";
            self.lose(server, &path, why);
            return None;
        };
        let (address, rest) = address(raw);
        let mut rest = rest.split(':');
        let (protocol, security) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
        if !matches!(protocol, "" | "ascii") {
            let why = format!("{protocol}: nodes are memcached, and speak its text protocol");
            self.lose(server, &path, why);
        }
        let is_encrypted = match (security, encrypts(security)) {
            ("", _) => is_encrypted,
            (_, Some(encrypts)) => encrypts,
            (_, None) => {
                self.lose(
                    server,
                    &path,
                    format!("{security}: such an encryption is not known"),
                );
                false
            }
        };
        Some(Server {
            node: Value::text(address, location(server)),
            is_encrypted,
        })
    }

    /// Adds TLS to the pool `made` if mcrouter encrypts the links to `servers`.
    pub fn encrypt(&mut self, servers: &[Server], pool: &SpannedValue, name: &str, made: &mut Value) {
        let encrypted = servers.iter().filter(|server| server.is_encrypted).count();
        let path = format!("pools.{name}.servers");
        if encrypted == 0 {
            return;
        }
        made.push("tls", Value::text("true", location(pool)));
        if encrypted < servers.len() {
            let why = "some servers are encrypted and some are not: a pool of Ringway has TLS to all its nodes or to \
                       none, and got TLS to all. Let the others encrypt, too";
            self.lose(pool, &path, why);
        }
        self.lose(
            pool,
            &path,
            "Ringway checks the nodes' certificates, against the certificates that this system trusts: if mcrouter has \
             --pem-ca-path, --pem-cert-path and --pem-key-path, write tls: {ca: FILE, cert: FILE, key: FILE}",
        );
    }

    /// Reports a pool's encryption that Ringway does not have.
    pub fn security_mech(&mut self, value: &SpannedValue, path: &str) {
        if text(value).and_then(encrypts).is_none() {
            self.lose(
                value,
                path,
                "such an encryption is not known: links are not encrypted",
            );
        }
    }
}

/// Splits a server into its address and what follows it.
fn address(raw: &str) -> (String, &str) {
    if config::has_user(raw) {
        // Whole, so that Ringway refuses it: what follows may be a part of the password, which no message quotes.
        return (raw.to_owned(), "");
    }
    let is_path = raw.starts_with('/') || raw.starts_with("unix:");
    if is_path {
        let path = raw.trim_start_matches("unix:");
        let (path, rest) = path.split_once(':').unwrap_or((path, ""));
        return (format!("unix:{path}"), rest);
    }
    let (host, rest) = match raw.rsplit_once(']') {
        Some((host, rest)) => (format!("{host}]"), rest.strip_prefix(':').unwrap_or_default()),
        None => {
            let (host, rest) = raw.split_once(':').unwrap_or((raw, ""));
            (host.to_owned(), rest)
        }
    };
    // mcrouter accepts names in brackets, too.
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(name) if !name.contains(':') => name.to_owned(),
        _ => host,
    };
    let (port, rest) = rest.split_once(':').unwrap_or((rest, ""));
    (format!("{host}:{port}"), rest)
}
