//! Decides where a request goes.
//!
//! A plain pool is the leaf and the fast path: the ring picks, nothing is allocated. Above it are policies,
//! each in a file of its own behind the trait [`policy::Policy`]:
//!
//! ```text
//!   request ─▶ resolve: each policy on the way decides ─┬─▶ a route under it: resolve goes on there
//!                                                       ├─▶ a reply, at once
//!                                                       ├─▶ a pool: sent, its reply lands in the slot
//!                                                       └─▶ a policy that must see a reply, or wait: Call::start
//!                                                              ├─ a reply is inspected on its way to the slot
//!                                                              └─ an async function runs on a copy of the request;
//!                                                                 each Call::send(route, request) resolves as above
//! ```
//!
//! Continue with `policy/mod.rs` (which verb of a policy decides), with a policy, such as
//! `policy/failover.rs`, then with `call/` (how a decision is executed). `toolkit/` has what several
//! policies need, `policy/compile.rs` compiles settings to routes, `explain/` shows them.
//!
//! Policies do not know the network: they reach pools through a [`Forwarder`], which is the worker's or a
//! test's.

mod active;
pub mod call;
pub mod counters;
pub mod explain;
pub mod handover;
mod place;
pub mod policy;
mod pool;
pub mod toolkit;

#[cfg(test)]
mod testing;

use std::sync::Arc;

pub use crate::route::call::{Call, Forwarder};
pub use place::{Owners, Place};
pub use pool::{Handover, Pool};

use crate::config;
use crate::protocol::{OnError, Reply, Request};
use counters::Counters;
use policy::{Decision, PolicyKind};

/// The destination of a listener's requests.
#[derive(Debug, Clone)]
pub enum Route {
    /// The node of the pool that its ring picks.
    Pool(Arc<Pool>),
    /// The policy's decision.
    Policy(Arc<PolicyRoute>),
}

/// A policy with the routes under it, and the properties that all policies share.
#[derive(Debug)]
pub struct PolicyRoute {
    /// The policy's name.
    pub name: &'static str,
    /// The policy.
    pub kind: PolicyKind,
    /// Every pool whose replies clients may get, once each.
    pub pools: Vec<Arc<Pool>>,
    /// Whether this policy, or one under it, refuses flush_all.
    pub denies_flush: bool,
    /// How failures read: hidden if all of its pools hide them.
    pub on_error: OnError,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Its settings.
    pub settings: config::Policy,
}

/// The result of resolving a request.
#[derive(Debug)]
pub enum Resolved<'a> {
    /// The pool that gets it.
    Pool(&'a Arc<Pool>),
    /// An immediate reply.
    Reply(Reply),
    /// The policy that [`Call::start`] must start.
    Policy(&'a Arc<PolicyRoute>, Start<'a>),
}

/// How a policy starts.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Forward the request here and inspect the reply.
    Inspect(&'a Route),
    /// Forward the request as it rewrites it here, and amend the reply.
    Amend(&'a Route),
    /// Run its async function.
    Run,
}

impl Route {
    /// Resolves `request` by asking each policy on the way. Passes the result to `then` with the request,
    /// which a policy may have rewritten.
    pub fn resolve<R>(
        &self,
        request: &Request<'_>,
        forwarder: &dyn Forwarder,
        then: impl FnOnce(Resolved<'_>, &Request<'_>) -> R,
    ) -> R {
        let mut route = self;
        loop {
            let policy = match route {
                Route::Pool(pool) => return then(Resolved::Pool(pool), request),
                Route::Policy(policy) => policy,
            };
            let counters = policy.counters.shard(forwarder.worker());
            counters.requests.add(1);
            route = match policy.kind.decide(request, counters, forwarder) {
                Decision::Forward(to) => to,
                Decision::Rewrite(to) => {
                    // The rewritten request borrows from this stack frame, so the loop continues as a
                    // recursion.
                    let mut scratch = Vec::new();
                    let rewritten = policy.kind.rewrite(request, &mut scratch);
                    return to.resolve(&rewritten, forwarder, then);
                }
                Decision::Reply(reply) => return then(Resolved::Reply(reply), request),
                Decision::Inspect(to) => {
                    return then(Resolved::Policy(policy, Start::Inspect(to)), request);
                }
                Decision::Amend(to) => {
                    return then(Resolved::Policy(policy, Start::Amend(to)), request);
                }
                Decision::Run => return then(Resolved::Policy(policy, Start::Run), request),
            };
        }
    }

    /// Every pool whose replies clients may get, once each.
    pub fn pools(&self) -> &[Arc<Pool>] {
        match self {
            Route::Pool(pool) => std::slice::from_ref(pool),
            Route::Policy(policy) => &policy.pools,
        }
    }

    /// Whether flush_all is refused.
    pub fn denies_flush(&self) -> bool {
        match self {
            Route::Pool(pool) => pool.settings.flush_all == config::FlushAll::Deny,
            Route::Policy(policy) => policy.denies_flush,
        }
    }

    /// How failures read: hidden if all pools whose replies clients may get hide them.
    pub fn on_error(&self) -> OnError {
        match self {
            Route::Pool(pool) => pool.settings.on_error(),
            Route::Policy(policy) => policy.on_error,
        }
    }

    /// How a failure of `request` reads, given the pools that it may go to.
    pub fn on_error_of(&self, request: &Request<'_>) -> OnError {
        let Route::Policy(policy) = self else {
            return self.on_error();
        };
        match policy.kind.only_route(request) {
            Some(to) => to.on_error_of(request),
            None => policy.on_error,
        }
    }

    /// The maximum size of the value of `request` in bytes: the smallest limit among the pools that it may
    /// go to.
    pub fn max_value_size(&self, request: &Request<'_>) -> usize {
        /// The limit if there is no pool: a pool's default.
        const WITHOUT_POOL: usize = 1 << 20;
        let policy = match self {
            Route::Pool(pool) => return pool.settings.max_value_size,
            Route::Policy(policy) => policy,
        };
        match policy.kind.only_route(request) {
            Some(to) => to.max_value_size(request),
            None => {
                let sizes = policy.pools.iter().map(|pool| pool.settings.max_value_size);
                sizes.min().unwrap_or(WITHOUT_POOL)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{ask, compile};
    use crate::protocol::Command;

    #[test]
    fn a_value_may_be_as_large_as_every_pool_takes_that_its_key_may_come_to() {
        let prefix = "{prefix: {\"big:\": c}, else: a}";
        let above = |policy: &str| policy.replace("TO", prefix);
        let cases = [
            (above("TO"), "big:k", 2 << 20),
            (above("{limit: {to: TO, rate: 10}}"), "big:k", 2 << 20),
            (above("{deny: {to: TO, commands: [delete]}}"), "big:k", 2 << 20),
            (above("{expiry: {to: TO, max: 1h}}"), "big:k", 2 << 20),
            (above("{delay: {to: TO, by: 1s}}"), "big:k", 2 << 20),
            (above("{shadow: {of: TO, to: a}}"), "big:k", 2 << 20),
            (above("{limit: {to: TO, rate: 10}}"), "k", 1 << 20),
            (above("{failover: [c, TO]}"), "big:k", 1 << 20),
            (above("{miss: {}}"), "k", 1 << 20),
        ];
        for (route, key, expected) in cases {
            let (compiled, _) = compile(&route);
            assert_eq!(
                compiled.max_value_size(&ask(Command::Set, key)),
                expected,
                "{route}"
            );
        }
    }
}
