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
//! Why no old value comes back. A request that changes a key first deletes it in `from`, and continues only
//! when `from` has confirmed that; from then on `from` does not have the key, and no request stores
//! anything there. A copy takes a lease in `to` before it reads `from` (see
//! [`crate::route::toolkit::lease`]): a change in between revokes the lease, and the copy is not stored. So
//! a value in `from` is never older than the one in `to`, and may be read if `to` fails. The price is that
//! a change waits for two replies, one after the other, and fails if `from` does not answer; then the key
//! is deleted in `to`, because its value there is older than the change.
//!
//! Nodes that only speak classic text have no leases: nothing is copied, reads are answered from `from` all
//! the same, and a request that needs a copy first finds nothing.

mod change;
#[cfg(test)]
mod tests;
mod warm;

use crate::config;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::route::Route;
use crate::route::call::{Context, Forwarder};
use crate::route::counters::{Event, PolicyShard};
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};
use crate::route::toolkit::lease::{MetaKey, may_be_elsewhere, may_be_placeholder, uses_lease};
use crate::route::toolkit::read_through::ReadThrough;
use crate::route::toolkit::reply::{is_error, is_failure, is_hit, without_cas};
use crate::route::toolkit::shared_nodes::SharedNodes;
use warm::Warmed;

/// The number of attempts while other requests keep changing the key. One of the competitors wins each
/// round, so it takes as many competitors to fail.
const TRIES: usize = 32;

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
        let key = MetaKey::of(request);
        if let Some(value) = key.recheck(request, &first, &self.to, context.call).await {
            return value;
        }
        if request.wants_cas() && !is_failure(&first) {
            return self.read_warmed(request, &key, context).await;
        }
        let read = ReadThrough {
            cold: &self.to,
            warm: &self.from,
            max_ttl: None,
        };
        let second = read.from_warm(request, &first, key, context).await;
        // A miss in `from` proves nothing if `to` has failed: the key may be there.
        if !is_hit(&second) && is_failure(&first) {
            return first;
        }
        without_cas(second)
    }

    async fn run(&self, request: &Request<'_>, context: &Context<'_>) -> Reply {
        let key = MetaKey::of(request);
        let Some(reply) = self.start(request, &key, context).await else {
            // Other requests won each round. Their value is newer, so it stays.
            return Reply::Failed(Failure::Busy);
        };
        // If a change failed, perhaps before it reached `to`, the value there is older than the change and
        // must go.
        if is_failure(&reply) && Operation::of(request) != Operation::Get {
            key.delete(&self.to, context.call).await;
        }
        reply
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        vec![
            Branch::labelled("to", &self.to),
            Branch::labelled("from", &self.from),
        ]
    }
}

impl LazyFill {
    /// Runs a request that [`LazyFill::decide`] did not forward. Returns `None` if other requests changed
    /// the key each time.
    async fn start(&self, request: &Request<'_>, key: &MetaKey, context: &Context<'_>) -> Option<Reply> {
        let call = context.call;
        Some(match Operation::of(request) {
            // An mg that may be granted a lease itself: the lease of the look-up must not be in its way.
            Operation::Get => match self.warm(key, context).await {
                Err(reply) => reply,
                Ok(Warmed::Contended) => return None,
                Ok(warmed) => {
                    if let Warmed::Nowhere(token) = warmed {
                        let _released = key.release(token, &self.to, call).await;
                    }
                    call.send(&self.to, request).await
                }
            },
            Operation::Set => match key.delete(&self.from, call).await {
                gone if is_error(&gone) => gone,
                _ => call.send(&self.to, request).await,
            },
            Operation::Delete if change::is_plain_delete(request) => self.delete(request, context).await,
            _ => return self.change(request, key, context).await,
        })
    }

    /// Reads a value with its cas id in `to`, which lacks the key: it is copied there first.
    async fn read_warmed(&self, request: &Request<'_>, key: &MetaKey, context: &Context<'_>) -> Reply {
        let call = context.call;
        for _ in 0..TRIES {
            match self.warm(key, context).await {
                Err(reply) => return reply,
                Ok(Warmed::Nowhere(token)) => match key.release(token, &self.to, call).await {
                    Ok(true) => return Reply::NotFound,
                    // The lease was lost, so another request has stored something meanwhile.
                    Ok(false) => continue,
                    Err(reply) => return reply,
                },
                Ok(Warmed::Contended) => break,
                Ok(Warmed::Value(_) | Warmed::Unsupported) => {}
            }
            let reply = call.send(&self.to, request).await;
            if !may_be_placeholder(&reply) {
                return reply;
            }
            if let Some(value) = key.recheck(request, &reply, &self.to, call).await {
                return value;
            }
        }
        Reply::Failed(Failure::Busy)
    }
}
