//! A [`WireFormat`] as a slot keeps it until the reply arrives: its text is in a queue of bytes beside the slots, so
//! that a slot is small and keeping it needs no allocation.

use crate::protocol::binary::answer::Echo;
use crate::reply::origin::WireFormat;
use crate::runtime::byte_queue::ByteQueue;

/// A [`WireFormat`] without its text.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeptFormat {
    Classic,
    Meta {
        /// The number of bytes of the key.
        key: u16,
        /// The number of bytes of the flags, which follow it.
        flags: u32,
    },
    Binary {
        opcode: u8,
        compares: bool,
        /// The number of bytes of the key.
        key: u16,
        opaque: u32,
    },
}

impl KeptFormat {
    /// Appends what `format` repeats to `text`. Returns the rest.
    #[inline]
    pub(super) fn keep<const KEEP: usize>(format: WireFormat<'_>, text: &mut ByteQueue<KEEP>) -> KeptFormat {
        match format {
            WireFormat::Classic => KeptFormat::Classic,
            WireFormat::Meta { key, flags } => {
                text.push(key);
                text.push(flags);
                KeptFormat::Meta {
                    key: key.len() as u16,
                    flags: flags.len() as u32,
                }
            }
            WireFormat::Binary(echo) => {
                if !echo.key.is_empty() {
                    text.push(echo.key);
                }
                KeptFormat::Binary {
                    opcode: echo.opcode,
                    compares: echo.compares,
                    key: echo.key.len() as u16,
                    opaque: echo.opaque,
                }
            }
        }
    }

    /// Removes its text, with which `text` begins.
    #[inline]
    pub(super) fn pass<const KEEP: usize>(self, text: &mut ByteQueue<KEEP>) {
        match self {
            KeptFormat::Classic => {}
            KeptFormat::Meta { key, flags } => text.pass(usize::from(key) + flags as usize),
            KeptFormat::Binary { key, .. } => text.pass(key.into()),
        }
    }

    /// Returns what was kept. `text` begins with its text.
    #[inline]
    pub(super) fn format<const KEEP: usize>(self, text: &ByteQueue<KEEP>) -> WireFormat<'_> {
        match self {
            KeptFormat::Classic => WireFormat::Classic,
            KeptFormat::Meta { key, flags } => {
                let (key, rest) = text.bytes().split_at(key.into());
                WireFormat::Meta {
                    key,
                    flags: &rest[..flags as usize],
                }
            }
            KeptFormat::Binary {
                opcode,
                compares,
                key,
                opaque,
            } => WireFormat::Binary(Echo {
                opcode,
                opaque,
                compares,
                key: &text.bytes()[..key.into()],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_leave_as_they_came() {
        let echo = |key| {
            WireFormat::Binary(Echo {
                opcode: 0x0d,
                opaque: 0xdead_beef,
                compares: true,
                key,
            })
        };
        let long = b"f ".repeat(40_000);
        let formats = [
            WireFormat::Meta {
                key: b"k",
                flags: b"v O1 k",
            },
            WireFormat::Classic,
            echo(b"key"),
            WireFormat::Meta {
                key: &[b'k'; 250],
                flags: &long,
            },
            WireFormat::Meta {
                key: b"k",
                flags: b"",
            },
            echo(b""),
        ];
        let mut text = ByteQueue::<1024>::default();
        let kept = formats.map(|format| KeptFormat::keep(format, &mut text));
        for (kept, format) in kept.into_iter().zip(formats) {
            assert_eq!(kept.format(&text), format);
            kept.pass(&mut text);
        }
        assert!(text.is_empty());
    }
}
