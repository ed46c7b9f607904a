//! Processes binary packets: each becomes one meta request, or is answered here.

use bytes::Bytes;

use super::figures::Stats;
use super::stores::REFUSED;
use super::{Requests, Taken};
use crate::client::batch::Batch;
use crate::client::dispatch::own;
use crate::client::reading::Reading;
use crate::client::stats;
use crate::net::outgoing::LARGE;
use crate::protocol::binary::answer::{Echo, Status, write_own};
use crate::protocol::binary::{Ask, HEAD, Head, Opcode, expiry};
use crate::protocol::{Command, Failure, MAX_KEY, OnError, Reply, Request};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};

impl Requests {
    /// Takes one packet from the front of `buffer`.
    pub(super) fn take_packet(&mut self, batch: &Batch<'_>, buffer: &[u8]) -> Taken {
        let Some(head) = Head::read(buffer) else {
            return Taken::Partial;
        };
        let operation = match head.ask() {
            Ask::Operation(operation) => operation,
            Ask::Unknown => return self.refuse_packet(batch, &head, Status::Unknown),
            Ask::Truncated => return self.close_with_error(batch, &head, Status::Unknown),
            Ask::LongKey => {
                batch.worker.shard().long_keys.add(1);
                return self.close_with_error(batch, &head, Status::Invalid);
            }
            Ask::Invalid => return self.close_with_error(batch, &head, Status::Invalid),
        };
        let is_store = operation.command() == Some(Command::MetaSet);
        if !is_store && head.value() > MAX_KEY {
            return self.refuse_packet(batch, &head, Status::TooLarge);
        }
        // The key determines the maximum size of the value, and the item to remove if it is refused.
        let Some(begin) = buffer.get(HEAD..HEAD + head.extras + head.key) else {
            return Taken::Partial;
        };
        if is_store && self.is_too_large(batch, &head, operation, begin) {
            batch.worker.shard().bad_requests.add(1);
            batch.worker.shard().large_values.add(1);
            return self.refuse_value_of(batch, &head, operation, begin, Status::TooLarge, b"");
        }
        let length = HEAD + head.body;
        let Some(packet) = buffer.get(..length) else {
            if !is_store || self.admits(length) {
                return Taken::Partial;
            }
            batch.worker.shard().out_of_memory.add(1);
            let (status, words) = out_of_memory(batch.route.on_error());
            return self.refuse_value_of(batch, &head, operation, begin, status, words);
        };
        if is_store && head.value() >= LARGE {
            return Taken::Large(length);
        }
        if operation.command().is_some() {
            self.send_packet(batch, packet, None);
        } else {
            return self.answer_packet(batch, &head, operation, &packet[HEAD..]);
        }
        Taken::Bytes(length)
    }

    /// Sends the complete `packet`; the link shares the memory of `block` if the packet is part of one.
    pub(super) fn send_packet(&mut self, batch: &Batch<'_>, packet: &[u8], block: Option<&Bytes>) {
        let Some(head) = Head::read(packet) else { return };
        let Some((operation, ..)) = Opcode::of(head.opcode) else {
            return;
        };
        let Some(command) = operation.command() else {
            return;
        };
        let Some(request) = head.request(operation, command, &packet[HEAD..], &mut self.room) else {
            return self.answer_oversized_key(batch, &head, operation, &packet[HEAD..]);
        };
        let request = Request { block, ..request };
        let format = WireFormat::Binary(Echo::of(&head, request.key));
        self.dispatch.send_packet(batch, &request, format);
    }

    fn answer_packet(&mut self, batch: &Batch<'_>, head: &Head, operation: Opcode, body: &[u8]) -> Taken {
        let is_quiet = Opcode::of(head.opcode).is_some_and(|(_, is_quiet, _)| is_quiet);
        match operation {
            Opcode::Quit => {
                if !is_quiet {
                    self.answer_own(head, Status::Success, b"");
                }
                self.end();
            }
            Opcode::Flush => self.flush_packet(batch, head, body),
            Opcode::Version => {
                let line = self.version(batch);
                let version = line.strip_prefix("VERSION ").unwrap_or(&line);
                self.answer_own(head, Status::Success, version.as_bytes());
            }
            Opcode::Stat => return self.stat_packets(batch, head, &body[..head.key]),
            _ => self.answer_own(head, Status::Success, b""),
        }
        Taken::Bytes(HEAD + head.body)
    }

    fn flush_packet(&mut self, batch: &Batch<'_>, head: &Head, extras: &[u8]) {
        if batch.route.denies_flush() {
            return self.answer_own(head, Status::NotStored, b"flush_all not allowed");
        }
        let delay = match extras {
            [] => 0,
            extras => expiry(extras, 0).into(),
        };
        let format = WireFormat::Binary(Echo::with_key(head, b""));
        self.flush(batch, delay, own(Command::FlushAll, ReplyMode::Single, format));
    }

    /// Answers with one packet for each figure, and an empty one at their end.
    fn stat_packets(&mut self, batch: &Batch<'_>, head: &Head, what: &[u8]) -> Taken {
        match self.stats(batch, what) {
            Stats::Text(text) => self.answer_stats(head, what, &String::from_utf8_lossy(&text)),
            Stats::NoMemory => self.answer_own(head, Status::OutOfMemory, b""),
            Stats::Later => return Taken::Later,
        }
        Taken::Bytes(HEAD + head.body)
    }

