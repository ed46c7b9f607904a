//! What a client asks on a route that is more than a plain pool: policies decide, and may be at work for a while.
//!
//! Two requests of one session to one key stay in order (see [`super::order`]): a request that must wait is kept as
//! a copy and resolved along its route when its turn has come. A policy's work goes on to its end though the client
//! went away meanwhile.

use std::rc::Rc;

use super::batch::Batch;
use super::order::{Claim, Order};
use crate::link::queued::Owned;
use crate::protocol::{Reply, Request};
use crate::reply::origin::Asked;
use crate::reply::queue::Slots;
use crate::reply::slot::{Slot, pending};
use crate::route::{Call, Forwarder, Resolved, Route};
use crate::worker::context::View;
use crate::worker::forwarder::{AtWork, Carry};

/// What a session needs for its policies.
#[derive(Debug)]
pub struct Routed {
    slots: Rc<Slots>,
    /// The session's number, which decides among several links to a node.
    session: usize,
    carry: Rc<Carry>,
    order: Rc<Order>,
}

/// A request that a policy is at work on.
#[derive(Debug)]
struct Hold {
    /// Those behind it wait until it is done.
    claim: Claim,
    /// It is counted until it is done.
    _counted: AtWork,
}

impl Routed {
    /// For the session with this number, whose replies are queued in `slots`.
    pub fn new(view: Rc<View>, slots: Rc<Slots>, session: usize) -> Routed {
        Routed {
            slots,
            session,
            carry: Rc::new(Carry::new(view, session)),
            order: Rc::default(),
        }
    }

    /// Whether requests on `route` look at nobody before them, and policies are still at work from before a
    /// reload.
    pub fn may_be_overtaken(&self, route: &Route) -> bool {
        matches!(route, Route::Pool(_)) && !self.order.is_empty()
    }

    fn hold(&self, request: &Request<'_>) -> Rc<Hold> {
        Rc::new(Hold {
            claim: self.order.claim(request),
            _counted: self.carry.count(request),
        })
    }

    fn call(&self, hold: Rc<Hold>) -> Call {
        Call {
            forwarder: self.carry.clone(),
            hold: Some(hold),
        }
    }

    /// Sends `request` along the batch's route.
    pub fn send(&self, batch: &Batch<'_>, request: &Request<'_>, asked: Asked) {
        if self.order.must_wait(request) {
            return self.send_later(batch, request, asked);
        }
        batch
            .route
            .resolve(request, &*self.carry, |resolved, request| match resolved {
                Resolved::Pool(pool) => {
                    if request.value.len() > pool.settings.max_value_size {
                        let number = self.slots.push(asked, 1);
                        return self.carry.send(pool, request, Slot::queued(&self.slots, number));
                    }
                    let asked = Asked {
                        on_error: pool.settings.on_error(),
                        ..asked
                    };
                    let number = self.slots.push(asked, 1);
                    let (slot, node) = (Slot::queued(&self.slots, number), pool.pick(request.key));
                    batch.current.send(node, request, slot, pool, self.session);
                }
                Resolved::Reply(reply) => {
                    let asked = Asked {
                        on_error: batch.route.on_error_of(request),
                        ..asked
                    };
                    self.slots.push_filled(asked, reply);
                }
                Resolved::Policy(policy, start) => {
                    let asked = Asked {
                        on_error: batch.route.on_error_of(request),
                        ..asked
                    };
                    let number = self.slots.push(asked, 1);
                    let call = self.call(self.hold(request));
                    call.start(policy, start, request, Slot::queued(&self.slots, number));
                }
            });
    }

    /// Sends `request` when those before it are done.
    fn send_later(&self, batch: &Batch<'_>, request: &Request<'_>, asked: Asked) {
        let asked = Asked {
            on_error: batch.route.on_error_of(request),
            ..asked
        };
        let number = self.slots.push(asked, 1);
        let slot = Slot::queued(&self.slots, number);
        let hold = self.hold(request);
        let call = self.call(hold.clone());
        let (route, owned) = (batch.route.clone(), Owned::new(request));
        tokio::task::spawn_local(async move {
            hold.claim.turn().await;
            drop(hold);
            call.send_to(&route, &owned.request(), slot);
        });
    }

    /// Answers `answer` to `request`, a storage command whose value is not taken, when its item is as memcached would
    /// have left it; see [`Call::refuse_value`].
    pub fn refuse_value(&self, batch: &Batch<'_>, request: &Request<'_>, answer: Reply, asked: Asked) {
        let slot = Slot::queued(&self.slots, self.slots.push(asked, 1));
        let must_wait = self.order.must_wait(request);
        let hold = self.hold(request);
        let call = self.call(hold.clone());
        if !must_wait {
            return call.refuse_value(batch.route, request, answer, slot);
        }
        let (route, owned) = (batch.route.clone(), Owned::new(request));
        tokio::task::spawn_local(async move {
            hold.claim.turn().await;
            drop(hold);
            call.refuse_value(&route, &owned.request(), answer, slot);
        });
    }

    /// Flushes every node of every pool that the route may lead to; one slot awaits them all. The last pool is the
    /// first to be flushed, and each waits for the one before: those that come first in a route may be filled from
    /// those that come later, but not with what was flushed.
    pub fn flush(&self, batch: &Batch<'_>, request: &Request<'_>, asked: Asked) {
        let pools = batch.route.pools().to_vec();
        let nodes = pools.iter().map(|pool| pool.nodes.len() as u32).sum();
        if nodes == 0 {
            return self.slots.push_filled(asked, Reply::Done);
        }
        let number = self.slots.push(asked, nodes);
        let (slots, carry) = (self.slots.clone(), self.carry.clone());
        let (hold, owned) = (self.hold(request), Owned::new(request));
        tokio::task::spawn_local(async move {
            hold.claim.turn().await;
            for pool in pools.iter().rev() {
                let mut answers = Vec::new();
                carry.flush(pool, &owned.request(), || {
                    let (slot, answer) = pending();
                    answers.push(answer);
                    slot
                });
                for answer in answers {
                    Slot::queued(&slots, number).fill(answer.await);
                }
            }
        });
    }
}
