//! A read through two routes: the cold one is asked first, and gets a copy of a value that only the warm
//! one has.

use std::sync::Arc;

use crate::protocol::{Reply, Request};
use crate::route::counters::{Event, Tally};
use crate::route::toolkit::lease::MetaKey;
use crate::route::toolkit::reply::{is_failure, is_hit};
use crate::route::{Call, Route};

/// A cold route in front of a warm one.
#[derive(Debug, Clone, Copy)]
pub struct ReadThrough<'a> {
    /// Asked first; gets copies.
    pub cold: &'a Route,
    /// Asked next; has the values.
    pub warm: &'a Route,
    /// The maximum time to live of a copy, in seconds.
    pub max_ttl: Option<i64>,
    /// Items in the cold route whose cas id is at most this are not values.
    pub leftover: u64,
    /// Sends requests.
    pub call: &'a Call,
    /// Counts events.
    pub tally: &'a Arc<dyn Tally>,
}

impl ReadThrough<'_> {
    /// Returns the warm route's reply to `request`, a read of `key` to which the cold one replied `first`.
    /// A value is copied in the background, under a lease. Counts [`Event::Found`], and [`Event::Filled`]
    /// for a copy.
    pub async fn from_warm(self, request: &Request<'_>, first: &Reply, key: MetaKey) -> Reply {
        let second = self.call.send(self.warm, request).await;
        if is_hit(&second) {
            self.tally.count(self.call.forwarder.worker(), Event::Found);
            // A node that has just failed is not asked twice more for each read.
            if !is_failure(first) {
                self.copy_in_background(key);
            }
        }
        second
    }

    /// Copies the value of `key` once the client has its reply, unless another request has the lease or
    /// changes the key meanwhile.
    fn copy_in_background(self, key: MetaKey) {
        let (tally, call) = (self.tally.clone(), self.call.clone());
        let (cold, warm) = (self.cold.clone(), self.warm.clone());
        let (max_ttl, leftover) = (self.max_ttl, self.leftover);
        self.call.detach(async move {
            if key.copy_under_lease(&warm, &cold, max_ttl, leftover, &call).await {
                tally.count(call.forwarder.worker(), Event::Filled);
            }
        });
    }
}
