//! The recipient of a node's reply, and its deadline.

use crate::link::tell::{Failed, Teller};
use crate::metrics::NodeShard;
use crate::node::missed::Missed;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply};
use crate::reply::slot::ReplySlot;

/// The recipient of one reply. Times are in microseconds of the worker's clock.
#[derive(Debug)]
pub struct PendingReply {
    /// Where the reply is delivered.
    pub slot: ReplySlot,
    /// The request's operation, for the metrics.
    pub operation: Operation,
    /// When the request was read.
    pub started: u64,
    /// When the reply is due.
    pub deadline: u64,
    /// Whether this is the second attempt, after a broken connection; there is no third.
    pub is_retry: bool,
    /// Whether its key is counted when the reply arrives, if it reads; one of several such requests is timed.
    pub is_sampled: bool,
}

/// What it takes to fail requests: the time in microseconds of the worker's clock, the counters, and the
/// record of missed writes.
#[derive(Debug, Clone, Copy)]
pub struct Failing<'a> {
    /// The time.
    pub now: u64,
    /// The node's counters.
    pub shard: &'a NodeShard,
    /// What the node missed.
    pub missed: &'a Missed,
    /// Tells of slow requests.
    pub teller: Option<Teller<'a>>,
}

impl PendingReply {
    /// Counts the request, which was sent, and delivers the reply. The caller updates `in_flight`.
    #[inline]
    pub fn answer(self, reply: Reply, now: u64, shard: &NodeShard) {
        shard.count(self.operation, &reply, now.saturating_sub(self.started));
        self.slot.fill(reply);
    }

    /// Counts a request (`write`, which may also be a read) as failed, and fills its slot after recording
    /// what the node missed. `is_sent`: a byte of it was written. Returns true if it may still arrive.
    #[cold]
    pub fn fail(self, write: Write<'_>, failure: Failure, is_sent: bool, at: Failing<'_>) -> bool {
        let micros = at.now.saturating_sub(self.started);
        if let Some(teller) = at.teller {
            teller.failed(Failed {
                write,
                operation: self.operation,
                failure,
                micros,
                is_sent,
                is_retry: self.is_retry,
            });
        }
        if is_sent || self.is_retry {
            at.shard.count(self.operation, &Reply::Failed(failure), micros);
        } else {
            at.shard.count_unsent(self.operation, failure);
        }
        self.slot.fail(write, failure, is_sent, at.missed)
    }
}
