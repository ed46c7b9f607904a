//! Reads a session's requests: parses them, routes each and sends it to its node.
//!
//! Each request leaves a slot in the session's queue, in order, whether a node answers it or Ringway does
//! itself. What the client speaks is read by [`lines`] or [`packets`]; where the session is in it is said by
//! [`Reading`].

mod figures;
mod lines;
mod packets;
mod stores;

use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tracing::warn;

use super::batch::Batch;
use super::dispatch::Dispatch;
use super::reading::Reading;
use crate::config::Bind;
use crate::log_limit::LogLimit;
use crate::net::tls::counters::{self, Outcome, Side};
use crate::net::tls::server::HANDSHAKE;
use crate::protocol::{binary, text};
use crate::reply::origin::RequestOrigin;
use crate::reply::queue::ReplyQueue;
use crate::runtime::turn::{self, Turn};
use crate::worker::context::WorkerContext;

/// The maximum number of outstanding replies before a session takes no more requests; fewer under memory
/// pressure.
const MAX_OWED: usize = 1024;

/// Rate-limits the log of clients that speak TLS to a listener without it.
static TLS_CLOSED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// The request side of one session.
#[derive(Debug)]
pub struct Requests {
    dispatch: Dispatch,
    /// Where the session is in what its client sends.
    reading: Reading,
    /// Whether the last call took everything possible, so that more can be taken only after another read.
    is_partial: bool,
    /// The maximum number of outstanding replies now.
    max_owed: usize,
    /// The number of bytes that the session may hold.
    budget: usize,
    /// `ActiveRoutes::links_generation` when requests were last sent.
    links_generation: u64,
    /// The session's turn.
    pub(super) turn: Turn,
    /// The client's protocol, which its first byte determines for good.
    protocol: Protocol,
    /// Scratch space for one packet's meta request, kept for the next.
    room: binary::Room,
}

/// The protocol of a session's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// Unknown before its first byte.
    Unknown,
    /// Classic text and meta.
    Text,
    /// Binary packets.
    Binary,
    /// TLS, on a listener without it.
    Tls,
}

impl Protocol {
    /// Returns the protocol of a client that sends this byte first.
    fn of(first: Option<&u8>) -> Protocol {
        match first {
            None => Protocol::Unknown,
            Some(&binary::REQUEST) => Protocol::Binary,
            Some(&HANDSHAKE) => Protocol::Tls,
            Some(_) => Protocol::Text,
        }
    }
}

/// What was done with the front of the buffer.
enum Taken {
    /// This many bytes were taken.
    Bytes(usize),
    /// It is a storage command with a large data block, of this many bytes in all.
    Large(usize),
    /// It is incomplete.
    Partial,
    /// It is taken in the session's next turn.
    Later,
}

impl Requests {
    /// Returns the request side of a new session on `worker`, whose replies are queued in `reply_queue`.
    pub fn new(reply_queue: Rc<ReplyQueue>, worker: &Rc<WorkerContext>) -> Requests {
        Requests {
            dispatch: Dispatch::new(reply_queue, worker),
            reading: Reading::Begin,
            is_partial: true,
            max_owed: MAX_OWED,
            budget: usize::MAX,
            links_generation: 0,
            turn: Turn::begin(),
            protocol: Protocol::Unknown,
            room: binary::Room::default(),
        }
    }

    /// The session's number.
    pub fn session(&self) -> usize {
        self.dispatch.session()
    }

    /// Whether the maximum number of replies is outstanding.
    pub fn is_full(&self) -> bool {
        self.dispatch.replies().is_full(self.max_owed, self.budget)
    }

    /// The number of keys of a multi-get that may be sent at once; 1 although the slot of the multi-get was the last
    /// one.
    fn keys_at_once(&self) -> usize {
        self.max_owed.saturating_sub(self.dispatch.replies().len()).max(1)
    }

    /// Whether requests that were already read wait for room.
    pub fn may_go_on(&self) -> bool {
        !self.is_partial
    }

    /// Begins with requests that were already read.
    pub fn go_on(&mut self) {
        self.is_partial = false;
    }

    /// The size in bytes of the incoming storage command if it was admitted; otherwise 0.
    pub fn reserved(&self) -> usize {
        self.reading.reserved()
    }

    /// Returns true in the middle of refused input.
    pub fn is_skipping(&self) -> bool {
        self.reading.is_skipping()
    }

