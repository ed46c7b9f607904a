//! Answered requests that are timed until their reply goes to the client.

use std::sync::Arc;

use crate::insight::Event;
use crate::metrics::Class;
use crate::node::Node;
use crate::runtime::local::Local;

/// An answered request whose way to its client is still to be timed.
#[derive(Debug)]
pub struct Unfinished {
    /// The number of its slot.
    pub number: u32,
    /// When its reply arrived, in microseconds of the worker's clock.
    pub replied: u64,
    /// If it is one of those that are timed for the metrics: its node, its class, and Ringway's own time before.
    pub timed: Option<(Arc<Node>, Class, u64)>,
    /// If it is slow.
    pub slow: Option<Event>,
}

impl Unfinished {
    /// Tells of the request, whose reply is written at `now`.
    pub fn finish(self, now: u64, local: &Local) {
        let after = now.saturating_sub(self.replied);
        if let Some((node, class, before)) = self.timed {
            node.shard(local.worker).own_durations[class as usize].record(before + after);
        }
        if let Some(mut slow) = self.slow {
            slow.times.own += after;
            local.slow.keep(slow);
        }
    }
}
