//! Takes requests in text, classic and meta.
//!
//! A multi-get leaves a slot for its keys, or one for each if a policy decides, and one for its end. It needs
//! no merging: the queue returns the values in the order of their keys, and each node gets its keys in one
//! write. A multi-get of more keys than may be outstanding at once is interrupted and continued later.

use std::time::Duration;

use tracing::warn;

use super::figures::Stats;
use super::{Requests, Taken};
use crate::client::batch::Batch;
use crate::client::dispatch::{mode, own};
use crate::client::multi_get::MultiGet;
use crate::client::reading::{Reading, RestOfKeys};
use crate::log_limit::LogLimit;
use crate::protocol::line::{Keys, Line};
use crate::protocol::text;
use crate::protocol::{Command, Reply, Request};
use crate::reply::origin::{ReplyMode, WireFormat};
use crate::runtime::{buffers, turn};

/// A multi-get of this many keys is likely to have several for one node.
const MANY: usize = 8;

/// Rate-limits the log of clients that speak HTTP.
static HTTP_CLOSED: LogLimit = LogLimit::new(Duration::from_secs(10));

impl Requests {
    /// Takes one line from the front of `buffer`, and its data block.
    #[inline]
    pub(super) fn take_line(&mut self, batch: &Batch<'_>, buffer: &[u8]) -> Taken {
        let searched = match self.reading {
            Reading::Line { searched } => {
                self.reading = Reading::Begin;
                searched
            }
            Reading::MultiGet(rest) => {
                self.reading = Reading::Begin;
                let line = &buffer[..rest.length];
                return self.read_many(batch, rest.command, rest.exptime, Keys::of(line), line);
            }
            _ => 0,
        };
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
            Line::Single { request, noreply } => self.dispatch.send(batch, &request, mode(noreply)),
            Line::FlushAll { delay, noreply } => self.flush_all(batch, delay, noreply),
            Line::Version => {
                let version = self.version(batch);
                self.dispatch.answer(version, false);
            }
            Line::Noop => self.dispatch.answer("MN", false),
            Line::Verbosity { noreply } => self.dispatch.answer("OK", noreply),
            Line::Stats(what) => match self.stats(batch, what) {
                Stats::Text(text) => self.dispatch.answer(text, false),
                Stats::NoMemory => self
                    .dispatch
                    .answer("SERVER_ERROR out of memory writing stats", false),
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
                self.reading = Reading::skip(swallow);
                self.dispatch.answer(answer, noreply);
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
                self.dispatch.send(batch, &request, ReplyMode::Single);
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
        let multi_get = match is_one_of_many {
            true => MultiGet::begin(&self.dispatch, batch, command),
            false => None,
        };
        loop {
            let sent = match &multi_get {
                Some(multi_get) => multi_get.send(&mut keys, self.keys_at_once()),
                None => keys.next().map_or(0, |key| {
                    let request = Request {
                        exptime,
                        is_one_of_many,
                        ..Request::new(command, key)
                    };
                    self.dispatch.send(batch, &request, ReplyMode::MultiGetItem);
                    1
                }),
            };
            if sent == 0 {
                break;
            }
            self.turn.spend(sent * turn::KEY);
            if self.is_full() || self.turn.is_over(&batch.worker.local.clock) {
                let line_end = if line.ends_with(b"\r\n") { 2 } else { 1 };
                let length = keys.left() + line_end;
                self.reading = Reading::MultiGet(RestOfKeys {
                    command,
                    exptime,
                    length,
                });
                return Taken::Bytes(line.len() - length);
            }
        }
        drop(multi_get);
        let origin = own(command, ReplyMode::MultiGetEnd, WireFormat::Classic);
        self.dispatch.replies().push_filled(origin, Reply::Done);
        Taken::Bytes(line.len())
    }

    /// Waits for the end of the line of which `part` has arrived. A line that reads many keys may be long;
    /// under memory pressure it is refused with memcached's error, and skipped.
    #[inline]
    fn wait_for_line(&mut self, batch: &Batch<'_>, part: &[u8]) -> Taken {
        let length = part.len();
        if length <= buffers::SMALL || self.dispatch.replies().has_room(length) {
            self.reading = Reading::Line { searched: length };
            return Taken::Partial;
        }
        batch.worker.shard().out_of_memory.add(1);
        self.reading = Reading::SkipLine;
        self.dispatch
            .answer("SERVER_ERROR out of memory reading request", false);
        Taken::Bytes(length)
    }

    fn flush_all(&mut self, batch: &Batch<'_>, delay: i64, noreply: bool) {
        if batch.route.denies_flush() {
            return self
                .dispatch
                .answer("CLIENT_ERROR flush_all not allowed", noreply);
        }
        let origin = own(Command::FlushAll, mode(noreply), WireFormat::Classic);
        self.flush(batch, delay, origin);
    }

    #[cold]
    fn close_http(&mut self, batch: &Batch<'_>) {
        batch.worker.shard().http_closed.add(1);
        if let Some(held_back) = HTTP_CLOSED.allow(batch.worker.state.started.elapsed()) {
            warn!(bind = %batch.bind, held_back, "client closed: it speaks HTTP");
        }
        self.end();
    }
}
