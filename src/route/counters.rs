//! Counters for the policies of a route: one shard per worker, as for nodes.

use std::fmt;

use crate::counter::Counter;

/// Defines the enum of events, and their names, from one table.
macro_rules! events {
    ($($(#[$doc:meta])* $Event:ident = $name:literal,)*) => {
        /// An event in a policy. Each variant is a value of the metrics' label `event`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Event {
            $($(#[$doc])* $Event,)*
        }

        impl Event {
            const COUNT: usize = [$($name),*].len();

            /// The event's name in the metrics.
            pub fn name(self) -> &'static str {
                match self { $(Event::$Event => $name,)* }
            }
        }
    };
}

events! {
    /// The request was sent to another route.
    Failover = "failover",
    /// The request was not sent to another route, because the budget was spent.
    OverBudget = "over_budget",
    /// The request was sent to a second replica too, because the first was slow.
    Hedged = "hedged",
    /// The key was found in the second route.
    Found = "found",
    /// The value was copied to the first route.
    Filled = "filled",
    /// A copy of the request was sent.
    Copied = "copied",
    /// No copy was sent: too many are in flight.
    Dropped = "dropped",
    /// Both routes had the same value, or neither had one.
    Same = "same",
    /// The values, or their flags, differ.
    Differs = "differs",
    /// Only the original found the key.
    OnlyOriginal = "only_original",
    /// Only the copy found the key.
    OnlyCopy = "only_copy",
    /// The copy failed or got an error.
    CopyFailed = "copy_failed",
    /// The request waited for the reply to another one.
    Joined = "joined",
    /// The reply came from a value that the process keeps; no node was asked.
    Served = "served",
    /// The request asked again for a value that the process keeps, or its client was told to compute a value anew
    /// before it expires.
    Refreshed = "refreshed",
    /// The reader got a miss: its client computes the value.
    Won = "won",
    /// The reader waited for another one's value, and got it.
    Waited = "waited",
    /// The reader waited in vain.
    GaveUp = "gave_up",
    /// The reader got a value that was deleted or has expired.
    Stale = "stale",
    /// A copy of the key was asked.
    Spread = "spread",
    /// The request was over a limit.
    Limited = "limited",
    /// The request was refused.
    Denied = "denied",
}

/// Counts events for a worker. Implemented by what has counters of its own, such as a policy.
pub trait Tally: fmt::Debug + Send + Sync {
    /// Counts one event of the worker with this index.
    fn count(&self, worker: usize, event: Event);
}

/// The counters for one kind of policy in one route, kept across reloads.
#[derive(Debug)]
pub struct Counters {
    /// The name of the route, or its listener's bind address if it is defined inline.
    pub route: String,
    /// The policy's name.
    pub policy: &'static str,
    /// The events that it counts.
    pub events: &'static [Event],
    shards: Box<[PolicyShard]>,
}

/// One worker's counters.
#[derive(Debug, Default)]
pub struct PolicyShard {
    /// Requests that the policy decided about.
    pub requests: Counter,
    /// By [`Event`] discriminant.
    pub events: [Counter; Event::COUNT],
}

impl Counters {
    /// Returns counters for the `events` of the policies called `policy` in `route`, for this number of
    /// workers.
    pub fn new(route: &str, policy: &'static str, events: &'static [Event], workers: usize) -> Counters {
        Counters {
            route: route.to_owned(),
            policy,
            events,
            shards: (0..workers).map(|_| PolicyShard::default()).collect(),
        }
    }

    /// The shard of the worker with this index. Only that worker may count there.
    pub fn shard(&self, worker: usize) -> &PolicyShard {
        &self.shards[worker]
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, counter: impl Fn(&PolicyShard) -> &Counter) -> u64 {
        let counts = self.shards.iter().map(|shard| counter(shard).get());
        counts.fold(0, u64::wrapping_add)
    }
}

impl Tally for Counters {
    fn count(&self, worker: usize, event: Event) {
        self.shard(worker).count(event);
    }
}

impl PolicyShard {
    /// Counts one event.
    pub fn count(&self, event: Event) {
        self.events[event as usize].add(1);
    }
}
