//! Asks every memcached node for its version, over and over: that is how a node that is down is found
//! to be back, and how links know what a node understands.
//!
//! A probe goes over a connection of its own, kept from one probe to the next. A node that closes it
//! between probes (memcached's `-o idle_timeout`, a restart) did not fail, nor did one whose connection a
//! firewall forgot, so that nothing comes back: only a fresh connection tells. What follows from a failure is decided by
//! the node's health. Over each fresh connection it asks once how large an item may be there: values that the node takes
//! and the pool does not are misses, and somebody has to hear of that.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::discovery::{LOOKUP, resolve_once};
use super::jitter::jittered;
use super::probe_client::Connection;
use super::rejoin::{LogOnChange, rejoin};
use super::replay;
use crate::config::{Address, Rejoin};
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

/// Probes one node for as long as its pool is there.
async fn keep_probing(state: Arc<State>, node: Arc<Node>) {
    let Some(remote) = remote(&node) else {
        return;
    };
    // At the very start the name may not be known yet: that is no failure of the node.
    resolve_once(&node, LOOKUP).await;
    let (mut kept, mut complaint) = (None, LogOnChange::default());
    let mut sizes = Sizes::default();
    loop {
        // Read each time: a reload may have changed the settings.
        let Some(settings) = settings(&state, &node) else {
            return;
        };
        match probe(&mut kept, &node.address, remote, settings).await {
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
                // What it may still answer belongs to no later question.
                kept = None;
            }
            complaint.note(&node, result);
        }
        sizes.ask(&node, remote, settings, &mut kept).await;
        sleep(jittered(node.until_probe())).await;
    }
}

/// Before a node takes requests again what it missed is deleted there.
async fn catch_up(state: &State, node: &Node, kept: &mut Option<Connection>) {
    if node.state().takes_requests() {
        return;
    }
    if let (Some(connection), Some(settings)) = (kept.as_mut(), replay::settings(state, node))
        && replay::catch_up(node, connection, settings).await.is_err()
    {
        // What it may still answer belongs to no later question.
        *kept = None;
    }
}

/// What the pool's settings say of probes.
#[derive(Debug, Clone, Copy)]
struct Settings {
    connect: Duration,
    answer: Duration,
    rejoin: Rejoin,
    max_value_size: u64,
}

fn settings(state: &State, node: &Node) -> Option<Settings> {
    let snapshot = state.snapshot.load();
    let pool = snapshot.config.pools.get(&node.pool)?;
    Some(Settings {
        connect: pool.connect_timeout,
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

/// What is asked of the size of a node's items.
#[derive(Debug, Default)]
struct Sizes {
    /// The node did not bear the question: it is spared from now on.
    is_refused: bool,
    /// What the log said last: what the node allows and what the pool does.
    told: Option<(u64, u64)>,
}

impl Sizes {
    /// Asks the node over a connection that is new. Says so if it allows larger values than its pool.
    async fn ask(&mut self, node: &Node, remote: &Remote, settings: Settings, kept: &mut Option<Connection>) {
        if let Some(connection) = kept.as_mut().filter(|kept| !kept.asked_size && !self.is_refused) {
            connection.asked_size = true;
            match connection.item_size_max(settings.answer).await {
                Ok(size) => remote.item_size_max.store(size.unwrap_or_default(), Relaxed),
                Err(error) => {
                    debug!(pool = node.pool, node = node.label, %error, "node does not tell its item_size_max");
                    self.is_refused = true;
                    // What it may still answer belongs to no later question.
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

/// One probe, over the `kept` connection where that still serves. Answers with the node's version.
async fn probe(
    kept: &mut Option<Connection>,
    address: &Address,
    remote: &Remote,
    settings: Settings,
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
    let mut connection = Connection::dial(address, &resolved, settings.connect).await?;
    let version = connection.version(settings.answer).await?;
    *kept = Some(connection);
    Ok(version)
}

/// True for failures that may be those of the connection, and not of the node.
fn is_lost(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof
    )
}

#[cfg(test)]
mod tests;
