//! The caches of pools, which execute waiting requests in any order, and lose some of them and their replies.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::node::embedded::Embedded;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::slot::ReplySlot;
use crate::route::testing::ask;
use crate::route::{Forwarder, Handover, Pool};

/// The counter's initial value.
pub const COUNTER: u64 = 1000;

/// The cache of the pool `a`.
pub const A: usize = 0;
/// The cache of the pool `b`.
pub const B: usize = 1;
/// The caches of the pool `four`.
pub const FOUR: [usize; 2] = [2, 3];

/// Caches, the requests that wait to be executed there, and the replies that wait to arrive.
#[derive(Debug)]
pub struct Caches {
    /// [`A`] and [`B`] are those of the pools `a` and `b`, and [`FOUR`] those of `four`.
    pub caches: Box<[Embedded]>,
    waiting: RefCell<Vec<Waiting>>,
    /// The failure of a request that is not executed.
    unexecuted: Failure,
}

/// A request to a cache, or a reply from one.
#[derive(Debug)]
struct Waiting {
    what: Message,
    slot: ReplySlot,
    /// The message with the highest number is usually the next, so some wait while much else happens.
    haste: u64,
}

#[derive(Debug)]
enum Message {
    /// A request, and the index of its cache.
    Request(OwnedRequest, usize),
    Reply(Reply),
}

impl Forwarder for Caches {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        let cache = match &*pool.name {
            "four" => FOUR[pool.pick(request.key) % 2],
            "b" => B,
            _ => A,
        };
        self.push(cache, request, slot);
    }

    fn within(&self, _: &Handover) -> Rc<dyn Forwarder> {
        unreachable!("no pool is in a handover")
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Caches {
    /// Returns this number of empty caches. Requests that are not executed fail with `unexecuted`.
    pub fn new(count: usize, unexecuted: Failure) -> Rc<Caches> {
        Rc::new(Caches {
            caches: (0..count).map(|_| Embedded::new(1 << 20)).collect(),
            waiting: RefCell::default(),
            unexecuted,
        })
    }

    /// Stores the initial values, each in the cache that `place` returns for its key.
    pub fn fill(&self, place: impl Fn(&[u8]) -> usize) {
        let counter = COUNTER.to_string();
        for (key, value) in [("k", "v0"), ("n", counter.as_str())] {
            let set = Request {
                value: value.as_bytes(),
                ..ask(Command::Set, key)
            };
            self.caches[place(key.as_bytes())].execute(&set);
        }
    }

    /// Lets `request` wait until it is executed by the cache with this index.
    pub fn push(&self, cache: usize, request: &Request<'_>, slot: ReplySlot) {
        self.wait(Message::Request(OwnedRequest::new(request), cache), slot);
    }

    fn wait(&self, what: Message, slot: ReplySlot) {
        self.waiting.borrow_mut().push(Waiting {
            what,
            slot,
            haste: fastrand::u64(..1 << 20),
        });
    }

    /// Executes any one of the waiting requests, or lets a reply arrive. With `faults` some requests are not
    /// executed, or their replies are lost.
    pub fn step(&self, faults: bool, is_late: bool) {
        let mut waiting = self.waiting.borrow_mut();
        let hastiest = (0..waiting.len()).max_by_key(|&index| waiting[index].haste);
        let Some(hastiest) = hastiest else { return };
        let next = match fastrand::u64(..4) {
            0 => fastrand::usize(..waiting.len()),
            _ => hastiest,
        };
        let Waiting { what, slot, .. } = waiting.swap_remove(next);
        drop(waiting);
        let (owned, cache) = match what {
            Message::Reply(reply) => return slot.fill(reply),
            Message::Request(owned, cache) => (owned, cache),
        };
        let fault = if faults { fastrand::u64(..40) } else { 40 };
        if fault == 0 {
            return slot.fill(Reply::Failed(self.unexecuted));
        }
        let reply = self.caches[cache].execute(&owned.request());
        match fault {
            1 => slot.fill(Reply::Failed(Failure::Timeout)),
            _ if is_late && fastrand::bool() => self.wait(Message::Reply(reply), slot),
            _ => slot.fill(reply),
        }
    }
}
