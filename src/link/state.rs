//! The state of one link: requests that wait for it to open, bytes to be written, outstanding replies. The
//! link decides when; this module writes a request and records it as in flight, and handles all of them
//! when the connection breaks.

use std::time::Duration;

use bytes::Bytes;

use crate::link::connect::ConnectError;
use crate::link::entry::Framing;
use crate::link::fences::Fences;
use crate::link::in_flight::InFlightQueue;
use crate::link::multi_get::MultiGetLine;
use crate::link::pending_reply::{Failing, PendingReply};
use crate::link::queued::{EncodedRequest, QueuedRequests};
use crate::link::resp_state::RespState;
use crate::link::retry::{self, Broken};
use crate::link::run_keys::NewKey;
use crate::link::trust::{self, Trust};
use crate::net::outgoing::Outgoing;
use crate::protocol::classic::downgrade::downgrade;
use crate::protocol::dialect::Dialect;
use crate::protocol::operation::{plain_read, plain_store};
use crate::protocol::{Command, Failure, Part, Request};
use crate::reply::wakeup::Wakeup;
use crate::runtime::buffers;
use crate::runtime::clock::Clock;

/// Values up to this size fit into every node: the smallest `-I` of memcached is 1024 bytes.
pub(super) const NEVER_LARGE: usize = 700;
/// The minimum overhead of an item in memcached: its header, its cas id, and the terminators of key and
/// value.
const ITEM_HEADER: usize = 48 + 8 + 1 + 2;

/// The state of one link.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    /// `None` if the link is not open, or must not be written to now; then requests are queued.
    pub(super) dialect: Option<Dialect>,
    /// Whether an open link may be written to.
    pub(super) trust: Trust,
    pub(super) queued: QueuedRequests,
    pub(super) in_flight: InFlightQueue,
    pub(super) outgoing: Outgoing,
    /// Keys whose write failed unsent while other requests were outstanding.
    pub(super) fences: Fences,
    multi_get: MultiGetLine,
    /// For a Valkey or Redis.
    pub(super) resp: RespState,
    /// Whether the node has stale items, whose tokens classic and binary reads must not take.
    pub(super) spares_tokens: bool,
    /// The maximum size of an item on the node, as far as known; only checked for values above
    /// [`NEVER_LARGE`].
    pub(super) item_size_max: u64,
    /// The approximate size in bytes of the largest recent replies that did not arrive in one piece.
    reply_size: usize,
    /// When the last reply arrived, or the link opened.
    pub(super) progress: u64,
    /// When a request timed out, if since then none was answered in time and at least one was always
    /// outstanding.
    pub(super) late_since: Option<u64>,
    /// The node is not dialled again before this time.
    pub(super) retry_at: u64,
    pub(super) backoff: Duration,
    /// Why the last attempt to open it failed, if one ever did.
    pub(super) last_error: Option<ConnectError>,
    pub(super) wakeup: Wakeup,
    /// Whether the timer will wake the link.
    pub(super) is_timed: bool,
    /// Until then requests may be outstanding that are due after later ones: a reload has made the timeout shorter.
    pub(super) mixed_until: u64,
}

impl LinkState {
    pub(super) fn open(&mut self, dialect: Dialect, now: u64) {
        self.dialect = Some(dialect);
        self.trust = Trust::Full;
        self.in_flight.sent.open(now);
        if dialect == Dialect::Resp {
            self.resp.open(now);
        }
        self.progress = now;
        self.late_since = None;
        self.retry_at = 0;
        self.backoff = Duration::ZERO;
    }

    /// Called before a request is sent at `now`: doubts the connection if it was idle for long.
    #[inline]
    pub(super) fn doubt_if_idle(&mut self, now: u64) {
        let is_silent = now.saturating_sub(self.progress) > trust::IDLE;
        if is_silent && self.dialect.is_some() && self.in_flight.is_empty() {
            self.dialect = None;
            self.trust = Trust::Doubted;
        }
    }

    /// Asks a doubted connection whether it is alive; it must answer by `until`.
    #[inline]
    pub(super) fn ask_if_doubted(&mut self, dialect: Dialect, until: impl FnOnce() -> u64) {
        if self.trust == Trust::Doubted {
            self.outgoing.put(trust::question(dialect));
            self.trust = Trust::Asked(until());
            self.is_timed = false;
        }
    }

    /// Called after a write to the connection: notes what it took late, and when it took what is timed.
    #[inline]
    pub(super) fn note_write(&mut self, clock: &Clock) {
        if !self.outgoing.is_empty() || self.in_flight.sent.must_note() {
            let (start, end) = (self.outgoing.start(), self.outgoing.end());
            let oldest = self.in_flight.first_start().unwrap_or(start);
            self.in_flight.sent.note(start, end, oldest, clock.read());
        }
    }

