//! Probes every memcached node by asking for its version: this detects that a node is back, and tells links
//! what it understands.
//!
//! A probe uses a connection of its own, which is kept from one probe to the next. A node that closes it
//! between probes (memcached's `-o idle_timeout`, a restart) did not fail, nor did one whose connection a
//! firewall forgot, so that no answer arrives: only a fresh connection is conclusive. The node's health
//! decides what follows from a failure. On each fresh connection the prober also asks for the maximum item
//! size: values that the node accepts and the pool does not are misses, and operators must be warned of
//! that.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::discovery::{LOOKUP, resolve_once};
use super::jitter::jittered;
use super::probe_client::ProbeConnection;
use super::rejoin::{LogOnChange, rejoin};
use super::replay;
use crate::config::{Address, Protection, Rejoin};
use crate::control::per_node_tasks::{follow, remote};
use crate::node::{Node, Remote};
use crate::state::State;

/// Probes every node, new ones at once, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let each = {
        let state = state.clone();
        move |node| keep_probing(state.clone(), node)
    };
    follow(state, each).await;
}

/// Probes one node for as long as its pool exists.
async fn keep_probing(state: Arc<State>, node: Arc<Node>) {
    let Some(remote) = remote(&node) else {
        return;
    };
    // At the very start the name may not be resolved yet: that is not a failure of the node.
    resolve_once(&node, LOOKUP).await;
    let (mut kept, mut complaint) = (None, LogOnChange::default());
    let mut sizes = Sizes::default();
    loop {
        // Read each time: a reload may have changed the settings.
        let Some(settings) = settings(&state, &node) else {
            return;
        };
        match probe(&mut kept, &node.address, remote, &settings).await {
            Ok(version) => {
                note_version(&node, remote, version);
                catch_up(&state, &node, &mut kept).await;
                node.probed();
            }
            Err(error) => node.probe_failed(&format!("probe: {error}")),
        }
        if let Some(connection) = &mut kept {
            let result = rejoin(&node, settings.rejoin, connection, settings.answer).await;
            if result.is_err() {
                // A late answer must not be taken for that of a later question.
                kept = None;
            }
            complaint.note(&node, result);
        }
        sizes.ask(&node, remote, &settings, &mut kept).await;
        sleep(jittered(node.until_probe())).await;
    }
}

/// Deletes what a node missed before it takes requests again.
async fn catch_up(state: &State, node: &Node, kept: &mut Option<ProbeConnection>) {
    if node.state().takes_requests() {
        return;
    }
    if let (Some(connection), Some(settings)) = (kept.as_mut(), replay::settings(state, node))
        && replay::catch_up(node, connection, &settings).await.is_err()
    {
        // A late answer must not be taken for that of a later question.
        *kept = None;
    }
}

/// The pool's settings for probes.
#[derive(Debug, Clone)]
struct ProbeSettings {
    connect: Duration,
    protection: Protection,
    answer: Duration,
    rejoin: Rejoin,
    max_value_size: u64,
}

fn settings(state: &State, node: &Node) -> Option<ProbeSettings> {
    let snapshot = state.snapshot.load();
    let pool = snapshot.config.pools.get(&node.pool)?;
    Some(ProbeSettings {
        connect: pool.connect_timeout,
        protection: pool.protection.clone(),
        answer: pool.health.probe_timeout,
        rejoin: pool.rejoin,
        max_value_size: pool.max_value_size as u64,
    })
}

fn note_version(node: &Node, remote: &Remote, version: String) {
    if **remote.version.load() != version {
        info!(
            pool = node.pool,
            node = node.label,
            version,
            "node gave its version"
        );
        remote.version.store(Arc::new(version));
    }
}

/// The state of asking for a node's maximum item size.
#[derive(Debug, Default)]
struct Sizes {
    /// Whether the node failed to answer the question: then it is not asked again.
    is_refused: bool,
    /// The last logged limits: the node's and the pool's.
    told: Option<(u64, u64)>,
}

impl Sizes {
    /// Asks the node on a new connection. Logs if it allows larger values than its pool.
    async fn ask(
        &mut self,
        node: &Node,
        remote: &Remote,
        settings: &ProbeSettings,
        kept: &mut Option<ProbeConnection>,
    ) {
        if let Some(connection) = kept.as_mut().filter(|kept| !kept.asked_size && !self.is_refused) {
            connection.asked_size = true;
            match connection.item_size_max(settings.answer).await {
                Ok(size) => remote.item_size_max.store(size.unwrap_or_default(), Relaxed),
                Err(error) => {
                    debug!(pool = node.pool, node = node.label, %error, "node does not tell its item_size_max");
                    self.is_refused = true;
                    // A late answer must not be taken for that of a later question.
                    *kept = None;
                }
            }
        }
        let sizes = (remote.item_size_max.load(Relaxed), settings.max_value_size);
        if sizes.0 > sizes.1 && self.told != Some(sizes) {
            self.told = Some(sizes);
            let (item_size_max, max_value_size) = sizes;
            warn!(
                pool = node.pool,
                node = node.label,
                item_size_max,
                max_value_size,
                "node allows larger values than its pool: those are misses; raise `max_value_size`, or lower -I there"
            );
        }
    }
}

/// Probes once, on the `kept` connection if that still works. Returns the node's version.
async fn probe(
    kept: &mut Option<ProbeConnection>,
    address: &Address,
    remote: &Remote,
    settings: &ProbeSettings,
) -> io::Result<String> {
    let resolved = remote.resolved.load_full();
    if let Some(mut connection) = kept.take().filter(|kept| kept.leads_to(&resolved)) {
        match connection.version(settings.answer / 2).await {
            Ok(version) => {
                *kept = Some(connection);
                return Ok(version);
            }
            Err(error) if is_lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let mut connection =
        ProbeConnection::dial(address, &resolved, &settings.protection, settings.connect).await?;
    let version = connection.version(settings.answer).await?;
    *kept = Some(connection);
    Ok(version)
}

/// Returns true for failures that may be the connection's and not the node's.
fn is_lost(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof
    )
}

#[cfg(test)]
mod tests;
