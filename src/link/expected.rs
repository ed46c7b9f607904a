//! What a reply to a meta command must look like beyond its key: other requests may read the same key with
//! other flags, and their replies must not be mistaken for this one's.
//!
//! A command's opaque (`O`) is returned in its reply and in no other. mg and ma return a value if they
//! request it (`v`), and only then.

use crate::protocol::meta::{Names, needs_base64, opaque};
use crate::protocol::reply::{Frame, ReplyStatus};
use crate::protocol::{Command, Request, fingerprint};

/// The expected form of the reply to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedReply {
    /// The fingerprint of the opaque; 0 if there is none.
    opaque: u32,
    /// For mg and ma: whether a hit must come with its value.
    with_value: Option<bool>,
    /// Whether the key is one that is not requested back.
    pub hides_key: bool,
}

impl ExpectedReply {
    /// Returns the form of the reply to `request`, as a link writes it.
    #[inline]
    pub fn of(request: &Request<'_>) -> ExpectedReply {
        let Some(meta) = &request.meta else {
            return ExpectedReply {
                opaque: 0,
                with_value: None,
                hides_key: false,
            };
        };
        let names = Names::of(meta.flags);
        let may_have_value = matches!(request.command, Command::MetaGet | Command::MetaArithmetic);
        ExpectedReply {
            opaque: opaque(names, meta.flags, request.key).map_or(0, fingerprint),
            with_value: may_have_value.then(|| names.has(b'v')),
            hides_key: names.has(b'b') && needs_base64(request.key),
        }
    }

    /// Whether `frame`, which is in `buffer`, has this form.
    #[inline]
    pub fn fits(self, frame: &Frame, buffer: &[u8]) -> bool {
        let is_opaque_right = match &buffer[frame.opaque.clone()] {
            // Errors have no flags, and neither have the misses of mg nor the answers of me.
            b"" => {
                self.opaque == 0
                    || matches!(
                        frame.status,
                        ReplyStatus::Error | ReplyStatus::Miss | ReplyStatus::Debug
                    )
            }
            opaque => self.opaque == fingerprint(opaque),
        };
        let is_value_right = match frame.status {
            ReplyStatus::Value => self.with_value != Some(false),
            ReplyStatus::Done => self.with_value != Some(true),
            _ => true,
        };
        is_opaque_right && is_value_right
    }
}
