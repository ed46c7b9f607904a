//! The requests of one session that policies or a handover are processing.
//!
//! They are kept in the [order](KeyOrder) of their keys. They count against memory, and the process does not end before
//! they are done.

use std::rc::Rc;

use super::key_order::KeyOrder;
use crate::protocol::Request;
use crate::route::call::hold::{Hold, InProgress};
use crate::worker::context::WorkerContext;

/// The approximate memory of a request in bytes, beside its words and its value.
const WORK: usize = 1024;

/// One session's requests in progress.
#[derive(Debug)]
pub struct SessionInProgress {
    /// Which of them must wait for which.
    pub order: KeyOrder,
    worker: Rc<WorkerContext>,
}

impl SessionInProgress {
    /// Returns those of a new session on `worker`: none.
    pub fn new(worker: Rc<WorkerContext>) -> SessionInProgress {
        SessionInProgress {
            order: KeyOrder::default(),
            worker,
        }
    }

    /// Counts `request` until what is returned, and each of its clones, is dropped.
    #[inline]
    pub fn begin(self: &Rc<SessionInProgress>, request: &Request<'_>) -> Hold {
        // A policy may keep its own copy beside the one in the key order.
        let bytes = WORK + 2 * request.words() + request.value.len();
        self.worker.local.in_progress.add(bytes);
        self.worker.shard().in_progress.add(1);
        Hold::first(self.clone(), self.order.enter(request, bytes))
    }
}

impl InProgress for SessionInProgress {
    fn hold(&self, number: u64) {
        self.order.hold(number);
    }

    fn release(&self, number: u64) {
        if let Some(bytes) = self.order.release(number) {
            self.worker.local.in_progress.sub(bytes);
            self.worker.shard().in_progress.sub(1);
        }
    }
}
