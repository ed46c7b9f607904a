//! The parts of a request that its answer depends on, kept until the reply arrives.

use crate::protocol::binary;
use crate::protocol::binary::answer::Echo;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, OnError};

/// The parts of a request that a session needs when the reply arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOrigin<'a> {
    /// The command.
    pub command: Command,
    /// Whether and how the answer is sent.
    pub mode: ReplyMode,
    /// How the answer reads if the node failed.
    pub on_error: OnError,
    /// The client's protocol, and what the answer repeats of the request.
    pub format: WireFormat<'a>,
}

impl RequestOrigin<'_> {
    /// Returns what the request does; `None` if it does nothing to any key.
    pub fn operation(&self) -> Option<Operation> {
        match self.format {
            WireFormat::Classic => Some(Operation::of_command(self.command, b"")),
            WireFormat::Meta { flags, .. } => Some(Operation::of_command(self.command, flags)),
            WireFormat::Binary(echo) => {
                let (operation, ..) = binary::Opcode::of(echo.opcode)?;
                Operation::of_packet(operation, echo.compares)
            }
        }
    }
}

/// The protocol of a request, with the parts of the request that its answer repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireFormat<'a> {
    /// Classic text.
    Classic,
    /// Meta.
    Meta {
        /// The key as sent.
        key: &'a [u8],
        /// The flags as sent.
        flags: &'a [u8],
    },
    /// Binary.
    Binary(Echo<'a>),
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// On its own.
    Single,
    /// As one item of a multi-get; the slot with [`ReplyMode::MultiGetEnd`] ends it.
    MultiGetItem,
    /// As several items of a multi-get.
    MultiGet,
    /// As the end of a multi-get.
    MultiGetEnd,
    /// Not at all: `noreply`.
    NoReply,
}
