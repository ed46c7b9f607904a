//! Requests to keys that move from a warm route to a cold one, race-free: the cold route executes them, and
//! gets the values that only the warm one has.
//!
//! Why no old value comes back. A request that changes a key first deletes it in the warm route, and
//! continues only when that is confirmed; from then on the warm route does not have the key. A copy takes a
//! lease in the cold route before it reads the warm one (see [`super::lease`]): a change in between revokes
//! the lease, and the copy is not stored. So a value in the warm route is never older than the one in the
//! cold route, and may be read if the cold one fails. The price is that a change waits for two replies, one
//! after the other, and fails if the warm route does not answer; then the key is deleted in the cold route,
//! because its value there is older than the change.

mod change;
mod warm;

use std::sync::Arc;

use crate::protocol::operation::{Operation, is_plain_delete};
use crate::protocol::{Command, Failure, Reply, Request};
use crate::route::counters::{Event, Tally};
use crate::route::toolkit::lease::{MetaKey, cas_of, may_be_elsewhere, may_be_placeholder};
use crate::route::toolkit::read_through::ReadThrough;
use crate::route::toolkit::reply::{is_error, is_failure, is_gone, is_hit, is_miss, without_cas};
use crate::route::{Call, Route};
pub use change::{creates, missing};
use warm::Warmed;

/// The number of attempts while other requests keep changing the key. One of the competitors wins each
/// round, so it takes as many competitors to fail.
pub const TRIES: usize = 32;

/// Two routes, while keys move from one to the other.
#[derive(Debug, Clone)]
pub struct Refill {
    /// The route that the keys move to.
    pub cold: Route,
    /// The route that the keys come from.
    pub warm: Route,
    /// The part that the warm route still has.
    pub warm_part: WarmPart,
    /// Whether the node of the warm route has its items again after it refused connections.
    pub warm_keeps_items: bool,
    /// Items in the cold route whose cas id is at most this are not values: they were left there before.
    pub leftover: u64,
    /// Sends requests.
    pub call: Call,
    /// Counts [`Event::Found`] and [`Event::Filled`].
    pub tally: Arc<dyn Tally>,
}

/// The part that a warm route has in a refill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmPart {
    /// Its values are read and copied; if it fails, requests fail.
    Required,
    /// Its values are read and copied; if it is down, they count as missing.
    Optional,
    /// Its values are no longer read, only deleted, as far as it is not down.
    Deletes,
}

/// Whether `reply` of the cold route to the read `request` is the client's reply. `leftover` as in [`Refill`].
pub fn is_final(request: &Request<'_>, reply: &Reply, leftover: u64) -> bool {
    request.command == Command::MetaDebug || !(may_be_elsewhere(reply) || is_leftover(reply, leftover))
}

/// Whether the item that `reply` of the cold route is about was left there before.
fn is_leftover(reply: &Reply, leftover: u64) -> bool {
    leftover > 0 && is_hit(reply) && cas_of(reply).is_some_and(|cas| cas <= leftover)
}

impl Refill {
    /// Returns the reply to the read `request`, to which the cold route replied `first`, which is not
    /// final.
    pub async fn read(&self, request: &Request<'_>, first: Reply) -> Reply {
        let key = MetaKey::of(request);
        if !is_leftover(&first, self.leftover)
            && let Some(value) = key.recheck(request, &first, &self.cold, &self.call).await
        {
            return value;
        }
        let is_failed = is_failure(&first);
        if self.warm_part == WarmPart::Deletes {
            return if is_failed { first } else { Reply::NotFound };
        }
        if request.wants_cas() && !is_failed {
            return self.read_warmed(request, &key).await;
        }
        let read = ReadThrough {
            cold: &self.cold,
            warm: &self.warm,
            max_ttl: None,
            leftover: self.leftover,
            call: &self.call,
            tally: &self.tally,
        };
        let second = read.from_warm(request, &first, key).await;
        match is_hit(&second) {
            true => without_cas(second),
            // A miss in the warm route proves nothing if the cold one has failed: the key may be there.
            false if is_failed => first,
            false if is_error(&second) && self.warm_part == WarmPart::Optional => Reply::NotFound,
            false => second,
        }
    }

