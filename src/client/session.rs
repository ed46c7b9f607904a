//! One client connection: requests in, replies out, in order.
//!
//! A session reads once, takes every complete request, and sends each to its node; it writes every reply
//! that is next in order at once. It holds a buffer only while that has bytes in it. It stops reading while
//! too much is outstanding or held, so a client that sends requests without reading replies costs a bounded
//! amount of memory, and delays no other client; and its turn is bounded (`runtime/turn.rs`). It reports
//! what it holds to its memory budget, which says when that is too much for the memory that all sessions
//! share.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Sleep, sleep_until};
use tokio_util::io::poll_read_buf;

use super::replies::Replies;
use super::requests::Requests;
use crate::config::Bind;
use crate::net::outgoing::Outgoing;
use crate::net::stream::Stream;
use crate::net::succession::{MAX_PASSED, PassedSession};
use crate::reply::dropped::{DROPPED, may_be_dropped};
use crate::reply::keys::TakenReply;
use crate::reply::queue::ReplyQueue;
use crate::runtime::memory::MemoryBudget;
use crate::runtime::{buffers, coalesce, turn};
use crate::worker::context::WorkerContext;

/// The number of unwritten bytes above which it stops reading.
const MAX_WAITING: usize = 256 << 10;
/// The number of unwritten bytes above which values are dropped: their reads then look as if a node had
/// failed.
const MAX_HELD: usize = 64 << 20;

/// One client connection.
pub struct Session {
    stream: Stream,
    bind: Arc<Bind>,
    worker: Rc<WorkerContext>,
    reply_queue: Rc<ReplyQueue>,
    requests: Requests,
    replies: Replies,
    /// Bytes that were read and not parsed yet.
    rest: BytesMut,
    /// Bytes to be written.
    out: Outgoing,
    idle: Option<Idle>,
    /// Whether the session must end and the event loop has polled once more for requests since.
    has_looked: bool,
    /// Whether the session ended because the process that takes this one's place continues it.
    is_passed_on: bool,
    /// Whether the client has authenticated.
    is_authenticated: bool,
}

struct Idle {
    timeout: Duration,
    /// When bytes last arrived, in microseconds of the worker's clock.
    last: u64,
    /// The number of encrypted bytes that had arrived by then.
    encrypted: u64,
    timer: Pin<Box<Sleep>>,
    is_armed: bool,
}

impl Session {
    /// Returns a session on `stream`, which was accepted by the listener bound to `bind`.
    pub fn new(
        stream: Stream,
        bind: Arc<Bind>,
        worker: Rc<WorkerContext>,
        idle_timeout: Option<Duration>,
    ) -> Session {
        let reply_queue = Rc::new(ReplyQueue::new(MemoryBudget::new(&worker.local.memory)));
        let last = worker.local.clock.now();
        let idle = idle_timeout.map(|timeout| Idle {
            timeout,
            last,
            encrypted: stream.encrypted(),
            timer: Box::pin(sleep_until(tokio::time::Instant::now() + timeout)),
            is_armed: false,
        });
        Session {
            stream,
            requests: Requests::new(reply_queue.clone(), &worker),
            bind,
            worker,
            reply_queue,
            replies: Replies::default(),
            rest: BytesMut::new(),
            out: Outgoing::default(),
            idle,
            has_looked: false,
            is_passed_on: false,
            is_authenticated: false,
        }
    }

    /// The client has authenticated, if `is_authenticated`.
    pub fn authenticated(mut self, is_authenticated: bool) -> Session {
        self.is_authenticated = is_authenticated;
        self
    }

    /// Begins with `rest`, which was read before there was a session.
    pub fn after(mut self, rest: BytesMut) -> Session {
        if !rest.is_empty() {
            self.requests.go_on();
            self.rest = rest;
        }
        self
    }

