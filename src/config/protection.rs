//! How connections to the nodes of a pool are protected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Problem, quote};
use super::map_reader::MapReader;
use super::node_auth::{self, NodeAuth};
use super::rows::section;
use super::tls::{self, NodeTls};
use super::{Address, Node, Server, Source};

/// For a connection to be made over TLS: a handshake takes two more round trips, and a core.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

section! {
    /// How connections to a pool's nodes are protected. By default not at all.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Protection {
        /// TLS to the nodes: `true`, or a mapping with `ca`, `crl`, `name`, `cert` and `key`.
        tls: Option<Arc<NodeTls>> = None, tls::node_kind();
        /// The user that nodes ask for: a mapping with `user` and `password`.
        auth: Option<Arc<NodeAuth>> = None, node_auth::kind();
    }
}

impl Protection {
    /// Returns the files that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let password = self.auth.iter().filter_map(|auth| auth.password.file());
        self.tls.iter().flat_map(|tls| tls.files()).chain(password)
    }
}

/// Reports a Valkey or Redis node whose scheme says something else about TLS than its pool, which is `nodes` and what
/// `source` leads to.
pub fn check_schemes(nodes: &[Node], source: Option<&Source>, is_tls: bool, keys: &mut MapReader<'_, '_>) {
    let listed = nodes.iter().filter_map(|node| match node.address {
        Address::Tcp { server, .. } => Some((node.address.to_string(), server)),
        _ => None,
    });
    let found = source.and_then(|source| match source {
        Source::Dns { server, .. } | Source::DnsSrv { server, .. } => Some((source.to_string(), *server)),
        Source::File(_) | Source::Elasticache { .. } => None,
    });
    let odd = |(address, server)| match server {
        Server::Valkey { scheme, .. } if scheme.is_tls() != is_tls => Some((address, scheme)),
        _ => None,
    };
    let mut all = listed.chain(found).filter_map(odd);
    let Some((address, scheme)) = all.next() else {
        return;
    };
    let wanted = scheme.with_tls(is_tls).prefix();
    let (problem, hint) = match is_tls {
        true => (
            format!("{} is written without TLS", quote(&address)),
            format!("write {wanted} for nodes of a pool with `tls`"),
        ),
        false => (
            format!("{} needs the pool's `tls`", quote(&address)),
            format!("add `tls: true`, or write {wanted}"),
        ),
    };
    let key = ["tls", "nodes", "discover"]
        .into_iter()
        .find_map(|key| keys.location(key));
    keys.diagnostic_at(&key.unwrap_or_default(), Problem::new(problem).hint(hint));
}

/// Reports a node of a pool with `tls` that is reached over a unix socket.
pub fn check_addresses(nodes: &[Node], keys: &mut MapReader<'_, '_>) {
    let over_file = |node: &&Node| matches!(node.address, Address::Unix { .. });
    if let (Some(node), Some(location)) = (nodes.iter().find(over_file), keys.location("tls")) {
        let problem = Problem::new(format!("the node {} is reached over a unix socket", node.label()));
        keys.diagnostic_at(&location, problem.hint("TLS is for TCP: move it to another pool"));
    }
}
