//! Who waits for a node's reply: the slot that it lands in, and for how long.

use super::slots::Slot;
use crate::metrics::NodeShard;
use crate::protocol::{Command, Reply};

/// Who waits for one reply. Times are in microseconds of the worker's clock.
#[derive(Debug)]
pub struct Waiter {
    /// Where the reply goes.
    pub slot: Slot,
    /// When the request was read.
    pub started: u64,
    /// When the reply is due.
    pub deadline: u64,
    /// The connection broke under the request before, and it is not sent a third time.
    pub is_retry: bool,
}

impl Waiter {
    /// Counts the request and fills its slot. That it is in flight no more is for the caller to count.
    #[inline]
    pub fn answer(self, command: Command, reply: Reply, now: u64, shard: &NodeShard) {
        shard.count(command, &reply, now.saturating_sub(self.started));
        self.slot.fill(reply);
    }
}
