//! `admin`: the HTTP listener.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};

use super::error::{Diagnostics, Problem, quote};
use super::kind::{Kind, flag, list, word, words};
use super::listeners::{reject_other_kind, schema_by_bind};
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::{Access, Bind, ListenerTls, Secret, address, hosts, schema, secret, tls};

section! {
    /// The HTTP listener.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Admin {
        /// Where the HTTP listener is: `address:port`, `"[::1]:port"` or `unix:/path`. A change needs a restart.
        bind: Bind = Bind::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9155))), address::listener_kind();
        /// TLS: a mapping with `cert`, `key`, `client_ca`, `client_crl` and `allow`.
        tls: Option<Arc<ListenerTls>> = None, tls::listener_kind();
        /// Host names that requests to the admin listener may have, besides addresses and `localhost`.
        hosts: Vec<String> = Vec::new(), list(hosts::kind());
        /// The token that POSTs need: `{file: PATH}` or `{env: NAME}`.
        token: Option<Secret> = None, secret::or_false();
        /// What needs the token: `changes` (POST), or `all` except `/livez`, `/readyz` and `/healthz`.
        protect: Protect = Protect::Changes, word();
        /// Whether hot keys are shown by name or as a hash that only this process can compute. The default is `false`
        /// if `admin.bind` is not a loopback address.
        show_keys: bool = true, flag();
        /// A hot prefix ends with the first of these characters in a key; `false`: prefixes are not counted.
        key_delimiter: Option<u8> = Some(b':'), delimiter();
        ..
        /// Who may connect to a unix socket. A change needs a restart.
        access: Access;
    }
}

words! {
    /// The requests to the admin listener that need its token.
    pub enum Protect {
        /// Those that change something.
        Changes = "changes",
        /// All but the questions of probes.
        All = "all",
    }
}

/// The key `admin`.
pub fn kind() -> Kind<Admin> {
    Kind::new(read, render, || {
        schema_by_bind(schema::mapping(Admin::rows(), Value::Null))
    })
}

/// Reads `admin`. Returns `None` if its address is invalid.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Admin> {
    let mut admin = Admin::default();
    let mut keys = value.keys(diagnostics);
    admin.read_rows(&mut keys);
    if keys.is_good("bind") {
        reject_other_kind(&admin.bind, &mut keys);
    }
    if admin.protect == Protect::All
        && !keys.has("token")
        && let Some(location) = keys.location("protect")
    {
        let problem = Problem::new("there is no token to protect it with");
        keys.diagnostic_at(&location, problem.hint("add `token: {file: PATH}`"));
    }
    if !keys.has("show_keys") {
        admin.show_keys = matches!(&admin.bind, Bind::Tcp(address) if address.ip().is_loopback());
    }
    let is_good = keys.is_good("bind");
    keys.finish();
    is_good.then_some(admin)
}

/// One character, or `false` for none.
fn delimiter() -> Kind<Option<u8>> {
    let parse = |text: &str| match text.as_bytes() {
        b"false" => Ok(None),
        &[byte] if byte.is_ascii_graphic() => Ok(Some(byte)),
        _ => Err(Problem::new(format!("{} is not one character", quote(text)))
            .hint("write the one that ends the prefixes of keys, such as \":\", or false")),
    };
    let show = |byte: &Option<u8>| byte.map_or(json!(false), |byte| json!(char::from(byte).to_string()));
    Kind::text(parse, show, || schema::or_false(schema::pattern("^[!-~]$")))
}
