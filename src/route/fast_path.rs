//! Policies that mostly take the first reply as it is: their first request goes out with a slot that looks at the
//! reply on its way, and only where that is not the last word an async function goes on from there.
//!
//! So what is asked most often costs a copy of its key and a look. A policy that wants this has an arm in each of the
//! three functions here.

use std::sync::Arc;

use crate::link::queued::Owned;
use crate::protocol::{Command, Reply, Request};
use crate::reply::slot::{Slot, Watch};
use crate::route::policy::{failover, layers, lazy_fill, replicate};
use crate::route::{Call, Policy, Route, What};

/// The route that `request` is sent to as it is, before anything else; `None` where `policy` begins otherwise.
pub fn route<'p>(policy: &'p Policy, request: &Request<'_>, call: &Call) -> Option<&'p Route> {
    match &policy.what {
        What::Failover(failover) => failover.first(request, call.counters(policy)),
        What::Replicate(replicate) => replicate.first(request),
        What::LazyFill(fill) => fill.first(request),
        What::Layers(layers) => layers.first(request),
        _ => None,
    }
}

/// True where the first reply is not the last word.
fn goes_on(policy: &Policy, request: &Request<'_>, reply: &Reply) -> bool {
    match &policy.what {
        What::Failover(failover) => failover.goes_on(request, reply),
        What::Replicate(replicate) => replicate.goes_on(reply),
        What::LazyFill(fill) => fill.goes_on(request, reply),
        What::Layers(layers) => layers.goes_on(request, reply),
        _ => false,
    }
}

/// What comes of `request` after the first reply, which was not the last word.
async fn go_on(policy: &Policy, request: &Request<'_>, first: Reply, call: &Call) -> Reply {
    match &policy.what {
        What::Failover(failover) => {
            failover::go_on(failover, request, first, call, call.counters(policy)).await
        }
        What::Replicate(replicate) => {
            replicate::go_on(replicate, request, first, call, call.counters(policy)).await
        }
        What::LazyFill(fill) => lazy_fill::go_on(policy, fill, request, first, call).await,
        What::Layers(layers) => layers::go_on(policy, layers, request, first, call).await,
        _ => first,
    }
}

/// The slot of the first request: it looks at the reply before `slot` gets it.
pub fn watch(policy: &Arc<Policy>, request: &Request<'_>, slot: Slot, call: &Call) -> Slot {
    Slot::Watched(Box::new(Box::new(First {
        policy: policy.clone(),
        kept: Kept::new(request),
        slot,
        call: call.clone(),
    })))
}

/// A request that was sent on as it is, and whose reply is looked at.
#[derive(Debug)]
struct First {
    policy: Arc<Policy>,
    kept: Kept,
    slot: Slot,
    call: Call,
}

/// A copy of a request. Most are plain reads of short keys, which need no memory of their own.
#[derive(Debug)]
enum Kept {
    Read {
        command: Command,
        is_one_of_many: bool,
        length: u8,
        key: [u8; SHORT],
    },
    Other(Box<Owned>),
}

/// Bytes of a short key.
const SHORT: usize = 45;

impl Kept {
    fn new(request: &Request<'_>) -> Kept {
        let is_plain = matches!(request.command, Command::Get | Command::Gets);
        if !is_plain || request.key.len() > SHORT {
            return Kept::Other(Box::new(Owned::new(request)));
        }
        let mut key = [0; SHORT];
        key[..request.key.len()].copy_from_slice(request.key);
        Kept::Read {
            command: request.command,
            is_one_of_many: request.is_one_of_many,
            length: request.key.len() as u8,
            key,
        }
    }

    fn request(&self) -> Request<'_> {
        match self {
            Kept::Read {
                command,
                is_one_of_many,
                length,
                key,
            } => Request {
                is_one_of_many: *is_one_of_many,
                ..Request::new(*command, &key[..usize::from(*length)])
            },
            Kept::Other(owned) => owned.request(),
        }
    }
}

impl Watch for First {
    fn fill(self: Box<Self>, reply: Reply) {
        let First {
            policy,
            kept,
            slot,
            call,
        } = *self;
        if !goes_on(&policy, &kept.request(), &reply) {
            return slot.fill(reply);
        }
        tokio::task::spawn_local(async move {
            let reply = go_on(&policy, &kept.request(), reply, &call).await;
            slot.fill(reply);
        });
    }
}