    /// Returns true in the middle of a data block, admitted or refused.
    pub fn is_amid_block(&self) -> bool {
        self.reserved() > 0 || self.is_skipping()
    }

    /// Whether no more requests come: the client said quit, closed its side, or sent nonsense.
    pub fn is_over(&self) -> bool {
        self.reading.is_over()
    }

    /// Called when the client pauses after `rest`: ends the session in the middle of a line that is too long
    /// to wait for.
    pub fn pause(&mut self, rest: &[u8], worker: &WorkerContext) {
        if matches!(self.reading, Reading::Line { .. }) && text::is_long_part(rest) {
            self.close_long_line(worker);
        }
    }

    /// Takes no more requests.
    pub fn end(&mut self) {
        self.reading = Reading::Over;
    }

    /// Begins a turn of the session, in which it may take requests again.
    pub fn begin_turn(&mut self) {
        self.turn = Turn::begin();
    }

    /// Takes every complete request from `buffer`, or as many as may be outstanding and as fit into the
    /// turn.
    pub fn take(&mut self, buffer: &mut BytesMut, worker: &WorkerContext, bind: &Bind) {
        let current = worker.current();
        let Some(route) = current.route(bind) else {
            return self.end();
        };
        let batch = Batch {
            worker,
            current: &current,
            route,
            bind,
        };
        self.is_partial = false;
        let is_other_way =
            self.links_generation != current.links_generation || self.dispatch.may_be_overtaken(route);
        if is_other_way && !self.dispatch.replies().is_empty() {
            // Outstanding requests use other links, and must not be overtaken: nothing is sent until they
            // are done.
            self.max_owed = 1;
            return;
        }
        self.links_generation = current.links_generation;
        self.max_owed = MAX_OWED;
        self.budget = self.dispatch.replies().budget();
        while !self.is_over() && !self.is_full() && !self.turn.is_over(&worker.local.clock) {
            self.turn.spend(turn::REQUEST);
            match self.take_one(&batch, buffer) {
                Taken::Bytes(length) => buffer.advance(length),
                Taken::Large(length) => {
                    let block = buffer.split_to(length).freeze();
                    self.store_shared(&batch, &block);
                }
                Taken::Partial => {
                    self.is_partial = true;
                    return;
                }
                Taken::Later => return self.turn.end(),
            }
        }
    }

    /// Takes one request from the front of `buffer`, which it leaves there.
    #[inline]
    fn take_one(&mut self, batch: &Batch<'_>, buffer: &mut BytesMut) -> Taken {
        if !self.reading.pass(buffer) {
            return Taken::Partial;
        }
        if self.protocol == Protocol::Unknown {
            self.protocol = Protocol::of(buffer.first());
        }
        match (self.protocol, buffer.first()) {
            (Protocol::Unknown, _) => Taken::Partial,
            (Protocol::Text, _) => self.take_line(batch, buffer),
            (Protocol::Binary, None | Some(&binary::REQUEST)) => self.take_packet(batch, buffer),
            // memcached closes the connection, because the end of this is unknown.
            (Protocol::Binary, _) => self.close(),
            (Protocol::Tls, _) => self.close_tls(batch),
        }
    }

    /// Flushes every node that the route may lead to.
    fn flush(&mut self, batch: &Batch<'_>, delay: i64, origin: RequestOrigin<'_>) {
        let pools = batch.route.pools().iter();
        let nodes: usize = pools.map(|pool| pool.nodes.len()).sum();
        self.turn.spend(nodes * turn::REQUEST);
        self.dispatch.flush(batch, delay, origin);
    }

    /// Takes no more requests, this one neither.
    #[cold]
    fn close(&mut self) -> Taken {
        self.end();
        Taken::Bytes(0)
    }

    #[cold]
    fn close_tls(&mut self, batch: &Batch<'_>) -> Taken {
        counters::count(Side::Client, Outcome::Unexpected);
        if let Some(held_back) = TLS_CLOSED.allow(batch.worker.state.started.elapsed()) {
            warn!(bind = %batch.bind, held_back, "client closed: it speaks TLS, and the listener has no `tls`");
        }
        self.close()
    }

    #[cold]
    fn close_long_line(&mut self, worker: &WorkerContext) {
        worker.shard().bad_requests.add(1);
        worker.shard().long_lines.add(1);
        self.end();
    }
}
