//! Reads at the new owner, whose replies are inspected: most are final, and cost no async function.
//!
//! Each read asks for the cas id too, which tells a value from what an earlier ring left there.

use super::MovingKey;
use super::cas::Ids;
use super::progress::Phase;
use super::tally::Owner;
use crate::protocol::meta::flag;
use crate::protocol::{Command, Reply, Request};
use crate::reply::inspection::ReplyInspector;
use crate::reply::slot::ReplySlot;
use crate::route::Call;
use crate::route::call::fast_path::RetainedRequest;
use crate::route::toolkit::refill::is_final;
use crate::route::toolkit::reply::{change_cas, is_hit};
use crate::route::toolkit::rewrite::{put, with_flags};

/// Sends the read `request` to the new owner, by `to_new`; the old one is asked only if that lacks the key.
pub(super) fn send(
    key: MovingKey,
    phase: Phase,
    request: &Request<'_>,
    slot: ReplySlot,
    call: Call,
    to_new: impl FnOnce(&Request<'_>, ReplySlot),
) {
    let first = FirstReply {
        request: RetainedRequest::new(request),
        slot,
        leftover: key.leftover(),
        key,
        phase,
        call,
    };
    let mut flags = Vec::new();
    to_new(&with_cas(request, &mut flags), ReplySlot::inspected(first));
}

/// A pending reply of the new owner, and what it takes to continue from it.
#[derive(Debug)]
struct FirstReply {
    request: RetainedRequest,
    slot: ReplySlot,
    key: MovingKey,
    phase: Phase,
    leftover: u64,
    call: Call,
}

impl ReplyInspector for FirstReply {
    fn fill(self: Box<Self>, reply: Reply) {
        let FirstReply {
            request,
            slot,
            key,
            phase,
            leftover,
            call,
        } = *self;
        let ids = Ids::of(&key);
        let worker = call.forwarder.worker();
        if is_final(&request.request(), &reply, leftover) {
            let found = if is_hit(&reply) { Owner::New } else { Owner::None };
            key.handover().tally.count_read(worker, found);
            return slot.fill(as_asked(&request.request(), ids, reply));
        }
        // Not polled here: a link is in the middle of its turn, so nothing may be sent to it.
        tokio::task::spawn_local(async move {
            let refill = key.refill(phase, leftover, call);
            let reply = refill.read(&request.request(), reply).await;
            let found = if is_hit(&reply) { Owner::Old } else { Owner::None };
            key.handover().tally.count_read(worker, found);
            slot.fill(ids.for_client(reply));
        });
    }
}

/// Returns `request` as a read that also returns the cas id. `flags` takes those of a meta command.
fn with_cas<'a>(request: &Request<'a>, flags: &'a mut Vec<u8>) -> Request<'a> {
    match &request.meta {
        None => Request {
            command: Command::Gets,
            ..*request
        },
        Some(meta) if flag(meta.flags, b'c').is_some() => *request,
        Some(meta) => {
            flags.extend_from_slice(meta.flags);
            put(flags, b"c");
            with_flags(request, meta, flags)
        }
    }
}

/// Returns `reply` of the new owner as the client may see it.
fn as_asked(request: &Request<'_>, ids: Ids, reply: Reply) -> Reply {
    match request.wants_cas() {
        true => ids.for_client(reply),
        false => change_cas(reply, |_| None),
    }
}
