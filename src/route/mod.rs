//! What decides where a request goes.
//!
//! A plain pool is the leaf and the fast path: the ring picks, nothing is allocated. Above it stand policies,
//! each in a file of its own, of two kinds:
//!
//! ```text
//!   request ─▶ lead ─┬─ chooses at once (prefix, by_command, deny …) ─▶ lead …
//!                    ├─▶ a pool: sent, its reply lands in the slot            nothing is allocated
//!                    └─▶ a policy that asks and waits (failover …): an async function on an owned copy
//!                          of the request; each `call.send(route, request).await` leads as above, and
//!                          what it returns lands in the slot
//! ```
//!
//! No policy knows which protocol the client speaks, nor that there is a network: pools are reached through a
//! [`Carrier`], of which there are two, the worker's and the fake of the tests.

pub mod call;
pub mod compile;
pub mod counters;
pub mod explain;
pub mod fast_path;
pub mod policy;
mod pool;
pub mod toolkit;

#[cfg(test)]
mod testing;

use std::sync::Arc;

pub use crate::route::call::{Call, Carrier};
pub use pool::Pool;

use crate::config::{self, Which};
use crate::protocol::operation::Operation;
use crate::protocol::{OnError, Reply, Request};
use counters::Counters;

/// Where the requests of a listener go.
#[derive(Debug, Clone)]
pub enum Route {
    /// To the pool's ring.
    Pool(Arc<Pool>),
    /// Where the policy says.
    Policy(Arc<Policy>),
}

/// A policy with the routes under it.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub what: What,
    /// Every pool that it may lead to, once each.
    pub pools: Vec<Arc<Pool>>,
    /// It, or one under it, refuses flush_all.
    pub denies_flush: bool,
    /// How failures read: hidden where all of its pools hide them.
    pub on_error: OnError,
    /// What is counted for it.
    pub counters: Arc<Counters>,
    /// Its settings, as they are typed, without the routes under it.
    pub settings: config::Policy,
}

/// What a policy does.
#[derive(Debug)]
pub enum What {
    /// Chooses by the beginning of the key.
    Prefix(crate::route::policy::prefix::Prefix),
    /// Chooses by what is asked: a single operation before its group.
    ByCommand(Vec<(Which, Route)>, Route),
    /// Writes other expiries.
    Expiry(crate::route::policy::expiry::Expiry, Route),
    /// Lets some operations through.
    Gate(crate::route::policy::deny::Gate, Route),
    /// Lets so much through.
    Limit(crate::route::policy::limit::Limit, Route),
    /// Asks nobody.
    StandIn(config::StandIn),
    /// Asks one after the other.
    Failover(crate::route::policy::failover::Failover),
    /// Keeps the same values in several.
    Replicate(crate::route::policy::replicate::Replicate),
    /// Fills one from another as keys are asked for.
    LazyFill(crate::route::policy::lazy_fill::LazyFill),
    /// Keeps copies near.
    Layers(crate::route::policy::layers::Layers),
    /// Copies requests.
    Shadow(crate::route::policy::shadow::Shadow),
    /// Writes another key.
    Key(crate::route::policy::key::Key, Route),
    /// Waits first.
    Delay(crate::route::policy::delay::Delay, Route),
}