    /// Serves the client until it leaves, the connection breaks, or the listener ends.
    pub async fn run(mut self) {
        poll_fn(|cx| {
            self.reply_queue.hold();
            // Empty buffers must not cause a refusal.
            if !self.worker.local.memory.is_below_low_watermark() {
                self.update_budget();
            }
            let end = self.poll(cx);
            self.update_budget();
            self.reply_queue.register(cx);
            end
        })
        .await;
        if self.is_passed_on && self.pass_on() {
            return;
        }
        self.stream.end().await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.requests.begin_turn();
        loop {
            let has_room = match self.poll_answer(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => false,
            };
            if self.requests.turn.is_over(&self.worker.local.clock) {
                break;
            }
            let owes_nothing = has_room && self.reply_queue.is_empty();
            if self.requests.is_over() {
                return if owes_nothing {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            // A data block that was admitted has its memory already, and one that is swallowed needs none.
            let must_wait = !owes_nothing && !self.requests.is_amid_block() && !self.reply_queue.has_room(0);
            if must_wait || self.requests.is_full() || self.out.len() >= MAX_WAITING {
                return Poll::Pending;
            }
            if self.requests.may_go_on() {
                self.resume();
                continue;
            }
            if self.may_be_passed_on() {
                // Nothing more is read: it is the successor's to answer.
                self.is_passed_on = owes_nothing;
                return if owes_nothing {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            if self.poll_read(cx).is_ready() {
                continue;
            }
            self.requests.pause(&self.rest, &self.worker);
            if self.requests.is_over() {
                continue;
            }
            // In the middle of a request the session does not end, but its client may be idle.
            let is_between = owes_nothing && self.rest.is_empty() && !self.requests.is_skipping();
            if is_between && self.poll_ending(cx).is_ready() || owes_nothing && self.poll_idle(cx).is_ready()
            {
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        turn::go_on_later(cx);
        Poll::Pending
    }

    /// Updates the session's budget with what it holds. Unless memory is plentiful it keeps no empty
    /// buffers.
    fn update_budget(&mut self) {
        if !self.worker.local.memory.is_below_low_watermark() {
            self.reply_queue.trim();
            if self.out.is_empty() {
                self.out = Outgoing::default();
            }
        }
        let unread = buffers::held(&self.rest).max(self.requests.reserved());
        self.reply_queue
            .update_budget(unread + self.out.held() + self.stream.held());
    }

    /// Ready if the session must end and no request is waiting in the socket. Requests that have arrived
    /// are still answered, and only another poll of the event loop tells whether there are any.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.worker.is_ending(&self.bind) {
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.has_looked, true) {
            return pin!(tokio::task::yield_now()).poll(cx);
        }
        Poll::Ready(())
    }

    /// Whether the process that takes this one's place can continue the session: all that there is of it, once its
    /// replies are written, is its socket and the beginning of a request.
    fn may_be_passed_on(&self) -> bool {
        self.worker.is_draining.get()
            && self.stream.socket().is_some()
            && !self.requests.is_amid_block()
            && self.rest.len() <= MAX_PASSED
            && self.worker.state.succession.has_begun()
    }

    /// Passes the session on. Returns false if the system does not allow it.
    fn pass_on(&self) -> bool {
        let socket = self.stream.socket();
        let Some(Ok(fd)) = socket.map(|socket| socket.try_clone_to_owned()) else {
            return false;
        };
        self.worker.state.succession.pass(PassedSession {
            bind: self.bind.clone(),
            fd,
            unread: self.rest.to_vec(),
            is_authenticated: self.is_authenticated,
        });
        true
    }

    /// Writes the replies that are next in order. Returns `Pending` if the client does not read fast
    /// enough.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            while self.write_reply() {}
            if !self.write_keys() {
                break;
            }
        }
        self.worker.shard().dropped.add(self.reply_queue.take_dropped());
        if self.out.is_empty() {
            self.finish(false);
            return self.stream.poll_sent(cx);
        }
        let mut written = 0;
        let flushed = self.out.poll_flush(&mut self.stream, cx, &mut written);
        self.finish(false);
        self.worker.shard().bytes_written.add(written);
        self.requests.turn.spend(written as usize);
        ready!(flushed)?;
        self.stream.poll_sent(cx)
    }

    /// Writes the reply that is next in order. Returns false if there is none.
    #[inline]
    fn write_reply(&mut self) -> bool {
        let (out, replies) = (&mut self.out, &mut self.replies);
        let written = self.reply_queue.take(|origin, mut reply| {
            if out.len() > MAX_HELD && may_be_dropped(origin.command, reply.value_len()) {
                reply = DROPPED;
                self.worker.shard().dropped.add(1);
            }
            replies.write(origin, &reply, out);
        });
        written.is_some()
    }

    /// Writes the replies to keys of multi-gets that are next in order. Returns false if there are none.
    fn write_keys(&mut self) -> bool {
        let (out, replies) = (&mut self.out, &mut self.replies);
        self.reply_queue.take_keys(|origin, reply| {
            if out.len() > MAX_HELD && reply.size() > 0 {
                self.worker.shard().dropped.add(1);
                return replies.write_key(origin, &TakenReply::Other(&DROPPED), out);
            }
            replies.write_key(origin, &reply, out);
        })
    }

    /// Tells of the requests whose replies were just written; if the session ends, of all.
    #[inline]
    fn finish(&self, is_ending: bool) {
        if self.reply_queue.has_unfinished() {
            let local = &self.worker.local;
            let now = local.clock.read();
            while let Some(unfinished) = self.reply_queue.pop_unfinished(is_ending) {
                unfinished.finish(now, local);
            }
        }
    }

    /// Reads once and takes the complete requests. Returns `Pending` if there is nothing to read now.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let worker = self.worker.clone();
        let mut buffer = worker
            .local
            .buffers
            .take(&mut self.rest, self.requests.reserved());
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut buffer);
        let largest = buffer.capacity();
        match read {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => self.requests.end(),
            Poll::Ready(Ok(n)) => {
                worker.shard().bytes_read.add(n as u64);
                self.requests.turn.spend(n + turn::READ);
                coalesce::read_requests();
                if let Some(idle) = &mut self.idle {
                    idle.last = worker.local.clock.now();
                }
                self.requests.take(&mut buffer, &self.worker, &self.bind);
            }
        }
        self.rest = worker.local.buffers.give(buffer, largest);
        read.map(|_| ())
    }

    /// Continues with bytes that were read before, now that there is room again.
    fn resume(&mut self) {
        let worker = self.worker.clone();
        let mut buffer = worker
            .local
            .buffers
            .take(&mut self.rest, self.requests.reserved());
        let largest = buffer.capacity();
        self.requests.take(&mut buffer, &self.worker, &self.bind);
        self.rest = worker.local.buffers.give(buffer, largest);
    }

    /// Ready if no byte has arrived for the idle timeout, whatever the client sent before.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        // Part of a TLS record is nothing to read yet.
        let encrypted = self.stream.encrypted();
        if encrypted != idle.encrypted {
            idle.encrypted = encrypted;
            idle.last = self.worker.local.clock.now();
        }
        while !idle.is_armed || idle.timer.is_elapsed() {
            let timeout = idle.timeout.as_micros() as u64;
            if self.worker.local.clock.now() >= idle.last + timeout {
                self.worker.shard().idle_closed.add(1);
                return Poll::Ready(());
            }
            let until = self.worker.local.clock.instant(idle.last + timeout);
            idle.timer.as_mut().reset(until);
            idle.is_armed = true;
            ready!(idle.timer.as_mut().poll(cx));
        }
        Poll::Pending
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.finish(true);
        self.reply_queue.close();
        self.worker.leave(self.requests.session());
    }
}
