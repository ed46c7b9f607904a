//! One worker's way to one node: its links, or the embedded cache.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::{self, Protocol};
use crate::hot_keys::Access;
use crate::link::Link;
use crate::link::delayed_flush;
use crate::link::fallback;
use crate::link::missed::{pass, pass_delete};
use crate::link::tell::Teller;
use crate::metrics::NodeShard;
use crate::node::missed::copying::{self, Fallback};
use crate::node::{Kind, Node};
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::queue::ReplyQueue;
use crate::reply::slot::ReplySlot;
use crate::runtime::local::Local;

/// One worker's way to one node.
#[derive(Debug)]
pub struct Links {
    /// The node.
    pub node: Arc<Node>,
    /// `pool.connections` of them; none for an embedded node.
    links: Vec<Rc<Link>>,
    protocol: Protocol,
    local: Rc<Local>,
}

impl Links {
    /// Creates links to `node`, each with a task on the current thread's `LocalRuntime`.
    pub fn new(node: &Arc<Node>, local: &Rc<Local>, settings: &Rc<config::Pool>) -> Links {
        let mut links = Links {
            node: node.clone(),
            links: Vec::new(),
            protocol: settings.protocol,
            local: local.clone(),
        };
        links.configure(settings);
        links
    }

    /// Sets the pool's settings after a reload, which may add links, end some, or replace all if the
    /// protocol changes. Links that end first finish their outstanding requests. Returns true if a session
    /// may have another link now.
    pub fn configure(&mut self, settings: &Rc<config::Pool>) -> bool {
        if let Kind::Embedded(cache) = &self.node.kind {
            cache.limit_values(settings.max_value_size);
            return false;
        }
        let is_other = self.protocol != settings.protocol || self.links.len() != settings.connections;
        let wanted = if self.protocol == settings.protocol {
            settings.connections
        } else {
            0
        };
        self.protocol = settings.protocol;
        for surplus in self.links.drain(wanted.min(self.links.len())..) {
            surplus.end();
        }
        for link in &self.links {
            link.configure(settings.clone());
        }
        while self.links.len() < settings.connections {
            let link = Rc::new(Link::new(self.node.clone(), self.local.clone(), settings.clone()));
            tokio::task::spawn_local(link.clone().run());
            self.links.push(link);
        }
        is_other
    }

    /// Sends `request`; its reply, or the reason for its failure, is delivered to `slot`. Requests with the
    /// same `session` use the same link, so they are executed in the order in which they were sent.
    #[inline]
    pub fn send(&self, request: &Request<'_>, slot: ReplySlot, settings: &config::Pool, session: usize) {
        if let Kind::Embedded(cache) = &self.node.kind {
            let reply = cache.execute(request);
            let operation = Operation::of(request);
            self.shard().count(operation, &reply, 0);
            if self.local.hot_keys.is_due() {
                self.sample(operation, request, &reply);
            }
            if self.local.is_tapped.get() {
                self.teller().embedded(operation, request, &reply);
            }
            return slot.fill(reply);
        }
        let slot = match delayed_flush::concerns(&self.node, request) {
            false => slot,
            true => match delayed_flush::delay(&self.node, request, slot, self.shard()) {
                Some(slot) => slot,
                None => return,
            },
        };
        if self.node.missed.is_any() {
            return self.send_unless_missed(request, slot, settings, session, None);
        }
        self.link(session).send(request, slot, settings);
    }

    /// Like [`Links::send`], for keys of a multi-get, each with its number in the session's `queue`. Returns false if
    /// nothing was done, because the node takes more than that.
    pub fn send_keys<'k>(
        &self,
        command: Command,
        keys: impl ExactSizeIterator<Item = (&'k [u8], u32)>,
        queue: &Rc<ReplyQueue>,
        settings: &config::Pool,
        session: usize,
    ) -> bool {
        self.node.is_remote()
            && !self.node.missed.is_any()
            && self.link(session).send_keys(command, keys, queue, settings)
    }

    /// Sends `request`, a plain delete of a key that is not read at this node, even if the node missed a write of the
    /// key, and dials the node at once if it refused the last attempt: the reply tells what holds now.
    pub fn send_delete(
        &self,
        request: &Request<'_>,
        slot: ReplySlot,
        settings: &config::Pool,
        session: usize,
    ) {
        if !self.node.is_remote() {
            return self.send(request, slot, settings, session);
        }
        let slot = match self.node.missed.is_any() {
            true => pass_delete(&self.node, request, slot),
            false => slot,
        };
        let link = self.link(session);
        link.hasten();
        link.send(request, slot, settings);
    }

    /// Sends `request` in place of its primary node, which is out of the ring, and records what it leaves
    /// here.
    #[cold]
    pub fn send_as_fallback(
        &self,
        request: &Request<'_>,
        slot: ReplySlot,
        settings: &config::Pool,
        session: usize,
        fallback: Fallback,
    ) {
        if self.node.is_remote() {
            return self.send_unless_missed(request, slot, settings, session, Some(fallback));
        }
        let slot = fallback::slot_after_commit(&self.node, request, slot);
        self.send(request, slot, settings, session);
        copying::remember_embedded(&self.node, request, fallback);
    }

    /// Sends `request` on a link, unless the node missed a write of its key; as a `fallback`, first records
    /// what the request leaves here.
    #[cold]
    fn send_unless_missed(
        &self,
        request: &Request<'_>,
        slot: ReplySlot,
        settings: &config::Pool,
        session: usize,
        fallback: Option<Fallback>,
    ) {
        let Some(mut slot) = self.pass(request, slot) else {
            return;
        };
        if let Some(fallback) = fallback {
            slot = fallback::remember(&self.node, request, slot, fallback);
        }
        self.link(session).send(request, slot, settings);
    }

    /// Returns the slot to send the request with; `None` if it failed because the node missed a write of
    /// its key.
    fn pass(&self, request: &Request<'_>, slot: ReplySlot) -> Option<ReplySlot> {
        if !self.node.missed.is_any() {
            return Some(slot);
        }
        match pass(&self.node, request, slot) {
            Ok(slot) => Some(slot),
            Err(slot) => {
                self.teller().refuse(request.into(), slot, Failure::Missed, false);
                None
            }
        }
    }

    #[inline]
    fn link(&self, session: usize) -> &Link {
        match &self.links[..] {
            [only] => only,
            links => &links[session % links.len()],
        }
    }

    /// Samples a request to an embedded node.
    #[cold]
    fn sample(&self, operation: Operation, request: &Request<'_>, reply: &Reply) {
        let access = Access::of(operation);
        let bytes = match access {
            Access::Read => reply.value_len(),
            Access::Write => request.value.len(),
        };
        let hot_keys = &self.local.hot_keys;
        hot_keys.record(&self.node.pool, request.key, access, bytes);
    }

    /// Wakes the links, so that they check whether their addresses are still valid.
    pub fn wake(&self) {
        self.links.iter().for_each(|link| link.wake());
    }

    /// Fails `request` at once, because its node is down.
    pub fn refuse(&self, request: &Request<'_>, slot: ReplySlot, session: usize) {
        self.link(session).refuse_down(request, slot);
    }

    fn shard(&self) -> &NodeShard {
        self.node.shard(self.local.worker)
    }

    fn teller(&self) -> Teller<'_> {
        Teller {
            node: &self.node,
            local: &self.local,
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in &self.links {
            link.end();
        }
    }
}
