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
//! [`Handover::old`]. Most reads in them are answered by the new owner, and need only the request to it ([`read`]).

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
use crate::route::toolkit::lease::uses_lease;
use crate::route::toolkit::refill::{Refill, WarmPart};
use crate::route::{Call, Handover, Owners, Pool, Route};
use cas::Ids;
use progress::Phase;

/// A key of a pool that moves in its handover.
#[derive(Debug, Clone)]
pub struct MovingKey {
    /// The pool.
    pub pool: Arc<Pool>,
    /// The nodes that had the key, and that get it.
    pub owners: Owners,
}

impl MovingKey {
    /// The handover.
    pub fn handover(&self) -> &Handover {
        let handover = self.pool.handover.as_deref();
        handover.expect("a pool whose keys move is in a handover")
    }

    /// Whether the new owner is a Valkey or Redis.
    fn is_valkey(&self) -> bool {
        self.pool.settings.nodes[self.owners.new].address.is_valkey()
    }

    /// Items at the new owner whose cas id is at most this are not values.
    fn leftover(&self) -> u64 {
        self.handover().progress.mark(self.owners.new)
    }

    /// Returns what brings values of the key to its new owner.
    fn refill(&self, phase: Phase, leftover: u64, call: Call) -> Refill {
        let handover = self.handover();
        let old = &handover.old;
        Refill {
            cold: Route::Pool(self.pool.clone()),
            warm: Route::Pool(old.clone()),
            warm_keeps_items: old.settings.nodes[self.owners.old].address.is_valkey(),
            warm_part: match phase {
                Phase::Serve => WarmPart::Optional,
                _ => WarmPart::Deletes,
            },
            leftover,
            call: within(call, handover),
            tally: handover.tally.clone(),
        }
    }
}

/// Sends `request`, whose key is `key`; its reply is delivered to `slot`. `to_new` sends a request to the new owner.
pub fn send(
    key: MovingKey,
    request: &Request<'_>,
    slot: ReplySlot,
    call: Call,
    to_new: impl FnOnce(&Request<'_>, ReplySlot),
) {
    let phase = key.handover().progress.phase();
    let is_read = Operation::of(request) == Operation::Get && !uses_lease(request);
    match phase {
        Phase::Prepare if is_read => {
            let old = Route::Pool(key.handover().old.clone());
            within(call, key.handover()).send_to(&old, request, slot);
        }
        Phase::Prepare => {
            let owned = OwnedRequest::new(request);
            let call = within(call, key.handover());
            spawn(Box::pin(async move {
                let old = Route::Pool(key.handover().old.clone());
                slot.fill(prepare::write(&owned.request(), &old, &key.pool, &call).await);
            }));
        }
        // Nothing is left of it, and the next snapshot is without it.
        _ if phase == Phase::Done || request.command == Command::MetaDebug => to_new(request, slot),
        _ if is_read => read::send(key, phase, request, slot, call, to_new),
        _ => {
            let ids = Ids::of(&key);
            let refill = key.refill(phase, key.leftover(), call);
            let owned = OwnedRequest::new(&ids.of_node(request, &mut Vec::new()));
            spawn(Box::pin(async move {
                slot.fill(ids.for_client(refill.run(&owned.request()).await));
            }));
        }
    }
}

/// Returns a call whose requests go to both owners of a key that moves in `handover`.
fn within(call: Call, handover: &Handover) -> Call {
    Call {
        forwarder: call.forwarder.within(handover),
        ..call
    }
}
