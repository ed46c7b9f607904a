//! A read through two routes: the cold one is asked first, and gets a copy of a value that only the warm
//! one has.

use crate::protocol::{Reply, Request};
use crate::route::Route;
use crate::route::call::Context;
use crate::route::counters::Event;
use crate::route::toolkit::lease::MetaKey;
use crate::route::toolkit::reply::{is_failure, is_hit};

/// A cold route in front of a warm one.
#[derive(Debug, Clone, Copy)]
pub struct ReadThrough<'a> {
    /// Asked first; gets copies.
    pub cold: &'a Route,
    /// Asked next; has the values.
    pub warm: &'a Route,
    /// The maximum time to live of a copy, in seconds.
    pub max_ttl: Option<i64>,
}

impl ReadThrough<'_> {
    /// Returns the warm route's reply to `request`, a read of `key` to which the cold one replied `first`.
    /// A value is copied in the background, under a lease. Counts [`Event::Found`], and [`Event::Filled`]
    /// for a copy.
    pub async fn from_warm(
        self,
        request: &Request<'_>,
        first: &Reply,
        key: MetaKey,
        context: &Context<'_>,
    ) -> Reply {
        let second = context.call.send(self.warm, request).await;
        if is_hit(&second) {
            context.count(Event::Found);
            // A node that has just failed is not asked twice more for each read.
            if !is_failure(first) {
                self.copy_in_background(key, context);
            }
        }
        second
    }

    /// Copies the value of `key` once the client has its reply, unless another request has the lease or
    /// changes the key meanwhile.
    fn copy_in_background(self, key: MetaKey, context: &Context<'_>) {
        let (counters, call) = (context.policy.counters.clone(), context.call.clone());
        let (cold, warm, max_ttl) = (self.cold.clone(), self.warm.clone(), self.max_ttl);
        context.call.detach(async move {
            if key.copy_under_lease(&warm, &cold, max_ttl, &call).await {
                counters.shard(call.forwarder.worker()).count(Event::Filled);
            }
        });
    }
}
