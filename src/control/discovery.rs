//! Resolves the host names of nodes, again and again.
//!
//! IP addresses need no name server. A failed lookup keeps the known addresses; each change of outcome is
//! logged once. Links read the addresses from the node and never look up a name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::jitter::jittered;
use crate::config::Address;
use crate::control::per_node_tasks::{follow, remote};
use crate::health;
use crate::node::{Node, Remote};
use crate::resolver;
use crate::snapshot::Snapshot;
use crate::state::State;

/// The maximum time to wait for the first addresses of a new node.
pub const LOOKUP: Duration = Duration::from_secs(2);
/// The minimum time for which an answer is used, whatever its TTL.
pub const SHORTEST: Duration = Duration::from_secs(5);
/// The maximum time for which an answer is used.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Keeps the addresses of every node with a host name up to date, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let each = {
        let state = state.clone();
        move |node| keep(state.clone(), node)
    };
    follow(state, each).await;
}

/// Sets the addresses of all nodes that have an IP address, without any lookup.
pub fn resolve_literals(snapshot: &Snapshot) {
    for node in &snapshot.nodes {
        if let (Some(remote), Some(address)) = (remote(node), literal(&node.address)) {
            note(remote, vec![address]);
        }
    }
}

/// Looks up the nodes without known addresses, all at once and for at most `patience`. Those that take
/// longer stay without.
pub async fn resolve_new(snapshot: &Snapshot, patience: Duration) {
    resolve_literals(snapshot);
    let mut lookups = JoinSet::new();
    for node in &snapshot.nodes {
        let node = node.clone();
        lookups.spawn(async move { resolve_once(&node, patience).await });
    }
    while lookups.join_next().await.is_some() {}
}

/// Looks up one node, for at most `patience`, if it has no known address.
pub(super) async fn resolve_once(node: &Node, patience: Duration) {
    let is_unknown = remote(node).is_some_and(|remote| remote.resolved.load().is_empty());
    if is_unknown && timeout(patience, look_up(node)).await.is_err() {
        warn!(
            pool = node.pool,
            node = node.label,
            "the node's name is still being looked up"
        );
    }
}

/// Keeps the addresses of one node up to date.
async fn keep(state: Arc<State>, node: Arc<Node>) {
    if literal(&node.address).is_some() {
        resolve_once(&node, LOOKUP).await;
        return;
    }
    let mut failing = false;
    let mut moves = 0;
    while let Some(outcome) = look_up(&node).await {
        let now = remote(&node).map_or(0, Remote::moves);
        if now != moves {
            moves = now;
            // Idle links must check it too.
            state.tell();
        }
        let holds = outcome.as_ref().map_or(SHORTEST, |holds| *holds);
        failing = match (outcome, failing) {
            (Err(error), false) => {
                warn!(pool = node.pool, node = node.label, %error, "cannot look up the node's name");
                true
            }
            (Ok(_), true) => {
                info!(
                    pool = node.pool,
                    node = node.label,
                    "the node's name can be looked up again"
                );
                false
            }
            (_, failing) => failing,
        };
        rest(&node, holds).await;
    }
}

/// Waits while an answer is valid, and no longer than [`SHORTEST`] if the node fails: it may have moved by
/// now.
async fn rest(node: &Node, holds: Duration) {
    let until = Instant::now() + jittered(holds);
    loop {
        let step = Instant::now() + jittered(SHORTEST);
        sleep_until(step.min(until)).await;
        if Instant::now() >= until || node.state() != health::State::Up {
            return;
        }
    }
}

/// Looks up one node and stores the result. Returns how long that is valid; `None` if the node has no host.
async fn look_up(node: &Node) -> Option<Result<Duration, resolver::Error>> {
    let remote = remote(node)?;
    let Address::Tcp { host, port, .. } = &node.address else {
        return None;
    };
    if let Some(address) = literal(&node.address) {
        note(remote, vec![address]);
        return Some(Ok(LONGEST));
    }
    let found = resolver::of(node.resolver).sockets(host, *port).await;
    Some(found.map(|found| {
        note_found(node, remote, found.records);
        found.ttl.clamp(SHORTEST, LONGEST)
    }))
}

