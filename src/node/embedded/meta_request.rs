//! A meta command for the embedded cache.

use crate::protocol::meta;
use crate::protocol::meta::flags::MetaFlags;
use crate::protocol::meta::line::Asked;

/// A meta command with its parsed flags.
pub(super) struct Ask<'a> {
    /// The plain key.
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) flags: MetaFlags,
    /// The client's flags, unparsed.
    pub(super) text: &'a [u8],
    /// Whether the client speaks the binary protocol: it knows no tokens, and takes none.
    pub(super) is_binary: bool,
}

impl<'a> Ask<'a> {
    /// What the answer repeats.
    pub(super) fn asked(&self) -> Asked<'a> {
        Asked {
            key: self.key,
            is_base64: self.flags.is_base64,
            flags: self.text,
        }
    }

    /// The client's flags, unparsed, in order.
    pub(super) fn raw(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        meta::flags(self.text)
    }
}
