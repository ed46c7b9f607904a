//! An answer that is given in a node's place, once the node has done what memcached does beside it.
//!
//! memcached removes the item when it has no room for the value of a `set`. Ringway refuses such a value itself, and
//! has the item removed; the client reads the refusal when that is done, or has failed, whatever the node says to it.

use crate::protocol::Reply;
use crate::reply::slot::{ReplyInspector, ReplySlot};

/// An answer that waits for another reply.
#[derive(Debug)]
struct Refusal {
    slot: ReplySlot,
    answer: Reply,
}

impl ReplySlot {
    /// A slot that takes any reply and fills this one with `answer` then.
    pub fn answering(self, answer: Reply) -> ReplySlot {
        ReplySlot::Inspected(Box::new(Box::new(Refusal { slot: self, answer })))
    }
}

impl ReplyInspector for Refusal {
    fn fill(self: Box<Self>, _reply: Reply) {
        self.slot.fill(self.answer);
    }
}