    /// Trusts the connection, which has answered at `now`: it may be written to.
    pub(super) fn trust(&mut self, dialect: Dialect, now: u64) {
        self.dialect = Some(dialect);
        self.in_flight.sent.open(now);
        self.trust = Trust::Full;
        self.is_timed = false;
    }

    /// Stops writing to the connection, which ends once no client waits for a reply on it.
    pub(super) fn leave(&mut self) {
        self.dialect = None;
        self.trust = Trust::Leaving;
    }

    /// Returns true if the connection is leaving and no client waits for a reply on it.
    #[inline]
    pub(super) fn has_left(&self) -> bool {
        self.trust == Trust::Leaving && self.in_flight.abandoned() == self.in_flight.len()
    }

    /// The room to read a reply into, in bytes: the size of the one that has begun, or the size of large
    /// ones if those were frequent recently, so that their first part need not be copied.
    #[inline]
    pub(super) fn reply_room(&self) -> usize {
        match self.in_flight.needs() {
            0 if self.reply_size > buffers::SIZE => buffers::LARGEST_SPARE,
            needs => needs,
        }
    }

    /// Updates the estimate of the size of replies.
    #[inline]
    pub(super) fn learn_reply_size(&mut self) {
        self.reply_size = match self.in_flight.needs() {
            0 => self.reply_size - self.reply_size.div_ceil(16),
            needs => needs.max(self.reply_size),
        };
    }

    /// The number of bytes of words, without values, of queued and in-flight requests.
    pub(super) fn words(&self) -> usize {
        self.queued.words() + self.in_flight.words()
    }

    /// Sets a fence for `key`, whose write fails unsent. Returns true if there is one now and was none before.
    #[cold]
    pub(super) fn fence(&mut self, key: &[u8]) -> bool {
        match (self.queued.is_empty(), self.in_flight.is_empty()) {
            (true, true) => false,
            (true, false) => self.fences.set(key, Some(self.outgoing.end())),
            (false, _) => self.fences.set(key, None),
        }
    }

    /// Takes the keys whose fences are passed.
    #[cold]
    pub(super) fn take_passed(&mut self) -> Vec<Bytes> {
        match self.in_flight.front() {
            Some(oldest) => self.fences.take_passed(oldest.start_offset),
            None if self.queued.is_empty() => self.fences.take_all(),
            None => self.fences.take_passed(self.outgoing.end()),
        }
    }

    /// Handles a broken connection: outstanding requests are queued again, as long as that takes at most
    /// `room` bytes, or fail. Returns the keys of writes that may still be executed.
    pub(super) fn on_disconnect(
        &mut self,
        end: End,
        dialect: Dialect,
        room: usize,
        at: Failing<'_>,
    ) -> Vec<Bytes> {
        self.dialect = None;
        self.trust = Trust::Full;
        self.is_timed = false;
        self.multi_get = MultiGetLine::default();
        self.resp.clear();
        let outgoing = std::mem::take(&mut self.outgoing);
        // If the node is silent, it is not asked again on another connection: all outstanding requests
        // have waited long enough. If the connection was leaving, no client waits for its outstanding
        // requests.
        if let End::Silent | End::Moved = end {
            let mut lost = self.in_flight.fail_all(end.failure(), at);
            lost.extend(self.fences.take_all());
            return lost;
        }
        let broken = Broken {
            in_flight: std::mem::take(&mut self.in_flight),
            outgoing,
            dialect,
            failure: end.failure(),
        };
        // Requests queued while the connection must not be written to are later than the outstanding ones.
        let later = std::mem::take(&mut self.queued);
        let mut lost = retry::partition(broken, &mut self.queued, room, at);
        self.queued.append(later);
        if self.queued.is_empty() {
            lost.extend(self.fences.take_all());
        }
        self.fences.queued_again();
        lost
    }

    /// Writes `request` and records it as in flight.
    ///
    /// # Errors
    /// The pending request, if `dialect` cannot express the request.
    #[inline]
    pub(super) fn write(
        &mut self,
        dialect: Dialect,
        request: &Request<'_>,
        pending: PendingReply,
    ) -> Result<(), PendingReply> {
        if dialect == Dialect::Resp {
            self.write_resp(request, pending);
            return Ok(());
        }
        if MultiGetLine::takes(dialect, request) {
            self.write_get(request, pending);
            return Ok(());
        }
        self.write_line(dialect, request, pending)
    }

