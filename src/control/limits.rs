//! Reports limits that clients feel: each is counted, and logged while it is reached.
//!
//! The request path only counts, and only when a limit is reached. Once a second this task looks at the
//! counters and logs those that grew: at once when a limit is first reached, then at most every `QUIET`,
//! with the number of times that it was reached meanwhile and the place where most. [`LIMITS`] is the list;
//! `docs/limits.md` is its table for people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, interval};
use tracing::warn;

use super::log;
use crate::counter::Counter;
use crate::metrics::WorkerShard;
use crate::protocol::Failure;
use crate::route::counters::Event;
use crate::snapshot::Snapshot;
use crate::state::State;

const SECOND: Duration = Duration::from_secs(1);
/// The minimum interval between two logs of the same limit.
const QUIET: Duration = Duration::from_secs(10);

/// Takes a place, such as a node or a listener, and the number of times that its limit was reached.
type Tell<'a> = dyn FnMut(&str, u64) + 'a;

/// One limit.
#[derive(Debug)]
pub struct ResourceLimit {
    /// Its name in metrics and logs.
    pub name: &'static str,
    /// The setting that determines it.
    pub setting: &'static str,
    read: fn(&State, &Snapshot, &mut Tell<'_>),
}

/// Every limit that a client can feel, by name.
pub const LIMITS: &[ResourceLimit] = &[
    ResourceLimit {
        name: "admin",
        setting: "64 connections of the admin listener, and 10s to read an answer",
        read: |state, _, tell| {
            let admin = &state.admin;
            let reached = [&admin.busy, &admin.late, &admin.displaced];
            tell("admin", reached.iter().map(|counter| counter.load(Relaxed)).sum());
        },
    },
    ResourceLimit {
        name: "budget",
        setting: "budget of the route",
        read: |_, snapshot, tell| events(snapshot, Event::OverBudget, tell),
    },
    ResourceLimit {
        name: "connections",
        setting: "max_connections of the listener",
        read: |_, snapshot, tell| {
            for listener in &snapshot.listeners {
                let bind = listener.settings.bind.to_string();
                tell(&bind, listener.counters.refused.load(Relaxed));
            }
        },
    },
    ResourceLimit {
        name: "descriptors",
        setting: "open files that the system allows (ulimit -n)",
        read: |_, snapshot, tell| {
            for listener in &snapshot.listeners {
                let bind = listener.settings.bind.to_string();
                tell(&bind, listener.counters.accept_errors.load(Relaxed));
            }
        },
    },
    ResourceLimit {
        name: "fallback_copies",
        setting: "missed_writes, which bounds what is remembered of them; fallback_expiry of the pool bounds the others",
        read: |_, snapshot, tell| {
            for node in &snapshot.nodes {
                let place = format!("{}/{}", node.pool, node.label);
                tell(&place, node.missed.copy_overflows());
            }
        },
    },
    ResourceLimit {
        name: "in_flight",
        setting: "max_in_flight of the pool, 64 MiB for a connection to a node, memory_limit",
        read: |_, snapshot, tell| failures(snapshot, Failure::Busy, tell),
    },
    ResourceLimit {
        name: "key_length",
        setting: "250 bytes; 186 for a key with a zero byte, or in binary with a space or a control character",
        read: |state, snapshot, tell| {
            workers(state, |shard| &shard.long_keys, tell);
            failures(snapshot, Failure::LongKey, tell);
        },
    },
    ResourceLimit {
        name: "line_length",
        setting: "16 KiB, 2048 bytes without its end, 1 MiB for a line that reads keys",
        read: |state, _, tell| workers(state, |shard| &shard.long_lines, tell),
    },
    ResourceLimit {
        name: "log",
        setting: "1024 lines of the log that wait for whoever reads stderr",
        read: |_, _, tell| tell("stderr", log::lost()),
    },
    ResourceLimit {
        name: "memory",
        setting: "memory_limit",
        read: |state, _, tell| workers(state, |shard| &shard.out_of_memory, tell),
    },
    ResourceLimit {
        name: "missed_writes",
        setting: "missed_writes",
        read: |_, snapshot, tell| {
            for node in &snapshot.nodes {
                tell(&format!("{}/{}", node.pool, node.label), node.missed.overflows());
            }
        },
    },
    ResourceLimit {
        name: "rate",
        setting: "rate and in_flight of the route's limit",
        read: |_, snapshot, tell| events(snapshot, Event::Limited, tell),
    },
    ResourceLimit {
        name: "shadow",
        setting: "1024 copies with 4 MiB of values on their way for each worker",
        read: |_, snapshot, tell| events(snapshot, Event::Dropped, tell),
    },
    ResourceLimit {
        name: "unread",
        setting: "64 MiB of replies that a client does not read, memory_limit",
        read: |state, _, tell| workers(state, |shard| &shard.dropped, tell),
    },
    ResourceLimit {
        name: "value_on_node",
        setting: "max_value_size of the pool; the node holds a larger value: let it allow no more (-I)",
        read: |_, snapshot, tell| failures(snapshot, Failure::TooLarge, tell),
    },
    ResourceLimit {
        name: "value_size",
        setting: "max_value_size of the pool",
        read: |state, _, tell| workers(state, |shard| &shard.large_values, tell),
    },
];

impl ResourceLimit {
    /// The number of times that it was reached.
    pub fn sum(&self, state: &State, snapshot: &Snapshot) -> u64 {
        let mut sum = 0_u64;
        (self.read)(state, snapshot, &mut |_, times| sum = sum.wrapping_add(times));
        sum
    }
}

fn workers(state: &State, counter: fn(&WorkerShard) -> &Counter, tell: &mut Tell<'_>) {
    let counts = state.workers.iter().map(|shard| counter(shard).get());
    tell("clients", counts.fold(0, u64::wrapping_add));
}

fn failures(snapshot: &Snapshot, failure: Failure, tell: &mut Tell<'_>) {
    for node in &snapshot.nodes {
        let sum = node.sum(|shard| &shard.failures[failure as usize]);
        tell(&format!("{}/{}", node.pool, node.label), sum);
    }
}

fn events(snapshot: &Snapshot, event: Event, tell: &mut Tell<'_>) {
    let counting = snapshot.counters.values();
    for counters in counting.filter(|counters| counters.events.contains(&event)) {
        let sum = counters.sum(|shard| &shard.events[event as usize]);
        tell(&format!("{}/{}", counters.route, counters.policy), sum);
    }
}

/// The state of one limit since it was last logged.
#[derive(Debug, Default)]
struct LimitLog {
    logged: Option<Instant>,
    /// How often each place had reached it when it was last logged.
    before: BTreeMap<String, u64>,
}

/// The content of a log line about one limit.
#[derive(Debug, PartialEq)]
struct Reached {
    times: u64,
    /// The place where it was reached most often.
    place: String,
}

impl LimitLog {
    /// Returns what must be logged `now`, if anything.
    fn look(
        &mut self,
        limit: &ResourceLimit,
        state: &State,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Option<Reached> {
        if self.logged.is_some_and(|logged| now < logged + QUIET) {
            return None;
        }
        let (mut times, mut most, mut place) = (0, 0, String::new());
        (limit.read)(state, snapshot, &mut |name, count| {
            let before = self.before.get(name).copied().unwrap_or(0);
            if before == count {
                return;
            }
            self.before.insert(name.to_owned(), count);
            // A node that left and came back counts from zero again.
            let grown = count.checked_sub(before).unwrap_or(count);
            times += grown;
            if grown > most {
                (most, place) = (grown, name.to_owned());
            }
        });
        (times > 0).then(|| {
            self.logged = Some(now);
            Reached { times, place }
        })
    }
}

/// Logs limits that are reached, until this future is dropped.
pub async fn run(state: Arc<State>) {
    let mut watched: Vec<LimitLog> = LIMITS.iter().map(|_| LimitLog::default()).collect();
    let mut second = interval(SECOND);
    loop {
        second.tick().await;
        let snapshot = state.snapshot.load_full();
        for (limit, watched) in LIMITS.iter().zip(&mut watched) {
            if let Some(reached) = watched.look(limit, &state, &snapshot, Instant::now()) {
                let Reached { times, place } = reached;
                let (limit, setting) = (limit.name, limit.setting);
                warn!(limit, times, most_at = place, setting, "limit reached");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    #[test]
    fn a_limit_is_logged_at_once_and_then_at_most_every_ten_seconds_with_all_that_came() {
        let state = testing::state("pools: {main: {nodes: ['127.0.0.1:1', '127.0.0.1:2']}}");
        let snapshot = state.snapshot.load_full();
        let limit = LIMITS.iter().find(|limit| limit.name == "in_flight").unwrap();
        let busy =
            |node: usize, times| snapshot.nodes[node].shards()[0].failures[Failure::Busy as usize].add(times);
        let mut watched = LimitLog::default();
        let start = Instant::now();
        let mut look = |second| watched.look(limit, &state, &snapshot, start + Duration::from_secs(second));
        let reached = |times, place: &str| {
            let place = format!("main/{place}");
            Some(Reached { times, place })
        };
        assert_eq!(look(0), None);
        busy(0, 1);
        assert_eq!(look(1), reached(1, "127.0.0.1:1"));
        busy(0, 2);
        busy(1, 5);
        assert_eq!(look(2), None);
        assert_eq!(look(11), reached(7, "127.0.0.1:2"));
        assert_eq!(look(40), None);
        assert_eq!(limit.sum(&state, &snapshot), 8);
    }

    #[test]
    fn limits_are_in_order_and_each_has_a_row_in_the_documents() {
        assert!(LIMITS.is_sorted_by_key(|limit| limit.name));
        let page = include_str!("../../docs/limits.md");
        for limit in LIMITS {
            assert!(page.contains(&format!("| `{}` |", limit.name)), "{}", limit.name);
        }
    }
}
