//! Where one reply must land: in a session's queue, with a policy that waits for it, or with one that looks at it first.

use std::fmt;
use std::rc::Rc;

use super::oneshot::{Answer, Pending};
use super::queue::ReplyQueue;
use crate::metrics::NodeShard;
use crate::node::missed::Missed;
use crate::node::missed::write::Write;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply};

/// Looks at a reply on its way to where it must land.
pub trait ReplyInspector: fmt::Debug {
    /// Takes the reply. A link may be in the middle of its turn, so nothing is sent from here.
    fn fill(self: Box<Self>, reply: Reply);
}

/// The place where one reply must land.
#[derive(Debug)]
pub enum ReplySlot {
    /// In a session's queue.
    Queue(Rc<ReplyQueue>, u32),
    /// With a policy, which makes of it what its own slot gets.
    Pending(Rc<Pending>),
    /// With a policy that looks at it first. Boxed twice, so that the slots of plain requests stay small.
    Inspected(Box<Box<dyn ReplyInspector>>),
}

impl ReplySlot {
    /// The slot with this `number` in a session's queue.
    #[inline]
    pub fn queued(queue: &Rc<ReplyQueue>, number: u32) -> ReplySlot {
        ReplySlot::Queue(queue.clone(), number)
    }

    /// Puts the reply in its place. A slot that awaits several replies keeps the first that is an error.
    #[inline]
    pub fn fill(self, reply: Reply) {
        match self {
            ReplySlot::Queue(reply_queue, number) => reply_queue.fill(number, reply),
            ReplySlot::Pending(pending) => pending.fill(reply),
            ReplySlot::Inspected(inspector) => (*inspector).fill(reply),
        }
    }

    /// Fails `write`, which may be a read too, at once, before anything was sent to the node that `shard` counts.
    #[cold]
    pub fn refuse(self, write: Write<'_>, failure: Failure, shard: &NodeShard, missed: &Missed) {
        shard.count_unsent(Operation::of_command(write.command, write.flags), failure);
        self.fail(write, failure, false, missed);
    }

    /// Fails a request, after what its node missed is remembered, and on disk if that is kept there. `is_sent`: a byte of
    /// it was written, so it may still arrive. Returns true if it may, and must be [settled](Missed::settle).
    #[cold]
    pub fn fail(self, write: Write<'_>, failure: Failure, is_sent: bool, missed: &Missed) -> bool {
        let is_asked = !matches!(failure, Failure::Unsupported | Failure::LongKey | Failure::Missed);
        let is_missed = is_asked && write.changes();
        let commit = if is_missed {
            missed.remember(write.key, is_sent)
        } else {
            None
        };
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

/// A slot, and the reply that lands in it.
pub fn pending() -> (ReplySlot, Answer) {
    let pending = Rc::new(Pending::default());
    (ReplySlot::Pending(pending.clone()), Answer(pending))
}
