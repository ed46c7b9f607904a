//! What becomes of a request for a key that its node missed a write of: for that key the node counts as down.
//!
//! | request for a remembered key | what happens |
//! |---|---|
//! | set, ms without a condition, delete | sent where nothing is on its way: once it is answered as done the key is clear |
//! | flush_all | sent |
//! | everything else, and those while something is on its way | fails, without being sent |
//!
//! So a read is a miss, or goes on to the next pool of a `failover`, as on a node that is down. A set that were sent
//! while an older write may still arrive could not be believed, and an add could let two clients believe that theirs is
//! the one that stands: the delete that is to come would take it away.

use std::sync::Arc;

use crate::node::Node;
use crate::node::missed::Due;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::reply::slot::{ReplyInspector, ReplySlot};

/// The slot in which the reply to `request` is to land, if it is sent to `node`, which missed something.
///
/// # Errors
/// The slot, if it is not sent: it fails.
#[cold]
pub fn pass(node: &Arc<Node>, request: &Request<'_>, slot: ReplySlot) -> Result<ReplySlot, ReplySlot> {
    if replaces(request)
        && let Some(due) = node.missed.clearable(request.key)
    {
        return Ok(ReplySlot::Inspected(Box::new(Box::new(Clearing {
            node: node.clone(),
            due,
            slot,
        }))));
    }
    match node.missed.bars(request) {
        true => Err(slot),
        false => Ok(slot),
    }
}

/// Whether it depends on nothing that is there, and leaves nothing of it.
pub fn replaces(request: &Request<'_>) -> bool {
    Operation::of(request) == Operation::Set || request.command == Command::Delete
}

/// A write on its way that replaces, or removes, whatever is old.
#[derive(Debug)]
struct Clearing {
    node: Arc<Node>,
    due: Due,
    slot: ReplySlot,
}

impl ReplyInspector for Clearing {
    fn fill(self: Box<Self>, reply: Reply) {
        let is_done = match &reply {
            Reply::Done | Reply::NotFound => true,
            Reply::Meta(meta) => meta.line().starts_with(b"HD"),
            _ => false,
        };
        if is_done {
            self.node.missed.clear(&[self.due]);
        }
        self.slot.fill(reply);
    }
}
