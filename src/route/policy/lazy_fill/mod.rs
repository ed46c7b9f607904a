//! `lazy_fill`: warms a cold route (`to`), which is new or has new nodes, from the old one (`from`) as keys
//! are requested.
//!
//! | command | what happens |
//! |---|---|
//! | get, mg | `to` is asked; on a miss, or if it fails, `from`. What is found there is the reply, and is copied to `to` with its flags and its remaining time to live |
//! | gets, mg with `c` | the same, but the value is copied first, and comes with its cas id in `to`; from `from` alone it comes with one that never matches |
//! | set, ms | deleted in `from`, then stored in `to` |
//! | delete, md | deleted in `from`, then in `to`; `DELETED` if one had it |
//! | add, replace, append, prepend, cas, incr, decr, ma, ms in these modes, touch, gat, mg with `T`, md with flags | a key that is only in `from` is copied first, and then deleted there; `to` executes the request. A key in neither counts as missing, and an add fills the placeholder of the lease |
//! | mg with `N`, `R` or `E` | a key that is only in `from` is copied first; `to` answers |
//! | me | `to` alone |
//! | flush_all, version, stats | all pools |
//!
//! A key that both routes give to the same node has one item there: `to` alone executes the request.
//!
//! [`crate::route::toolkit::refill`] says why no old value comes back.
//!
//! Nodes that only speak classic text have no leases: nothing is copied, reads are answered from `from` all
//! the same, and a request that needs a copy first finds nothing.

#[cfg(test)]
mod tests;

use crate::config;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::lease::{may_be_elsewhere, uses_lease};
use crate::route::toolkit::refill::{Refill, WarmPart};
use crate::route::toolkit::shared_nodes::SharedNodes;

/// A cold route that is warmed from another one.
#[derive(Debug)]
pub struct LazyFill {
    /// The cold route.
    to: Route,
    /// The warm route.
    from: Route,
    /// The nodes that are in both: keys that both give to one of them have nothing to copy.
    shared: SharedNodes,
}

impl Compile for config::LazyFill {
    type Policy = LazyFill;

    fn compile(&self, scope: &mut Scope<'_, '_>) -> Option<LazyFill> {
        let (to, from) = (scope.route(&self.to)?, scope.route(&self.from)?);
        Some(LazyFill {
            shared: SharedNodes::of(&to, &from),
            to,
            from,
        })
    }
}

impl Policy for LazyFill {
    const EVENTS: &'static [Event] = &[Event::Found, Event::Filled];

    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        if self.shared.is_one_item(&self.to, &self.from, request) {
            Decision::Forward(&self.to)
        } else if Operation::of(request) == Operation::Get && !uses_lease(request) {
            Decision::Inspect(&self.to)
        } else {
            Decision::Run
        }
    }

    fn is_final(&self, request: &Request<'_>, reply: &Reply) -> bool {
        !may_be_elsewhere(reply) || request.command == Command::MetaDebug
    }

    async fn resume(&self, request: &Request<'_>, first: Reply, context: &Context<'_>) -> Reply {
        self.refill(context).read(request, first).await
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        self.refill(context).run(request).await
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![
            Branch::labelled("to", &self.to),
            Branch::labelled("from", &self.from),
        ]
    }
}

impl LazyFill {
    fn refill(&self, context: &Context<'_>) -> Refill {
        Refill {
            cold: self.to.clone(),
            warm: self.from.clone(),
            warm_part: WarmPart::Required,
            warm_keeps_items: true,
            leftover: 0,
            call: context.call.clone(),
            tally: context.tally(),
        }
    }
}
