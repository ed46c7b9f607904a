//! `admin`: the HTTP listener.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::error::{Diagnostics, Problem};
use super::kind::{Kind, list, word, words};
use super::map_reader::YamlNode;
use super::rows::{Section, render, section};
use super::{Secret, address, hosts, schema, secret};

section! {
    /// The HTTP listener.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Admin {
        /// Where HTTP is answered. A change needs a restart.
        bind: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9155)), address::admin_kind();
        /// Names under which the admin listener may be asked, besides addresses and `localhost`.
        hosts: Vec<String> = Vec::new(), list(hosts::kind());
        /// The token that POSTs need: `{file: PATH}` or `{env: NAME}`.
        token: Option<Secret> = None, secret::or_false();
        /// What needs the token: `changes` (POST), or `all` but `/livez`, `/readyz` and `/healthz`.
        protect: Protect = Protect::Changes, word();
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
    Kind::new(read, render, || schema::mapping(Admin::rows(), Value::Null))
}

/// Reads `admin`. Returns `None` if its address is invalid.
fn read(value: &YamlNode<'_>, diagnostics: &mut Diagnostics) -> Option<Admin> {
    let mut admin = Admin::default();
    let mut keys = value.keys(diagnostics);
    admin.read_rows(&mut keys);
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
