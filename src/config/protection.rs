//! How connections to the nodes of a pool are protected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::error::Problem;
use super::map_reader::MapReader;
use super::node_auth::{self, NodeAuth};
use super::tls::{self, NodeTls};
use super::{Address, Node};

/// For a connection to be made over TLS: a handshake takes two more round trips, and a core.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How connections to a pool's nodes are protected. By default not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Protection {
    /// What encrypts them.
    pub tls: Option<Arc<NodeTls>>,
    /// Who Ringway says it is.
    pub auth: Option<Arc<NodeAuth>>,
}

impl Protection {
    /// The files that it was read from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let password = self.auth.iter().filter_map(|auth| auth.password.file());
        self.tls.iter().flat_map(|tls| tls.files()).chain(password)
    }

    /// Adds it, as it is typed, to what is shown of the pool.
    pub fn show(&self, pool: &mut Value) {
        if let Some(tls) = &self.tls {
            pool["tls"] = tls.show();
        }
        if let Some(auth) = &self.auth {
            pool["auth"] = auth.show();
        }
    }
}

/// Reads the keys `tls` and `auth` of the pool of `nodes`.
pub fn read(keys: &mut MapReader<'_, '_>, nodes: &[Node]) -> Protection {
    let tls = keys.get("tls", |value, diagnostics| {
        let read = tls::read_node(value, diagnostics)?;
        let over_file = |node: &&Node| matches!(node.address, Address::Unix(_));
        if let Some(node) = nodes.iter().find(over_file) {
            let problem = Problem::new(format!("the node {} is reached over a unix socket", node.label()));
            diagnostics.add(
                &value.location(),
                problem.hint("TLS is for TCP: move it to another pool"),
            );
        }
        Some(read)
    });
    let auth = keys.get("auth", node_auth::read);
    Protection {
        tls: tls.map(Arc::new),
        auth: auth.map(Arc::new),
    }
}
