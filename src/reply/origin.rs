//! What of a request its answer depends on, kept until the reply is there.

use crate::protocol::binary;
use crate::protocol::binary::answer::Echo;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, OnError};

/// What the allocator adds to a small allocation, in bytes; about so many.
const ALLOCATION: usize = 16;

/// What a session needs to know, when the reply is there, of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOrigin {
    /// The command.
    pub command: Command,
    /// Who reads the answer.
    pub mode: ReplyMode,
    /// How it reads if its node failed.
    pub on_error: OnError,
    /// How the client asked, and so how it is answered.
    pub format: WireFormat,
}

impl RequestOrigin {
    /// What the request does; `None` if that is nothing to any key.
    pub fn operation(&self) -> Option<Operation> {
        match &self.format {
            WireFormat::Classic => Some(Operation::of_command(self.command, b"")),
            WireFormat::Meta(raw) => Some(Operation::of_command(self.command, split_meta(raw).1)),
            &WireFormat::Binary { opcode, compares, .. } => {
                let (operation, ..) = binary::Operation::of(opcode)?;
                Operation::of_packet(operation, compares)
            }
        }
    }
}

/// The key and the flags of what a meta client typed.
pub fn split_meta(raw: &[u8]) -> (&[u8], &[u8]) {
    let space = memchr::memchr(b' ', raw).unwrap_or(raw.len());
    raw.split_at(space)
}

/// The protocol of a request, with what of the request its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireFormat {
    /// Classic text.
    Classic,
    /// Meta: the key as it was typed, a space, and the flags.
    Meta(Box<[u8]>),
    /// Binary: an [`Echo`]. Its parts, since they take less room so; many voices wait in queues.
    Binary {
        /// The operation code.
        opcode: u8,
        /// The opaque number.
        opaque: u32,
        /// The request compares a cas id.
        compares: bool,
        /// The key, where the operation gives it back; else empty.
        key: Box<[u8]>,
    },
}

impl WireFormat {
    /// Bytes of memory that it keeps beside itself.
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

/// Who reads an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// An answer of its own.
    Single,
    /// One item of a multi-get; the slot of [`ReplyMode::MultiGetEnd`] closes it.
    MultiGetItem,
    /// The end of a multi-get.
    MultiGetEnd,
    /// None: `noreply`.
    NoReply,
}
