//! What a client types: lines and data blocks, taken from the buffer one after the other as a session does.

use ringway::protocol::line::{Keys, Line};
use ringway::protocol::text::{DataBlock, data_block, read_line};
use ringway::protocol::{Command, MAX_KEY, Request};

use super::{prefixes, said};

/// Longer lines are too long, unless they read keys: no prefix of a shorter one is.
const SURE: usize = 16 << 10;

/// The bytes are what a client sent.
pub fn check(data: &[u8]) {
    let mut rest = data;
    while let Some((line, length)) = read_line(rest) {
        let is_too_long = matches!(line, Line::TooLong);
        if is_too_long {
            assert!(length > SURE);
            return;
        }
        let end = rest.iter().position(|&byte| byte == b'\n');
        assert_eq!(Some(length), end.map(|end| end + 1));
        let (text, behind) = rest.split_at(length);
        is_read_alone(&line, text);
        let Some(taken) = take(&line, text, behind) else {
            return;
        };
        rest = &behind[taken..];
    }
    for end in prefixes(rest.len()) {
        assert!(read_line(&rest[..end]).is_none());
    }
}

/// Nothing that follows a line changes it, and less than the line is none.
fn is_read_alone(line: &Line<'_>, text: &[u8]) {
    let (alone, length) = read_line(text).expect("it has its end");
    assert_eq!(length, text.len());
    assert_eq!(format!("{line:?}"), format!("{alone:?}"));
    for end in prefixes(text.len().min(SURE)) {
        assert!(read_line(&text[..end]).is_none());
    }
}

/// What must hold of one line, and how many bytes it takes of those `behind` it; `None`: no more is read.
fn take(line: &Line<'_>, text: &[u8], behind: &[u8]) -> Option<usize> {
    match line {
        Line::Read {
            command,
            exptime,
            keys,
        } => {
            assert!(command.is_read());
            read_keys(*command, *exptime, *keys, text);
        }
        Line::Store { request, length, .. } => return store(request, *length, behind),
        Line::Single { request, noreply } => {
            assert!(!request.command.is_store());
            assert!(!request.command.is_meta() || !noreply);
            send(request);
        }
        Line::FlushAll { delay, .. } => said::check(&Request {
            exptime: *delay,
            ..Request::new(Command::FlushAll, b"")
        }),
        Line::Bad { answer, swallow, .. } => {
            assert!(answer.starts_with("ERROR") || answer.starts_with("CLIENT_ERROR "));
            assert!(answer.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            assert!(*swallow <= i32::MAX as usize);
            return (*swallow <= behind.len()).then_some(*swallow);
        }
        Line::Quit | Line::Http => return None,
        Line::Stats(what) => assert!(!what.contains(&b'\n')),
        Line::Noop | Line::Version | Line::Verbosity { .. } => {}
        Line::TooLong => unreachable!("nothing behind it is read"),
    }
    Some(0)
}

/// Every key, in order. A multi-get may be interrupted behind any of them, and goes on with the next.
fn read_keys(command: Command, exptime: i64, mut keys: Keys<'_>, text: &[u8]) {
    let line_end = if text.ends_with(b"\r\n") { 2 } else { 1 };
    let typed = text[..text.len() - line_end].split(|&byte| byte == b' ');
    let words = if matches!(command, Command::Gat | Command::Gats) {
        2
    } else {
        1
    };
    let mut typed = typed.filter(|token| !token.is_empty()).skip(words);
    while let Some(key) = keys.next() {
        assert_eq!(Some(key), typed.next());
        is_key(key);
        said::check(&Request {
            exptime,
            ..Request::new(command, key)
        });
        let left = &text[text.len() - line_end - keys.left()..];
        assert_eq!(Keys::of(left).next(), keys.clone().next());
        assert_eq!(Keys::of(left).left(), keys.left());
    }
    assert_eq!(typed.next(), None);
}

fn store(request: &Request<'_>, length: usize, behind: &[u8]) -> Option<usize> {
    assert!(request.command.is_store() && request.value.is_empty());
    assert!(length <= i32::MAX as usize - 2);
    is_key(request.key);
    let whole = length + 2;
    let found = data_block(behind, length);
    for end in prefixes(behind.len().min(whole)) {
        assert_eq!(data_block(&behind[..end], length), DataBlock::Partial);
    }
    let Some(block) = behind.get(..whole) else {
        assert_eq!(found, DataBlock::Partial);
        return None;
    };
    assert_eq!(found, data_block(block, length));
    match found {
        DataBlock::Partial => panic!("{length} bytes are all there"),
        DataBlock::Bad => assert!(!block.ends_with(b"\r\n")),
        DataBlock::Value(value) => {
            assert_eq!([value, b"\r\n"].concat(), block);
            send(&Request { value, ..*request });
        }
    }
    Some(whole)
}

/// As a session sends it: with the plain key.
fn send(request: &Request<'_>) {
    is_key(request.key);
    let Some(meta) = &request.meta else {
        return said::check(request);
    };
    let mut room = [0; MAX_KEY];
    let key = meta.plain_key(&mut room);
    assert!((1..=MAX_KEY).contains(&key.len()));
    said::check(&Request { key, ..*request });
}

fn is_key(key: &[u8]) {
    assert!((1..=MAX_KEY).contains(&key.len()));
    assert!(!key.iter().any(|byte| b" \n".contains(byte)));
}
