//! The keys of a multi-get that go to one node go out as one line, `get a b c`: the node parses one command, and a
//! classic client can have its answer as it is.
//!
//! A single get is said in meta where the node knows it. memcached as Debian ships it (1.6.18) sends each classic answer with a call
//! of its own and many meta answers with one: lines of a key or two would cost it, and Ringway, more than they save.
//! A node with stale items (see `state.rs`) gets such lines all the same, since mg would take their tokens.
//! For nodes that know no meta every get stands in such a line, since there a line of several is the only batch.

use crate::net::outgoing::Outgoing;
use crate::protocol::dialect::Dialect;
use crate::protocol::meta::is_bare;
use crate::protocol::{Command, Request};

/// Bytes of a line at most: memcached looks for a line's end in its first 2048 bytes before it takes other ways.
const LONGEST: usize = 2000;

/// The line at the end of what waits to be written, as long as further keys may be put there.
#[derive(Debug, Default)]
pub(super) struct MultiGetLine {
    command: Option<Command>,
    length: usize,
}

impl MultiGetLine {
    /// Whether `request` goes out in such a line to a node that speaks `dialect`.
    #[inline]
    pub(super) fn takes(dialect: Dialect, request: &Request<'_>) -> bool {
        let is_get = matches!(request.command, Command::Get | Command::Gets);
        is_get && (dialect == Dialect::Classic || request.is_one_of_many) && is_bare(request.key)
    }

    /// Whether the key of `request` may stand in the line that is open.
    #[inline]
    pub(super) fn has_room(&self, request: &Request<'_>) -> bool {
        self.command == Some(request.command) && self.length + request.key.len() < LONGEST
    }

    /// Puts the key of `request` into the line that is open and has room, or into a new one.
    #[inline]
    pub(super) fn put(&mut self, request: &Request<'_>, outgoing: &mut Outgoing) {
        if self.command.is_none() {
            self.command = Some(request.command);
            self.length = 0;
            outgoing.put(request.command.name().as_bytes());
        }
        self.length += 1 + request.key.len();
        outgoing.put(b" ");
        outgoing.put(request.key);
    }

    /// Ends the line that is open, if any.
    #[inline]
    pub(super) fn close(&mut self, outgoing: &mut Outgoing) {
        if self.command.take().is_some() {
            outgoing.put(b"\r\n");
        }
    }
}
