//! Copies one key to the cold route before a request that needs it there.

use crate::protocol::Reply;
use crate::route::call::Context;
use crate::route::counters::Event;
use crate::route::policy::lazy_fill::{LazyFill, TRIES};
use crate::route::toolkit::lease::{CopyOutcome, Found, MetaKey, lacks_leases};

/// Where a key is, after a copy if `to` lacked it.
pub enum Warmed {
    /// In `to`, with this cas id; it may still be in `from` too.
    Value(u64),
    /// In neither, as long as the lease in `to` with this token lasts: another request may have moved it
    /// there since.
    Nowhere(u64),
    /// The nodes have no leases: nothing was copied.
    Unsupported,
    /// Other requests changed it each time, so the value in `to` is newer than this request.
    Contended,
}

impl LazyFill {
    /// Copies `key` to `to` if that lacks it, and returns where it is then.
    ///
    /// # Errors
    /// The reply of a node that failed: it is unknown where the key is.
    pub(super) async fn warm(&self, key: &MetaKey, context: &Context<'_>) -> Result<Warmed, Reply> {
        let call = context.call;
        for _ in 0..TRIES {
            let token = match key.look_up(&self.to, call).await {
                Ok(Found::Value(cas)) => return Ok(Warmed::Value(cas)),
                // Another request's lease is as good as our own: whichever stores first wins, and both
                // store the same value.
                Ok(Found::LeaseGranted(token) | Found::LeaseHeld(token)) => token,
                Err(reply) if lacks_leases(&reply) => return Ok(Warmed::Unsupported),
                Err(reply) => return Err(reply),
            };
            match key.copy(&self.from, &self.to, token, None, call).await {
                // The next look-up finds it, with its cas id.
                Ok(CopyOutcome::Stored) => context.count(Event::Filled),
                Ok(CopyOutcome::Superseded) => {}
                Ok(CopyOutcome::Absent) => return Ok(Warmed::Nowhere(token)),
                Err(reply) => {
                    let _released = key.release(token, &self.to, call).await;
                    return if lacks_leases(&reply) {
                        Ok(Warmed::Unsupported)
                    } else {
                        Err(reply)
                    };
                }
            }
        }
        Ok(Warmed::Contended)
    }
}
