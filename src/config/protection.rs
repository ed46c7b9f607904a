//! How connections to the nodes of a pool are protected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::Problem;
use super::map_reader::MapReader;
use super::node_auth::{self, NodeAuth};
use super::rows::section;
use super::tls::{self, NodeTls};
use super::{Address, Node};

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

/// Reports a node of a pool with `tls` that is reached over a unix socket.
pub fn check_addresses(nodes: &[Node], keys: &mut MapReader<'_, '_>) {
    let over_file = |node: &&Node| matches!(node.address, Address::Unix(_));
    if let (Some(node), Some(location)) = (nodes.iter().find(over_file), keys.location("tls")) {
        let problem = Problem::new(format!("the node {} is reached over a unix socket", node.label()));
        keys.diagnostic_at(&location, problem.hint("TLS is for TCP: move it to another pool"));
    }
}
