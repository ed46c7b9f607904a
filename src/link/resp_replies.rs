//! What a link to a Valkey or Redis keeps beside its in-flight queue: what the replies mean that are outstanding, and what
//! errors have said about the server.

use std::collections::VecDeque;

use crate::protocol::resp::form::Expected;

/// What the in-flight queue of such a link needs beyond others.
#[derive(Debug, Default)]
pub(super) struct RespReplies {
    /// What the replies to requests that are in no line mean.
    pub(super) expected: VecDeque<Expected>,
    /// Whether the first line of the reply to an MGET has arrived.
    pub(super) is_array_open: bool,
    /// Whether the server has lost the script.
    pub(super) has_lost_script: bool,
    /// The last error that said that the node cannot serve.
    pub(super) refusal: Option<String>,
}
