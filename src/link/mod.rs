//! A link: one connection from one worker to one node, shared by all the worker's sessions.
//!
//! ```text
//!   session A ─ send ─┐                         ┌─▶ poll_flush ─▶ node
//!   session B ─ send ─┼─▶ outgoing bytes ───────┘   once a turn, after all sessions of the turn
//!   session C ─ send ─┘   in flight: A B C
//!                         └──────◀ receive ◀─ read ◀─ node
//!                            slots of A, B, C
//! ```
//!
//! A link is opened by the first request that needs it. While it opens, requests are queued; it asks the
//! node for its version, which determines the dialect. When it breaks, outstanding requests that may safely
//! be sent again are queued and reopen it at once; the others fail, and the next request opens it again,
//! after a jittered backoff if the node could not be reached. It closes by itself only if it is out of
//! step, makes no progress at all, gets only late replies, or has too many abandoned requests. It is
//! reopened if it was idle and does not answer, or if the node's name resolves to other addresses: requests
//! are queued meanwhile (`trust`).

pub mod byte_queue;
pub mod connect;
pub mod expected;
pub mod fallback;
pub mod in_flight;
pub mod missed;
pub mod multi_get;
mod parts;
pub mod pending_reply;
pub mod queued;
pub mod receive;
pub mod retry;
pub mod set;
pub mod state;
pub mod trust;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Sleep, sleep_until};
use tokio_util::io::poll_read_buf;
use tracing::debug;

use crate::config;
use crate::hot_keys::Access;
use crate::link::connect::{ConnectError, Opened};
use crate::link::missed::replaces;
use crate::link::pending_reply::{Failing, PendingReply};
use crate::link::queued::{Queued, QueuedRequest};
use crate::link::receive::Arrival;
use crate::link::state::{End, LinkState};
use crate::link::trust::Trust;
use crate::metrics::NodeShard;
use crate::node::{Kind, Node, Remote};
use crate::protocol::dialect::Dialect;
use crate::protocol::operation::{Operation, may_leave_stale};
use crate::protocol::{Failure, Request};
use crate::reply::slot::ReplySlot;
use crate::runtime::local::Local;
use crate::runtime::memory::MemoryBudget;
use crate::runtime::turn::{self, Turn};
use crate::runtime::{buffers, coalesce};

/// Close the link after this many `request_timeout`s without progress, or with late replies only: once a
/// reply is lost, every later one may be attributed to the wrong request.
const PROGRESS: u64 = 4;
/// Close the link when this many of its outstanding requests are abandoned.
const MAX_ABANDONED: usize = 1024;
/// A link with this many unsent bytes is busy.
const MAX_UNSENT: usize = 64 << 20;
/// The approximate overhead of an in-flight request in bytes, beside its words and its value.
const REQUEST: usize = 128;
/// Under memory pressure, a link is busy if the words of its requests take more bytes than this: its node
/// is slow. A link that only holds much because of large values still accepts reads.
const SMALL_QUEUE: usize = 64 << 10;
/// The first backoff after a failed connection attempt; it doubles up to the last.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LAST_BACKOFF: Duration = Duration::from_secs(2);

/// One connection from one worker to one node.
#[derive(Debug)]
pub struct Link {
    node: Arc<Node>,
    local: Rc<Local>,
    settings: RefCell<Rc<config::Pool>>,
    state: RefCell<LinkState>,
    is_ending: Cell<bool>,
    /// The memory of unsent requests and unread replies.
    budget: MemoryBudget,
}

impl Link {
    /// Returns a link that is not open. It does nothing until [`Link::run`] is spawned.
    pub fn new(node: Arc<Node>, local: Rc<Local>, settings: Rc<config::Pool>) -> Link {
        Link {
            node,
            budget: MemoryBudget::new(&local.memory),
            local,
            settings: RefCell::new(settings),
            state: RefCell::default(),
            is_ending: Cell::new(false),
        }
    }

    /// Sets the pool's settings after a reload.
    pub fn configure(&self, settings: Rc<config::Pool>) {
        *self.settings.borrow_mut() = settings;
    }

    /// Wakes the link, so that it checks whether its address is still valid.
    pub fn wake(&self) {
        self.state.borrow_mut().wakeup.wake();
    }

