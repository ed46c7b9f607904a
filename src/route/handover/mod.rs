//! A handover: what happens to requests for keys whose owner changes with a pool's ring.
//!
//! | phase | read | write |
//! |---|---|---|
//! | prepare | old owner | old owner, then delete at the new owner |
//! | serve | new owner; on a miss the old owner, and the value is copied under a lease | delete at the old owner, then new owner; what needs the old value brings it over first |
//! | finish | new owner | delete at the old owner, then new owner |
//!
//! `docs/handover.md` says why processes at most one phase apart never show an old value. At the new owner
//! two kinds of items are no values: placeholders of leases, which are recognised by their flags, and
//! leftovers, which it has from an earlier ring and are recognised by their cas ids: the handover begins
//! with a mark, a fresh cas id of each node, and what is older was left there before. The cas ids of a Valkey
//! or Redis tell no age: there everything counts as left over until it was swept, which *prepare* has time for.
//!
//! Serve and finish are a [`Refill`], whose forwarder reaches the new owner as the pool, and the old one as
//! [`Handover::old`].

mod cas;
pub mod copy;
mod prepare;
pub mod progress;
mod read;
mod recent;
pub mod tally;

use std::sync::Arc;

use crate::protocol::operation::Operation;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Request};
use crate::reply::slot::ReplySlot;
use crate::route::call::spawn;
use crate::route::pool::Handover;
use crate::route::toolkit::lease::uses_lease;
use crate::route::toolkit::refill::{Refill, WarmPart};
use crate::route::{Call, Pool, Route};
use cas::Ids;
use progress::Phase;

/// Sends `request`, for a key of `pool` that moves in `handover`; its reply is delivered to `slot`. The
/// forwarder of `call` must reach both owners.
pub fn send(pool: &Arc<Pool>, handover: &Handover, request: &Request<'_>, slot: ReplySlot, call: Call) {
    let phase = handover.progress.phase();
    let is_read = Operation::of(request) == Operation::Get && !uses_lease(request);
    match phase {
        Phase::Prepare if is_read => call.send_to(&Route::Pool(handover.old.clone()), request, slot),
        Phase::Prepare => {
            let (old, new) = (Route::Pool(handover.old.clone()), pool.clone());
            let owned = OwnedRequest::new(request);
            spawn(Box::pin(async move {
                slot.fill(prepare::write(&owned.request(), &old, &new, &call).await);
            }));
        }
        // Nothing is left of it, and the next snapshot is without it.
        _ if phase == Phase::Done || request.command == Command::MetaDebug => {
            call.send_to(&Route::Pool(pool.clone()), request, slot);
        }
        _ => {
            let ids = Ids::of(pool, request.key);
            let refill = refill(pool, handover, phase, request, call);
            if is_read {
                return read::send(refill, handover.tally.clone(), ids, request, slot);
            }
            let owned = OwnedRequest::new(&ids.of_node(request, &mut Vec::new()));
            spawn(Box::pin(async move {
                slot.fill(ids.for_client(refill.run(&owned.request()).await));
            }));
        }
    }
}

fn refill(pool: &Arc<Pool>, handover: &Handover, phase: Phase, request: &Request<'_>, call: Call) -> Refill {
    Refill {
        cold: Route::Pool(pool.clone()),
        warm: Route::Pool(handover.old.clone()),
        warm_keeps_items: handover.old.is_valkey(request.key),
        warm_part: match phase {
            Phase::Serve => WarmPart::Optional,
            _ => WarmPart::Deletes,
        },
        leftover: handover.progress.mark(pool.ring.pick(request.key)),
        call,
        tally: handover.tally.clone(),
    }
}
