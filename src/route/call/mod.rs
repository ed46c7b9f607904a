//! Carries out what policies decide: sends requests along routes, and runs async functions on copies of them.
//!
//! An async function is polled once as soon as it is started, so that what it sends first goes out with the other
//! requests of the loop iteration; if it has to wait it is handed to the event loop. It runs to its end whether its
//! client is still there or not: no write is left half done.

mod fast_path;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Waker};

use tokio::time::Instant;

use crate::protocol::operation::drops_item_if_refused;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::reply::slot::{ReplySlot, pending};
use crate::route::counters::{Event, Shard};
use crate::route::{PolicyRoute, Pool, Resolved, Route, Start};
use fast_path::inspected;

/// Forwards requests to pools.
pub trait Forwarder: fmt::Debug {
    /// Sends `request` to the node of `pool` that has its key; the reply lands in `slot`, at the pool's deadline at
    /// the latest. Never waits.
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot);

    /// The worker's index among the shards of counters.
    fn worker(&self) -> usize;

    /// The time of this loop iteration.
    fn now(&self) -> Instant;
}

/// One request on its way through policies.
#[derive(Debug, Clone)]
pub struct Call {
    /// Forwards to pools.
    pub forwarder: Rc<dyn Forwarder>,
    /// Dropped when everything that the request started is done, so that the session counts and orders requests by it.
    pub hold: Option<Rc<dyn fmt::Debug>>,
}

/// What a policy has at hand while it carries out one request.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The policy, with what is counted for it.
    pub policy: &'a PolicyRoute,
    /// Sends requests.
    pub call: &'a Call,
}

/// An async function at work.
type Work = Pin<Box<dyn Future<Output = ()>>>;

impl Call {
    /// Sends `request` along `route`. It is on its way before this returns; all that is left is to await the reply.
    pub fn send(&self, route: &Route, request: &Request<'_>) -> Answer {
        let (slot, answer) = pending();
        self.send_to(route, request, slot);
        answer
    }

    /// The same, with the reply landing in `slot`.
    pub fn send_to(&self, route: &Route, request: &Request<'_>, slot: ReplySlot) {
        route.resolve(request, &*self.forwarder, |resolved, request| match resolved {
            Resolved::Pool(pool) => self.forwarder.send(pool, request, slot),
            Resolved::Reply(reply) => slot.fill(reply),
            Resolved::Policy(policy, start) => self.start(policy, start, request, slot),
        });
    }

    /// Starts what `policy` decided about `request`; the final reply lands in `slot`.
    pub fn start(&self, policy: &Arc<PolicyRoute>, start: Start<'_>, request: &Request<'_>, slot: ReplySlot) {
        match start {
            Start::Inspect(to) => self.send_to(to, request, inspected(policy, request, slot, self)),
            Start::Run => self.run(policy, request, slot),
        }
    }

    fn run(&self, policy: &Arc<PolicyRoute>, request: &Request<'_>, slot: ReplySlot) {
        let (policy, owned, call) = (policy.clone(), OwnedRequest::new(request), self.clone());
        spawn(Box::pin(async move {
            let context = Context {
                policy: &policy,
                call: &call,
            };
            let reply = policy.kind.run(&owned.request(), &context).await;
            slot.fill(reply);
        }));
    }

    /// Replies `answer` to `request`, a storage command whose value is not taken, once the item is as memcached would
    /// have left it: if memcached removes the item, its key is deleted wherever `request` would have gone. A route that
    /// refuses `request` itself replies as it does, and nothing is deleted.
    pub fn refuse_value(&self, route: &Route, request: &Request<'_>, answer: Reply, slot: ReplySlot) {
        route.resolve(request, &*self.forwarder, |resolved, request| {
            let delete = Request::new(Command::Delete, request.key);
            match resolved {
                Resolved::Reply(own) => slot.fill(own),
                _ if !drops_item_if_refused(request) => slot.fill(answer),
                Resolved::Pool(pool) => self.forwarder.send(pool, &delete, slot.answering(answer)),
                // The policy has decided about the write, and is not asked again: a limit would count the request
                // twice.
                Resolved::Policy(policy, _) => self.run(policy, &delete, slot.answering(answer)),
            }
        });
    }

    /// Lets `work` go on after the request was answered. The request counts as done only when `work` is.
    pub fn detach(&self, work: impl Future<Output = ()> + 'static) {
        let hold = self.hold.clone();
        spawn(Box::pin(async move {
            work.await;
            drop(hold);
        }));
    }

    /// A call whose requests delay no later request of the session.
    pub fn unheld(&self) -> Call {
        Call {
            forwarder: self.forwarder.clone(),
            hold: None,
        }
    }
}

impl<'a> Context<'a> {
    /// What this worker counts for the policy.
    pub fn counters(&self) -> &'a Shard {
        self.policy.counters.shard(self.call.forwarder.worker())
    }

    /// Counts one event.
    pub fn count(&self, event: Event) {
        self.counters().count(event);
    }
}

/// Does as much of `work` as can be done now, and leaves the rest to the event loop.
fn spawn(mut work: Work) {
    let mut now = task::Context::from_waker(Waker::noop());
    if work.as_mut().poll(&mut now).is_pending() {
        tokio::task::spawn_local(work);
    }
}
