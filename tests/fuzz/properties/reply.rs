//! What a node answers: the first reply in a buffer, and what less of it, more of it or another limit changes.

use ringway::protocol::Command;
use ringway::protocol::dialect::{Dialect, parse_version};
use ringway::protocol::reply::{Frame, Read, ReplyStatus, read};

/// A value of so many bytes is taken.
const MAX: usize = 1 << 20;

/// The bytes are what a node sent.
pub fn check(data: &[u8]) {
    let mut rest = data;
    while let Read::Whole(frame) = check_one(rest) {
        rest = &rest[frame.length..];
    }
}

/// Reads one reply, as it comes byte by byte.
fn check_one(buffer: &[u8]) -> Read {
    let at_once = read(buffer, MAX);
    for end in 0..buffer.len() {
        let so_far = read(&buffer[..end], MAX);
        match so_far {
            // What was promised to be missing is missing.
            Read::Partial(least) => {
                assert!(least > end);
                let length = match &at_once {
                    Read::Whole(frame) => frame.length,
                    Read::TooLarge(frame) => frame.length,
                    Read::Partial(least) => *least,
                    Read::Garbage => usize::MAX,
                };
                assert!(least <= length, "{least} of {length}");
            }
            // What is known does not change with what follows.
            _ => {
                assert_eq!(so_far, at_once, "{}", buffer[..end].escape_ascii());
                break;
            }
        }
    }
    match &at_once {
        Read::Whole(frame) => check_frame(buffer, frame),
        Read::TooLarge(frame) => assert!(frame.length > MAX),
        Read::Partial(least) => assert!(*least > buffer.len()),
        Read::Garbage => {}
    }
    at_once
}

fn check_frame(buffer: &[u8], frame: &Frame) {
    let reply = &buffer[..frame.length];
    assert!(reply.ends_with(b"\r\n"));
    let (key, data) = (&reply[frame.key.clone()], &reply[frame.data.clone()]);
    assert!(!key.contains(&b' ') && !key.contains(&b'\n'));
    if frame.status != ReplyStatus::Value {
        assert_eq!(
            reply.iter().position(|&byte| byte == b'\n'),
            Some(reply.len() - 1)
        );
        assert_eq!(
            (frame.flags, frame.cas),
            if data.is_empty() {
                (frame.flags, frame.cas)
            } else {
                (0, 0)
            }
        );
        assert_eq!(read(buffer, 0), read(buffer, MAX));
    } else {
        assert!(reply[frame.data.end..].starts_with(b"\r\n"));
        // At the limit it is whole, and above it too large, by its length alone.
        assert_eq!(read(buffer, data.len()), read(buffer, MAX));
        if let Some(limit) = data.len().checked_sub(1) {
            for so_far in [buffer, &buffer[..frame.data.start]] {
                assert!(matches!(read(so_far, limit), Read::TooLarge(large) if large == *frame));
            }
        }
    }
    let answered = Command::ALL.into_iter().filter(|command| frame.answers(*command));
    match frame.status {
        ReplyStatus::Error => assert_eq!(answered.count(), Command::ALL.len()),
        ReplyStatus::Version => {
            assert_eq!(answered.count(), 0);
            check_version(&String::from_utf8_lossy(data));
        }
        _ => assert_ne!(answered.count(), 0),
    }
}

/// A version decides what is spoken to a node by its first three numbers.
fn check_version(version: &str) {
    let numbers = parse_version(version);
    let is_new = numbers.is_some_and(|numbers| numbers >= [1, 6, 10]);
    assert_eq!(Dialect::of_version(version) == Dialect::Meta, is_new);
    if let Some([major, minor, patch]) = numbers {
        assert_eq!(parse_version(&format!("{major}.{minor}.{patch}-x")), numbers);
    }
}
