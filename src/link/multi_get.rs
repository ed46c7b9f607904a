//! Multi-get lines: the keys of a multi-get that go to one node are sent as one line, `get a b c`. The node
//! parses one command, and a classic client can be given the reply unchanged.
//!
//! A single get is sent as meta if the node knows it. memcached as Debian ships it (1.6.18) sends each
//! classic reply with a system call of its own and many meta replies with one: lines of a key or two would
//! cost it, and Ringway, more than they save. A node with stale items (see `state.rs`) gets such lines even
//! so, because mg would take their tokens. For nodes without meta every get is sent in such a line, because
//! there lines of several keys are the only batching.

use crate::net::outgoing::Outgoing;
use crate::protocol::dialect::Dialect;
use crate::protocol::meta::is_bare;
use crate::protocol::{Command, Request};

/// The maximum length of a line in bytes: memcached looks for a line's end in its first 2048 bytes before
/// it takes slower paths.
const LONGEST: usize = 2000;

/// The line at the end of the outgoing bytes, as long as more keys may be added to it.
#[derive(Debug, Default)]
pub(super) struct MultiGetLine {
    command: Option<Command>,
    length: usize,
}

impl MultiGetLine {
    /// Whether `request` is sent in such a line to a node that speaks `dialect`.
    #[inline]
    pub(super) fn takes(dialect: Dialect, request: &Request<'_>) -> bool {
        let is_get = matches!(request.command, Command::Get | Command::Gets);
        is_get && (dialect == Dialect::Classic || request.is_one_of_many) && is_bare(request.key)
    }

    /// Whether `key` may be added to the open line if that is one of `command`.
    #[inline]
    pub(super) fn has_room(&self, command: Command, key: &[u8]) -> bool {
        self.command == Some(command) && self.length + key.len() < LONGEST
    }

    /// Adds `key` to the open line if it has room, or to a new one.
    #[inline]
    pub(super) fn put(&mut self, command: Command, key: &[u8], outgoing: &mut Outgoing) {
        if self.command.is_none() {
            self.command = Some(command);
            self.length = 0;
            outgoing.put(command.name().as_bytes());
        }
        self.length += 1 + key.len();
        outgoing.put(b" ");
        outgoing.put(key);
    }

    /// Ends the open line, if any.
    #[inline]
    pub(super) fn close(&mut self, outgoing: &mut Outgoing) {
        if self.command.take().is_some() {
            outgoing.put(b"\r\n");
        }
    }
}
