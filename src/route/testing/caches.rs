//! The caches of two pools, which execute waiting requests in any order, and lose some of them and their replies.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::node::embedded::Embedded;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Failure, Reply, Request};
use crate::reply::slot::ReplySlot;
use crate::route::{Forwarder, Pool};

/// The caches of the pools `a` and `b`, and the requests that wait to be executed there.
#[derive(Debug)]
pub struct Caches {
    /// Those of the pools `a` and `b`.
    pub caches: [Embedded; 2],
    waiting: RefCell<Vec<WaitingRequest>>,
    /// The failure of a request that is not executed.
    unexecuted: Failure,
}

/// A request to one cache.
#[derive(Debug)]
struct WaitingRequest {
    cache: usize,
    owned: OwnedRequest,
    slot: ReplySlot,
    /// The request with the highest number is usually executed next, so some wait while much else happens.
    haste: u64,
}

impl Forwarder for Caches {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        self.push(usize::from(pool.name == "b"), request, slot);
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Caches {
    /// Returns two empty caches. Requests that are not executed fail with `unexecuted`.
    pub fn new(unexecuted: Failure) -> Rc<Caches> {
        Rc::new(Caches {
            caches: [Embedded::new(1 << 20), Embedded::new(1 << 20)],
            waiting: RefCell::default(),
            unexecuted,
        })
    }

    /// Lets `request` wait until it is executed by the cache with this index.
    pub fn push(&self, cache: usize, request: &Request<'_>, slot: ReplySlot) {
        self.waiting.borrow_mut().push(WaitingRequest {
            cache,
            owned: OwnedRequest::new(request),
            slot,
            haste: fastrand::u64(..1 << 20),
        });
    }

    /// Executes any one of the waiting requests. With `faults` some are not executed, or their replies are
    /// lost.
    pub fn step(&self, faults: bool) {
        let mut waiting = self.waiting.borrow_mut();
        let hastiest = (0..waiting.len()).max_by_key(|&index| waiting[index].haste);
        let Some(hastiest) = hastiest else { return };
        let next = match fastrand::u64(..4) {
            0 => fastrand::usize(..waiting.len()),
            _ => hastiest,
        };
        let WaitingRequest {
            cache, owned, slot, ..
        } = waiting.swap_remove(next);
        drop(waiting);
        let fault = if faults { fastrand::u64(..40) } else { 40 };
        if fault == 0 {
            return slot.fill(Reply::Failed(self.unexecuted));
        }
        let reply = self.caches[cache].execute(&owned.request());
        slot.fill(if fault == 1 {
            Reply::Failed(Failure::Timeout)
        } else {
            reply
        });
    }
}
