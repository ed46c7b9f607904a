//! Requests that a Valkey or Redis did not execute because it has lost the script (`SCRIPT FLUSH`, or another server behind
//! the same connection): they are sent once more, and bring it.
//!
//! That is safe, because the error says that nothing was done. But requests behind one of them are executed by now, so it
//! is only sent again if none of those is for its key: their order is kept.

use crate::link::Link;
use crate::link::in_flight::InFlightQueue;
use crate::link::pending_reply::PendingReply;
use crate::link::resp_replies::Unexecuted;
use crate::link::state::LinkState;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Failure};

impl InFlightQueue {
    /// Takes the oldest request, which was not executed, to be sent again. `false`: it may not be.
    #[cold]
    pub(super) fn take_unexecuted(&mut self, request: Option<OwnedRequest>) -> bool {
        let is_first_attempt = self
            .front()
            .is_some_and(|entry| entry.slot.is_some() && !entry.is_retry);
        let Some(request) = request.filter(|_| is_first_attempt && self.is_last_of_its_key()) else {
            return false;
        };
        let pending = self.pop().and_then(|mut entry| entry.take_pending());
        self.resp.unexecuted.extend(pending.map(|pending| Unexecuted {
            request,
            pending: PendingReply {
                is_retry: true,
                ..pending
            },
        }));
        true
    }

    /// Whether no request behind the oldest one concerns its key.
    fn is_last_of_its_key(&self) -> bool {
        let (key, mut text) = (self.front_key(), self.text.bytes());
        self.entries.iter().enumerate().all(|(at, entry)| {
            let (own, rest) = text.split_at(entry.text_len());
            text = rest;
            at == 0 || entry.command != Command::FlushAll && &own[..usize::from(entry.key)] != key
        })
    }
}

impl Link {
    /// Sends what was not executed once more.
    #[cold]
    pub(super) fn send_unexecuted(&self, state: &mut LinkState) {
        let now = self.local.clock.now();
        for Unexecuted { request, pending } in std::mem::take(&mut state.in_flight.resp.unexecuted) {
            let request = request.request();
            // What has failed since would be undone.
            let is_late = state.dialect.is_none()
                || state.fences.has(request.key)
                || self.node.missed.is_any() && self.node.missed.bars(&request);
            if is_late {
                self.shard().in_flight.sub(1);
                pending.fail((&request).into(), Failure::Refused, false, self.failing(now));
                continue;
            }
            self.shard().retries.add(1);
            state.spares_tokens = self.spares_tokens(&request);
            state.write_resp(&request, pending);
        }
    }
}
