//! Copies: values at a fallback node, whose primary node is out of the ring.
//!
//! ```text
//!   N is out: set k ─▶ F     k is a copy at F                    recorded, on disk if configured, expiry capped
//!   N is back: set k ─▶ N    F is no longer the owner: k is missed at F ─▶ reads of k there are misses ─▶ deleted
//!   N is out: get k ─▶ F     a miss
//! ```
//!
//! Why no old copy is read, through this Ringway:
//!
//! 1. A write is recorded before it is sent, and is on disk before its client reads that it succeeded.
//! 2. Before workers see a new ring, all copies are checked against it. Those whose key has another owner
//!    become missed before a write can go to that owner. So a write that is newer than a copy is only sent
//!    once the copy is missed.
//! 3. A worker that still has the old ring may send a write after that. Rings are numbered: such a write is
//!    missed at once.
//! 4. A copy that is in flight when it becomes missed is deleted after it was answered, like any missed
//!    write.
//!
//! Copies that were not recorded, for lack of memory, or because another process wrote them or one that
//! ended without `missed_writes.dir`, live for at most `fallback_expiry`.

use tokio::time::Instant;

use super::write::Write;
use crate::node::{Kind, Node};
use crate::protocol::meta::Names;
use crate::protocol::{Command, Request};

/// The ring that led a request to a fallback node.
#[derive(Debug, Clone, Copy)]
pub struct Fallback {
    /// The ring's number.
    pub ring: u64,
    /// When what is written there will have expired; `None` if it may never.
    pub expires: Option<Instant>,
}

/// Records `request`, which an embedded fallback node has executed.
pub fn remember_embedded(node: &Node, request: &Request<'_>, fallback: Fallback) {
    if !leaves_copy(request) {
        return;
    }
    let noted = node.missed.copy(request.key, fallback.ring, fallback.expires);
    if noted.is_remembered {
        node.missed.settle(request.key, false);
    }
    if noted.is_late {
        delete_embedded(node);
    }
}

/// Deletes the missed keys of an embedded node.
pub fn delete_embedded(node: &Node) {
    let Kind::Embedded(cache) = &node.kind else { return };
    let missed = node.missed.take(None, usize::MAX);
    for due in &missed {
        cache.execute(&Request::new(Command::Delete, &due.key));
    }
    node.missed.deleted(&missed);
}

/// Returns true if `request` may create the item or extend its life.
pub fn leaves_copy(request: &Request<'_>) -> bool {
    match request.command {
        Command::Delete | Command::FlushAll => false,
        Command::MetaDelete => {
            let names = Names::of(request.raw_flags());
            b"Ix".iter().any(|&name| names.has(name))
        }
        _ => Write::from(request).changes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Meta;

    #[test]
    fn what_may_leave_an_item_is_a_copy() {
        let leaves = |command, flags: &str| {
            leaves_copy(&Request {
                meta: (!flags.is_empty()).then_some(Meta {
                    key: b"k",
                    flags: flags.as_bytes(),
                    is_binary: false,
                }),
                ..Request::new(command, b"k")
            })
        };
        for (command, flags, expected) in [
            (Command::Set, "", true),
            (Command::Append, "", true),
            (Command::Incr, "", true),
            (Command::Touch, "", true),
            (Command::Gat, "", true),
            (Command::Get, "", false),
            (Command::Delete, "", false),
            (Command::FlushAll, "", false),
            (Command::MetaSet, "T0", true),
            (Command::MetaArithmetic, "N30", true),
            (Command::MetaGet, "v", false),
            (Command::MetaGet, "v N30", true),
            (Command::MetaGet, "v T30", true),
            (Command::MetaDelete, "q", false),
            (Command::MetaDelete, "I T30", true),
            (Command::MetaDelete, "x", true),
        ] {
            assert_eq!(leaves(command, flags), expected, "{command:?} {flags}");
        }
    }
}
