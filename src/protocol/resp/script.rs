//! The script that executes what no native command does, and what it returns.
//!
//! It takes one key and the words of one operation; [`Words`] gathers them. A server keeps scripts by their digest, so
//! only that is sent: links load the script when they open, and send it as a whole once the server has lost it.
//!
//! It returns a string of fixed layout ([`outcome`](super::outcome)), so that its replies are framed as those of GET.

use std::sync::LazyLock;

use sha1::{Digest, Sha1};

/// The script.
pub const BODY: &str = include_str!("item.lua");

/// The digest of the script, in hexadecimal.
pub static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha1::digest(BODY);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
});

/// What a script operation works on, beside the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Reads, touches, and takes tokens.
    Get,
    /// Stores in any mode.
    Store,
    /// Removes, empties, or marks as stale.
    Delete,
    /// Adds or subtracts.
    Count,
    /// Shows an item's internals.
    Debug,
}

impl Operation {
    /// The word by which the script knows it.
    pub fn word(self) -> &'static [u8] {
        match self {
            Operation::Get => b"g",
            Operation::Store => b"s",
            Operation::Delete => b"d",
            Operation::Count => b"a",
            Operation::Debug => b"e",
        }
    }
}