fn note_found(node: &Node, remote: &Remote, addresses: Vec<SocketAddr>) {
    if note(remote, addresses) {
        let addresses = remote.resolved.load();
        info!(
            pool = node.pool,
            node = node.label,
            ?addresses,
            "the node's name leads to these addresses"
        );
    }
}

/// Stores `addresses` if they differ from the known ones, ignoring their order: name servers rotate it in
/// each answer, and links would be replaced for nothing. Returns whether they differed.
fn note(remote: &Remote, addresses: Vec<SocketAddr>) -> bool {
    let known = remote.resolved.load();
    let same = known.len() == addresses.len() && addresses.iter().all(|address| known.contains(address));
    if !same {
        remote.lead_to(addresses);
    }
    !same
}

fn literal(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Tcp { host, port, .. } => Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, *port)),
        Address::Unix { .. } | Address::Embedded(_) | Address::Undiscovered => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{self, eventually};

    fn addresses(state: &State, index: usize) -> Vec<SocketAddr> {
        let snapshot = state.snapshot.load();
        remote(&snapshot.nodes[index]).unwrap().resolved.load().to_vec()
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ip_addresses_stand_for_themselves() {
        let state =
            testing::state("pools: {main: {nodes: ['10.0.0.1:11211', '[::1]:11212', 'unix:/tmp/m.sock']}}");
        resolve_literals(&state.snapshot.load());
        assert_eq!(addresses(&state, 0), [socket("10.0.0.1:11211")]);
        assert_eq!(addresses(&state, 1), [socket("[::1]:11212")]);
        assert_eq!(addresses(&state, 2), []);
    }

    #[tokio::test]
    async fn names_are_looked_up_for_a_new_snapshot() {
        let state = testing::state("pools: {main: {nodes: ['localhost:11213']}}");
        resolve_new(&state.snapshot.load_full(), Duration::from_secs(10)).await;
        let found = addresses(&state, 0);
        assert!(!found.is_empty());
        assert!(
            found
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 11213)
        );
    }

    #[tokio::test]
    async fn the_task_finds_names_and_those_that_a_reload_brings() {
        let state = testing::state("pools: {main: {nodes: ['localhost:11213']}}");
        tokio::spawn(run(state.clone()));
        eventually("the first name is known", || !addresses(&state, 0).is_empty()).await;
        let next = testing::config("pools: {main: {nodes: ['localhost:11213', '127.0.0.1:7']}}");
        state.publish(Snapshot::build(next, Some(&state.snapshot.load())));
        eventually("the second too", || {
            addresses(&state, 1) == [socket("127.0.0.1:7")]
        })
        .await;
    }

    #[test]
    fn addresses_in_another_order_are_no_change() {
        let remote = Remote::default();
        let (a, b, c) = (socket("10.0.0.1:1"), socket("10.0.0.2:1"), socket("10.0.0.3:1"));
        assert!(note(&remote, vec![a, b]));
        assert!(!note(&remote, vec![b, a]));
        assert_eq!(**remote.resolved.load(), [a, b]);
        assert!(note(&remote, vec![b, c]));
        assert!(note(&remote, vec![b]));
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_keeps_the_addresses_it_had() {
        let state = testing::state("pools: {main: {nodes: ['[fe80::1%nowhere0]:11211']}}");
        let node = state.snapshot.load().nodes[0].clone();
        note_found(&node, remote(&node).unwrap(), vec![socket("10.0.0.1:11211")]);
        assert!(look_up(&node).await.unwrap().is_err());
        assert_eq!(addresses(&state, 0), [socket("10.0.0.1:11211")]);
    }
}
