//! `miss`, `error`, `blackhole`: they stand in for a pool in tests and drills, and ask nobody.
//!
//! | command | `miss` | `error` | `blackhole` |
//! |---|---|---|---|
//! | get, gat, mg, me | a miss | `SERVER_ERROR` | times out |
//! | set, add, replace, append, prepend, ms | `NOT_STORED` | `SERVER_ERROR` | times out |
//! | cas, incr, decr, delete, touch, md, ma | `NOT_FOUND` | `SERVER_ERROR` | times out |
//! | flush_all | nothing to flush: `OK` | the same | the same |

use tokio::time::sleep;

use crate::config::StandIn;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply, Request};

/// What is answered at once; `None`: see [`wait`].
pub fn answer(stand_in: &StandIn, request: &Request<'_>) -> Option<Reply> {
    use Operation::{Add, Append, Prepend, Replace, Set};
    match stand_in {
        StandIn::Miss => Some(match Operation::of(request) {
            Set | Add | Replace | Append | Prepend => Reply::NotStored,
            _ => Reply::NotFound,
        }),
        StandIn::Error(words) => Some(Reply::Refused(format!("SERVER_ERROR {words}").into())),
        StandIn::Blackhole(_) => None,
    }
}

/// What is answered after a wait.
pub async fn wait(stand_in: &StandIn) -> Reply {
    if let StandIn::Blackhole(patience) = stand_in {
        sleep(*patience).await;
    }
    Reply::Failed(Failure::Timeout)
}
