//! Reads a session's requests: parses them, routes each and sends it to its node.
//!
//! Each request leaves a slot in the session's queue, in order, whether a node answers it or Ringway does
//! itself. A multi-get leaves a slot for each key and one for its end, so it needs no merging: the queue
//! returns the values in the order of their keys, and each node gets its keys in one write. A multi-get of
//! more keys than may be outstanding at once is interrupted and continued later.

use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tracing::warn;

use super::batch::Batch;
use super::routed::Routed;
use crate::config::Bind;
use crate::log_limit::LogLimit;
use crate::metrics::ClientProtocol;
use crate::net::tls::counters::{self, Outcome, Side};
use crate::net::tls::server::HANDSHAKE;
use crate::protocol::binary;
use crate::protocol::line::{Keys, Line};
use crate::protocol::operation::Operation;
use crate::protocol::text;
use crate::protocol::{Command, MAX_KEY, Meta, OnError, Reply, Request, meta};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::route::{Pool, Route};
use crate::runtime::buffers;
use crate::runtime::shared_text::Waiting;
use crate::runtime::turn::{self, Turn};
use crate::worker::context::WorkerContext;

/// The maximum number of outstanding replies before a session takes no more requests; fewer under memory
/// pressure.
const MAX_OWED: usize = 1024;

/// A multi-get of this many keys is likely to have several for one node.
const MANY: usize = 8;

/// Rate-limits the log of clients that speak HTTP.
static HTTP_CLOSED: LogLimit = LogLimit::new(Duration::from_secs(10));
/// Rate-limits the log of clients that speak TLS to a listener without it.
static TLS_CLOSED: LogLimit = LogLimit::new(Duration::from_secs(10));

/// The request side of one session.
#[derive(Debug)]
pub struct Requests {
    pub(super) reply_queue: Rc<ReplyQueue>,
    /// The session's number, which selects among several links to a node.
    pub(super) session: usize,
    pub(super) routed: Routed,
    /// Whether the last call took everything possible, so that more can be taken only after another read.
    is_partial: bool,
    /// The number of bytes of a refused data block that are still to be swallowed.
    pub(super) swallow: usize,
    /// The size in bytes of the storage command at the front of the buffer, with its data block, if it is
    /// incomplete but admitted, so that its memory is the session's already. Otherwise 0.
    pub(super) reserved: usize,
    /// The number of bytes at the front of the buffer that are known not to contain the line's end.
    searched: usize,
    /// Whether a line was refused whose end is still to come.
    skips_line: bool,
    /// Whether the front of the buffer is an unfinished line for whose end memcached would not wait.
    has_long_part: bool,
    /// Set if `stats` is at the front of the buffer, to be answered in the next turn.
    pub(super) waiting: Option<Waiting>,
    /// The maximum number of outstanding replies now.
    max_owed: usize,
    /// The number of bytes that the session may hold.
    budget: usize,
    /// `ActiveRoutes::links_generation` when requests were last sent.
    links_generation: u64,
    /// A multi-get that was interrupted; the rest of its line is at the front of the buffer.
    interrupted: Option<Interrupted>,
    is_over: bool,
    /// The session's turn.
    pub(super) turn: Turn,
    /// The client's protocol, which its first byte determines for good.
    pub(super) protocol: Protocol,
    /// Scratch space for one packet's meta request, kept for the next.
    pub(super) room: binary::Room,
}

/// The protocol of a session's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
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

/// The rest of a multi-get, kept so that it continues without parsing its line again.
#[derive(Debug, Clone, Copy)]
struct Interrupted {
    command: Command,
    exptime: i64,
    /// The number of bytes of keys still to be sent, and the line end.
    length: usize,
}

/// The answer to `stats`.
pub(super) enum Stats {
    /// All lines without the last line end.
    Text(Bytes),
    /// There is no memory for it.
    NoMemory,
    /// It follows in the session's next turn.
    Later,
}