    /// Writes a request that has a line of its own.
    fn write_line(
        &mut self,
        dialect: Dialect,
        request: &Request<'_>,
        pending: PendingReply,
    ) -> Result<(), PendingReply> {
        if dialect == Dialect::Classic && request.command.is_meta() {
            return match downgrade(request) {
                Some(classic) => self.write(dialect, &classic, pending),
                None => Err(pending),
            };
        }
        if !dialect.can_say_key(request) {
            return Err(pending);
        }
        if self.spares_tokens
            && dialect == Dialect::Meta
            && let Some(plain) = plain_read(request)
        {
            self.write_plain_read(&plain, pending);
        } else if dialect == Dialect::Meta
            && self.is_too_large_there(request)
            && let Some(plain) = plain_store(request)
        {
            self.close_line();
            let framing = framing(Dialect::Classic, plain.command);
            self.in_flight.push(&plain, framing, pending, self.outgoing.end());
            write_request(&mut self.outgoing, Dialect::Classic, &plain);
        } else {
            self.close_line();
            let framing = framing(dialect, request.command);
            self.in_flight
                .push(request, framing, pending, self.outgoing.end());
            write_request(&mut self.outgoing, dialect, request);
        }
        Ok(())
    }

    /// Whether the node would refuse the value of `request` because of its size.
    #[inline]
    fn is_too_large_there(&self, request: &Request<'_>) -> bool {
        let size = request.value.len() + request.key.len() + ITEM_HEADER;
        request.value.len() > NEVER_LARGE && size as u64 > self.item_size_max
    }

    #[inline(always)]
    fn write_get(&mut self, request: &Request<'_>, pending: PendingReply) {
        let framing = self.framing_of_key(request.command, request.key);
        self.in_flight
            .push(request, framing, pending, self.outgoing.end());
        self.multi_get
            .put(request.command, request.key, &mut self.outgoing);
    }

    /// Writes the `key` of a get or gets for many.
    #[inline(always)]
    pub(super) fn write_key(&mut self, command: Command, key: &[u8], new: NewKey<'_>) {
        let framing = self.framing_of_key(command, key);
        self.in_flight
            .push_key(command, key, framing, new, self.outgoing.end());
        self.multi_get.put(command, key, &mut self.outgoing);
    }

    /// Ends the open line if it has no room for `key`.
    #[inline(always)]
    fn framing_of_key(&mut self, command: Command, key: &[u8]) -> Framing {
        if self.multi_get.has_room(command, key) {
            return Framing::SameLine;
        }
        self.close_line();
        Framing::NewLine
    }

    /// Writes a read or touch in classic text, whatever the link's dialect.
    #[cold]
    fn write_plain_read(&mut self, request: &Request<'_>, pending: PendingReply) {
        if matches!(request.command, Command::Get | Command::Gets) {
            return self.write_get(request, pending);
        }
        self.close_line();
        let framing = match request.command {
            Command::Touch => Framing::Keyless,
            command => framing(Dialect::Classic, command),
        };
        self.in_flight
            .push(request, framing, pending, self.outgoing.end());
        write_request(&mut self.outgoing, Dialect::Classic, request);
    }

    /// Ends the multi-get line that is open, so that the outgoing bytes may be written.
    #[inline]
    pub(super) fn close_line(&mut self) {
        self.multi_get.close(&mut self.outgoing);
        self.resp.close(&mut self.outgoing);
    }

    /// Writes the bytes that a broken connection left, and records the request as in flight.
    ///
    /// # Errors
    /// The pending request, if the bytes are in another dialect.
    pub(super) fn write_again(
        &mut self,
        dialect: Dialect,
        encoded: &EncodedRequest,
        pending: PendingReply,
    ) -> Result<(), PendingReply> {
        if dialect != encoded.dialect {
            return Err(pending);
        }
        self.close_line();
        self.in_flight.push_written(encoded, pending, self.outgoing.end());
        for piece in &encoded.pieces {
            self.outgoing.share(piece);
        }
        Ok(())
    }
}

/// Returns how the reply to a request with a line of its own is framed.
#[inline]
fn framing(dialect: Dialect, command: Command) -> Framing {
    match dialect {
        // In classic text `END` follows the value that gat returns.
        Dialect::Classic if command.is_read() => Framing::NewLine,
        _ => Framing::Own,
    }
}

#[inline]
fn write_request(outgoing: &mut Outgoing, dialect: Dialect, request: &Request<'_>) {
    dialect.write_line(request, &mut |bytes| outgoing.put(bytes));
    if !request.command.is_store() {
        return;
    }
    match request.block {
        Some(block) => outgoing.share_part(Part {
            bytes: request.value,
            of: block,
        }),
        None => outgoing.put(request.value),
    }
    outgoing.put(b"\r\n");
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Closed,
    Desync,
    Silent,
    /// It was idle, and did not answer when it was asked.
    Forgotten,
    /// The node is elsewhere: its name no longer resolves to the address, or a replica answers there.
    Moved,
}

impl End {
    pub(super) fn failure(self) -> Failure {
        match self {
            End::Closed | End::Forgotten | End::Moved => Failure::Closed,
            End::Desync => Failure::Desync,
            End::Silent => Failure::Timeout,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            End::Closed => "connection closed",
            End::Desync => "answered out of step",
            End::Silent => "no progress",
            End::Forgotten => "no answer after a silence",
            End::Moved => "the node is elsewhere",
        }
    }
}
