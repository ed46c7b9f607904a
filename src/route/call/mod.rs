//! Executes the decisions of policies: sends requests along routes, and runs async functions on copies of
//! them.
//!
//! An async function is polled once as soon as it is started, so that its first requests are sent with the
//! other requests of the loop iteration; if it has to wait it is handed to the event loop. It runs to its
//! end even if its client disconnects: no write is left half done.

pub(in crate::route) mod fast_path;
pub mod hold;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Waker};

use tokio::time::Instant;

use crate::protocol::operation::{delete_of, drops_item_if_refused};
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Reply, Request};
use crate::reply::oneshot::Answer;
use crate::reply::slot::{ReplySlot, pending};
use crate::route::counters::{Event, PolicyShard, Tally};
use crate::route::{Handover, PolicyRoute, Pool, Resolved, Route, Start};
use fast_path::{amended, held, inspected};
use hold::Hold;

/// Forwards requests to pools.
pub trait Forwarder: fmt::Debug {
    /// Sends `request` to the node of `pool` that owns its key; the reply is delivered to `slot`, at the
    /// pool's deadline at the latest. Never blocks.
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot);

    /// Returns a forwarder of the same session's requests to both owners of a key that moves in `handover`.
    fn within(&self, handover: &Handover) -> Rc<dyn Forwarder>;

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
    /// Dropped when everything that the request started is done.
    pub hold: Option<Hold>,
}

/// What a policy can use while it runs one request.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The policy, with its counters.
    pub policy: &'a PolicyRoute,
    /// Sends requests.
    pub call: &'a Call,
}

/// A running async function.
type Work = Pin<Box<dyn Future<Output = ()>>>;

impl Call {
    /// Sends `request` along `route`. It is sent before this returns; only the reply is left to await.
    pub fn send(&self, route: &Route, request: &Request<'_>) -> Answer {
        let (slot, answer) = pending();
        self.send_to(route, request, slot);
        answer
    }

    /// Like [`Call::send`], with the reply delivered to `slot`.
    pub fn send_to(&self, route: &Route, request: &Request<'_>, slot: ReplySlot) {
        route.resolve(request, &*self.forwarder, |resolved, request| match resolved {
            Resolved::Pool(pool) => self.send_to_pool(pool, request, slot),
            Resolved::Reply(reply) => slot.fill(reply),
            Resolved::Policy(policy, start) => self.clone().start(policy, start, request, slot),
        });
    }

    /// Sends `request` to `pool`. In a handover that may take several steps, and it is in progress until the last one.
    pub fn send_to_pool(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        let slot = match (&pool.handover, &self.hold) {
            (Some(_), Some(hold)) => held(hold.clone(), slot),
            _ => slot,
        };
        self.forwarder.send(pool, request, slot);
    }

    /// Starts what `policy` decided about `request`; the final reply is delivered to `slot`.
    pub fn start(self, policy: &Arc<PolicyRoute>, start: Start<'_>, request: &Request<'_>, slot: ReplySlot) {
        match start {
            Start::Inspect(to) => {
                let call = self.until_reply(to);
                call.send_to(to, request, inspected(policy, request, slot, self));
            }
            Start::Amend(to) => {
                let mut scratch = Vec::new();
                let sent = policy.kind.rewrite(request, &mut scratch);
                let call = self.until_reply(to);
                call.send_to(to, &sent, amended(policy, request, slot, self));
            }
            Start::Run => self.run(policy, request, slot),
        }
    }

    /// Returns a call for a request along `route` that is over once its reply is there, until which this call is kept.
    fn until_reply(&self, route: &Route) -> Call {
        match route {
            Route::Pool(_) => self.unheld(),
            // What a policy does after its reply holds the request, too.
            Route::Policy(_) => self.clone(),
        }
    }

    fn run(self, policy: &Arc<PolicyRoute>, request: &Request<'_>, slot: ReplySlot) {
        let (policy, owned) = (policy.clone(), OwnedRequest::new(request));
        spawn(Box::pin(async move {
            let context = Context {
                policy: &policy,
                call: &self,
            };
            let reply = policy.kind.run(&owned.request(), &context).await;
            slot.fill(reply);
        }));
    }

    /// Replies `answer` to `request`, a storage command whose value is refused, after doing to the item
    /// what memcached would have done: if memcached removes the item, its key is deleted wherever `request`
    /// would have gone. A route that refuses `request` itself replies as usual, and nothing is deleted.
    pub fn refuse_value(&self, route: &Route, request: &Request<'_>, answer: Reply, slot: ReplySlot) {
        route.resolve(request, &*self.forwarder, |resolved, request| {
            let delete = delete_of(request);
            match resolved {
                Resolved::Reply(own) => slot.fill(own),
                _ if !drops_item_if_refused(request) => slot.fill(answer),
                Resolved::Pool(pool) => self.send_to_pool(pool, &delete, slot.answering(answer)),
                // The policy has decided about the write, and is not asked again: a limit would count the
                // request twice.
                Resolved::Policy(policy, _) => self.clone().run(policy, &delete, slot.answering(answer)),
            }
        });
    }

    /// Lets `work` continue after the request was answered. The request counts as done only when `work` is.
    pub fn detach(&self, work: impl Future<Output = ()> + 'static) {
        let hold = self.hold.clone();
        spawn(Box::pin(async move {
            work.await;
            drop(hold);
        }));
    }

    /// Returns a call whose requests delay no later request of the session.
    pub fn unheld(&self) -> Call {
        Call {
            forwarder: self.forwarder.clone(),
            hold: None,
        }
    }
}

impl<'a> Context<'a> {
    /// This worker's counters for the policy.
    pub fn counters(&self) -> &'a PolicyShard {
        self.policy.counters.shard(self.call.forwarder.worker())
    }

    /// The policy's counters, for what outlives the request.
    pub fn tally(&self) -> Arc<dyn Tally> {
        self.policy.counters.clone()
    }

    /// Counts one event.
    pub fn count(&self, event: Event) {
        self.counters().count(event);
    }
}

/// Polls `work` once, and spawns the rest on the event loop.
pub(in crate::route) fn spawn(mut work: Work) {
    let mut now = task::Context::from_waker(Waker::noop());
    if work.as_mut().poll(&mut now).is_pending() {
        tokio::task::spawn_local(work);
    }
}
