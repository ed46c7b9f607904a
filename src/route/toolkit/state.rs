//! The state of one policy: what it has spent, learned and sent, by which it decides about the next request.
//!
//! Unlike counters, which all policies of one kind share in a route, it is the policy's own. It is kept across reloads;
//! see [`Scope::state`](crate::route::policy::compile::Scope::state).

use crate::config;
use crate::counter::Counter;

/// The state of one policy: one shard per worker.
#[derive(Debug)]
pub struct PolicyState {
    route: String,
    settings: config::Policy,
    shards: Box<[StateShard]>,
}

/// One worker's part of it, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct StateShard {
    /// The part of a budget that was spent and not earned yet, in percent of a request.
    pub budget: Counter,
    /// How long a hedged read waits for the first replica, in microseconds; 0 if not known yet.
    pub hedge_delay: Counter,
    /// Copies in flight.
    pub copies: Counter,
    /// Bytes of the values in copies in flight.
    pub copied_bytes: Counter,
}

impl PolicyState {
    /// Returns the state of a policy with these `settings` in `route`, for this number of workers.
    pub fn new(route: &str, settings: config::Policy, workers: usize) -> PolicyState {
        PolicyState {
            route: route.to_owned(),
            settings,
            shards: (0..workers).map(|_| StateShard::default()).collect(),
        }
    }

    /// Whether it may be that of a policy with these `settings` in `route`.
    pub fn is_of(&self, route: &str, settings: &config::Policy) -> bool {
        self.route == route && self.settings == *settings
    }

    /// The shard of the worker with this index. Only that worker may change it.
    pub fn shard(&self, worker: usize) -> &StateShard {
        &self.shards[worker]
    }
}
