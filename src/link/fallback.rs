//! Requests to a fallback node: the copies that they leave there are recorded before they are sent, and on
//! disk, if configured, before the clients read that they succeeded.
//!
//! [`copying`](crate::node::missed::copying) explains which requests, and why that suffices.

use std::sync::Arc;

use bytes::Bytes;

use crate::journal::Commit;
use crate::node::Node;
use crate::node::missed::copying::{Fallback, leaves_copy};
use crate::node::missed::write::Write;
use crate::protocol::{Reply, Request};
use crate::reply::inspection::ReplyInspector;
use crate::reply::slot::ReplySlot;

/// Records what `request` may leave at `node`, its fallback node, and returns the slot to send it with.
pub fn remember(node: &Arc<Node>, request: &Request<'_>, slot: ReplySlot, fallback: Fallback) -> ReplySlot {
    if !leaves_copy(request) {
        return slot_after_commit(node, request, slot);
    }
    let noted = node.missed.copy(request.key, fallback.ring, fallback.expires);
    if !noted.is_remembered {
        return slot_after_commit(node, request, slot);
    }
    ReplySlot::inspected(Copying {
        node: node.clone(),
        key: Bytes::copy_from_slice(request.key),
        commit: noted.commit,
        slot: Some(slot),
    })
}

/// Returns the slot for a request to the fallback node `node` that leaves no copy. Before its client reads
/// that a write succeeded, it must be on disk that the primary node, which has an older value, is out of
/// its ring.
pub fn slot_after_commit(node: &Node, request: &Request<'_>, slot: ReplySlot) -> ReplySlot {
    let commit = Write::from(request).changes().then(|| node.missed.commit());
    match commit.flatten() {
        Some(commit) => ReplySlot::inspected(Committing { commit, slot }),
        None => slot,
    }
}

/// A write in flight to a fallback node.
#[derive(Debug)]
struct Copying {
    node: Arc<Node>,
    key: Bytes,
    commit: Option<Commit>,
    /// `None` once it is filled.
    slot: Option<ReplySlot>,
}

impl ReplyInspector for Copying {
    fn fill(mut self: Box<Self>, reply: Reply) {
        // A failure is recorded separately, and in flight by its own account.
        self.node.missed.settle(&self.key, false);
        let slot = self.slot.take().expect("it is filled once");
        match self.commit.take() {
            Some(commit) => fill_after(commit, slot, reply),
            None => slot.fill(reply),
        }
    }
}

/// A write whose reply waits for the disk.
#[derive(Debug)]
struct Committing {
    commit: Commit,
    slot: ReplySlot,
}

impl ReplyInspector for Committing {
    fn fill(self: Box<Self>, reply: Reply) {
        fill_after(self.commit, self.slot, reply);
    }
}

fn fill_after(commit: Commit, slot: ReplySlot, reply: Reply) {
    tokio::task::spawn_local(async move {
        commit.done().await;
        slot.fill(reply);
    });
}

impl Drop for Copying {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.node.missed.settle(&self.key, true);
        }
    }
}
