//! A meta command that the embedded cache carries out.

use crate::protocol::meta;
use crate::protocol::meta::flags::MetaFlags;

/// A meta command, its flags read.
pub(super) struct Ask<'a> {
    /// The plain key.
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) flags: MetaFlags,
    /// The flags as they were typed.
    pub(super) text: &'a [u8],
    /// A binary client reads: it knows no tokens, and takes none.
    pub(super) is_binary: bool,
}

impl<'a> Ask<'a> {
    /// The flags as they were typed, in their order.
    pub(super) fn raw(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        meta::flags(self.text)
    }
}
