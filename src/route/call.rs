//! How a policy that asks and waits is carried out: an async function on an owned copy of its request.
//!
//! It is polled once where it is begun, so that what it asks first goes out with the other requests of the turn,
//! and is handed to the event loop where it has to wait. It goes on to its end, whether its client is still
//! there or not: no write is left half done.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use crate::link::queued::Owned;
use crate::protocol::operation::drops_item_if_refused;
use crate::protocol::{Command, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::reply::slot::{Slot, pending};
use crate::route::counters::Shard;
use crate::route::policy::{delay, failover, key, layers, lazy_fill, limit, replicate, shadow, static_reply};
use crate::route::{Policy, Pool, Route, Step, What, fast_path};

/// What carries requests to pools.
pub trait Carrier: fmt::Debug {
    /// Sends `request` to the node of `pool` that has its key; the reply lands in `slot`, at the pool's deadline at
    /// the latest. Never waits.
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: Slot);

    /// The index of the worker that carries, among the shards of what is counted.
    fn worker(&self) -> usize;

    /// The time, as of this turn.
    fn now(&self) -> Instant;
}

/// One request on its way through policies: who carries it, and what lasts as long as it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Reaches the pools.
    pub carrier: Rc<dyn Carrier>,
    /// Kept until all that the request began is done; whoever counts or orders requests sees its end by it.
    pub hold: Option<Rc<dyn fmt::Debug>>,
}

/// What goes on by itself.
type Work = Pin<Box<dyn Future<Output = ()>>>;

impl Call {
    /// Leads `request` along `route`. It is sent before this returns; awaiting the answer is all that is left.
    pub fn send(&self, route: &Route, request: &Request<'_>) -> Answer {
        let (slot, answer) = pending();
        self.send_to(route, request, slot);
        answer
    }

    /// The same, the reply landing in `slot`.
    pub fn send_to(&self, route: &Route, request: &Request<'_>, slot: Slot) {
        route.lead(request, &*self.carrier, |step, request| match step {
            Step::Pool(pool) => self.carrier.send(pool, request, slot),
            Step::Answer(reply) => slot.fill(reply),
            Step::Policy(policy) => begin(policy, request, slot, self),
        });
    }

    /// Answers `answer` to `request`, a storage command whose value is not taken, when the item is as memcached would
    /// have left it: where `request` would have been led, its key is deleted if memcached removes the item then.
    /// A route that refuses `request` itself answers as it does, and nothing is deleted.
    pub fn refuse_value(&self, route: &Route, request: &Request<'_>, answer: Reply, slot: Slot) {
        route.lead(request, &*self.carrier, |step, request| {
            let delete = Request::new(Command::Delete, request.key);
            match step {
                Step::Answer(own) => slot.fill(own),
                _ if !drops_item_if_refused(request) => slot.fill(answer),
                Step::Pool(pool) => self.carrier.send(pool, &delete, slot.answering(answer)),
                Step::Policy(policy) => begin(policy, &delete, slot.answering(answer), self),
            }
        });
    }

    /// Lets `work` go on after the request was answered. The request counts as done only when this is.
    pub fn detach(&self, work: impl Future<Output = ()> + 'static) {
        let hold = self.hold.clone();
        start(Box::pin(async move {
            work.await;
            drop(hold);
        }));
    }

    /// What this worker counts for `policy`.
    pub fn counters<'a>(&self, policy: &'a Policy) -> &'a Shard {
        policy.counters.shard(self.carrier.worker())
    }
}

/// Begins what `policy` does with `request`; what comes of it lands in `slot`.
pub fn begin(policy: &Arc<Policy>, request: &Request<'_>, slot: Slot, call: &Call) {
    if let Some(to) = fast_path::route(policy, request, call) {
        let slot = fast_path::watch(policy, request, slot, call);
        return call.send_to(to, request, slot);
    }
    let (policy, owned, call) = (policy.clone(), Owned::new(request), call.clone());
    start(Box::pin(async move {
        let reply = carry_out(&policy, &owned.request(), &call).await;
        slot.fill(reply);
    }));
}

/// What each policy that asks and waits does with a request.
async fn carry_out(policy: &Policy, request: &Request<'_>, call: &Call) -> Reply {
    match &policy.what {
        What::Failover(failover) => failover::delete(failover, request, call).await,
        What::Replicate(replicate) => replicate::run(replicate, request, call, call.counters(policy)).await,
        What::LazyFill(fill) => lazy_fill::run(fill, request, call, call.counters(policy)).await,
        What::Layers(layers) => layers::run(layers, request, call).await,
        What::Shadow(shadow) => shadow::run(policy, shadow, request, call).await,
        What::Limit(limit, to) => limit::run(limit, to, request, call, call.counters(policy)).await,
        What::Key(key, to) => key::run(key, to, request, call).await,
        What::Delay(delay, to) => delay::run(delay, to, request, call).await,
        What::StandIn(stand_in) => static_reply::wait(stand_in).await,
        What::Prefix(_) | What::ByCommand(..) | What::Gate(..) | What::Expiry(..) => {
            unreachable!("{} decides at once", policy.name)
        }
    }
}

/// Does as much of `work` as can be done now, and leaves the rest to the event loop.
fn start(mut work: Work) {
    let mut now = Context::from_waker(Waker::noop());
    if work.as_mut().poll(&mut now).is_pending() {
        tokio::task::spawn_local(work);
    }
}
