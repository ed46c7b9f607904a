//! The copy of one value to its new owner that no client asked for, under the same lease as that of a read.

use std::sync::Arc;

use crate::protocol::Reply;
use crate::protocol::Request;
use crate::route::toolkit::lease::{CopyOutcome, Found, MetaKey};
use crate::route::{Call, Handover, Pool, Route};

/// What became of a copy.
#[derive(Debug, Clone, PartialEq)]
pub enum Copied {
    /// The value is at the new owner now.
    Stored,
    /// The new owner has a value, which is newer.
    Newer,
    /// The old owner has none.
    Absent,
    /// A node failed with this reply; the value is where it was.
    Failed(Reply),
}

/// Copies the value of the key of `request`, which moves in `handover`, to its new owner in `pool`. The handover
/// must be in *serve*, and the forwarder of `call` reach both owners.
pub async fn copy(pool: &Arc<Pool>, handover: &Handover, request: &Request<'_>, call: &Call) -> Copied {
    let key = MetaKey::of(request);
    let (old, new) = (Route::Pool(handover.old.clone()), Route::Pool(pool.clone()));
    let leftover = handover.progress.mark(pool.ring.pick(request.key));
    let token = match key.look_up(&new, leftover, call).await {
        Ok(Found::Value(_)) => return Copied::Newer,
        // Another process that died may have left the lease; if it did not, both copy the same value.
        Ok(Found::LeaseGranted(token) | Found::LeaseHeld(token)) => token,
        Ok(Found::Nothing) => return Copied::Absent,
        Err(reply) => return Copied::Failed(reply),
    };
    let copied = match key.copy(&old, &new, token, None, call).await {
        Ok(CopyOutcome::Stored) => return Copied::Stored,
        Ok(CopyOutcome::Superseded) => return Copied::Newer,
        Ok(CopyOutcome::Absent) => Copied::Absent,
        Err(reply) => Copied::Failed(reply),
    };
    // What nobody fills would only expire, and until then each read of it asks twice.
    let _released = key.release(token, &new, call).await;
    copied
}
