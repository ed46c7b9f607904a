//! Sends a session's requests along routes with policies, which may take a while.
//!
//! Two requests of one session to one key stay in order (see [`super::key_order`]): a request that must
//! wait is kept as a copy and resolved along its route once it need not. A policy runs to its end even if
//! the client disconnects.

use std::rc::Rc;
use std::sync::Arc;

use super::batch::Batch;
use super::in_progress::SessionInProgress;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Reply, Request};
use crate::reply::origin::RequestOrigin;
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::route::call::hold::Hold;
use crate::route::toolkit::reply::is_error;
use crate::route::toolkit::writes::begin_flush;
use crate::route::{Call, Owners, Place, Pool, Resolved, Route};
use crate::worker::context::WorkerContext;
use crate::worker::forwarder::LinkForwarder;

/// A session's access to policies.
#[derive(Debug)]
pub struct Routed {
    reply_queue: Rc<ReplyQueue>,
    /// The session's number, which selects among several links to a node.
    session: usize,
    forwarder: Rc<LinkForwarder>,
    in_progress: Rc<SessionInProgress>,
}

impl Routed {
    /// Returns the access for the session with this number, whose replies are queued in `reply_queue`.
    pub fn new(worker: Rc<WorkerContext>, reply_queue: Rc<ReplyQueue>, session: usize) -> Routed {
        Routed {
            reply_queue,
            session,
            forwarder: Rc::new(LinkForwarder::new(worker.clone(), session)),
            in_progress: Rc::new(SessionInProgress::new(worker)),
        }
    }

    /// Whether requests on `route` would overtake earlier ones, because the route is a plain pool while
    /// policies are still processing requests from before a reload.
    pub fn may_be_overtaken(&self, route: &Route) -> bool {
        matches!(route, Route::Pool(pool) if pool.handover.is_none()) && !self.in_progress.order.is_empty()
    }

    /// Whether a read may have to wait for an earlier request, which a policy or a handover is processing.
    pub fn may_hold_up_reads(&self) -> bool {
        self.in_progress.order.has_changes()
    }

    /// Returns a call for what `request` starts, which is in progress from now on.
    fn begin(&self, request: &Request<'_>) -> Call {
        self.call(self.in_progress.begin(request))
    }

    fn call(&self, hold: Hold) -> Call {
        Call {
            forwarder: self.forwarder.clone(),
            hold: Some(hold),
        }
    }

    /// Sends `request` along the batch's route.
    pub fn send(&self, batch: &Batch<'_>, request: &Request<'_>, origin: RequestOrigin<'_>) {
        if self.must_wait(request) {
            return self.send_later(batch, request, origin);
        }
        batch
            .route
            .resolve(request, &*self.forwarder, |resolved, request| match resolved {
                Resolved::Pool(pool) => {
                    let place = pool.place(request.key);
                    self.send_to_pool(batch, pool, place, request, origin);
                }
                Resolved::Reply(reply) => {
                    let origin = RequestOrigin {
                        on_error: batch.route.on_error_of(request),
                        ..origin
                    };
                    self.reply_queue.push_filled(origin, reply);
                }
                Resolved::Policy(policy, start) => {
                    let origin = RequestOrigin {
                        on_error: batch.route.on_error_of(request),
                        ..origin
                    };
                    let number = self.reply_queue.push(origin, 1);
                    let call = self.begin(request);
                    call.start(
                        policy,
                        start,
                        request,
                        ReplySlot::queued(&self.reply_queue, number),
                    );
                }
            });
    }

    /// Whether `request` must wait for earlier ones, which a policy or a handover is processing.
    #[inline]
    pub fn must_wait(&self, request: &Request<'_>) -> bool {
        self.in_progress.order.must_wait(request)
    }

    /// Sends `request` to the batch's route, which is `pool`. It is in a handover, and the key has this `place` in it.
    #[cold]
    pub fn send_in_handover(
        &self,
        batch: &Batch<'_>,
        pool: &Arc<Pool>,
        place: Place,
        request: &Request<'_>,
        origin: RequestOrigin<'_>,
    ) {
        match self.must_wait(request) {
            true => self.send_later(batch, request, origin),
            false => self.send_to_pool(batch, pool, place, request, origin),
        }
    }

