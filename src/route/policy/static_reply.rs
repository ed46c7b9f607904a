//! `miss`, `error`, `blackhole`: answer instead of a pool, for tests and drills, without asking a node.
//!
//! | command | `miss` | `error` | `blackhole` |
//! |---|---|---|---|
//! | get, gat, mg, me | a miss | `SERVER_ERROR` | times out |
//! | set, add, replace, append, prepend, ms | `NOT_STORED` | `SERVER_ERROR` | times out |
//! | cas, incr, decr, delete, touch, md, ma | `NOT_FOUND` | `SERVER_ERROR` | times out |
//! | flush_all | nothing to flush: `OK` | the same | the same |

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use crate::config;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply, Request};
use crate::route::call::{Context, Forwarder};
use crate::route::counters::PolicyShard;
use crate::route::policy::compile::{Compile, Scope};
use crate::route::policy::{Branch, Decision, Policy};

/// The same answer to every request.
#[derive(Debug)]
pub enum StaticReply {
    /// Every key is missing, and nothing is stored.
    Miss,
    /// This error line.
    Error(Bytes),
    /// A timeout after this long.
    Timeout(Duration),
}

impl Compile for config::Miss {
    type Policy = StaticReply;

    fn compile(&self, _scope: &mut Scope<'_, '_>) -> Option<StaticReply> {
        Some(StaticReply::Miss)
    }
}

impl Compile for config::ErrorReply {
    type Policy = StaticReply;

    fn compile(&self, _scope: &mut Scope<'_, '_>) -> Option<StaticReply> {
        Some(StaticReply::Error(format!("SERVER_ERROR {}", self.words).into()))
    }
}

impl Compile for config::Blackhole {
    type Policy = StaticReply;

    fn compile(&self, _scope: &mut Scope<'_, '_>) -> Option<StaticReply> {
        Some(StaticReply::Timeout(self.timeout))
    }
}

impl Policy for StaticReply {
    fn decide(
        &self,
        request: &Request<'_>,
        _counters: &PolicyShard,
        _forwarder: &dyn Forwarder,
    ) -> Decision<'_> {
        use Operation::{Add, Append, Prepend, Replace, Set};
        match self {
            StaticReply::Miss => Decision::Reply(match Operation::of(request) {
                Set | Add | Replace | Append | Prepend => Reply::NotStored,
                _ => Reply::NotFound,
            }),
            StaticReply::Error(line) => Decision::Reply(Reply::Refused(line.clone())),
            StaticReply::Timeout(_) => Decision::Run,
        }
    }

    async fn run(&self, _request: &Request<'_>, _context: &Context<'_>) -> Reply {
        if let StaticReply::Timeout(timeout) = self {
            sleep(*timeout).await;
        }
        Reply::Failed(Failure::Timeout)
    }

    fn branches(&self) -> Vec<Branch<'_>> {
        Vec::new()
    }
}
