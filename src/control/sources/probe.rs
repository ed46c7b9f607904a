//! Probes the addresses of new nodes before they take keys.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{Address, Node, Pool, Protection};
use crate::control::discovery::LOOKUP;
use crate::control::probe_client::ProbeConnection;
use crate::discovery::members::Probe;
use crate::resolver;

/// The maximum number of concurrent probes.
const AT_ONCE: usize = 256;

/// Probes each of `nodes` with the timeouts of their pool's settings, and returns the results by name.
pub async fn probe(nodes: Vec<Node>, settings: &Pool) -> Vec<(String, Probe)> {
    let mut probed = Vec::with_capacity(nodes.len());
    for part in nodes.chunks(AT_ONCE) {
        let mut probes = JoinSet::new();
        for node in part {
            let node = node.clone();
            let (protection, connect) = (settings.protection.clone(), settings.connect_timeout);
            let answer = settings.health.probe_timeout;
            probes.spawn(async move { (node.label(), probe_one(&node, &protection, connect, answer).await) });
        }
        while let Some(Ok(outcome)) = probes.join_next().await {
            probed.push(outcome);
        }
    }
    probed
}

async fn probe_one(node: &Node, protection: &Protection, connect: Duration, answer: Duration) -> Probe {
    let Address::Tcp { host, port, .. } = &node.address else {
        return Probe::Silent;
    };
    let resolver = resolver::of(node.resolver());
    let Ok(Ok(found)) = timeout(LOOKUP, resolver.sockets(host, *port)).await else {
        return Probe::Silent;
    };
    let Ok(mut connection) = ProbeConnection::dial(&node.address, &found.records, protection, connect).await
    else {
        return Probe::Silent;
    };
    match connection.version(answer).await {
        Ok(_) => Probe::Good,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Probe::Foreign,
        Err(_) => Probe::Silent,
    }
}
