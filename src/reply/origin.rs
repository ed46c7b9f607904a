//! The parts of a request that its answer depends on, kept until the reply arrives.

use crate::protocol::binary;
use crate::protocol::binary::answer::Echo;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, OnError};

/// The approximate overhead of a small allocation, in bytes.
const ALLOCATION: usize = 16;

/// The parts of a request that a session needs when the reply arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOrigin {
    /// The command.
    pub command: Command,
    /// Whether and how the answer is sent.
    pub mode: ReplyMode,
    /// How the answer reads if the node failed.
    pub on_error: OnError,
    /// The client's protocol, and what the answer repeats of the request.
    pub format: WireFormat,
}

impl RequestOrigin {
    /// Returns what the request does; `None` if it does nothing to any key.
    pub fn operation(&self) -> Option<Operation> {
        match &self.format {
            WireFormat::Classic => Some(Operation::of_command(self.command, b"")),
            WireFormat::Meta(raw) => Some(Operation::of_command(self.command, split_meta(raw).1)),
            &WireFormat::Binary { opcode, compares, .. } => {
                let (operation, ..) = binary::Opcode::of(opcode)?;
                Operation::of_packet(operation, compares)
            }
        }
    }
}

/// Splits a meta client's text into key and flags.
pub fn split_meta(raw: &[u8]) -> (&[u8], &[u8]) {
    let space = memchr::memchr(b' ', raw).unwrap_or(raw.len());
    raw.split_at(space)
}

/// The protocol of a request, with the parts of the request that its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireFormat {
    /// Classic text.
    Classic,
    /// Meta: the key as sent, a space, and the flags.
    Meta(Box<[u8]>),
    /// Binary: the fields of an [`Echo`], which take less memory this way; many of them wait in queues.
    Binary {
        /// The operation code.
        opcode: u8,
        /// The opaque number.
        opaque: u32,
        /// Whether the request compares a cas id.
        compares: bool,
        /// The key, if the operation returns it; otherwise empty.
        key: Box<[u8]>,
    },
}

impl WireFormat {
    /// The number of bytes of heap memory.
    #[inline]
    pub fn bytes(&self) -> usize {
        let raw = match self {
            WireFormat::Classic => return 0,
            WireFormat::Meta(raw) => raw,
            WireFormat::Binary { key, .. } => key,
        };
        match raw.len() {
            0 => 0,
            length => length + ALLOCATION,
        }
    }
}

impl From<Echo<'_>> for WireFormat {
    fn from(echo: Echo<'_>) -> WireFormat {
        WireFormat::Binary {
            opcode: echo.opcode,
            opaque: echo.opaque,
            compares: echo.compares,
            key: echo.key.into(),
        }
    }
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
