//! Forwards the requests of policies to the nodes of the running snapshot, over the worker's own links.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::protocol::operation::drops_item_if_refused;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::slot::ReplySlot;
use crate::route::{Forwarder, Pool};
use crate::worker::context::WorkerContext;

/// Forwards the requests of one session.
#[derive(Debug)]
pub struct LinkForwarder {
    worker: Rc<WorkerContext>,
    /// Selects among several links to a node.
    session: usize,
}

/// One request that a policy is processing: it counts against memory, and the process does not end before
/// it is done.
#[derive(Debug)]
pub struct InProgress {
    worker: Rc<WorkerContext>,
    bytes: usize,
}

impl LinkForwarder {
    /// Returns a forwarder for the session with this number.
    pub fn new(worker: Rc<WorkerContext>, session: usize) -> LinkForwarder {
        LinkForwarder { worker, session }
    }

    /// Counts `request` until the returned guard is dropped.
    pub fn count(&self, request: &Request<'_>) -> InProgress {
        /// The approximate overhead of a request in bytes, beside its words and its value.
        const WORK: usize = 1024;
        // A policy may keep its own copy beside the one in the key order.
        let bytes = WORK + 2 * request.words() + request.value.len();
        self.worker.local.in_progress.add(bytes);
        self.worker.shard().in_progress.add(1);
        InProgress {
            worker: self.worker.clone(),
            bytes,
        }
    }

    /// Sends `request`, a flush_all, to every node of `pool`, each with a slot from `slot`.
    pub fn flush(&self, pool: &Pool, request: &Request<'_>, mut slot: impl FnMut() -> ReplySlot) {
        let current = self.worker.running();
        let Some(running) = current.snapshot.pools.get(&pool.name) else {
            return pool.nodes.iter().for_each(|_| slot().fill(GONE));
        };
        for index in 0..pool.nodes.len() {
            match running.nodes.get(index) {
                Some(&node) => current.send(node, request, slot(), running, self.session),
                None => slot().fill(GONE),
            }
        }
    }
}

/// The reply if a reload removed the target.
const GONE: Reply = Reply::Failed(Failure::Down);

impl Forwarder for LinkForwarder {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        // The snapshot may have changed since the request was compiled against it, and its indices with
        // it.
        let current = self.worker.running();
        match current.snapshot.pools.get(&pool.name) {
            None => slot.fill(GONE),
            Some(pool) if request.value.len() > pool.settings.max_value_size => {
                let too_large = Reply::Failed(Failure::TooLarge);
                if !drops_item_if_refused(request) {
                    return slot.fill(too_large);
                }
                let delete = Request::new(Command::Delete, request.key);
                let slot = slot.answering(too_large);
                current.send(pool.pick(request.key), &delete, slot, pool, self.session);
            }
            Some(pool) => current.send(pool.pick(request.key), request, slot, pool, self.session),
        }
    }

    fn worker(&self) -> usize {
        self.worker.local.worker
    }

    fn now(&self) -> Instant {
        let clock = &self.worker.local.clock;
        clock.instant(clock.now())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.worker.local.in_progress.sub(self.bytes);
        self.worker.shard().in_progress.sub(1);
    }
}
