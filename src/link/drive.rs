//! Drives a link's connection: reads replies, writes requests, and watches deadlines, until it breaks.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::time::{Sleep, sleep_until};
use tokio_util::io::poll_read_buf;
use tracing::debug;

use super::connect::Opened;
use super::missed::replaces;
use super::queued::{Queued, QueuedRequest};
use super::receive::Arrival;
use super::state::{End, LinkState};
use super::trust::{self, Trust};
use super::{Link, MAX_ABANDONED, PROGRESS};
use crate::node::{Kind, Remote};
use crate::protocol::Failure;
use crate::protocol::dialect::Dialect;
use crate::protocol::resp::refusal;
use crate::runtime::turn::{self, Turn};
use crate::runtime::{buffers, coalesce};

impl Link {
    /// Drives the connection until it breaks or the link ends.
    pub(super) async fn drive(&self, mut opened: Opened) {
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
        let end = state.outgoing.end();
        state.fences.written(end);
        self.settle_fences(state);
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

    fn count_peer(&self, peer: Option<SocketAddr>, count: impl Fn(&Remote, SocketAddr)) {
        if let (Kind::Remote(remote), Some(peer)) = (&self.node.kind, peer) {
            count(remote, peer);
        }
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
        state.ask_if_doubted(opened.dialect, || {
            self.local.clock.now() + trust::patience(&self.settings.borrow())
        });
        state.close_line();
        let mut written = 0;
        let flushed = match opened.stream.is_tls() {
            false => state.outgoing.poll_flush(&mut opened.stream, cx, &mut written),
            true => state.poll_flush_parts(&mut opened.stream, &mut opened.part_end, cx, &mut written),
        };
        self.shard().bytes_written.add(written);
        turn.spend(written as usize);
        state.note_write(&self.local.clock);
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
                    if let Err(end) = self.receive(state, &mut buffer, opened.dialect, max_value) {
                        break Poll::Ready(end);
                    }
                }
            }
        };
        *rest = self.local.buffers.give(buffer, largest);
        end
    }

    /// Gives the replies in `buffer`, which has just been read, to their requests.
    #[inline]
    fn receive(
        &self,
        state: &mut LinkState,
        buffer: &mut BytesMut,
        dialect: Dialect,
        max_value: usize,
    ) -> Result<(), End> {
        let now = self.local.clock.now();
        let oldest = state.in_flight.oldest();
        coalesce::read_replies(oldest.map(|started| now.saturating_sub(started)));
        state.progress = now;
        if let Trust::Asked(_) = state.trust {
            match trust::take_answer(buffer, dialect) {
                None => {}
                Some(false) => return Err(End::Desync),
                Some(true) => {
                    state.trust(dialect, now);
                    self.write_queued(state, dialect, now);
                }
            }
            return Ok(());
        }
        let teller = self.teller();
        let arrival = Arrival {
            now,
            shard: self.shard(),
            noted_from: teller.noted_from(),
            traced_below: self.node.traced_below.load(Relaxed),
            end: state.outgoing.end(),
            missed: &self.node.missed,
        };
        let received = state.in_flight.receive(buffer, dialect, max_value, &arrival);
        teller.tell(&mut state.in_flight.notes, now);
        if !state.in_flight.resp.unexecuted.is_empty() {
            self.send_unexecuted(state);
        }
        state.learn_reply_size();
        for key in state.in_flight.take_late() {
            self.node.missed.settle(&key, false);
        }
        self.settle_fences(state);
        if std::mem::take(&mut state.in_flight.has_seen_stale)
            && let Kind::Remote(remote) = &self.node.kind
        {
            remote.has_stale.store(true, Relaxed);
        }
        if let Some(reason) = state.in_flight.resp.refusal.take() {
            self.node.failed(&reason);
            // A master may answer now where the connection led to a replica: behind the name, or the very address.
            if refusal::is_of_replica(&reason) {
                state.leave();
            }
        }
        if state.in_flight.is_empty() || received == Ok(true) {
            state.late_since = None;
        }
        match received {
            Ok(true) => self.node.answered(),
            // A reply to an abandoned request is no sign of health.
            Ok(false) => {}
            Err(_) => return Err(End::Desync),
        }
        Ok(())
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
            let now = self.local.clock.now();
            let is_mixed = now < state.mixed_until;
            if state.is_timed && !timer.is_elapsed() && !is_mixed {
                return Poll::Pending;
            }
            if state.in_flight.expire(is_mixed, self.failing(now)) > 0 {
                self.node.failed("timeout");
                state.late_since.get_or_insert(now);
            }
            let timeout = self.settings.borrow().request_timeout.as_micros() as u64;
            let silent_since = state.in_flight.oldest().unwrap_or(now).max(state.progress);
            let hopeless_at = (silent_since + PROGRESS * timeout).max(state.mixed_until);
            let is_always_late = !is_mixed
                && state
                    .late_since
                    .is_some_and(|since| now >= since + PROGRESS * timeout);
            if now >= hopeless_at || is_always_late || state.in_flight.abandoned() >= MAX_ABANDONED {
                return Poll::Ready(End::Silent);
            }
            // If all are abandoned, the next request is due after a whole timeout at the earliest.
            let next = state
                .in_flight
                .next_deadline(is_mixed)
                .unwrap_or(hopeless_at.min(now + timeout));
            let next = next.max(now + 1000);
            timer.as_mut().reset(self.local.clock.instant(next));
            state.is_timed = timer.as_mut().poll(cx).is_pending();
            if state.is_timed && !state.has_left() {
                return Poll::Pending;
            }
        }
        Poll::Pending
    }
}