    fn answer_stats(&mut self, head: &Head, what: &[u8], text: &str) {
        if text.starts_with("ERROR") || text.starts_with("CLIENT_ERROR") {
            return self.answer_own(head, Status::NotFound, b"");
        }
        let figures = text
            .lines()
            .filter_map(|line| line.strip_prefix("STAT ")?.split_once(' '));
        let mut packets = Vec::new();
        for (name, value) in figures.chain(stats::lines_in_binary(what)).chain([("", "")]) {
            let echo = Echo::with_key(head, name.as_bytes());
            write_own(echo, Status::Success, value.as_bytes(), &mut |bytes| {
                packets.extend_from_slice(bytes)
            });
        }
        self.push_packet(packets);
    }

    /// Refuses an inconsistent packet.
    fn refuse_packet(&mut self, batch: &Batch<'_>, head: &Head, status: Status) -> Taken {
        batch.worker.shard().bad_requests.add(1);
        self.skip_body(head, status)
    }

    /// Answers `status` and skips the body.
    fn skip_body(&mut self, head: &Head, status: Status) -> Taken {
        self.answer_own(head, status, b"");
        self.reading = Reading::skip(head.body);
        Taken::Bytes(HEAD)
    }

    /// Whether the value of a storage command is larger than its route allows. `begin` is its extras and
    /// key.
    fn is_too_large(&mut self, batch: &Batch<'_>, head: &Head, operation: Opcode, begin: &[u8]) -> bool {
        let request = head.request(operation, Command::MetaSet, begin, &mut self.room);
        request.is_some_and(|request| head.value() > batch.route.max_value_size(&request))
    }

    /// Answers `status` to a storage command whose value is refused, and skips its body. `begin` is its
    /// extras and key.
    fn refuse_value_of(
        &mut self,
        batch: &Batch<'_>,
        head: &Head,
        operation: Opcode,
        begin: &[u8],
        status: Status,
        words: &[u8],
    ) -> Taken {
        let Some(request) = head.request(operation, Command::MetaSet, begin, &mut self.room) else {
            self.reading = Reading::skip(head.body);
            self.answer_own(head, status, words);
            return Taken::Bytes(HEAD);
        };
        let format = WireFormat::Binary(Echo::of(head, b""));
        let origin = own(Command::MetaSet, ReplyMode::Single, format);
        let answer = Reply::Text(packet(head, status, words));
        self.turn.spend(REFUSED);
        self.dispatch.refuse_value(batch, &request, answer, origin);
        self.reading = Reading::skip(head.body);
        Taken::Bytes(HEAD)
    }

    /// Answers a request whose key no line to a node can carry, because its base64 form is too long.
    fn answer_oversized_key(&mut self, batch: &Batch<'_>, head: &Head, operation: Opcode, body: &[u8]) {
        batch.worker.shard().bad_requests.add(1);
        batch.worker.shard().long_keys.add(1);
        let key = &body[head.extras..][..head.key];
        let command = operation.command().unwrap_or(Command::MetaGet);
        let format = WireFormat::Binary(Echo::of(head, key));
        let origin = RequestOrigin {
            on_error: batch.route.on_error(),
            ..own(command, ReplyMode::Single, format)
        };
        self.dispatch
            .replies()
            .push_filled(origin, Reply::Failed(Failure::LongKey));
    }

    /// Answers `status` and closes the connection, because the end of this packet is unknown.
    fn close_with_error(&mut self, batch: &Batch<'_>, head: &Head, status: Status) -> Taken {
        batch.worker.shard().bad_requests.add(1);
        self.answer_own(head, status, b"");
        self.end();
        Taken::Bytes(HEAD)
    }

    fn answer_own(&mut self, head: &Head, status: Status, body: &[u8]) {
        self.push_packet(packet(head, status, body));
    }

    fn push_packet(&mut self, packet: impl Into<Bytes>) {
        // The packet says everything itself.
        let format = WireFormat::Binary(Echo {
            opcode: 0,
            opaque: 0,
            compares: false,
            key: b"",
        });
        let origin = own(Command::MetaGet, ReplyMode::Single, format);
        self.dispatch
            .replies()
            .push_filled(origin, Reply::Text(packet.into()));
    }
}

/// Returns the response to `head` with this `status` and its own `body`.
fn packet(head: &Head, status: Status, body: &[u8]) -> Bytes {
    let echo = Echo::with_key(head, b"");
    let mut packet = Vec::with_capacity(HEAD + body.len());
    write_own(echo, status, body, &mut |bytes| packet.extend_from_slice(bytes));
    packet.into()
}

/// Returns the refusal of a write for lack of memory. memcached says 0x82, for which libmemcached shuts out
/// the server.
fn out_of_memory(on_error: OnError) -> (Status, &'static [u8]) {
    match on_error.write_is_not_stored {
        true => (Status::NotStored, b"Out of memory"),
        false => (Status::OutOfMemory, b""),
    }
}
