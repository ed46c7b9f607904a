//! What is reported about single requests to nodes: by the slow log, and by taps.
//!
//! ```text
//!                 read from its client      first byte to the node       reply read      to its client
//!   plain request ────────┼──────────────────────┼──────────────────────────┼──────────────────┼──▶
//!                         │         own          │         at the node      │       own        │
//!   its link was not open,│        queue         │                          │                  │
//!   or its socket full    │                      │                          │                  │
//! ```
//!
//! Times are in microseconds, and arguments: nothing here reads a clock.

pub mod miss_ratio;
pub mod slow_log;

use std::time::SystemTime;

use crate::protocol::Reply;
use crate::protocol::operation::Operation;

/// One request to a node, which was answered or failed.
#[derive(Debug, Clone)]
pub struct Event {
    /// When its reply arrived, or when it failed.
    pub at: SystemTime,
    /// The pool.
    pub pool: String,
    /// The node.
    pub node: String,
    /// What the request does.
    pub operation: Operation,
    /// The plain key; empty for a flush.
    pub key: Box<[u8]>,
    /// Bytes of the value that was read, or of the request that wrote.
    pub bytes: usize,
    /// What became of it.
    pub outcome: &'static str,
    /// Whether it was sent a second time, because its connection broke.
    pub is_retry: bool,
    /// Where its time went.
    pub times: Times,
}

/// Which requests a tap shows; by default all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Their keys begin with this.
    pub prefix: Vec<u8>,
    /// They go to this pool.
    pub pool: Option<String>,
    /// They go to this node.
    pub node: Option<String>,
    /// They do this.
    pub operation: Option<Operation>,
}

impl Filter {
    /// Whether a request for `key` at `node` of `pool` is shown.
    pub fn matches(&self, pool: &str, node: &str, operation: Operation, key: &[u8]) -> bool {
        self.operation.is_none_or(|wanted| wanted == operation)
            && self.pool.as_ref().is_none_or(|wanted| wanted == pool)
            && self.node.as_ref().is_none_or(|wanted| wanted == node)
            && key.starts_with(&self.prefix)
    }
}

/// Where the time of a request went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Ringway's own work.
    pub own: u64,
    /// It waited for the link to open, or for the node to take more bytes.
    pub queue: u64,
    /// From its first byte to the node until the node's reply.
    pub node: u64,
}

impl Times {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.own + self.queue + self.node
    }
}

/// Returns a word for `reply`, a node's reply to `operation`: `hit`, `miss`, `ok`, `not_stored`, `exists`, `error`, or
/// the name of a failure.
pub fn outcome(operation: Operation, reply: &Reply) -> &'static str {
    match reply {
        Reply::Failed(failure) => failure.name(),
        Reply::Error(_) | Reply::Refused(_) => "error",
        Reply::NotFound => "miss",
        Reply::NotStored => "not_stored",
        Reply::Exists => "exists",
        Reply::Meta(reply) if reply.is_miss() => "miss",
        Reply::Meta(reply) if reply.line().starts_with(b"NS") => "not_stored",
        Reply::Meta(reply) if reply.line().starts_with(b"EX") => "exists",
        _ if operation.finds_key() => "hit",
        _ => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Failure, MetaReply};

    #[test]
    fn a_filter_shows_what_meets_all_of_it() {
        let filter = Filter {
            prefix: b"user:".to_vec(),
            pool: Some("main".to_owned()),
            node: Some("a".to_owned()),
            operation: Some(Operation::Get),
        };
        for (pool, node, operation, key, expected) in [
            ("main", "a", Operation::Get, "user:1", true),
            ("other", "a", Operation::Get, "user:1", false),
            ("main", "b", Operation::Get, "user:1", false),
            ("main", "a", Operation::Set, "user:1", false),
            ("main", "a", Operation::Get, "use", false),
        ] {
            let found = filter.matches(pool, node, operation, key.as_bytes());
            assert_eq!(found, expected, "{pool} {node} {operation:?} {key}");
            assert!(Filter::default().matches(pool, node, operation, key.as_bytes()));
        }
    }

    #[test]
    fn an_outcome_is_the_same_whatever_the_protocol() {
        let meta = |line: &'static str| Reply::Meta(MetaReply::new(line, 0..0, None));
        for (operation, reply, expected) in [
            (Operation::Get, Reply::NotFound, "miss"),
            (Operation::Get, meta("EN"), "miss"),
            (Operation::Get, meta("HD"), "hit"),
            (Operation::Set, Reply::Done, "ok"),
            (Operation::Set, meta("HD"), "ok"),
            (Operation::Add, Reply::NotStored, "not_stored"),
            (Operation::Add, meta("NS"), "not_stored"),
            (Operation::Cas, meta("EX"), "exists"),
            (Operation::Delete, Reply::Done, "hit"),
            (Operation::Get, Reply::Error("ERROR".into()), "error"),
            (Operation::Get, Reply::Failed(Failure::Timeout), "timeout"),
        ] {
            assert_eq!(outcome(operation, &reply), expected, "{operation:?} {reply:?}");
        }
    }
}
