//! Processes storage commands: a data block is admitted, taken whole, shared with the link or skipped.

use bytes::Bytes;

use super::{Protocol, Requests, Taken};
use crate::client::batch::Batch;
use crate::client::dispatch::{format, mode, own};
use crate::client::reading::Reading;
use crate::net::outgoing::LARGE;
use crate::protocol::line::Line;
use crate::protocol::text::{self, DataBlock};
use crate::protocol::{MAX_KEY, Reply, Request, meta};
use crate::reply::origin::WireFormat;
use crate::runtime::turn;

const TOO_LARGE: &str = "SERVER_ERROR object too large for cache";
/// The cost of deleting the item whose new value is refused: a policy's work, in every pool of the route.
pub(super) const REFUSED: usize = 4 * turn::REQUEST;

const OUT_OF_MEMORY: &str = "SERVER_ERROR out of memory storing object";

impl Requests {
    #[inline]
    pub(super) fn store(
        &mut self,
        batch: &Batch<'_>,
        request: Request<'_>,
        size: usize,
        noreply: bool,
        block: &[u8],
        line_length: usize,
    ) -> Taken {
        if size > batch.route.max_value_size(&request) {
            batch.worker.shard().bad_requests.add(1);
            batch.worker.shard().large_values.add(1);
            self.reading = Reading::skip(size + 2);
            self.refuse_value(batch, &request, TOO_LARGE, noreply);
            return Taken::Bytes(line_length);
        }
        match text::data_block(block, size) {
            DataBlock::Partial if self.admits(line_length + size + 2) => return Taken::Partial,
            DataBlock::Partial => {
                batch.worker.shard().out_of_memory.add(1);
                self.reading = Reading::skip(size + 2);
                self.refuse_value(batch, &request, OUT_OF_MEMORY, noreply);
                return Taken::Bytes(line_length);
            }
            DataBlock::Value(_) if size >= LARGE => return Taken::Large(line_length + size + 2),
            DataBlock::Value(value) => {
                self.dispatch
                    .send(batch, &Request { value, ..request }, mode(noreply))
            }
            DataBlock::Bad => {
                batch.worker.shard().bad_requests.add(1);
                self.dispatch.answer("CLIENT_ERROR bad data chunk", noreply);
            }
        }
        Taken::Bytes(line_length + size + 2)
    }

    /// Answers `line` to `request`, whose value is refused. memcached checks the flags of ms first.
    fn refuse_value(&mut self, batch: &Batch<'_>, request: &Request<'_>, line: &'static str, noreply: bool) {
        let mut room = [0; MAX_KEY];
        let (request, format) = match &request.meta {
            None => (*request, WireFormat::Classic),
            Some(meta) => match meta::flags::check_set(meta, &mut room) {
                Err(diagnostic) => return self.dispatch.answer(diagnostic, noreply),
                Ok(key) => (Request { key, ..*request }, format(meta)),
            },
        };
        self.turn.spend(REFUSED);
        let origin = own(request.command, mode(noreply), format);
        let answer = Reply::Text(line.into());
        self.dispatch.refuse_value(batch, &request, answer, origin);
    }

    /// Whether to admit the incomplete storage command at the front of the buffer, which takes `length`
    /// bytes in all. Its memory is then reserved, so that it can complete whatever other sessions use.
    pub(super) fn admits(&mut self, length: usize) -> bool {
        let is_admitted = self.dispatch.replies().has_room(length);
        if is_admitted {
            self.reading = Reading::Block { length };
        }
        is_admitted
    }

    /// Sends a storage command with its data block, whose memory the link may share.
    pub(super) fn store_shared(&mut self, batch: &Batch<'_>, block: &Bytes) {
        if self.protocol == Protocol::Binary {
            return self.send_packet(batch, block, Some(block));
        }
        if let Some((
            Line::Store {
                request,
                length: size,
                noreply,
            },
            start,
        )) = text::read_line(block)
        {
            let value = &block[start..start + size];
            self.dispatch.send(
                batch,
                &Request {
                    value,
                    block: Some(block),
                    ..request
                },
                mode(noreply),
            );
        }
    }
}