/// What was done with the front of the buffer.
pub(super) enum Taken {
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
        let session = worker.enter(&reply_queue);
        Requests {
            routed: Routed::new(worker.clone(), reply_queue.clone(), session),
            reply_queue,
            session,
            is_partial: true,
            swallow: 0,
            reserved: 0,
            searched: 0,
            skips_line: false,
            has_long_part: false,
            waiting: None,
            max_owed: MAX_OWED,
            budget: usize::MAX,
            links_generation: 0,
            interrupted: None,
            is_over: false,
            turn: Turn::begin(),
            protocol: Protocol::Unknown,
            room: binary::Room::default(),
        }
    }

    /// The session's number.
    pub fn session(&self) -> usize {
        self.session
    }

    /// Whether the maximum number of replies is outstanding.
    pub fn is_full(&self) -> bool {
        self.reply_queue.is_full(self.max_owed, self.budget)
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
        self.reserved
    }

    /// Returns true in the middle of refused input.
    pub fn is_swallowing(&self) -> bool {
        self.swallow > 0 || self.skips_line
    }

    /// Returns true in the middle of a data block, admitted or refused.
    pub fn is_amid_block(&self) -> bool {
        self.reserved > 0 || self.is_swallowing()
    }

    /// Whether no more requests come: the client said quit, closed its side, or sent nonsense.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Called when the client pauses: ends the session in the middle of a line that is too long to wait
    /// for.
    pub fn pause(&mut self, worker: &WorkerContext) {
        if self.has_long_part {
            self.close_long_line(worker);
        }
    }

    /// Takes no more requests.
    pub fn end(&mut self) {
        self.is_over = true;
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
        self.has_long_part = false;
        let is_other_way =
            self.links_generation != current.links_generation || self.routed.may_be_overtaken(batch.route);
        if is_other_way && !self.reply_queue.is_empty() {
            // Outstanding requests use other links, and must not be overtaken: nothing is sent until they
            // are done.
            self.max_owed = 1;
            return;
        }
        self.links_generation = current.links_generation;
        self.max_owed = MAX_OWED;
        self.budget = self.reply_queue.budget();
        while !self.is_over && !self.is_full() && !self.turn.is_over(&worker.local.clock) {
            let step = self.swallow.min(buffer.len());
            buffer.advance(step);
            self.swallow -= step;
            if self.skips_line {
                self.skip_line(buffer);
            }
            self.turn.spend(turn::REQUEST);
            if self.protocol == Protocol::Unknown {
                self.protocol = Protocol::of(buffer.first());
            }
            let taken = match (self.protocol, buffer.first()) {
                (Protocol::Unknown, _) => Taken::Partial,
                // Its line or header was checked when it was admitted.
                _ if buffer.len() < self.reserved => Taken::Partial,
                (Protocol::Text, _) => self.take_line(&batch, buffer),
                (Protocol::Binary, None | Some(&binary::REQUEST)) => self.take_packet(&batch, buffer),
                // memcached closes the connection, because the end of this is unknown.
                (Protocol::Binary, _) => return self.end(),
                (Protocol::Tls, _) => return self.close_tls(&batch),
            };
            match taken {
                Taken::Bytes(length) => {
                    self.reserved = 0;
                    buffer.advance(length);
                }
                Taken::Large(length) => {
                    self.reserved = 0;
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

    #[inline]
    fn take_line(&mut self, batch: &Batch<'_>, buffer: &[u8]) -> Taken {
        if let Some(read) = self.interrupted.take() {
            let line = &buffer[..read.length];
            return self.read_many(batch, read.command, read.exptime, Keys::of(line), line);
        }
        let searched = std::mem::take(&mut self.searched);
        let Some((line, length)) = text::read_line_from(buffer, searched) else {
            return self.wait_for_line(batch, buffer);
        };
        match line {
            Line::Read {
                command,
                exptime,
                keys,
            } => return self.read(batch, command, exptime, keys, &buffer[..length]),
            Line::Store {
                request,
                length: size,
                noreply,
            } => {
                return self.store(batch, request, size, noreply, &buffer[length..], length);
            }
            Line::Single { request, noreply } => self.send(batch, &request, mode(noreply)),
            Line::FlushAll { delay, noreply } => self.flush_all(batch, delay, noreply),
            Line::Version => {
                let version = self.version(batch);
                self.answer(version, false);
            }
            Line::Noop => self.answer("MN", false),
            Line::Verbosity { noreply } => self.answer("OK", noreply),
            Line::Stats(what) => match self.stats(batch, what) {
                Stats::Text(text) => self.answer(text, false),
                Stats::NoMemory => self.answer("SERVER_ERROR out of memory writing stats", false),
                Stats::Later => return Taken::Later,
            },
            Line::Quit => self.end(),
            Line::Bad {
                answer,
                swallow,
                noreply,
                has_long_key,
            } => {
                batch.worker.shard().bad_requests.add(1);
                batch.worker.shard().long_keys.add(u64::from(has_long_key));
                self.swallow = swallow;
                self.answer(answer, noreply);
            }
            Line::Http => self.close_http(batch),
            Line::TooLong => self.close_long_line(batch.worker),
        }
        Taken::Bytes(length)
    }

    #[inline]
    fn read(
        &mut self,
        batch: &Batch<'_>,
        command: Command,
        exptime: i64,
        keys: Keys<'_>,
        line: &[u8],
    ) -> Taken {
        let mut rest = keys;
        match (rest.next(), rest.next()) {
            (Some(key), None) => {
                let request = Request {
                    exptime,
                    ..Request::new(command, key)
                };
                self.send(batch, &request, ReplyMode::Single);
                Taken::Bytes(line.len())
            }
            _ => self.read_many(batch, command, exptime, keys, line),
        }
    }

    /// Sends the `keys`, with which `line` ends, until the maximum number of replies is outstanding.
    fn read_many(
        &mut self,
        batch: &Batch<'_>,
        command: Command,
        exptime: i64,
        mut keys: Keys<'_>,
        line: &[u8],
    ) -> Taken {
        let is_one_of_many = keys.take(MANY).count() == MANY;
        while let Some(key) = keys.next() {
            let request = Request {
                exptime,
                is_one_of_many,
                ..Request::new(command, key)
            };
            self.send(batch, &request, ReplyMode::MultiGetItem);
            self.turn.spend(turn::KEY);
            if self.is_full() || self.turn.is_over(&batch.worker.local.clock) {
                let line_end = if line.ends_with(b"\r\n") { 2 } else { 1 };
                let length = keys.left() + line_end;
                self.interrupted = Some(Interrupted {
                    command,
                    exptime,
                    length,
                });
                return Taken::Bytes(line.len() - length);
            }
        }
        let origin = own(command, ReplyMode::MultiGetEnd, WireFormat::Classic);
        self.reply_queue.push_filled(origin, Reply::Done);
        Taken::Bytes(line.len())
    }

    #[cold]
    fn close_http(&mut self, batch: &Batch<'_>) {
        batch.worker.shard().http_closed.add(1);
        if let Some(held_back) = HTTP_CLOSED.allow(batch.worker.state.started.elapsed()) {
            warn!(bind = %batch.bind, held_back, "client closed: it speaks HTTP");
        }
        self.end();
    }

    #[cold]
    fn close_tls(&mut self, batch: &Batch<'_>) {
        counters::count(Side::Client, Outcome::Unexpected);
        if let Some(held_back) = TLS_CLOSED.allow(batch.worker.state.started.elapsed()) {
            warn!(bind = %batch.bind, held_back, "client closed: it speaks TLS, and the listener has no `tls`");
        }
        self.end();
    }

    #[cold]
    fn close_long_line(&mut self, worker: &WorkerContext) {
        worker.shard().bad_requests.add(1);
        worker.shard().long_lines.add(1);
        self.end();
    }

    /// Waits for the end of the line of which `part` has arrived. A line that reads many keys may be long;
    /// under memory pressure it is refused with memcached's error, and skipped.
    #[inline]
    fn wait_for_line(&mut self, batch: &Batch<'_>, part: &[u8]) -> Taken {
        let length = part.len();
        self.has_long_part = text::is_long_part(part);
        if length <= buffers::SMALL || self.reply_queue.has_room(length) {
            self.searched = length;
            return Taken::Partial;
        }
        batch.worker.shard().out_of_memory.add(1);
        self.has_long_part = false;
        self.skips_line = true;
        self.answer("SERVER_ERROR out of memory reading request", false);
        Taken::Bytes(length)
    }

    /// Skips the available bytes of a refused line.
    fn skip_line(&mut self, buffer: &mut BytesMut) {
        let end = memchr::memchr(b'\n', buffer);
        self.skips_line = end.is_none();
        buffer.advance(end.map_or(buffer.len(), |end| end + 1));
    }

    #[inline]
    pub(super) fn send(&mut self, batch: &Batch<'_>, request: &Request<'_>, mode: ReplyMode) {
        if let Some(meta) = &request.meta {
            return self.send_meta(batch, request, meta);
        }
        let operation = Operation::of(request);
        batch.worker.shard().count(ClientProtocol::Classic, operation);
        let Some((pool, node)) = batch.route.pick(request.key) else {
            return self
                .routed
                .send(batch, request, own(request.command, mode, WireFormat::Classic));
        };
        let number = self.reply_queue.push(origin(request.command, mode, pool), 1);
        batch.current.send(
            node,
            request,
            ReplySlot::queued(&self.reply_queue, number),
            pool,
            self.session,
        );
    }

    fn send_meta(&mut self, batch: &Batch<'_>, request: &Request<'_>, meta: &Meta<'_>) {
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
        let operation = Operation::of(&request);
        batch.worker.shard().count(ClientProtocol::Meta, operation);
        let format = format(meta);
        let Some((pool, node)) = batch.route.pick(request.key) else {
            return self
                .routed
                .send(batch, &request, own(request.command, ReplyMode::Single, format));
        };
        let origin = RequestOrigin {
            format,
            ..origin(request.command, ReplyMode::Single, pool)
        };
        let number = self.reply_queue.push(origin, 1);
        batch.current.send(
            node,
            &request,
            ReplySlot::queued(&self.reply_queue, number),
            pool,
            self.session,
        );
    }

    fn flush_all(&mut self, batch: &Batch<'_>, delay: i64, noreply: bool) {
        if batch.route.denies_flush() {
            return self.answer("CLIENT_ERROR flush_all not allowed", noreply);
        }
        self.flush(
            batch,
            delay,
            own(Command::FlushAll, mode(noreply), WireFormat::Classic),
        );
    }

    /// Flushes every node that the route may lead to; one slot awaits them all.
    pub(super) fn flush(&mut self, batch: &Batch<'_>, delay: i64, origin: RequestOrigin) {
        let request = Request {
            exptime: delay,
            ..Request::new(Command::FlushAll, b"")
        };
        let protocol = match origin.format {
            WireFormat::Binary { .. } => ClientProtocol::Binary,
            WireFormat::Classic | WireFormat::Meta(_) => ClientProtocol::Classic,
        };
        batch.worker.shard().count(protocol, Operation::FlushAll);
        let origin = RequestOrigin {
            on_error: batch.route.on_error(),
            ..origin
        };
        let pools = batch.route.pools().iter();
        let nodes: usize = pools.map(|pool| pool.nodes.len()).sum();
        self.turn.spend(nodes * turn::REQUEST);
        let pool = match batch.route {
            Route::Pool(pool) if pool.handover.is_none() => pool,
            _ => return self.routed.flush(batch, &request, origin),
        };
        let number = self.reply_queue.push(origin, pool.nodes.len() as u32);
        for &node in &pool.nodes {
            batch.current.send(
                node,
                &request,
                ReplySlot::queued(&self.reply_queue, number),
                pool,
                self.session,
            );
        }
    }

    /// Answers without asking a node.
    pub(super) fn answer(&mut self, text: impl Into<Bytes>, noreply: bool) {
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

pub(super) fn origin(command: Command, mode: ReplyMode, pool: &Pool) -> RequestOrigin {
    RequestOrigin {
        command,
        mode,
        on_error: pool.settings.on_error(),
        format: WireFormat::Classic,
    }
}

/// Returns the format of a meta client's answer: the text that it sent.
pub(super) fn format(meta: &Meta<'_>) -> WireFormat {
    WireFormat::Meta([meta.key, b" ", meta.flags].concat().into())
}

/// Returns the origin of a request to which no single pool's settings apply: its failure reads as an error.
pub(super) fn own(command: Command, mode: ReplyMode, format: WireFormat) -> RequestOrigin {
    RequestOrigin {
        command,
        mode,
        on_error: OnError::SHOW,
        format,
    }
}
