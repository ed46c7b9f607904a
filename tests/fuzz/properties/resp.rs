//! Replies of a Valkey or Redis: bytes that come in pieces mean what they mean at once, a reply is taken whole, and what a client reads of it is one line with at most one value.

use bytes::BytesMut;
use ringway::protocol::Command;
use ringway::protocol::resp::answer::{Answer, Asking};
use ringway::protocol::resp::form::{Expected, Form};
use ringway::protocol::resp::frame::{self, FrameKind, Read};
use ringway::protocol::resp::{greeting, value};
use ringway::protocol::{Reply, resp::stored::Header};

const MAX_VALUE: usize = 1000;

const FORMS: [Form; 8] = [
    Form::Value,
    Form::Values,
    Form::Stored { cas: 7 },
    Form::Found,
    Form::Ended { cas: 7 },
    Form::Flushed,
    Form::Refused,
    Form::Script,
];

/// The bytes are a reply, and what comes behind it.
pub fn check(bytes: &[u8]) {
    let whole = frame::read(bytes, MAX_VALUE + 39);
    if let Read::Whole(found) = &whole {
        assert!(found.length <= bytes.len() && found.data.end <= found.length);
        for end in super::prefixes(found.length) {
            let part = frame::read(&bytes[..end], MAX_VALUE + 39);
            assert!(
                matches!(part, Read::Partial(least) if least > end),
                "the first {end}: {part:?}"
            );
        }
        if found.kind != FrameKind::Array(0) {
            answers(bytes, found);
        }
        let _header = Header::split(&bytes[found.data.clone()]);
    }
    if let Ok(Some((value, length))) = value::read(bytes) {
        assert!(length <= bytes.len());
        assert_eq!(value::read(&bytes[..length]), Ok(Some((value.clone(), length))));
        let _version = greeting::read(&value);
    }
}

/// Every request takes the reply whole, or refuses it.
fn answers(bytes: &[u8], found: &frame::Frame) {
    for form in FORMS {
        for command in Command::ALL {
            let expected = Expected {
                form,
                flags: command.is_meta().then(|| b"v f c t s k O1"[..].into()),
                size: 3,
            };
            let asking = Asking {
                command,
                key: b"key",
                expected: &expected,
                max_value: MAX_VALUE,
            };
            let mut buffer = BytesMut::from(bytes);
            if let Ok((answer, _)) = asking.answer(found, &mut buffer) {
                assert_eq!(buffer.len(), bytes.len() - found.length);
                check_answer(answer, command);
            }
        }
    }
}

fn check_answer(answer: Answer, command: Command) {
    match answer {
        Answer::Reply(Reply::Meta(reply)) => {
            assert!(command.is_meta() && !reply.line().contains(&b'\n'));
            assert_eq!(reply.line().starts_with(b"VA "), reply.data().is_some());
        }
        Answer::Reply(Reply::Value(item)) => assert!(item.size() <= MAX_VALUE && item.key() == b"key"),
        Answer::NodeFailed(reason) => assert!(!reason.contains(char::is_control)),
        Answer::Reply(_) | Answer::Failed(_) => {}
    }
}
