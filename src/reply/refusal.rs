//! An answer given instead of a node's, once the node has done what memcached would do besides.
//!
//! memcached removes the item if it has no room for the value of a `set`. Ringway refuses such a value
//! itself, and has the item removed; the client reads the refusal once that is done or has failed, whatever
//! the node answers.

use crate::protocol::Reply;
use crate::reply::inspection::ReplyInspector;
use crate::reply::slot::ReplySlot;

/// An answer held back until another reply arrives.
#[derive(Debug)]
struct Refusal {
    slot: ReplySlot,
    answer: Reply,
}

impl ReplySlot {
    /// Returns a slot that takes any reply and then fills this one with `answer`.
    pub fn answering(self, answer: Reply) -> ReplySlot {
        ReplySlot::inspected(Refusal { slot: self, answer })
    }
}

impl ReplyInspector for Refusal {
    fn fill(self: Box<Self>, _reply: Reply) {
        self.slot.fill(self.answer);
    }
}
