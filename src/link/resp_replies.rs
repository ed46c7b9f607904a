//! What a link to a Valkey or Redis keeps beside its in-flight queue: what the replies mean that are outstanding, and what
//! errors have said about the server.

use std::collections::VecDeque;

use crate::link::pending_reply::PendingReply;
use crate::protocol::Request;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::resp::form::{Expected, Form};

/// What the in-flight queue of such a link needs beyond others.
#[derive(Debug, Default)]
pub(super) struct RespReplies {
    /// What the replies to requests that are in no line mean.
    pub(super) expected: VecDeque<Expected>,
    /// Whether the first line of the reply to an MGET has arrived.
    pub(super) is_array_open: bool,
    /// Whether the server has lost the script, and no request that brings it was written since.
    pub(super) has_lost_script: bool,
    /// For each request to the script, oldest first, a copy; `None` of one that was written for an earlier connection.
    copies: VecDeque<Option<OwnedRequest>>,
    /// The number of bytes of memory of the copies.
    copied: usize,
    /// Requests that were not executed, and are to be sent again.
    pub(super) unexecuted: Vec<Unexecuted>,
    /// The last error that said that the node cannot serve.
    pub(super) refusal: Option<String>,
}

/// A request that was not executed, and the recipient of its reply.
#[derive(Debug)]
pub(super) struct Unexecuted {
    pub(super) request: OwnedRequest,
    pub(super) pending: PendingReply,
}

impl RespReplies {
    /// Appends what the reply to `request` means, which was just written; `None` for one that was written for an earlier
    /// connection.
    #[inline]
    pub(super) fn push(&mut self, expected: Expected, request: Option<&Request<'_>>) {
        if expected.form == Form::Script {
            let copy = request.map(OwnedRequest::new);
            self.copied += copy.as_ref().map_or(0, size);
            self.copies.push_back(copy);
            // The server executes in order, so it knows the script from here on.
            self.has_lost_script = false;
        }
        self.expected.push_back(expected);
    }

    /// Takes the copy of the oldest request to the script, which is answered.
    pub(super) fn take_copy(&mut self) -> Option<OwnedRequest> {
        let copy = self.copies.pop_front().flatten();
        self.copied -= copy.as_ref().map_or(0, size);
        copy
    }

    /// The number of bytes of memory that it keeps.
    pub(super) fn held(&self) -> usize {
        self.copied
            + self.copies.capacity() * size_of::<Option<OwnedRequest>>()
            + self.expected.capacity() * size_of::<Expected>()
    }
}

fn size(request: &OwnedRequest) -> usize {
    request.words_len() + request.value_len()
}
