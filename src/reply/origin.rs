//! What of a request its answer depends on, kept until the reply is there.

use crate::protocol::binary;
use crate::protocol::binary::answer::Echo;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, OnError};

/// What the allocator adds to a small allocation, in bytes; about so many.
const ALLOCATION: usize = 16;

/// What a session needs to know, when the reply is there, of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The command.
    pub command: Command,
    /// Who reads the answer.
    pub audience: Audience,
    /// How it reads if its node failed.
    pub on_error: OnError,
    /// How the client asked, and so how it is answered.
    pub voice: Voice,
}

impl Asked {
    /// What the request does; `None` if that is nothing to any key.
    pub fn operation(&self) -> Option<Operation> {
        match &self.voice {
            Voice::Classic => Some(Operation::of_command(self.command, b"")),
            Voice::Meta(typed) => Some(Operation::of_command(self.command, split_meta(typed).1)),
            &Voice::Binary { opcode, compares, .. } => {
                let (operation, ..) = binary::Operation::of(opcode)?;
                Operation::of_packet(operation, compares)
            }
        }
    }
}

/// The key and the flags of what a meta client typed.
pub fn split_meta(typed: &[u8]) -> (&[u8], &[u8]) {
    let space = memchr::memchr(b' ', typed).unwrap_or(typed.len());
    typed.split_at(space)
}

/// The protocol of a request, with what of the request its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
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

impl Voice {
    /// Bytes of memory that it keeps beside itself.
    #[inline]
    pub fn bytes(&self) -> usize {
        let typed = match self {
            Voice::Classic => return 0,
            Voice::Meta(typed) => typed,
            Voice::Binary { key, .. } => key,
        };
        match typed.len() {
            0 => 0,
            length => length + ALLOCATION,
        }
    }
}

impl From<Echo<'_>> for Voice {
    fn from(echo: Echo<'_>) -> Voice {
        Voice::Binary {
            opcode: echo.opcode,
            opaque: echo.opaque,
            compares: echo.compares,
            key: echo.key.into(),
        }
    }
}

/// Who reads an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The client, as an answer of its own.
    Client,
    /// The client, as one part of a multi-get; the slot of [`Audience::End`] closes it.
    Part,
    /// The client, as the end of a multi-get.
    End,
    /// Nobody: `noreply`.
    Nobody,
}
