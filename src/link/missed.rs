//! Requests for keys of which the node missed a write: for such a key the node counts as down.
//!
//! | request for a recorded key | what happens |
//! |---|---|
//! | set, ms without a condition, delete, md without one | sent if nothing of the key is in flight; its success clears the key |
//! | flush_all | sent |
//! | everything else, and those while something is in flight | fails without being sent |
//! | delete of a key in a handover ([`pass_delete`]) | sent |
//!
//! So a read is a miss, or goes to the next route of a `failover`, as if the node were down. A set that
//! were sent while an older write may still arrive could be overwritten by it, and an add could tell two
//! clients that theirs was stored: the pending delete would remove either.

use std::sync::Arc;

use crate::node::Node;
use crate::node::missed::Due;
use crate::protocol::operation::{Operation, is_plain_delete};
use crate::protocol::{Reply, Request};
use crate::reply::inspection::ReplyInspector;
use crate::reply::slot::ReplySlot;

/// Returns the slot to send `request` to `node` with, which missed some write.
///
/// # Errors
/// The slot, if the request must not be sent: the caller fails it.
#[cold]
pub fn pass(node: &Arc<Node>, request: &Request<'_>, slot: ReplySlot) -> Result<ReplySlot, ReplySlot> {
    let slot = match replaces(request) {
        true => match clearing(node, request, slot) {
            Ok(clearing) => return Ok(clearing),
            Err(slot) => slot,
        },
        false => slot,
    };
    // A set or delete that cannot clear the key, because an older write may still arrive, is barred
    // like any other request.
    match node.missed.bars(request) {
        true => Err(slot),
        false => Ok(slot),
    }
}

/// Returns the slot to send a plain delete to `node` with whatever that missed, for a node at which the key is not
/// read: what matters is that it does not have the key now.
#[cold]
pub fn pass_delete(node: &Arc<Node>, request: &Request<'_>, slot: ReplySlot) -> ReplySlot {
    clearing(node, request, slot).unwrap_or_else(|slot| slot)
}

/// Returns the slot to send `request` with, which replaces or removes the item, if its success clears the key.
///
/// # Errors
/// The slot, if it clears nothing: no write of the key was missed, or an older one may still arrive.
fn clearing(node: &Arc<Node>, request: &Request<'_>, slot: ReplySlot) -> Result<ReplySlot, ReplySlot> {
    let Some(due) = node.missed.begin_clearing(request.key) else {
        return Err(slot);
    };
    Ok(ReplySlot::inspected(Clearing {
        node: node.clone(),
        due,
        slot,
    }))
}

/// Whether the request ignores the old item and leaves nothing of it.
pub fn replaces(request: &Request<'_>) -> bool {
    Operation::of(request) == Operation::Set || is_plain_delete(request)
}

/// A write in flight that replaces or removes the old item.
#[derive(Debug)]
struct Clearing {
    node: Arc<Node>,
    due: Due,
    slot: ReplySlot,
}

impl ReplyInspector for Clearing {
    fn fill(self: Box<Self>, reply: Reply) {
        // Only success proves that the node executed this write. A refusal (too large, no memory) may
        // have left the old item.
        let is_done = match &reply {
            Reply::Done | Reply::NotFound => true,
            Reply::Meta(meta) => [&b"HD"[..], b"NF"]
                .iter()
                .any(|status| meta.line().starts_with(status)),
            _ => false,
        };
        self.node.missed.end_clearing(self.due, is_done);
        self.slot.fill(reply);
    }
}
