//! What it takes to write a request, and what its reply means.

/// A part of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The request's value.
    Value,
}

/// What it takes to write a request, beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The cas id of an item that the request may make.
    pub id: u64,
    /// The maximum size of a value in bytes.
    pub max_value: usize,
    /// Whether the node may have stale items, so that a meta read may win a token.
    pub has_stale: bool,
    /// Whether the server has lost the script.
    pub sends_script: bool,
}

/// What the reply to a command means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// How the reply is read.
    pub form: Form,
    /// The flags of a meta command.
    pub flags: Option<Box<[u8]>>,
    /// The size of the value of a storage command, in bytes.
    pub size: usize,
}

/// How a reply is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A stored string, or nothing.
    Value,
    /// One for each key of a multi-get.
    Values,
    /// `OK`, or nothing if the condition did not hold. The stored item has this cas id.
    Stored {
        /// 0 if it was not asked for.
        cas: u64,
    },
    /// The number of keys that were there, all of which are gone or touched.
    Found,
    /// A number: what was to be stored has ended, and is not there.
    Ended {
        /// The cas id that it would have had; 0 if it was not asked for.
        cas: u64,
    },
    /// `OK`
    Flushed,
    /// The line that refuses the request, which came back from the server.
    Refused,
    /// What the script returned.
    Script,
}
