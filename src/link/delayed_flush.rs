//! `flush_all` with a delay for a Valkey or Redis, which has none: this process waits in its place.
//!
//! When the time has come the node counts as one that missed a flush_all ([`missed`](crate::node::missed)): every key is a
//! miss until it is flushed, also if it cannot be reached just then. A later flush_all replaces one that is pending, as
//! in memcached, so a node has one at most. A process that ends meanwhile flushes nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::metrics::NodeShard;
use crate::node::{Kind, Node};
use crate::protocol::operation::Operation;
use crate::protocol::resp::expiry::Expiry;
use crate::protocol::{Command, Reply, Request};
use crate::reply::slot::ReplySlot;

/// Answers `request` if it is a flush_all that must wait; returns `slot` if it may be sent.
#[cold]
pub fn delay(
    node: &Arc<Node>,
    request: &Request<'_>,
    slot: ReplySlot,
    shard: &NodeShard,
) -> Option<ReplySlot> {
    let Kind::Remote(remote) = &node.kind else {
        return Some(slot);
    };
    let wait = match Expiry::of(request.exptime) {
        Expiry::Never | Expiry::Now => Duration::ZERO,
        Expiry::After(millis) => Duration::from_millis(millis.unsigned_abs()),
        Expiry::At(millis) => Duration::from_millis(millis.unsigned_abs()).saturating_sub(unix_time()),
    };
    if wait.is_zero() {
        remote.flush.set(None);
        return Some(slot);
    }
    if remote.flush.set(Some(Instant::now() + wait)) {
        tokio::task::spawn_local(flush_when_due(node.clone()));
    }
    shard.count(Operation::FlushAll, &Reply::Done, 0);
    slot.fill(Reply::Done);
    None
}

/// Lets `node` miss a flush_all once the pending one is due.
async fn flush_when_due(node: Arc<Node>) {
    if let Kind::Remote(remote) = &node.kind
        && remote.flush.due().await
    {
        // What is written to the disk for it needs no wait: no client does.
        drop(node.missed.remember(b"", false));
    }
}

/// Whether `request` to `node` is for [`delay`].
#[inline]
pub fn concerns(node: &Node, request: &Request<'_>) -> bool {
    request.command == Command::FlushAll && node.address.is_valkey()
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
