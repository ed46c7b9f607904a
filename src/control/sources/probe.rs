//! Probes the addresses of new nodes before they take keys.

use crate::config::{Node, Pool};
use crate::control::node_version::{self, Version};
use crate::discovery::members::Probe;

/// Probes each of `nodes` with the timeouts of their pool's settings, and returns the results by name.
pub async fn probe(nodes: Vec<Node>, settings: &Pool) -> Vec<(String, Probe)> {
    let nodes: Vec<(Node, &Pool)> = nodes.into_iter().map(|node| (node, settings)).collect();
    let versions = node_version::ask_all(&nodes).await;
    let labels = nodes.iter().map(|(node, _)| node.label());
    labels.zip(versions.iter().map(outcome)).collect()
}

fn outcome(version: &Version) -> Probe {
    match version {
        Ok(_) => Probe::Good,
        Err(error) if error.is_foreign() => Probe::Foreign,
        Err(_) => Probe::Silent,
    }
}
