//! The destination of one reply: a session's queue, a policy that waits for it, or an inspector.

use std::rc::Rc;

use super::inspection::{Inspection, ReplyInspector};
use super::oneshot::{Answer, Pending};
use super::queue::ReplyQueue;
use crate::metrics::NodeShard;
use crate::node::missed::Missed;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply};

/// The destination of one reply.
#[derive(Debug)]
pub enum ReplySlot {
    /// A session's queue.
    Queue(Rc<ReplyQueue>, u32),
    /// One key of a multi-get in a session's queue.
    Key(Rc<ReplyQueue>, u32),
    /// A policy, which computes the reply for its own slot.
    Pending(Rc<Pending>),
    /// A policy that inspects it first.
    Inspected(Inspection),
}

impl ReplySlot {
    /// Returns the slot `number` of a session's queue.
    #[inline]
    pub fn queued(queue: &Rc<ReplyQueue>, number: u32) -> ReplySlot {
        ReplySlot::Queue(queue.clone(), number)
    }

    /// Returns a slot whose reply `inspector` takes.
    pub fn inspected(inspector: impl ReplyInspector + 'static) -> ReplySlot {
        ReplySlot::Inspected(Inspection::new(inspector))
    }

    /// Delivers the reply. A slot that awaits several replies keeps the first error.
    #[inline]
    pub fn fill(self, reply: Reply) {
        match self {
            ReplySlot::Queue(reply_queue, number) => reply_queue.fill(number, reply),
            ReplySlot::Key(reply_queue, number) => reply_queue.fill_key(number, reply),
            ReplySlot::Pending(pending) => pending.fill(reply),
            ReplySlot::Inspected(inspection) => inspection.fill(reply),
        }
    }

    /// Fails a request (`write`, which may also be a read) before anything was sent to the node with the
    /// counters `shard`. `is_fenced`: earlier requests may still arrive, and must be
    /// [settled](Missed::settle).
    #[cold]
    pub fn refuse(
        self,
        write: Write<'_>,
        failure: Failure,
        is_fenced: bool,
        shard: &NodeShard,
        missed: &Missed,
    ) {
        shard.count_unsent(Operation::of_command(write.command, write.flags), failure);
        self.fail(write, failure, is_fenced, missed);
    }

    /// Fails a request, after recording the write that its node missed, also on disk if configured.
    /// `is_sent`: a byte of it, or of what came before it, was written and may still arrive. Returns true if
    /// that must be [settled](Missed::settle).
    #[cold]
    pub fn fail(self, write: Write<'_>, failure: Failure, is_sent: bool, missed: &Missed) -> bool {
        let is_missed =
            write.changes() && !matches!(failure, Failure::Unsupported | Failure::LongKey | Failure::Missed);
        let commit = if is_missed {
            missed.remember(write.key, is_sent)
        } else {
            None
        };
        if failure == Failure::Missed && write.changes() {
            missed.refused(write.key);
        }
        match commit {
            Some(commit) => drop(tokio::task::spawn_local(async move {
                commit.done().await;
                self.fill(Reply::Failed(failure));
            })),
            None => self.fill(Reply::Failed(failure)),
        }
        is_missed && is_sent
    }
}

/// Returns a slot, and the future of its reply.
pub fn pending() -> (ReplySlot, Answer) {
    let pending = Rc::new(Pending::default());
    (ReplySlot::Pending(pending.clone()), Answer(pending))
}