    /// Runs `request`, which is not a read, or a read that may be granted a lease.
    pub async fn run(&self, request: &Request<'_>) -> Reply {
        let key = MetaKey::of(request);
        let Some(reply) = self.start(request, &key).await else {
            // Other requests won each round. Their value is newer, so it stays.
            return Reply::Failed(Failure::Busy);
        };
        // If a change failed, perhaps before it reached the cold route, the value there is older than the
        // change and must go.
        if is_failure(&reply) && Operation::of(request) != Operation::Get {
            key.delete(&self.cold, &self.call).await;
        }
        reply
    }

    /// Runs a request. Returns `None` if other requests changed the key each time.
    async fn start(&self, request: &Request<'_>, key: &MetaKey) -> Option<Reply> {
        Some(match Operation::of(request) {
            Operation::Set => match self.delete_in_warm(key).await {
                Err(reply) => reply,
                Ok(()) => self.call.send(&self.cold, request).await,
            },
            _ if is_plain_delete(request) => self.delete(request).await,
            // The state of rarer requests is large, and has memory of its own.
            Operation::Get => return Box::pin(self.read_with_lease(request, key)).await,
            _ => return Box::pin(self.change(request, key)).await,
        })
    }

    /// Reads by an mg that may be granted a lease itself: the lease of the look-up must not be in its way. One that
    /// another request holds stays. Returns `None` if other requests changed the key each time.
    async fn read_with_lease(&self, request: &Request<'_>, key: &MetaKey) -> Option<Reply> {
        match self.bring(key).await {
            Err(reply) => return Some(reply),
            Ok(Warmed::Contended) => return None,
            Ok(Warmed::Nowhere { token, is_own: true }) => {
                let _released = key.release(token, &self.cold, &self.call).await;
            }
            Ok(_) => {}
        }
        Some(self.call.send(&self.cold, request).await)
    }

    /// Reads a value with its cas id in the cold route, which lacks the key: it is copied there first.
    async fn read_warmed(&self, request: &Request<'_>, key: &MetaKey) -> Reply {
        for _ in 0..TRIES {
            match self.bring(key).await {
                Err(reply) => return reply,
                Ok(Warmed::Nowhere { token, .. }) => match key.release(token, &self.cold, &self.call).await {
                    Ok(true) => return Reply::NotFound,
                    // The lease was lost, so another request has stored something meanwhile.
                    Ok(false) => continue,
                    Err(reply) => return reply,
                },
                Ok(Warmed::Missing) => return Reply::NotFound,
                Ok(Warmed::Contended) => break,
                Ok(Warmed::Value(_) | Warmed::Unsupported) => {}
            }
            let reply = self.call.send(&self.cold, request).await;
            if !may_be_placeholder(&reply) {
                return reply;
            }
            if let Some(value) = key.recheck(request, &reply, &self.cold, &self.call).await {
                return value;
            }
        }
        Reply::Failed(Failure::Busy)
    }

    /// Deletes the key in the warm route.
    ///
    /// # Errors
    /// The reply, if the key may still be there.
    async fn delete_in_warm(&self, key: &MetaKey) -> Result<(), Reply> {
        let gone = key.delete(&self.warm, &self.call).await;
        match is_error(&gone) && !self.may_be_without(&gone) {
            true => Err(gone),
            false => Ok(()),
        }
    }

    /// Whether a request may go on without the warm route after this `reply` of it.
    fn may_be_without(&self, reply: &Reply) -> bool {
        self.warm_part != WarmPart::Required && is_gone(reply, self.warm_keeps_items)
    }

    /// Whether a miss in the warm route was not confirmed, so that the key must be deleted there.
    fn is_unsure_of_misses(&self) -> bool {
        self.warm_part != WarmPart::Required
    }

    fn count(&self, event: Event) {
        self.tally.count(self.call.forwarder.worker(), event);
    }

    async fn delete(&self, request: &Request<'_>) -> Reply {
        // First in the warm route: if the cold one lost the key first, a read could copy the old value back.
        let gone = self.call.send(&self.warm, request).await;
        let is_without = self.may_be_without(&gone);
        if is_error(&gone) && !is_without {
            return gone;
        }
        let reply = self.call.send(&self.cold, request).await;
        if is_miss(&reply) && !is_without {
            gone
        } else {
            reply
        }
    }
}
