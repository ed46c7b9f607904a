//! Sends a session's requests to their nodes, or answers them here. Each leaves a slot in the session's queue, in
//! the order of the requests.

use std::rc::Rc;

use bytes::Bytes;

use super::batch::Batch;
use super::routed::Routed;
use crate::metrics::ClientProtocol;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, MAX_KEY, Meta, OnError, Reply, Request, meta};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::route::{Place, Route};
use crate::worker::context::WorkerContext;

/// Where one session's requests leave it.
#[derive(Debug)]
pub(super) struct Dispatch {
    reply_queue: Rc<ReplyQueue>,
    /// The session's number, which selects among several links to a node.
    session: usize,
    routed: Routed,
}

impl Dispatch {
    /// Returns the dispatch of a new session on `worker`, whose replies are queued in `reply_queue`.
    pub fn new(reply_queue: Rc<ReplyQueue>, worker: &Rc<WorkerContext>) -> Dispatch {
        let session = worker.enter(&reply_queue);
        Dispatch {
            routed: Routed::new(worker.clone(), reply_queue.clone(), session),
            reply_queue,
            session,
        }
    }

    /// The session's number.
    pub fn session(&self) -> usize {
        self.session
    }

    /// The session's replies.
    #[inline]
    pub fn replies(&self) -> &Rc<ReplyQueue> {
        &self.reply_queue
    }

    /// The session's access to policies and handovers.
    pub fn routed(&self) -> &Routed {
        &self.routed
    }

    /// Whether requests on `route` would overtake earlier ones.
    pub fn may_be_overtaken(&self, route: &Route) -> bool {
        self.routed.may_be_overtaken(route)
    }

    /// Sends a request in text.
    #[inline]
    pub fn send(&self, batch: &Batch<'_>, request: &Request<'_>, mode: ReplyMode) {
        if let Some(meta) = &request.meta {
            return self.send_meta(batch, request, meta);
        }
        self.count(batch, ClientProtocol::Classic, request);
        self.forward(batch, request, mode, WireFormat::Classic);
    }

    fn send_meta(&self, batch: &Batch<'_>, request: &Request<'_>, meta: &Meta<'_>) {
        let mut plain = [0; MAX_KEY];
        // Done first, so that a run of spaces is scanned only once.
        let flags = meta::single_spaced(meta.flags);
        let meta = &Meta {
            flags: &flags,
            ..*meta
        };
        let request = Request {
            key: meta.plain_key(&mut plain),
            meta: Some(*meta),
            ..*request
        };
        self.count(batch, ClientProtocol::Meta, &request);
        self.forward(batch, &request, ReplyMode::Single, format(meta));
    }

    /// Sends the request of a binary packet, whose reply has this `format`.
    #[inline]
    pub fn send_packet(&self, batch: &Batch<'_>, request: &Request<'_>, format: WireFormat<'_>) {
        self.count(batch, ClientProtocol::Binary, request);
        self.forward(batch, request, ReplyMode::Single, format);
    }

    #[inline]
    fn count(&self, batch: &Batch<'_>, protocol: ClientProtocol, request: &Request<'_>) {
        let operation = Operation::of(request);
        batch.worker.shard().count(protocol, operation);
    }

    /// Sends `request` to its node at once if the route is a plain pool, and along the route otherwise.
    #[inline]
    fn forward(&self, batch: &Batch<'_>, request: &Request<'_>, mode: ReplyMode, format: WireFormat<'_>) {
        let Route::Pool(pool) = batch.route else {
            let origin = own(request.command, mode, format);
            return self.routed.send(batch, request, origin);
        };
        let node = match pool.place(request.key) {
            // Requests for keys that move, and a flush_all, may still be in progress.
            Place::Node(node) if pool.handover.is_none() || !self.routed.must_wait(request) => node,
            place => {
                let origin = own(request.command, mode, format);
                return self.routed.send_in_handover(batch, pool, place, request, origin);
            }
        };
        let origin = RequestOrigin {
            command: request.command,
            mode,
            on_error: pool.settings.on_error(),
            format,
        };
        let number = self.reply_queue.push(origin, 1);
        let slot = ReplySlot::queued(&self.reply_queue, number);
        batch.current.send(node, request, slot, pool, self.session);
    }

    /// Flushes every node that the route may lead to; one slot awaits them all.
    pub fn flush(&self, batch: &Batch<'_>, delay: i64, origin: RequestOrigin<'_>) {
        let request = Request {
            exptime: delay,
            ..Request::new(Command::FlushAll, b"")
        };
        let protocol = match origin.format {
            WireFormat::Binary(_) => ClientProtocol::Binary,
            WireFormat::Classic | WireFormat::Meta { .. } => ClientProtocol::Classic,
        };
        self.count(batch, protocol, &request);
        let origin = RequestOrigin {
            on_error: batch.route.on_error(),
            ..origin
        };
        let pool = match batch.route {
            Route::Pool(pool) if pool.handover.is_none() => pool,
            _ => return self.routed.flush(batch, &request, origin),
        };
        let number = self.reply_queue.push(origin, pool.nodes.len() as u32);
        for &node in &pool.nodes {
            let slot = ReplySlot::queued(&self.reply_queue, number);
            batch.current.send(node, &request, slot, pool, self.session);
        }
    }

    /// Answers `answer` to a storage command whose value is refused, once its item is as memcached would have
    /// left it.
    pub fn refuse_value(
        &self,
        batch: &Batch<'_>,
        request: &Request<'_>,
        answer: Reply,
        origin: RequestOrigin<'_>,
    ) {
        self.routed.refuse_value(batch, request, answer, origin);
    }

    /// Answers without asking a node.
    pub fn answer(&self, text: impl Into<Bytes>, noreply: bool) {
        if !noreply {
            let origin = own(Command::Set, ReplyMode::Single, WireFormat::Classic);
            self.reply_queue.push_filled(origin, Reply::Text(text.into()));
        }
    }
}

pub(super) fn mode(noreply: bool) -> ReplyMode {
    if noreply {
        ReplyMode::NoReply
    } else {
        ReplyMode::Single
    }
}

/// Returns the format of the answer to a meta request.
pub(super) fn format<'a>(meta: &Meta<'a>) -> WireFormat<'a> {
    WireFormat::Meta {
        key: meta.key,
        flags: meta.flags,
    }
}

/// Returns the origin of a request to which no single pool's settings apply: its failure reads as an error.
pub(super) fn own(command: Command, mode: ReplyMode, format: WireFormat<'_>) -> RequestOrigin<'_> {
    RequestOrigin {
        command,
        mode,
        on_error: OnError::SHOW,
        format,
    }
}