    /// Sends `request` to `pool`, in which its key has this `place`.
    fn send_to_pool(
        &self,
        batch: &Batch<'_>,
        pool: &Arc<Pool>,
        place: Place,
        request: &Request<'_>,
        origin: RequestOrigin<'_>,
    ) {
        let is_too_large = request.value.len() > pool.settings.max_value_size;
        let on_error = match is_too_large {
            true => origin.on_error,
            false => pool.settings.on_error(),
        };
        let number = self.reply_queue.push(RequestOrigin { on_error, ..origin }, 1);
        let slot = ReplySlot::queued(&self.reply_queue, number);
        match place {
            _ if is_too_large => self.begin(request).send_to_pool(pool, request, slot),
            Place::Node(node) => batch.current.send(node, request, slot, pool, self.session),
            Place::Moving(owners) => self.hand_over(batch, pool, owners, request, slot),
        }
    }

    /// Sends `request`, whose key moves in the handover of `pool`. No earlier request of its key may be in progress.
    pub fn hand_over(
        &self,
        batch: &Batch<'_>,
        pool: &Arc<Pool>,
        owners: Owners,
        request: &Request<'_>,
        slot: ReplySlot,
    ) {
        let call = self.begin(request);
        batch
            .current
            .hand_over(pool, owners, request, slot, call, self.session);
    }

    /// Sends `request` once the requests that it must not overtake are done.
    fn send_later(&self, batch: &Batch<'_>, request: &Request<'_>, origin: RequestOrigin<'_>) {
        let origin = RequestOrigin {
            on_error: batch.route.on_error_of(request),
            ..origin
        };
        let number = self.reply_queue.push(origin, 1);
        let (route, slot) = (batch.route.clone(), ReplySlot::queued(&self.reply_queue, number));
        self.in_turn(request, async move |call, request| {
            call.send_to(&route, request, slot)
        });
    }

    /// Begins a call for `request` now, and does `work` with it once the requests that it must not overtake are done.
    /// The request is in progress until `work` ends, and until everything that it started is done.
    fn in_turn(&self, request: &Request<'_>, work: impl AsyncFnOnce(&Call, &Request<'_>) + 'static) {
        let (hold, requests) = (self.in_progress.begin(request), self.in_progress.clone());
        let number = hold.number();
        let (call, owned) = (self.call(hold), OwnedRequest::new(request));
        tokio::task::spawn_local(async move {
            requests.order.turn(number).await;
            work(&call, &owned.request()).await;
        });
    }

    /// Answers `answer` to `request`, a storage command whose value is refused, once its item is as
    /// memcached would have left it; see [`Call::refuse_value`].
    pub fn refuse_value(
        &self,
        batch: &Batch<'_>,
        request: &Request<'_>,
        answer: Reply,
        origin: RequestOrigin<'_>,
    ) {
        let slot = ReplySlot::queued(&self.reply_queue, self.reply_queue.push(origin, 1));
        if !self.must_wait(request) {
            return self
                .begin(request)
                .refuse_value(batch.route, request, answer, slot);
        }
        let route = batch.route.clone();
        self.in_turn(request, async move |call, request| {
            call.refuse_value(&route, request, answer, slot)
        });
    }

    /// Flushes every node of every pool that the route may lead to. Pools are flushed one after the other, the last one
    /// first: earlier pools in a route may be filled from later ones, but not with values that were flushed.
    pub fn flush(&self, batch: &Batch<'_>, request: &Request<'_>, origin: RequestOrigin<'_>) {
        let pools: Vec<String> = batch.route.pools().iter().map(|pool| pool.name.clone()).collect();
        if pools.is_empty() {
            return self.reply_queue.push_filled(origin, Reply::Done);
        }
        let slot = ReplySlot::queued(&self.reply_queue, self.reply_queue.push(origin, 1));
        let forwarder = self.forwarder.clone();
        self.in_turn(request, async move |_call, request| {
            let in_progress = begin_flush();
            let mut reply = Reply::Done;
            for pool in pools.iter().rev() {
                let flushed = forwarder.flush(pool, request).await;
                if !is_error(&reply) {
                    reply = flushed;
                }
            }
            drop(in_progress);
            slot.fill(reply);
        });
    }
}
