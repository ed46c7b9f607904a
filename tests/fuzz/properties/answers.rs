//! What a client reads: to each request one whole answer or, if it asked for that, none. An answer with a
//! byte too many would be read as the answer to another request.

use std::task::{Context, Poll, Waker};

use ringway::client::replies::Replies;
use ringway::net::outgoing::Outgoing;
use ringway::protocol::binary::{HEAD, Opcode, RESPONSE};
use ringway::protocol::meta::flag;
use ringway::protocol::reply::{self, Read, ReplyStatus};
use ringway::protocol::{Command, Reply, numbers};
use ringway::reply::origin::{ReplyMode, RequestOrigin, WireFormat};

/// A longer line holds more than any node says, such as a key that was put back.
const MAX_LINE: usize = 2048;

/// What `out` holds, which is then empty.
pub fn flush(out: &mut Outgoing) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let flushed = out.poll_flush(&mut bytes, &mut cx, &mut 0);
    assert!(matches!(flushed, Poll::Ready(Ok(()))), "a vector takes all");
    bytes
}

/// Answers `reply` to what was asked, and looks at what the client reads of it.
pub fn check(origin: &RequestOrigin<'_>, reply: &Reply) {
    let (mut replies, mut out) = (Replies::default(), Outgoing::default());
    replies.write(origin, reply, &mut out);
    if origin.mode == ReplyMode::MultiGetItem {
        let end = RequestOrigin {
            mode: ReplyMode::MultiGetEnd,
            ..*origin
        };
        replies.write(&end, &Reply::Done, &mut out);
    }
    let answer = flush(&mut out);
    let shown = answer.escape_ascii();
    match origin.format {
        _ if origin.mode == ReplyMode::NoReply => assert!(answer.is_empty(), "{shown}"),
        WireFormat::Binary(echo) => check_packet(echo.opcode, echo.opaque, &answer),
        WireFormat::Meta { flags, .. } if answer.is_empty() => {
            assert!(flag(flags, b'q').is_some());
        }
        _ if answer.iter().take(MAX_LINE).all(|&byte| byte != b'\n') => {
            assert_eq!(whole(&answer), Some(answer.len()), "{shown}");
        }
        _ => {
            let Read::Whole(frame) = reply::read(&answer, usize::MAX) else {
                panic!("{shown} is no answer");
            };
            let end = if answer.starts_with(b"VALUE ") {
                "END\r\n".len()
            } else {
                0
            };
            assert_eq!(
                frame.length + end,
                answer.len(),
                "{shown} is more than one answer"
            );
            // No node says so, but Ringway where one was not flushed.
            let is_unflushed = origin.command == Command::FlushAll && frame.status == ReplyStatus::NotStored;
            let fits = frame.answers(origin.command) || is_unflushed;
            assert!(fits, "{shown} to {:?}", origin.command);
            assert_eq!(whole(&answer), Some(answer.len()));
        }
    }
}

fn check_packet(opcode: u8, opaque: u32, answer: &[u8]) {
    let (_, is_quiet, _) = Opcode::of(opcode).expect("it was asked");
    if answer.is_empty() {
        assert!(is_quiet, "{opcode} is not answered");
        return;
    }
    assert_eq!(whole(answer), Some(answer.len()));
    assert_eq!((answer[0], answer[1]), (RESPONSE, opcode));
    assert_eq!(answer[12..16], opaque.to_be_bytes());
}

/// Bytes of the answer at the front of `bytes`: a packet; or a line, with its value where it announces one,
/// and whatever stands before `END`. `None` if it is not whole or is none.
pub fn whole(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&RESPONSE) {
        let number = |at: usize, size: usize| {
            let number = bytes[at..at + size].iter();
            number.fold(0, |number, &byte| number << 8 | usize::from(byte))
        };
        let length = HEAD + (bytes.len() >= HEAD).then(|| number(8, 4))?;
        let fits = number(2, 2) + number(4, 1) <= length - HEAD;
        return (fits && length <= bytes.len()).then_some(length);
    }
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r")?;
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let size = match words[..] {
        [b"VA", size, ..] | [b"VALUE", _, _, size, ..] => numbers::parse_u64(size)? as usize,
        _ => return Some(end + 1),
    };
    let value_end = end + 1 + size;
    if bytes.get(value_end..value_end + 2)? != b"\r\n" {
        return None;
    }
    let length = value_end + 2;
    match words[0] {
        b"VA" => Some(length),
        _ => Some(length + whole(&bytes[length..])?),
    }
}
