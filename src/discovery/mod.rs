//! Discovers the nodes of pools whose configuration does not list them: pure rules and parsers, without
//! clocks or sockets.
//!
//! ```text
//! source ─▶ answer ─ file_sd, elasticache ─▶ nodes ─ members ─▶ change ─▶ control: max_moved, publish
//!                                                       ▲
//!                                    probes of new nodes, health of missing ones
//! ```
//!
//! A node belongs to its pool because a source lists it, and not because it is healthy: an answer that is
//! empty, late or broken changes nothing, and a node that fails stays.

pub mod elasticache;
pub mod file_sd;
pub mod members;
mod natural;
pub mod status;

use std::sync::Arc;

use crate::config::{Address, Node, Origin};

/// Sorts `nodes` by name in natural order, `cache-2` before `cache-10`, so that every process has the same
/// order.
pub fn sort(nodes: &mut [Node]) {
    nodes.sort_by_cached_key(|node| natural::key(&node.label()));
}

/// Returns a node at `host` and `port` from `origin`.
fn node(host: &str, port: u16, origin: &Arc<Origin>) -> Node {
    Node {
        name: None,
        address: Address::memcached(host.to_owned(), port),
        weight: 1,
        origin: Some(origin.clone()),
    }
}