    /// Lets the link close once nothing is outstanding.
    pub fn end(&self) {
        self.is_ending.set(true);
        self.state.borrow_mut().wakeup.wake();
    }

    /// Sends `request`; its reply, or the reason for its failure, is delivered to `slot`. Never blocks.
    #[inline(always)]
    pub fn send(&self, request: &Request<'_>, slot: ReplySlot, settings: &config::Pool) {
        let now = self.local.clock.now();
        let mut state = self.state.borrow_mut();
        if state.in_flight.len() + state.queued.len() >= settings.max_in_flight
            || state.outgoing.len() + state.queued.bytes() >= MAX_UNSENT
            || (self.budget.is_over_quota() && (!request.value.is_empty() || state.words() > SMALL_QUEUE))
        {
            return slot.refuse(request.into(), Failure::Busy, self.shard(), &self.node.missed);
        }
        if state.dialect.is_none() && now < state.retry_at {
            return slot.refuse(request.into(), Failure::Connect, self.shard(), &self.node.missed);
        }
        state.doubt_if_idle(now);
        let deadline = now + settings.request_timeout.as_micros() as u64;
        let operation = Operation::of(request);
        let pending = PendingReply {
            slot,
            operation,
            started: now,
            deadline,
            is_retry: false,
            is_sampled: self.local.hot_keys.is_due() && self.sample(operation, request),
        };
        self.shard().in_flight.add(1);
        // Words are held twice: in the in-flight queue and in the outgoing bytes.
        self.budget
            .add(REQUEST + 2 * request.words() + request.value.len());
        state.spares_tokens = self.spares_tokens(request);
        if request.value.len() > state::NEVER_LARGE {
            state.item_size_max = self.item_size_max();
        }
        match state.dialect {
            None => state.queued.push(Queued::of(request), pending),
            Some(dialect) => {
                if let Err(pending) = state.write(dialect, request, pending) {
                    self.shard().in_flight.sub(1);
                    let (shard, missed) = (self.shard(), &self.node.missed);
                    return pending
                        .slot
                        .refuse(request.into(), dialect.refusal(), shard, missed);
                }
            }
        }
        state.wakeup.wake();
    }

    /// Counts a sampled request now, if it writes. Returns true if it reads, and is counted when its reply arrives.
    #[cold]
    fn sample(&self, operation: Operation, request: &Request<'_>) -> bool {
        let access = Access::of(operation);
        if access == Access::Write {
            let hot_keys = &self.local.hot_keys;
            hot_keys.record(&self.node.pool, request.key, access, request.value.len());
        }
        access == Access::Read
    }

    /// Whether the node may have stale items after `request`.
    #[inline]
    fn spares_tokens(&self, request: &Request<'_>) -> bool {
        let Kind::Remote(remote) = &self.node.kind else {
            return false;
        };
        if may_leave_stale(request) {
            remote.has_stale.store(true, Relaxed);
        }
        remote.has_stale.load(Relaxed)
    }

    /// The maximum size of an item on the node in bytes: as the node reported it, or memcached's default.
    fn item_size_max(&self) -> u64 {
        const DEFAULT: u64 = 1 << 20;
        match &self.node.kind {
            Kind::Remote(remote) => match remote.item_size_max.load(Relaxed) {
                0 => DEFAULT,
                told => told,
            },
            Kind::Embedded(_) => u64::MAX,
        }
    }

    /// Updates the budget with what the link holds, including what its connection `held`.
    fn update_budget(&self, state: &LinkState, held: usize) {
        self.budget
            .set(held + state.outgoing.len() + state.queued.held() + state.in_flight.held());
    }

    #[inline]
    fn shard(&self) -> &NodeShard {
        self.node.shard(self.local.worker)
    }

