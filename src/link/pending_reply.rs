//! Who waits for a node's reply: the slot that it lands in, and for how long.

use crate::metrics::NodeShard;
use crate::node::missed::Missed;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply};
use crate::reply::slot::ReplySlot;

/// Who waits for one reply. Times are in microseconds of the worker's clock.
#[derive(Debug)]
pub struct PendingReply {
    /// Where the reply goes.
    pub slot: ReplySlot,
    /// What the request does, to be counted.
    pub operation: Operation,
    /// When the request was read.
    pub started: u64,
    /// When the reply is due.
    pub deadline: u64,
    /// The connection broke under the request before, and it is not sent a third time.
    pub is_retry: bool,
}

/// When requests fail, in microseconds of the worker's clock, where that is counted, and where it is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Failing<'a> {
    /// The time.
    pub now: u64,
    /// The node's counters.
    pub shard: &'a NodeShard,
    /// What the node missed.
    pub missed: &'a Missed,
}

impl PendingReply {
    /// Counts the request, which was sent, and fills its slot. That it is in flight no more is for the caller to
    /// count.
    #[inline]
    pub fn answer(self, reply: Reply, now: u64, shard: &NodeShard) {
        shard.count(self.operation, &reply, now.saturating_sub(self.started));
        self.slot.fill(reply);
    }

    /// Counts `write`, which may be a read too, as failed, and fills its slot once what it missed is remembered.
    /// `is_sent`: a byte of it was written. Returns true if it may still arrive.
    #[cold]
    pub fn fail(self, write: Write<'_>, failure: Failure, is_sent: bool, at: Failing<'_>) -> bool {
        if is_sent || self.is_retry {
            let micros = at.now.saturating_sub(self.started);
            at.shard.count(self.operation, &Reply::Failed(failure), micros);
        } else {
            at.shard.count_unsent(self.operation, failure);
        }
        self.slot.fail(write, failure, is_sent, at.missed)
    }
}
