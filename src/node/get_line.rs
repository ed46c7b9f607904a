//! Reads that follow each other on a link go out as one line, `get a b c`: the node takes it at once and answers it
//! with one write, which spares both sides most of what a request costs.

use crate::net::outgoing::Outgoing;
use crate::protocol::{Command, Request};

/// Bytes of a line at most: memcached looks for a line's end in its first 2048 bytes before it takes other ways.
const LONGEST: usize = 2000;

/// The line at the end of what waits to be written, as long as further keys may be put there.
#[derive(Debug, Default)]
pub(super) struct GetLine {
    command: Option<Command>,
    length: usize,
}

impl GetLine {
    /// True for what goes out in such a line: a read that changes nothing, of a client that knows no meta.
    #[inline]
    pub(super) fn takes(command: Command) -> bool {
        matches!(command, Command::Get | Command::Gets)
    }

    /// True where the key of `request` may stand in the line that is open.
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
