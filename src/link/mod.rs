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

pub mod connect;
mod delayed_flush;
mod drive;
pub mod entry;
pub mod expected;
pub mod fallback;
mod fences;
pub mod in_flight;
pub mod missed;
pub mod multi_get;
pub mod note;
mod parts;
pub mod pending_reply;
pub mod queued;
pub mod receive;
mod resp;
mod resp_replies;
mod resp_state;
pub mod retry;
pub mod run_keys;
pub mod sent_times;
pub mod set;
pub mod state;
pub mod tell;
pub mod trust;
mod unexecuted;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep_until;
use tracing::debug;

use crate::config;
use crate::link::connect::{ConnectError, Opened};
use crate::link::pending_reply::{Failing, PendingReply};
use crate::link::queued::Queued;
use crate::link::run_keys::NewKey;
use crate::link::state::LinkState;
use crate::link::tell::Teller;
use crate::metrics::NodeShard;
use crate::node::missed::write::Write;
use crate::node::{Kind, Node};
use crate::protocol::dialect::Dialect;
use crate::protocol::meta::is_bare;
use crate::protocol::operation::{Operation, may_leave_stale};
use crate::protocol::{Command, Failure, Request};
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::runtime::local::Local;
use crate::runtime::memory::MemoryBudget;

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
        let mut state = LinkState::default();
        state.resp.max_value = settings.max_value_size;
        Link {
            node,
            budget: MemoryBudget::new(&local.memory),
            local,
            settings: RefCell::new(settings),
            state: RefCell::new(state),
            is_ending: Cell::new(false),
        }
    }

    /// Sets the pool's settings after a reload. Requests that are outstanding keep their timeout.
    pub fn configure(&self, settings: Rc<config::Pool>) {
        let mut state = self.state.borrow_mut();
        state.resp.max_value = settings.max_value_size;
        let before = self.settings.borrow().request_timeout;
        if settings.request_timeout < before {
            state.mixed_until = self.local.clock.now() + before.as_micros() as u64;
            state.wakeup.wake();
        }
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
        if self.is_busy(&state, 1, !request.value.is_empty(), settings) {
            return self.refuse(&mut state, request, slot, Failure::Busy);
        }
        if state.dialect.is_none() && now < state.retry_at {
            let failure = state
                .last_error
                .as_ref()
                .map_or(Failure::Connect, ConnectError::failure);
            return self.refuse(&mut state, request, slot, failure);
        }
        state.doubt_if_idle(now);
        let deadline = now + settings.request_timeout.as_micros() as u64;
        let operation = Operation::of(request);
        let is_sampled = self.local.hot_keys.is_due();
        if is_sampled {
            self.teller().sample(operation, request);
        }
        let pending = PendingReply {
            slot,
            operation,
            started: now,
            deadline,
            is_retry: false,
            is_sampled,
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
                    return self
                        .teller()
                        .refuse(request.into(), pending.slot, dialect.refusal(), false);
                }
            }
        }
        state.wakeup.wake();
    }

    /// Like [`Link::send`], for keys of a multi-get that a classic line can carry, each with its number in the
    /// session's `queue`. Returns false if nothing was done: [`Link::send`] must refuse them, keep them until the link
    /// opens, or write them in another way than in a line of several keys.
    pub fn send_keys<'k>(
        &self,
        command: Command,
        keys: impl ExactSizeIterator<Item = (&'k [u8], u32)>,
        queue: &Rc<ReplyQueue>,
        settings: &config::Pool,
    ) -> bool {
        let now = self.local.clock.now();
        let mut state = self.state.borrow_mut();
        state.doubt_if_idle(now);
        let takes_lines = state.dialect.is_some_and(|dialect| dialect != Dialect::Resp);
        if !takes_lines || self.is_busy(&state, keys.len(), false, settings) {
            return false;
        }
        self.shard().in_flight.add(keys.len() as u64);
        let deadline = now + settings.request_timeout.as_micros() as u64;
        let mut bytes = 0;
        for (key, number) in keys {
            debug_assert!(is_bare(key), "a line can carry it");
            bytes += REQUEST + 2 * key.len();
            let new = NewKey {
                slot: (queue, number),
                started: now,
                deadline,
                is_sampled: self.local.hot_keys.is_due(),
            };
            state.write_key(command, key, new);
        }
        self.budget.add(bytes);
        state.wakeup.wake();
        true
    }

    /// Whether too much is outstanding for `requests` more, of which one `has_value`.
    #[inline]
    fn is_busy(&self, state: &LinkState, requests: usize, has_value: bool, settings: &config::Pool) -> bool {
        state.in_flight.len() + state.queued.len() + requests > settings.max_in_flight
            || state.outgoing.len() + state.queued.bytes() >= MAX_UNSENT
            || (self.budget.is_over_quota() && (has_value || state.words() > SMALL_QUEUE))
    }

    /// Lets the next request dial the node at once, if the last attempt failed without a timeout: a refusal proves that
    /// the node's process is gone.
    pub fn hasten(&self) {
        let mut state = self.state.borrow_mut();
        if state.last_error.as_ref().is_some_and(ConnectError::is_quick) {
            state.retry_at = 0;
        }
    }

    /// Fails `request` at once, because its node is down.
    pub fn refuse_down(&self, request: &Request<'_>, slot: ReplySlot) {
        self.refuse(&mut self.state.borrow_mut(), request, slot, Failure::Down);
    }

    /// Fails `request`, of which nothing was sent.
    #[cold]
    fn refuse(&self, state: &mut LinkState, request: &Request<'_>, slot: ReplySlot, failure: Failure) {
        let write = Write::from(request);
        let is_fenced = write.changes() && !write.key.is_empty() && state.fence(write.key);
        self.teller().refuse(write, slot, failure, is_fenced);
    }

    /// What waited for the requests that were outstanding is settled, if those are answered.
    #[inline]
    fn settle_fences(&self, state: &mut LinkState) {
        if !state.fences.is_empty() {
            let passed = state.take_passed();
            passed.iter().for_each(|key| self.node.missed.settle(key, false));
        }
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
        self.budget.set(
            held + state.outgoing.len() + state.queued.held() + state.in_flight.held() + state.fences.held(),
        );
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
            teller: Some(self.teller()),
        }
    }

    #[inline]
    fn teller(&self) -> Teller<'_> {
        Teller {
            node: &self.node,
            local: &self.local,
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
                Err(error) => self.fail_to_open(error),
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
        let held = connect::held(&settings);
        self.update_budget(&self.state.borrow(), held);
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
                    self.settle_fences(&mut state);
                    self.update_budget(&state, held);
                }
            }
        }
    }

    fn fail_to_open(&self, error: ConnectError) {
        let reason = &error.to_string();
        debug!(
            pool = self.node.pool,
            node = self.node.label,
            reason,
            "link not opened"
        );
        self.node.failed(reason);
        let now = self.local.clock.now();
        let mut state = self.state.borrow_mut();
        state.queued.expire(u64::MAX, error.failure(), self.failing(now));
        self.settle_fences(&mut state);
        self.update_budget(&state, 0);
        state.last_error = Some(error);
        state.backoff = (state.backoff * 2).clamp(FIRST_BACKOFF, LAST_BACKOFF);
        // Between half and the whole of it, so that workers and sidecars do not dial in step.
        let half = state.backoff.as_micros() as u64 / 2;
        state.retry_at = now + half + fastrand::u64(..=half);
    }
}
