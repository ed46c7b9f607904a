//! What is counted for the policies of a route: one shard for each worker, as for nodes.

use crate::counter::Counter;

/// What may happen to a request in a policy. One variant for each label value `event` in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// It went on to another pool.
    Failover,
    /// It did not go on, because the budget was spent.
    OverBudget,
    /// It was asked a second time besides, because the first was slow.
    Hedged,
    /// It was found in the second place that was asked.
    Found,
    /// Its value was copied to the first place.
    Filled,
    /// A copy of it was sent.
    Copied,
    /// No copy of it was sent: too many are on their way.
    Dropped,
    /// Both had the same value, or both had none.
    Same,
    /// The values, or their flags, differ.
    Differs,
    /// Only the original found the key.
    OnlyOriginal,
    /// Only the copy found the key.
    OnlyCopy,
    /// The copy was not answered, or with an error.
    CopyFailed,
    /// It was over a limit.
    Limited,
    /// It was refused.
    Denied,
}

impl Event {
    /// Every event, in the order of their discriminants.
    pub const ALL: [Event; 14] = [
        Event::Failover,
        Event::OverBudget,
        Event::Hedged,
        Event::Found,
        Event::Filled,
        Event::Copied,
        Event::Dropped,
        Event::Same,
        Event::Differs,
        Event::OnlyOriginal,
        Event::OnlyCopy,
        Event::CopyFailed,
        Event::Limited,
        Event::Denied,
    ];

    /// The events that the policies of this name count.
    pub fn of(policy: &str) -> &'static [Event] {
        match policy {
            "failover" => &[Event::Failover, Event::OverBudget],
            "replicate" => &[Event::Failover, Event::Hedged, Event::OverBudget],
            "lazy_fill" | "layers" => &[Event::Found, Event::Filled],
            "shadow" => &[
                Event::Copied,
                Event::Dropped,
                Event::Same,
                Event::Differs,
                Event::OnlyOriginal,
                Event::OnlyCopy,
                Event::CopyFailed,
            ],
            "limit" => &[Event::Limited],
            "read_only" | "deny" => &[Event::Denied],
            _ => &[],
        }
    }

    /// The event's name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Event::Failover => "failover",
            Event::OverBudget => "over_budget",
            Event::Hedged => "hedged",
            Event::Found => "found",
            Event::Filled => "filled",
            Event::Copied => "copied",
            Event::Dropped => "dropped",
            Event::Same => "same",
            Event::Differs => "differs",
            Event::OnlyOriginal => "only_original",
            Event::OnlyCopy => "only_copy",
            Event::CopyFailed => "copy_failed",
            Event::Limited => "limited",
            Event::Denied => "denied",
        }
    }
}

/// What is counted for one kind of policy in one route, across reloads.
#[derive(Debug)]
pub struct Counters {
    /// The name of the route; of one that stands at its listener, what that binds.
    pub route: String,
    /// The policy's name.
    pub policy: &'static str,
    shards: Box<[Shard]>,
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct Shard {
    /// Requests that came to the policy.
    pub requests: Counter,
    /// By [`Event`] discriminant.
    pub events: [Counter; Event::ALL.len()],
    /// What is left of a budget, in percent of a request.
    pub budget: Counter,
    /// How long the first is given before a second one is asked besides, in microseconds; 0: not known yet.
    pub patience: Counter,
    /// Copies on their way.
    pub copies: Counter,
    /// Bytes of the values that they bring.
    pub copied_bytes: Counter,
}

impl Counters {
    /// Of the policies called `policy` in `route`, for so many workers.
    pub fn new(route: &str, policy: &'static str, workers: usize) -> Counters {
        Counters {
            route: route.to_owned(),
            policy,
            shards: (0..workers).map(|_| Shard::default()).collect(),
        }
    }

    /// What the worker with this index counts. Only that worker may count there.
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
