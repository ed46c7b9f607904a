//! Values that are dropped because too many bytes wait for one client.

use bytes::Bytes;

use crate::protocol::{Command, Reply};

/// Replaces a dropped value. It reads as a node's own error, so each protocol presents it in its own way:
/// as a miss, or as an error if the pool is configured so.
pub const DROPPED: Reply = Reply::Error(Bytes::from_static(b"SERVER_ERROR too much waits for this client"));

/// Whether a value of `size` bytes that answers `command` may be dropped for lack of memory. The number
/// that ma returns is small, and without it the client could not know that it was changed.
#[inline]
pub fn may_be_dropped(command: Command, size: usize) -> bool {
    size > 0 && command != Command::MetaArithmetic
}
