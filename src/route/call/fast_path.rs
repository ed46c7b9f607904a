//! Inspects the first reply of a policy, or amends the only one, on its way to the client.
//!
//! Most first replies are final: a failover whose first pool answers, a near cache that has the key. For
//! such a policy ([`Decision::Inspect`](crate::route::policy::Decision::Inspect)) the first request is sent
//! with a slot that inspects the reply, and an async function is started only if the reply is not final. So
//! the most frequent requests only cost a copy of their key and the inspection.

use std::sync::Arc;

use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Reply, Request};
use crate::reply::inspection::ReplyInspector;
use crate::reply::slot::ReplySlot;
use crate::route::call::Context;
use crate::route::call::hold::Hold;
use crate::route::{Call, PolicyRoute};

/// Returns a slot for the first reply to `request`, which `policy` inspects before `slot` gets it.
pub fn inspected(policy: &Arc<PolicyRoute>, request: &Request<'_>, slot: ReplySlot, call: Call) -> ReplySlot {
    ReplySlot::inspected(FirstReply {
        policy: policy.clone(),
        request: RetainedRequest::new(request),
        slot,
        call,
    })
}

/// A pending first reply, and what it takes to continue from it.
#[derive(Debug)]
struct FirstReply {
    policy: Arc<PolicyRoute>,
    request: RetainedRequest,
    slot: ReplySlot,
    call: Call,
}

impl ReplyInspector for FirstReply {
    fn fill(self: Box<Self>, reply: Reply) {
        if self.policy.kind.is_final(&self.request.request(), &reply) {
            return self.slot.fill(reply);
        }
        let FirstReply {
            policy,
            request,
            slot,
            call,
        } = *self;
        // Not polled here: a link is in the middle of its turn, so nothing may be sent to it.
        tokio::task::spawn_local(async move {
            let context = Context {
                policy: &policy,
                call: &call,
            };
            let reply = policy.kind.resume(&request.request(), reply, &context).await;
            slot.fill(reply);
        });
    }
}

/// Returns a slot for the reply to `request`, which `policy` amends before `slot` gets it.
pub fn amended(policy: &Arc<PolicyRoute>, request: &Request<'_>, slot: ReplySlot, call: Call) -> ReplySlot {
    ReplySlot::inspected(AmendedReply {
        policy: policy.clone(),
        request: RetainedRequest::new(request),
        slot,
        _call: call,
    })
}

/// A pending reply that is amended.
#[derive(Debug)]
struct AmendedReply {
    policy: Arc<PolicyRoute>,
    request: RetainedRequest,
    slot: ReplySlot,
    /// Until the reply arrives the request is in progress.
    _call: Call,
}

impl ReplyInspector for AmendedReply {
    fn fill(self: Box<Self>, reply: Reply) {
        let amended = self.policy.kind.amend(&self.request.request(), reply);
        self.slot.fill(amended);
    }
}

/// Returns a slot that passes its reply to `slot`, and keeps `hold` until then.
pub fn held(hold: Hold, slot: ReplySlot) -> ReplySlot {
    ReplySlot::inspected(HeldReply { slot, _hold: hold })
}

/// A pending reply of a request that is in progress until it arrives.
#[derive(Debug)]
struct HeldReply {
    slot: ReplySlot,
    _hold: Hold,
}

impl ReplyInspector for HeldReply {
    fn fill(self: Box<Self>, reply: Reply) {
        self.slot.fill(reply);
    }
}

/// A copy of a request. Most requests are plain reads of short keys, whose copies need no allocation of
/// their own.
#[derive(Debug)]
pub enum RetainedRequest {
    /// A plain read of a short key.
    Read {
        command: Command,
        is_one_of_many: bool,
        length: u8,
        key: [u8; SHORT],
    },
    /// Any other request.
    Other(Box<OwnedRequest>),
}

/// The maximum length of a short key in bytes.
const SHORT: usize = 45;

impl RetainedRequest {
    /// Copies `request`.
    pub fn new(request: &Request<'_>) -> RetainedRequest {
        let is_plain = matches!(request.command, Command::Get | Command::Gets);
        if !is_plain || request.key.len() > SHORT {
            return RetainedRequest::Other(Box::new(OwnedRequest::new(request)));
        }
        let mut key = [0; SHORT];
        key[..request.key.len()].copy_from_slice(request.key);
        RetainedRequest::Read {
            command: request.command,
            is_one_of_many: request.is_one_of_many,
            length: request.key.len() as u8,
            key,
        }
    }

    /// The original request.
    pub fn request(&self) -> Request<'_> {
        match self {
            RetainedRequest::Read {
                command,
                is_one_of_many,
                length,
                key,
            } => Request {
                is_one_of_many: *is_one_of_many,
                ..Request::new(*command, &key[..usize::from(*length)])
            },
            RetainedRequest::Other(owned) => owned.request(),
        }
    }
}
