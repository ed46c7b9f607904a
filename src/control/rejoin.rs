//! Lets a node that left its ring take keys again, once its items can do no harm.
//!
//! While a node is out of the ring its keys are written elsewhere, so its items may be old. It is safe if
//! it is empty: memcached was restarted since it left, which its uptime proves, or it is flushed now.
//! `rejoin: trust` accepts it as it is, `rejoin: manual` leaves it to an operator.
//!
//! If there are several sidecars, each clears a node that *it* had removed, right before *it* sends keys
//! there again. So a sidecar that reads a node has seen it cleared after its own last write elsewhere,
//! whatever the others did. The price is hits: the last sidecar to come back flushes what the first ones
//! have stored meanwhile.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::probe_client::ProbeConnection;
use crate::config::Rejoin;
use crate::metrics::NodeShard;
use crate::node::{Kind, Node};
use crate::protocol::{Command, Request};

/// Admits `node`, which answers its probes on `connection`, if it has left its ring and `how` allows it.
/// Each answer may take `limit`.
///
/// # Errors
/// The node's failure to answer as expected; it stays out, and the caller may try again.
pub async fn rejoin(
    node: &Node,
    how: Rejoin,
    connection: &mut ProbeConnection,
    limit: Duration,
) -> io::Result<()> {
    let Some(left_at) = leaver(node) else {
        return Ok(());
    };
    // Requests that were sent before it left may still be executed. Links give them up soon.
    if how == Rejoin::Manual || has_outstanding(node) {
        return Ok(());
    }
    if how == Rejoin::Flush && !was_restarted(left_at, connection, limit).await? {
        connection.flush(limit).await?;
        node.membership.count_flush();
        info!(pool = node.pool, node = node.label, "node flushed");
    }
    admit(node);
    Ok(())
}

/// Admits an embedded node that an operator drained before.
pub fn rejoin_embedded(node: &Node, how: Rejoin) {
    let Kind::Embedded(cache) = &node.kind else { return };
    if leaver(node).is_none() || how == Rejoin::Manual {
        return;
    }
    if how == Rejoin::Flush {
        cache.execute(&Request::new(Command::FlushAll, b""));
        node.membership.count_flush();
    }
    admit(node);
}

/// Lets `node` into its ring, whatever it holds.
pub fn admit(node: &Node) {
    node.admit();
    info!(pool = node.pool, node = node.label, "node admitted to the ring");
}

/// When `node` left its ring, if only its items keep it out.
fn leaver(node: &Node) -> Option<Instant> {
    let is_ready = node.state().takes_requests() && !node.membership.is_drained();
    node.membership.left_at().filter(|_| is_ready)
}

fn has_outstanding(node: &Node) -> bool {
    node.sum(|shard: &NodeShard| &shard.in_flight) > 0
}

async fn was_restarted(
    left_at: Instant,
    connection: &mut ProbeConnection,
    limit: Duration,
) -> io::Result<bool> {
    let uptime = connection.uptime(limit).await?;
    Ok(uptime.is_some_and(|uptime| uptime < left_at.elapsed().as_secs()))
}

/// Logs why a node stays out, once and again when the reason changes.
#[derive(Debug, Default)]
pub struct LogOnChange(String);

impl LogOnChange {
    /// Takes the outcome of the last attempt.
    pub fn note(&mut self, node: &Node, result: io::Result<()>) {
        let reason = result.err().map(|error| error.to_string()).unwrap_or_default();
        if !reason.is_empty() && reason != self.0 {
            warn!(
                pool = node.pool,
                node = node.label,
                reason,
                "node stays out of the ring: it cannot be flushed; restart it, or see `rejoin`"
            );
        }
        self.0 = reason;
    }
}
