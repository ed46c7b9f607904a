//! Forwards the requests of policies to the nodes of the running snapshot, over the worker's own links.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::protocol::operation::{delete_of, drops_item_if_refused, is_plain_delete};
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::inspection::ReplyInspector;
use crate::reply::oneshot::Answer;
use crate::reply::slot::{ReplySlot, pending};
use crate::route::handover::progress::Progress;
use crate::route::toolkit::reply::{is_error, is_gone};
use crate::route::{Call, Forwarder, Handover, Place, Pool};
use crate::worker::context::{ActiveRoutes, WorkerContext};

/// Forwards the requests of one session.
#[derive(Debug)]
pub struct LinkForwarder {
    worker: Rc<WorkerContext>,
    /// Selects among several links to a node.
    session: usize,
    /// The handover whose own requests it forwards, to either owner.
    within: Option<Arc<Progress>>,
}

impl LinkForwarder {
    /// Returns a forwarder for the session with this number.
    pub fn new(worker: Rc<WorkerContext>, session: usize) -> LinkForwarder {
        LinkForwarder {
            worker,
            session,
            within: None,
        }
    }

    /// Sends `request`, a flush_all, to every node of the pool with this name, and of its old ring in a handover first.
    /// Returns the first error, if there is one.
    pub async fn flush(&self, pool: &str, request: &Request<'_>) -> Reply {
        let mut reply = Reply::Done;
        loop {
            let before = self.handover_of(pool);
            for is_old in [true, false] {
                for answer in self.flush_ring(pool, is_old, request) {
                    let answer = answer.await;
                    if !is_error(&reply) {
                        reply = answer;
                    }
                }
            }
            // What a handover that began meanwhile copies may be older than the flush.
            match self.handover_of(pool) {
                Some(now) if !before.is_some_and(|before| Arc::ptr_eq(&before, &now)) => {}
                _ => return reply,
            }
        }
    }

    /// The progress of the running handover of the pool with this name.
    fn handover_of(&self, pool: &str) -> Option<Arc<Progress>> {
        let current = self.worker.running();
        let handover = current.snapshot.pools.get(pool)?.handover.as_ref()?;
        Some(handover.progress.clone())
    }

    /// Sends `request`, a flush_all, to every node of the pool with this name, or of its old ring.
    fn flush_ring(&self, pool: &str, is_old: bool, request: &Request<'_>) -> Vec<Answer> {
        let current = self.worker.running();
        let Some(running) = current.snapshot.pools.get(pool) else {
            return vec![Answer::ready(GONE)];
        };
        let old = running.handover.as_ref().map(|handover| &handover.old);
        let Some(ring) = (if is_old { old } else { Some(running) }) else {
            return Vec::new();
        };
        let flush = |&node: &usize| {
            let (slot, answer) = pending();
            current.send(node, request, slot, ring, self.session);
            answer
        };
        ring.nodes.iter().map(flush).collect()
    }

    /// Sends `request` to a node of `running`, a pool of the snapshot of `current`.
    fn send_to(&self, current: &ActiveRoutes, running: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        let owners = match running.place(request.key) {
            Place::Node(node) => return current.send(node, request, slot, running, self.session),
            Place::Moving(owners) => owners,
        };
        let call = Call {
            forwarder: Rc::new(LinkForwarder::new(self.worker.clone(), self.session)),
            hold: None,
        };
        current.hand_over(running, owners, request, slot, call, self.session);
    }

    /// Sends `request` of the handover that is at `progress` to the owner that `pool` stands for.
    fn send_within(
        &self,
        current: &ActiveRoutes,
        progress: &Arc<Progress>,
        pool: &Pool,
        request: &Request<'_>,
        slot: ReplySlot,
    ) {
        let Some(running) = current.snapshot.pools.get(&pool.name) else {
            return slot.fill(GONE);
        };
        let same = running
            .handover
            .as_ref()
            .filter(|moving| Arc::ptr_eq(&moving.progress, progress));
        match (same, &running.handover) {
            (Some(moving), _) if pool.is_old => {
                let member = moving.old.ring.pick(request.key);
                if progress.has_lost(member) && !request_changes(request) {
                    return slot.fill(GONE);
                }
                let slot = ReplySlot::inspected(OldReply {
                    progress: progress.clone(),
                    member,
                    keeps_items: moving.old.is_valkey(request.key),
                    slot,
                });
                self.send_to_owner(current, moving.old.nodes[member], request, slot, &moving.old);
            }
            (Some(_), _) | (None, None) if !pool.is_old => {
                self.send_to_owner(current, running.pick(request.key), request, slot, running);
            }
            // It is over, and perhaps another one has begun.
            _ => slot.fill(GONE),
        }
    }

    /// Sends `request` to `node`, an owner of its key in a handover. A write is answered only once the other owner has
    /// confirmed a delete, so that must not fail for what was so a moment ago.
    fn send_to_owner(
        &self,
        current: &ActiveRoutes,
        node: usize,
        request: &Request<'_>,
        slot: ReplySlot,
        pool: &Pool,
    ) {
        match is_plain_delete(request) {
            true => current.send_delete(node, request, slot, pool, self.session),
            false => current.send(node, request, slot, pool, self.session),
        }
    }
}

/// A pending reply of an old owner. Once that cannot be reached, its values are not read any more in this
/// handover: other processes may have gone on without it, too.
#[derive(Debug)]
struct OldReply {
    progress: Arc<Progress>,
    /// The old owner.
    member: usize,
    /// Whether it has its items again after it refused connections.
    keeps_items: bool,
    slot: ReplySlot,
}

impl ReplyInspector for OldReply {
    fn fill(self: Box<Self>, reply: Reply) {
        if is_gone(&reply, self.keeps_items) {
            self.progress.lose(self.member);
        }
        self.slot.fill(reply);
    }
}

/// Whether `request` must reach a node even if its values are no longer read.
fn request_changes(request: &Request<'_>) -> bool {
    !matches!(request.command, Command::Get | Command::Gets | Command::MetaGet)
}

/// The reply if a reload removed the target.
const GONE: Reply = Reply::Failed(Failure::Down);

impl Forwarder for LinkForwarder {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        // The snapshot may have changed since the request was compiled against it, and its indices with
        // it.
        let current = self.worker.running();
        if let Some(progress) = &self.within {
            return self.send_within(&current, progress, pool, request, slot);
        }
        match current.snapshot.running(pool) {
            None => slot.fill(GONE),
            Some(pool) if request.value.len() > pool.settings.max_value_size => {
                let too_large = Reply::Failed(Failure::TooLarge);
                if !drops_item_if_refused(request) {
                    return slot.fill(too_large);
                }
                let delete = delete_of(request);
                self.send_to(&current, pool, &delete, slot.answering(too_large));
            }
            Some(pool) => self.send_to(&current, pool, request, slot),
        }
    }

    fn within(&self, handover: &Handover) -> Rc<dyn Forwarder> {
        Rc::new(LinkForwarder {
            worker: self.worker.clone(),
            session: self.session,
            within: Some(handover.progress.clone()),
        })
    }

    fn worker(&self) -> usize {
        self.worker.local.worker
    }

    fn now(&self) -> Instant {
        let clock = &self.worker.local.clock;
        clock.instant(clock.now())
    }
}