    fn failing(&self, now: u64) -> Failing<'_> {
        Failing {
            now,
            shard: self.shard(),
            missed: &self.node.missed,
        }
    }

    fn settings(&self) -> Rc<config::Pool> {
        self.settings.borrow().clone()
    }

    /// Opens the connection when it is needed, drives it, and starts over when it breaks. Returns after
    /// [`Link::end`], once nothing is outstanding.
    pub async fn run(self: Rc<Link>) {
        while poll_fn(|cx| self.poll_wanted(cx)).await {
            match self.open().await {
                Ok(opened) => self.drive(opened).await,
                Err(error) => self.fail_to_open(&error.to_string()),
            }
        }
    }

    /// Returns true once a request is queued; false if the link ends and none is.
    fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state.borrow_mut();
        state.wakeup.register(cx);
        match (state.queued.is_empty(), self.is_ending.get()) {
            (false, _) => Poll::Ready(true),
            (true, true) => Poll::Ready(false),
            (true, false) => Poll::Pending,
        }
    }

    /// Dials the node and determines the dialect; queued requests that are due meanwhile fail.
    async fn open(&self) -> Result<Opened, ConnectError> {
        let settings = self.settings();
        let mut opened = std::pin::pin!(connect::open(&self.node, &settings));
        loop {
            // Requests that arrive while the queue is empty are due after a whole timeout at the earliest.
            let patience = settings.request_timeout.as_micros() as u64;
            let due = self.state.borrow().queued.next_deadline();
            let due = due.unwrap_or_else(|| self.local.clock.now() + patience);
            let due = self.local.clock.instant(due);
            tokio::select! {
                // In a fixed order, so that a simulation is reproducible.
                biased;
                opened = &mut opened => return opened,
                () = sleep_until(due) => {
                    let now = self.local.clock.now();
                    let mut state = self.state.borrow_mut();
                    state.queued.expire(now, Failure::Timeout, self.failing(now));
                    self.update_budget(&state, 0);
                }
            }
        }
    }

    fn fail_to_open(&self, reason: &str) {
        debug!(
            pool = self.node.pool,
            node = self.node.label,
            reason,
            "link not opened"
        );
        self.node.failed(reason);
        let now = self.local.clock.now();
        let mut state = self.state.borrow_mut();
        state.queued.expire(u64::MAX, Failure::Connect, self.failing(now));
        self.update_budget(&state, 0);
        state.backoff = (state.backoff * 2).clamp(FIRST_BACKOFF, LAST_BACKOFF);
        // Between half and the whole of it, so that workers and sidecars do not dial in step.
        let half = state.backoff.as_micros() as u64 / 2;
        state.retry_at = now + half + fastrand::u64(..=half);
    }

    /// Drives the connection until it breaks or the link ends.
    async fn drive(&self, mut opened: Opened) {
        let dialect = opened.dialect;
        let peer = opened.stream.peer();
        self.shard().links.add(1);
        self.shard().connects.add(1);
        self.count_peer(peer, Remote::enter);
        self.begin(dialect);
        let mut rest = BytesMut::new();
        let mut timer = std::pin::pin!(sleep_until(tokio::time::Instant::now()));
        let end = poll_fn(|cx| {
            let end = self.poll_drive(&mut opened, &mut rest, timer.as_mut(), cx);
            let held = buffers::held(&rest) + opened.stream.held();
            self.update_budget(&self.state.borrow(), held);
            end
        })
        .await;
        self.shard().links.sub(1);
        self.count_peer(peer, Remote::leave);
        let mut state = self.state.borrow_mut();
        let is_out_of_step = matches!(end, End::Desync);
        if is_out_of_step && state.in_flight.is_empty() {
            // The extra reply fails no request, but must show in the metrics.
            self.shard().failures[Failure::Desync as usize].add(1);
        }
        let is_no_failure = matches!(end, End::Forgotten | End::Moved);
        if is_no_failure {
            let (pool, node) = (&self.node.pool, &self.node.label);
            debug!(pool, node, reason = end.reason(), "link opened anew");
            self.shard().renewals.add(1);
            opened.stream.forget_unsent();
        } else if is_out_of_step || !state.in_flight.is_empty() {
            debug!(
                pool = self.node.pool,
                node = self.node.label,
                reason = end.reason(),
                "link broken"
            );
            self.node.failed(end.reason());
            // Requests that failed must not arrive much later. When a network partition heals, TCP would
            // otherwise still deliver an old `set`, and bring back a value that was replaced elsewhere
            // meanwhile.
            opened.stream.forget_unsent();
        }
        let failing = self.failing(self.local.clock.now());
        let lost = state.on_disconnect(end, dialect, self.budget.most(), failing);
        lost.iter().for_each(|key| self.node.missed.settle(key, true));
        self.update_budget(&state, 0);
    }

    fn begin(&self, dialect: Dialect) {
        let now = self.local.clock.now();
        let mut state = self.state.borrow_mut();
        state.open(dialect, now);
        self.write_queued(&mut state, dialect, now);
    }

    fn count_peer(&self, peer: Option<SocketAddr>, count: impl Fn(&Remote, SocketAddr)) {
        if let (Kind::Remote(remote), Some(peer)) = (&self.node.kind, peer) {
            count(remote, peer);
        }
    }

    fn write_queued(&self, state: &mut LinkState, dialect: Dialect, now: u64) {
        // Their clients were already answered, so they must not be executed.
        state.queued.expire(now, Failure::Timeout, self.failing(now));
        while let Some(QueuedRequest { request, pending }) = state.queued.take() {
            if self.is_barred(&request) {
                self.shard().in_flight.sub(1);
                pending.fail(request.write(), Failure::Missed, false, self.failing(now));
                continue;
            }
            let is_retry = pending.is_retry;
            let (sent, failure) = match request.request() {
                Ok(request) => (state.write(dialect, &request, pending), dialect.refusal()),
                Err(encoded) => (state.write_again(dialect, encoded, pending), Failure::Closed),
            };
            match sent {
                Ok(()) => self.shard().retries.add(u64::from(is_retry)),
                Err(pending) => {
                    self.shard().in_flight.sub(1);
                    pending.fail(request.write(), failure, false, self.failing(now));
                }
            }
        }
    }

    /// Whether the request depends on the old item and its key was missed while it was queued: an earlier
    /// write may arrive after it.
    fn is_barred(&self, request: &Queued) -> bool {
        let missed = &self.node.missed;
        missed.is_any()
            && request
                .request()
                .is_ok_and(|request| !replaces(&request) && missed.bars(&request))
    }

    fn poll_drive(
        &self,
        opened: &mut Opened,
        rest: &mut BytesMut,
        timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        let mut state = self.state.borrow_mut();
        state.wakeup.register(cx);
        if self.has_moved(opened) {
            state.leave();
        }
        if state.has_left() {
            return Poll::Ready(End::Moved);
        }
        let mut turn = Turn::begin();
        if let Poll::Ready(end) = self.poll_read(&mut state, opened, rest, &mut turn, cx) {
            return Poll::Ready(end);
        }
        state.ask_if_doubted(|| self.local.clock.now() + trust::patience(&self.settings.borrow()));
        state.close_line();
        let mut written = 0;
        let flushed = match opened.stream.is_tls() {
            false => state.outgoing.poll_flush(&mut opened.stream, cx, &mut written),
            true => state.poll_flush_parts(&mut opened.stream, &mut opened.part_end, cx, &mut written),
        };
        self.shard().bytes_written.add(written);
        turn.spend(written as usize);
        if let Poll::Ready(Err(_)) = flushed {
            return Poll::Ready(End::Closed);
        }
        if self.is_ending.get()
            && state.in_flight.is_empty()
            && state.queued.is_empty()
            && state.outgoing.is_empty()
        {
            return Poll::Ready(End::Closed);
        }
        let end = self.poll_deadlines(&mut state, timer, cx);
        if end.is_pending() && turn.is_over(&self.local.clock) {
            turn::go_on_later(cx);
        }
        end
    }

    /// Returns true if the node's name resolves to other addresses since the connection was opened.
    #[inline]
    fn has_moved(&self, opened: &mut Opened) -> bool {
        let Kind::Remote(remote) = &self.node.kind else {
            return false;
        };
        let moves = remote.moves();
        if moves == opened.moves {
            return false;
        }
        opened.moves = moves;
        opened.stream.peer().is_some_and(|peer| remote.left(peer))
    }

    fn poll_read(
        &self,
        state: &mut LinkState,
        opened: &mut Opened,
        rest: &mut BytesMut,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        let mut buffer = self.local.buffers.take(rest, 0);
        let mut largest = buffer.capacity();
        let max_value = self.settings.borrow().max_value_size;
        // A value that fits into one read buffer takes no further memory; whether its session has room is
        // checked there.
        state.in_flight.set_room(self.budget.most().max(buffers::SIZE));
        let end = loop {
            if turn.is_over(&self.local.clock) {
                break Poll::Pending;
            }
            self.local
                .buffers
                .make_room(&mut buffer, state.reply_room(), largest);
            largest = largest.max(buffer.capacity());
            match poll_read_buf(Pin::new(&mut opened.stream), cx, &mut buffer) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => break Poll::Ready(End::Closed),
                Poll::Ready(Ok(n)) => {
                    self.shard().bytes_read.add(n as u64);
                    turn.spend(n + turn::READ);
                    let now = self.local.clock.now();
                    coalesce::read_replies(
                        state
                            .in_flight
                            .oldest()
                            .map(|started| now.saturating_sub(started)),
                    );
                    state.progress = now;
                    if let Trust::Asked(_) = state.trust {
                        match trust::take_answer(&mut buffer) {
                            None => continue,
                            Some(false) => break Poll::Ready(End::Desync),
                            Some(true) => {
                                state.trust(opened.dialect);
                                self.write_queued(state, opened.dialect, now);
                                continue;
                            }
                        }
                    }
                    let arrival = Arrival {
                        now,
                        shard: self.shard(),
                    };
                    let in_flight = &mut state.in_flight;
                    let received = in_flight.receive(&mut buffer, opened.dialect, max_value, arrival);
                    in_flight.drain_sampled(|key, bytes| {
                        let hot_keys = &self.local.hot_keys;
                        hot_keys.record(&self.node.pool, key, Access::Read, bytes);
                    });
                    state.learn_reply_size();
                    for key in state.in_flight.take_late() {
                        self.node.missed.settle(&key, false);
                    }
                    if std::mem::take(&mut state.in_flight.has_seen_stale)
                        && let Kind::Remote(remote) = &self.node.kind
                    {
                        remote.has_stale.store(true, Relaxed);
                    }
                    let in_flight = &state.in_flight;
                    if in_flight.is_empty() || received == Ok(true) {
                        state.late_since = None;
                    }
                    match received {
                        Ok(true) => self.node.answered(),
                        // A reply to an abandoned request is no sign of health.
                        Ok(false) => {}
                        Err(_) => break Poll::Ready(End::Desync),
                    }
                }
            }
        };
        *rest = self.local.buffers.give(buffer, largest);
        end
    }

    /// Ends the link if it was asked and did not answer in time.
    fn poll_answer(
        &self,
        state: &mut LinkState,
        until: u64,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        while !state.is_timed || timer.is_elapsed() {
            if self.local.clock.now() >= until {
                return Poll::Ready(End::Forgotten);
            }
            timer.as_mut().reset(self.local.clock.instant(until));
            state.is_timed = timer.as_mut().poll(cx).is_pending();
        }
        Poll::Pending
    }

    /// Abandons requests that are due. The timer is armed once and left alone until it fires, however many
    /// requests come and go meanwhile: later requests are due later.
    fn poll_deadlines(
        &self,
        state: &mut LinkState,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        if let Trust::Asked(until) = state.trust {
            return self.poll_answer(state, until, timer, cx);
        }
        while !state.in_flight.is_empty() || state.trust == Trust::Leaving {
            if state.has_left() {
                return Poll::Ready(End::Moved);
            }
            if state.is_timed && !timer.is_elapsed() {
                return Poll::Pending;
            }
            let now = self.local.clock.now();
            if state.in_flight.expire(self.failing(now)) > 0 {
                self.node.failed("timeout");
                state.late_since.get_or_insert(now);
            }
            let timeout = self.settings.borrow().request_timeout.as_micros() as u64;
            let hopeless_at =
                state.in_flight.oldest().unwrap_or(now).max(state.progress) + PROGRESS * timeout;
            let is_always_late = state
                .late_since
                .is_some_and(|since| now >= since + PROGRESS * timeout);
            if now >= hopeless_at || is_always_late || state.in_flight.abandoned() >= MAX_ABANDONED {
                return Poll::Ready(End::Silent);
            }
            // If all are abandoned, the next request is due after a whole timeout at the earliest.
            let next = state
                .in_flight
                .next_deadline()
                .unwrap_or(hopeless_at.min(now + timeout));
            let next = next.max(now + 1000);
            timer.as_mut().reset(self.local.clock.instant(next));
            state.is_timed = timer.as_mut().poll(cx).is_pending();
        }
        Poll::Pending
    }
}
