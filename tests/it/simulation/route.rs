//! The route of a world: its pools, and the policy in front of them.

use super::random::Random;

/// A route, and what a client may hold against it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The names of its pools. The nodes of the first one come and go.
    pub pools: &'static [&'static str],
    /// As a configuration has it.
    pub yaml: &'static str,
    /// How many times its pool's `request_timeout` a request may take.
    pub tries: u32,
    /// A write that failed in one pool may be done in another one.
    pub may_be_half_done: bool,
    /// A value may be read that was replaced in another pool.
    pub may_be_old: bool,
}

/// A pool without a policy.
pub const PLAIN: Route = Route {
    pools: &["main"],
    yaml: "main",
    tries: 1,
    may_be_half_done: false,
    may_be_old: false,
};

/// A policy in front of two pools, each of which is told every write.
const COPIED: Route = Route {
    pools: &["main", "other"],
    may_be_half_done: true,
    ..PLAIN
};

const POLICIES: [Route; 7] = [
    Route {
        yaml: "{single_flight: main}",
        // A reader that joins another one shares its time, and asks anew if a write came between.
        tries: 2,
        ..PLAIN
    },
    Route {
        yaml: "{prefix: {'c0': main}, else: {single_flight: main}}",
        tries: 2,
        ..PLAIN
    },
    Route {
        yaml: "{key: {to: main, add_prefix: 'c'}}",
        ..PLAIN
    },
    Route {
        yaml: "{replicate: {to: [main, other]}}",
        tries: 2,
        ..COPIED
    },
    Route {
        yaml: "{replicate: {to: [main, other], on_miss: true, write: majority}}",
        tries: 2,
        ..COPIED
    },
    Route {
        yaml: "{replicate: {to: [main, other], read: fastest}}",
        tries: 2,
        ..COPIED
    },
    // Its later pool keeps what was written there.
    Route {
        yaml: "{failover: [main, other]}",
        tries: 2,
        may_be_old: true,
        ..COPIED
    },
];

impl Route {
    /// Draws a policy.
    pub fn draw(random: &Random) -> Route {
        *random.choose(&POLICIES)
    }

    /// Whether there is a policy in front of its pools.
    pub fn has_policy(&self) -> bool {
        self.yaml != PLAIN.yaml
    }
}
