//! What of a request its answer depends on, kept until the reply is there.

use crate::protocol::Command;
use crate::protocol::binary_answer::Echo;

/// What a session needs to know, when the reply is there, of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The command.
    pub command: Command,
    /// Who reads the answer.
    pub audience: Audience,
    /// A read whose node failed reads as a miss.
    pub failed_is_miss: bool,
    /// How the client asked, and so how it is answered.
    pub voice: Voice,
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
        /// The key, where the operation gives it back; else empty.
        key: Box<[u8]>,
    },
}

impl From<Echo<'_>> for Voice {
    fn from(echo: Echo<'_>) -> Voice {
        Voice::Binary {
            opcode: echo.opcode,
            opaque: echo.opaque,
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
