//! What a reply to a meta command must look like beyond its key: other requests may read the same key with
//! other flags, and their replies must not be mistaken for this one's.
//!
//! A command's opaque (`O`) is returned in its reply and in no other, also if that is a miss. mg and ma return a value if they
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
            b"" => self.opaque == 0 || !self.returns_opaque(frame.status),
            opaque => self.opaque == fingerprint(opaque),
        };
        let is_value_right = match frame.status {
            ReplyStatus::Value => self.with_value != Some(false),
            ReplyStatus::Done => self.with_value != Some(true),
            _ => true,
        };
        is_opaque_right && is_value_right
    }

    /// Whether a reply with this status has the opaque. Errors have no flags, and neither have the answers to me.
    #[inline]
    fn returns_opaque(self, status: ReplyStatus) -> bool {
        match status {
            ReplyStatus::Error | ReplyStatus::Debug => false,
            ReplyStatus::Miss => self.with_value.is_some(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Meta;
    use crate::protocol::reply::{self, Read};

    /// Whether `line` may answer the meta command with these flags.
    fn fits(command: Command, flags: &[u8], line: &str) -> bool {
        let request = Request {
            meta: Some(Meta {
                key: b"k",
                flags,
                is_binary: false,
            }),
            ..Request::new(command, b"k")
        };
        let Read::Whole(frame) = reply::read(line.as_bytes(), 9) else {
            panic!("{line:?} is no reply");
        };
        ExpectedReply::of(&request).fits(&frame, line.as_bytes())
    }

    #[test]
    fn a_reply_has_the_opaque_of_its_request_and_no_other() {
        let replies = [
            (Command::MetaGet, "EN kk"),
            (Command::MetaGet, "HD kk"),
            (Command::MetaSet, "HD kk"),
            (Command::MetaSet, "NS kk"),
            (Command::MetaDelete, "NF kk"),
            (Command::MetaDelete, "EX kk"),
            (Command::MetaArithmetic, "NF kk"),
        ];
        for (command, line) in replies {
            for (sent, returned, expected) in [
                ("k", "", true),
                ("k O1", " O1", true),
                ("k O1", "", false),
                ("k O1", " O2", false),
                ("k", " O1", false),
            ] {
                let line = format!("{line}{returned}\r\n");
                assert_eq!(
                    fits(command, sent.as_bytes(), &line),
                    expected,
                    "{sent:?}: {line:?}"
                );
            }
        }
    }

    #[test]
    fn errors_and_the_answers_to_me_have_no_opaque() {
        assert!(fits(Command::MetaGet, b"k O1", "SERVER_ERROR out of memory\r\n"));
        assert!(fits(Command::MetaDebug, b"O1", "EN\r\n"));
        assert!(fits(Command::MetaDebug, b"O1", "ME k exp=-1\r\n"));
    }
}
