//! What is counted for the policies of a route: one shard for each worker, as for nodes.

use crate::counter::Counter;

/// Makes the enum of events, and the words for them, from one table.
macro_rules! events {
    ($($(#[$doc:meta])* $Event:ident = $name:literal,)*) => {
        /// What may happen to a request in a policy. One variant for each value of the label `event` in the metrics.
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
    /// It went on to another route.
    Failover = "failover",
    /// It did not go on, because the budget was spent.
    OverBudget = "over_budget",
    /// It was sent to a second replica too, because the first was slow.
    Hedged = "hedged",
    /// It was found in the second route that was asked.
    Found = "found",
    /// Its value was copied to the first route.
    Filled = "filled",
    /// A copy of it was sent.
    Copied = "copied",
    /// No copy of it was sent: too many are on their way.
    Dropped = "dropped",
    /// Both had the same value, or neither had one.
    Same = "same",
    /// The values, or their flags, differ.
    Differs = "differs",
    /// Only the original found the key.
    OnlyOriginal = "only_original",
    /// Only the copy found the key.
    OnlyCopy = "only_copy",
    /// The copy was not answered, or with an error.
    CopyFailed = "copy_failed",
    /// It waited for the reply to another one.
    Joined = "joined",
    /// It was over a limit.
    Limited = "limited",
    /// It was refused.
    Denied = "denied",
}

/// What is counted for one kind of policy in one route, across reloads.
#[derive(Debug)]
pub struct Counters {
    /// The name of the route, or what its listener binds if it is written there.
    pub route: String,
    /// The policy's name.
    pub policy: &'static str,
    /// The events that it counts.
    pub events: &'static [Event],
    shards: Box<[Shard]>,
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct Shard {
    /// Requests about which the policy decided.
    pub requests: Counter,
    /// By [`Event`] discriminant.
    pub events: [Counter; Event::COUNT],
    /// What is spent of a budget and not earned yet, in percent of a request.
    pub budget: Counter,
    /// How long a hedged read waits for the first replica, in microseconds; 0 if not known yet.
    pub hedge_delay: Counter,
    /// Copies in flight.
    pub copies: Counter,
    /// Bytes of the values in them.
    pub copied_bytes: Counter,
}

impl Counters {
    /// Counts the `events` of the policies called `policy` in `route`, for this number of workers.
    pub fn new(route: &str, policy: &'static str, events: &'static [Event], workers: usize) -> Counters {
        Counters {
            route: route.to_owned(),
            policy,
            events,
            shards: (0..workers).map(|_| Shard::default()).collect(),
        }
    }

    /// The shard of the worker with this index. Only that worker may count there.
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, counter: impl Fn(&Shard) -> &Counter) -> u64 {
        let counts = self.shards.iter().map(|shard| counter(shard).get());
        counts.fold(0, u64::wrapping_add)
    }
}

impl Shard {
    /// Counts one event.
    pub fn count(&self, event: Event) {
        self.events[event as usize].add(1);
    }
}
