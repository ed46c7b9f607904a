//! One client connection: requests in, replies out, in order.
//!
//! A session reads once, takes every whole request that is there, and sends each to its node; it writes
//! once, every reply whose turn has come. It holds a buffer only while it has bytes in it. It stops reading
//! while it owes or holds too much, so a client that asks without reading costs a bounded amount of memory,
//! and nobody else waits for it; and its turn is bounded (`runtime/turn.rs`). What it holds it tells its account,
//! which says when that is too much for the memory that all share.

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
use crate::reply::queue::{LEFT_OUT, Slots, may_be_left_out, value_bytes};
use crate::runtime::memory::Account;
use crate::runtime::{buffers, coalesce, turn};
use crate::worker::context::View;

/// Bytes that may wait to be written before it stops reading.
const MAX_WAITING: usize = 256 << 10;
/// Bytes that may wait to be written before values are left out: a read then reads as one of a failed node.
const MAX_HELD: usize = 64 << 20;

/// One client connection.
pub struct Session {
    stream: Stream,
    bind: Arc<Bind>,
    view: Rc<View>,
    slots: Rc<Slots>,
    requests: Requests,
    replies: Replies,
    /// Bytes that were read and not taken yet.
    rest: BytesMut,
    /// Bytes that wait to be written.
    out: Outgoing,
    idle: Option<Idle>,
    /// The session is to end, and the event loop has looked once more for requests since.
    has_looked: bool,
}

struct Idle {
    timeout: Duration,
    /// When bytes last came, in microseconds of the worker's clock.
    last: u64,
    timer: Pin<Box<Sleep>>,
    is_armed: bool,
}

impl Session {
    /// A session on `stream`, which came in through the listener bound to `bind`.
    pub fn new(stream: Stream, bind: Arc<Bind>, view: Rc<View>, idle_timeout: Option<Duration>) -> Session {
        let slots = Rc::new(Slots::new(Account::new(&view.local.memory)));
        let last = view.local.clock.now();
        let idle = idle_timeout.map(|timeout| Idle {
            timeout,
            last,
            timer: Box::pin(sleep_until(tokio::time::Instant::now() + timeout)),
            is_armed: false,
        });
        Session {
            stream,
            requests: Requests::new(slots.clone(), &view),
            bind,
            view,
            slots,
            replies: Replies::default(),
            rest: BytesMut::new(),
            out: Outgoing::default(),
            idle,
            has_looked: false,
        }
    }

    /// Serves the client until it leaves, breaks off, or the listener ends.
    pub async fn run(mut self) {
        poll_fn(|cx| {
            self.slots.hold();
            // Nobody is refused for the sake of buffers that are empty by now.
            if !self.view.local.memory.is_calm() {
                self.tally();
            }
            let end = self.poll(cx);
            self.tally();
            self.slots.register(cx);
            end
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.requests.begin_turn();
        loop {
            let has_room = match self.poll_answer(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => false,
            };
            if self.requests.turn.is_over(&self.view.local.clock) {
                break;
            }
            let owes_nothing = has_room && self.slots.is_empty();
            if self.requests.is_over() {
                return if owes_nothing {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            // A data block that was let in has its memory already, and one that is swallowed needs none.
            let must_wait = !owes_nothing && !self.requests.is_amid_block() && !self.slots.has_room(0);
            if must_wait || self.requests.is_full() || self.out.len() >= MAX_WAITING {
                return Poll::Pending;
            }
            if self.requests.may_go_on() {
                self.resume();
                continue;
            }
            if self.poll_read(cx).is_ready() {
                continue;
            }
            self.requests.pause(&self.view);
            if self.requests.is_over() {
                continue;
            }
            let is_quiet = owes_nothing && self.rest.is_empty() && !self.requests.is_swallowing();
            if is_quiet && (self.poll_ending(cx).is_ready() || self.poll_idle(cx).is_ready()) {
                return Poll::Ready(());
            }
            return Poll::Pending;
        }
        turn::go_on_later(cx);
        Poll::Pending
    }

    /// Tells the session's account what it holds. Where memory is not plenty it keeps no empty buffers.
    fn tally(&mut self) {
        if !self.view.local.memory.is_calm() {
            self.slots.trim();
            if self.out.is_empty() {
                self.out = Outgoing::default();
            }
        }
        let unread = buffers::held(&self.rest).max(self.requests.reserved());
        self.slots.tally(unread + self.out.held());
    }

    /// Ready where the session is to end and no request is waiting in the socket: those that have arrived
    /// are still answered, and whether there are any the event loop knows only after another look.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.view.is_ending(&self.bind) {
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.has_looked, true) {
            return pin!(tokio::task::yield_now()).poll(cx);
        }
        Poll::Ready(())
    }

    /// Writes the replies whose turn has come. `Pending`: the client does not read as fast.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while let Some((asked, mut reply)) = self.slots.take() {
            if self.out.len() > MAX_HELD && may_be_left_out(asked.command, value_bytes(&reply)) {
                reply = LEFT_OUT;
                self.view.shard().left_out.add(1);
            }
            self.replies.write(&asked, &reply, &mut self.out);
        }
        self.view.shard().left_out.add(self.slots.take_left_out());
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut written = 0;
        let flushed = self.out.poll_flush(&mut self.stream, cx, &mut written);
        self.view.shard().bytes_written.add(written);
        self.requests.turn.spend(written as usize);
        flushed
    }

    /// Reads once and takes the requests that are there. `Pending`: nothing to read now.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let view = self.view.clone();
        let mut buffer = view.local.buffers.take(&mut self.rest, self.requests.reserved());
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut buffer);
        let largest = buffer.capacity();
        match read {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => self.requests.end(),
            Poll::Ready(Ok(n)) => {
                view.shard().bytes_read.add(n as u64);
                self.requests.turn.spend(n + turn::READ);
                coalesce::read_requests();
                if let Some(idle) = &mut self.idle {
                    idle.last = view.local.clock.now();
                }
                self.requests.take(&mut buffer, &self.view, &self.bind);
            }
        }
        self.rest = view.local.buffers.give(buffer, largest);
        read.map(|_| ())
    }

    /// Goes on with what was read before, now that there is room again.
    fn resume(&mut self) {
        let view = self.view.clone();
        let mut buffer = view.local.buffers.take(&mut self.rest, self.requests.reserved());
        let largest = buffer.capacity();
        self.requests.take(&mut buffer, &self.view, &self.bind);
        self.rest = view.local.buffers.give(buffer, largest);
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        while !idle.is_armed || idle.timer.is_elapsed() {
            let timeout = idle.timeout.as_micros() as u64;
            if self.view.local.clock.now() >= idle.last + timeout {
                self.view.shard().idle_closed.add(1);
                return Poll::Ready(());
            }
            let until = self.view.local.clock.instant(idle.last + timeout);
            idle.timer.as_mut().reset(until);
            idle.is_armed = true;
            ready!(idle.timer.as_mut().poll(cx));
        }
        Poll::Pending
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.slots.close();
        self.view.leave(self.requests.session());
    }
}