/// Where a request was led.
#[derive(Debug)]
pub enum Step<'a> {
    /// To a pool, as it is.
    Pool(&'a Arc<Pool>),
    /// To a policy that asks and waits.
    Policy(&'a Arc<Policy>),
    /// Nowhere: this is the answer.
    Answer(Reply),
}

impl Route {
    /// The pool that `key` goes to and, in it, the node's index among the snapshot's nodes; `None` where a policy
    /// decides.
    #[inline]
    pub fn pick(&self, key: &[u8]) -> Option<(&Pool, usize)> {
        match self {
            Route::Pool(pool) => Some((pool, pool.pick(key))),
            Route::Policy(_) => None,
        }
    }

    /// Leads `request` through all that decides at once, and hands it over, perhaps changed, to `then`.
    pub fn lead<R>(
        &self,
        request: &Request<'_>,
        carrier: &dyn Carrier,
        then: impl FnOnce(Step<'_>, &Request<'_>) -> R,
    ) -> R {
        let mut route = self;
        loop {
            let policy = match route {
                Route::Pool(pool) => return then(Step::Pool(pool), request),
                Route::Policy(policy) => policy,
            };
            let counters = policy.counters.shard(carrier.worker());
            counters.requests.add(1);
            route = match &policy.what {
                What::Prefix(prefix) => prefix.choose(request.key),
                What::ByCommand(routes, otherwise) => by_command(routes, otherwise, request),
                What::Gate(gate, to) => match gate.judge(request, counters) {
                    None => to,
                    Some(refusal) => return then(Step::Answer(refusal), request),
                },
                What::Limit(limit, to) => match limit.judge(request, carrier.now(), counters) {
                    Some(refusal) => return then(Step::Answer(refusal), request),
                    None if limit.counts_in_flight() => return then(Step::Policy(policy), request),
                    None => to,
                },
                What::Expiry(expiry, to) => {
                    let mut room = Vec::new();
                    let changed = expiry.rewrite(request, &mut room);
                    return to.lead(&changed, carrier, then);
                }
                What::StandIn(stand_in) => {
                    match crate::route::policy::static_reply::answer(stand_in, request) {
                        Some(reply) => return then(Step::Answer(reply), request),
                        None => return then(Step::Policy(policy), request),
                    }
                }
                What::Shadow(shadow) if !shadow.copies(request) => &shadow.of,
                What::Shadow(_)
                | What::Failover(_)
                | What::Replicate(_)
                | What::LazyFill(_)
                | What::Layers(_)
                | What::Key(..)
                | What::Delay(..) => {
                    return then(Step::Policy(policy), request);
                }
            }
        }
    }

    /// Every pool that it may lead to, once each.
    pub fn pools(&self) -> &[Arc<Pool>] {
        match self {
            Route::Pool(pool) => std::slice::from_ref(pool),
            Route::Policy(policy) => &policy.pools,
        }
    }

    /// True where flush_all is refused.
    pub fn denies_flush(&self) -> bool {
        match self {
            Route::Pool(pool) => pool.settings.flush_all == config::FlushAll::Deny,
            Route::Policy(policy) => policy.denies_flush,
        }
    }

    /// How failures read: they are hidden where all pools that it may lead to hide them.
    pub fn on_error(&self) -> OnError {
        match self {
            Route::Pool(pool) => pool.settings.on_error(),
            Route::Policy(policy) => policy.on_error,
        }
    }

    /// How a failure of `request` reads: as the pools say which it may come to.
    pub fn on_error_of(&self, request: &Request<'_>) -> OnError {
        let Route::Policy(policy) = self else {
            return self.on_error();
        };
        match &policy.what {
            What::Prefix(prefix) => prefix.choose(request.key).on_error_of(request),
            What::ByCommand(routes, otherwise) => by_command(routes, otherwise, request).on_error_of(request),
            What::Gate(_, to) | What::Limit(_, to) | What::Expiry(_, to) | What::Delay(_, to) => {
                to.on_error_of(request)
            }
            What::Shadow(shadow) => shadow.of.on_error_of(request),
            _ => policy.on_error,
        }
    }

    /// The largest value that `request` may bring, in bytes: that of the smallest among the pools which its key
    /// may come to.
    pub fn max_value_size(&self, request: &Request<'_>) -> usize {
        match self {
            Route::Pool(pool) => pool.settings.max_value_size,
            Route::Policy(policy) => match &policy.what {
                What::Prefix(prefix) => prefix.choose(request.key).max_value_size(request),
                What::ByCommand(routes, otherwise) => {
                    by_command(routes, otherwise, request).max_value_size(request)
                }
                _ => {
                    let sizes = policy.pools.iter().map(|pool| pool.settings.max_value_size);
                    sizes.min().unwrap_or(STAND_IN_VALUE)
                }
            },
        }
    }
}

/// Where there is no pool, values may be as large as a pool takes by default.
const STAND_IN_VALUE: usize = 1 << 20;

fn by_command<'a>(routes: &'a [(Which, Route)], otherwise: &'a Route, request: &Request<'_>) -> &'a Route {
    let operation = Operation::of(request);
    let one = routes.iter().find(|(which, _)| *which == Which::One(operation));
    let group = || {
        routes
            .iter()
            .find(|(which, _)| operation.group().is_some_and(|group| *which == Which::All(group)))
    };
    one.or_else(group).map_or(otherwise, |(_, route)| route)
}

#[cfg(test)]
mod tests {
    use super::testing::{Fake, ask, meta, run};
    use crate::protocol::{Command, Reply};

    #[test]
    fn a_command_goes_where_its_group_says_and_a_single_one_before_its_group() {
        let route = "{by_command: {reads: a, writes: b, set: c, arithmetic: c}, else: {miss: {}}}";
        let cases = [
            (ask(Command::Get, "k"), "a get k"),
            (ask(Command::Gats, "k"), "a gats k"),
            (ask(Command::Set, "k"), "c set k"),
            (ask(Command::Add, "k"), "b add k"),
            (ask(Command::Decr, "k"), "c decr k"),
            (ask(Command::Touch, "k"), ""),
            (ask(Command::Delete, "k"), ""),
            (meta(Command::MetaGet, "k", "v T30"), "a mg k v T30"),
            (meta(Command::MetaGet, "k", "T30"), ""),
            (meta(Command::MetaSet, "k", "ME"), "b ms k ME"),
            (meta(Command::MetaSet, "k", ""), "c ms k"),
        ];
        run(async move {
            let fake = Fake::new(route, |_, _| Some(Reply::Done));
            for (request, expected) in cases {
                fake.ask(&request).await;
                assert_eq!(fake.seen().join(","), expected);
            }
        });
    }
}
