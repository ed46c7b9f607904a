//! `admin`: the HTTP listener.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;

use super::error::{Diagnostics, Problem};
use super::kind::{Kind, list, word, words};
use super::listeners::{reject_other_kind, schema_by_bind};
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::{Access, Bind, ListenerTls, Secret, address, hosts, schema, secret, tls};

section! {
    /// The HTTP listener.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Admin {
        /// Where HTTP is answered: `address:port`, `"[::1]:port"` or `unix:/path`. A change needs a restart.
        bind: Bind = Bind::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9155))), address::listener_kind();
        /// TLS: a mapping with `cert`, `key`, `client_ca` and `allow`.
        tls: Option<Arc<ListenerTls>> = None, tls::listener_kind();
        /// Names under which the admin listener may be asked, besides addresses and `localhost`.
        hosts: Vec<String> = Vec::new(), list(hosts::kind());
        /// The token that POSTs need: `{file: PATH}` or `{env: NAME}`.
        token: Option<Secret> = None, secret::or_false();
        /// What needs the token: `changes` (POST), or `all` but `/livez`, `/readyz` and `/healthz`.
        protect: Protect = Protect::Changes, word();
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
    let is_good = keys.is_good("bind");
    keys.finish();
    is_good.then_some(admin)
}
