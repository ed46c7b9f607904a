//! Copies one key to the cold route before a request that needs it there.

use super::{Refill, TRIES, WarmPart};
use crate::protocol::Reply;
use crate::route::counters::Event;
use crate::route::toolkit::lease::{CopyOutcome, Found, MetaKey, lacks_leases};

/// Where a key is, after a copy if the cold route lacked it.
pub enum Warmed {
    /// In the cold route, with this cas id; it may still be in the warm one too.
    Value(u64),
    /// In neither, as long as the lease in the cold route lasts: another request may have moved it there
    /// since.
    Nowhere {
        /// The token of the lease.
        token: u64,
        /// Whether it was granted to this request.
        is_own: bool,
    },
    /// Not in the cold route, where no lease was taken; the warm one was not asked.
    Missing,
    /// The nodes have no leases: nothing was copied.
    Unsupported,
    /// Other requests changed it each time, so the value in the cold route is newer than this request.
    Contended,
}

impl Refill {
    /// Copies `key` to the cold route if that lacks it, and returns where it is then.
    ///
    /// # Errors
    /// The reply of a node that failed: it is unknown where the key is.
    pub(super) async fn bring(&self, key: &MetaKey) -> Result<Warmed, Reply> {
        let call = &self.call;
        for _ in 0..TRIES {
            let found = match self.warm_part {
                WarmPart::Deletes => key.find(&self.cold, self.leftover, call).await,
                _ => key.look_up(&self.cold, self.leftover, call).await,
            };
            let is_own = matches!(found, Ok(Found::LeaseGranted(_)));
            let token = match found {
                Ok(Found::Nothing) => return Ok(Warmed::Missing),
                Ok(Found::Value(cas)) => return Ok(Warmed::Value(cas)),
                // Another request's lease is as good as our own: whichever stores first wins, and both
                // store the same value.
                Ok(Found::LeaseGranted(token) | Found::LeaseHeld(token)) => token,
                Err(reply) if lacks_leases(&reply) => return Ok(Warmed::Unsupported),
                Err(reply) => return Err(reply),
            };
            let copied = match self.warm_part {
                WarmPart::Deletes => Ok(CopyOutcome::Absent),
                _ => key.copy(&self.warm, &self.cold, token, None, call).await,
            };
            match copied {
                // The next look-up finds it, with its cas id.
                Ok(CopyOutcome::Stored) => self.count(Event::Filled),
                Ok(CopyOutcome::Superseded) => {}
                Ok(CopyOutcome::Absent) => return Ok(Warmed::Nowhere { token, is_own }),
                Err(reply) if self.may_be_without(&reply) => {
                    return Ok(Warmed::Nowhere { token, is_own });
                }
                Err(reply) => {
                    let _released = key.release(token, &self.cold, call).await;
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
