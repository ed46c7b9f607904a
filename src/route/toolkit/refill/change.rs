//! Changes of keys that may still be only in the warm route.

use super::warm::Warmed;
use super::{Refill, TRIES};
use crate::protocol::meta::Names;
use crate::protocol::operation::Operation;
use crate::protocol::{Reply, Request};
use crate::route::toolkit::compare_and_swap::{as_add, compare_and_swap, fill_placeholder, swapped};
use crate::route::toolkit::lease::{MetaKey, may_be_placeholder};

impl Refill {
    /// Executes `request` on the item, in whichever route it is.
    ///
    /// Between the look-up and the change another request may delete the key, and a third take the lease of
    /// its placeholder. An append to the placeholder would create a bogus value, and an incr would read it
    /// as a number. So the change compares the cas id of the value that was seen (or of the placeholder,
    /// for what adds); if that has changed, it starts over. Returns `None` after [`TRIES`], which takes as
    /// many changes of this key by other requests.
    pub(super) async fn change(&self, request: &Request<'_>, key: &MetaKey) -> Option<Reply> {
        let call = &self.call;
        let is_add = Operation::of(request) == Operation::Add;
        let mut added = Vec::new();
        let add = as_add(request, &mut added);
        for _ in 0..TRIES {
            let warmed = match self.bring(key).await {
                Ok(warmed) => warmed,
                Err(reply) => return Some(reply),
            };
            let may_be_in_warm = !matches!(warmed, Warmed::Nowhere { .. }) || self.is_unsure_of_misses();
            let mut scratch = Vec::new();
            let swap = match (&warmed, &add) {
                // An add that simply released the lease could lose a race against another add. Filling
                // the placeholder is atomic: only one of them stores.
                (Warmed::Nowhere { token, .. }, Some(add)) => {
                    Some(fill_placeholder(add, *token, &mut scratch))
                }
                // The placeholder must be removed first, or the request would find it. That it was still
                // there proves that nothing was stored since the look-up.
                (Warmed::Nowhere { token, .. }, None) => match key.release(*token, &self.cold, call).await {
                    Ok(true) if creates(request) => None,
                    Ok(true) => return Some(missing(request)),
                    Ok(false) => continue,
                    Err(reply) => return Some(reply),
                },
                (Warmed::Missing, Some(_)) => add,
                (Warmed::Missing, None) if creates(request) => None,
                (Warmed::Missing, None) => return Some(missing(request)),
                (Warmed::Value(_), _) if is_add => return Some(Reply::NotStored),
                (Warmed::Value(cas), _) => compare_and_swap(request, *cas, &mut scratch),
                (Warmed::Unsupported, _) => None,
                // Other requests changed the key in each round; the caller fails this one and leaves
                // their value.
                (Warmed::Contended, _) => return None,
            };
            // The old value is deleted before the new one is stored: in the other order a read that misses
            // in the cold route, because the new value was evicted at once, would bring the old one back.
            if may_be_in_warm && let Err(reply) = self.delete_in_warm(key).await {
                return Some(reply);
            }
            let reply = call.send(&self.cold, swap.as_ref().unwrap_or(request)).await;
            if self.has_counted_another(&reply, &warmed, key).await {
                continue;
            }
            let reply = match swap {
                Some(_) => swapped(request, reply),
                // touch, gat, cas and delete carry no cas id to compare, so they may have met a
                // placeholder.
                None if may_be_placeholder(&reply) => key.recheck(request, &reply, &self.cold, call).await,
                None => Some(reply),
            };
            if reply.is_some() {
                return reply;
            }
        }
        None
    }

    /// Whether `reply`, to a count, may be about a placeholder instead of what was seen.
    async fn has_counted_another(&self, reply: &Reply, seen: &Warmed, key: &MetaKey) -> bool {
        let seen = match seen {
            Warmed::Unsupported => return false,
            Warmed::Value(cas) => Some(*cas),
            _ => None,
        };
        key.has_counted_another(reply, seen, &self.cold, self.leftover, &self.call)
            .await
    }
}

/// The reply to a change of a key that is missing.
pub fn missing(request: &Request<'_>) -> Reply {
    match Operation::of(request) {
        Operation::Replace | Operation::Append | Operation::Prepend => Reply::NotStored,
        _ => Reply::NotFound,
    }
}

/// Whether `request` creates the item if it is missing: ma, append and prepend with `N`.
pub fn creates(request: &Request<'_>) -> bool {
    Names::of(request.raw_flags()).has(b'N')
}
