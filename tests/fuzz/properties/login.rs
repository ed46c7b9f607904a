//! What a client sends before it has authenticated: bytes that come in pieces mean what they mean at once, a client holds
//! little meanwhile, and answers are whole lines or packets.

use ringway::protocol::login::{self, Event, Login};

/// Neither a line nor its data block nor a packet takes more, each with its ends.
const MAX: usize = 2 * 2048 + 24 + 4;

/// The bytes are what a client sends.
pub fn check(data: &[u8]) {
    let at_once = converse(&[data]);
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    let (one, other) = data.split_at(data.len() / 2);
    assert_eq!(converse(&bytes), at_once, "byte by byte");
    assert_eq!(converse(&[one, other]), at_once, "in halves");
}

/// Each event with the number of bytes that it took; no attempt succeeds.
fn converse(pieces: &[&[u8]]) -> Vec<(String, usize)> {
    let (mut login, mut buffer, mut events) = (Login::default(), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (event, length) = login.next(&buffer);
            if event == Event::Incomplete {
                assert!(buffer.len() <= MAX, "{} bytes are held", buffer.len());
                break;
            }
            events.push((format!("{event:?}"), length));
            if check_event(&event, login.is_binary() == Some(true)) {
                return events;
            }
            assert!(length > 0, "no progress: {event:?}");
            buffer.drain(..length);
        }
    }
    events
}

/// Checks one event, and says whether it ends the connection.
fn check_event(event: &Event<'_>, is_binary: bool) -> bool {
    match event {
        Event::Answer(answer) | Event::Refuse(answer) => is_whole(answer, is_binary),
        Event::RefuseAndClose(answer) => {
            is_whole(answer, is_binary);
            return true;
        }
        Event::Version(head) => is_whole(&login::version(head, "1.6.18"), is_binary),
        Event::Attempt(attempt) => {
            is_whole(&attempt.answer(true), is_binary);
            is_whole(&attempt.answer(false), is_binary);
            if let Some((user, password)) = attempt.words {
                assert!(!user.is_empty() && !password.is_empty());
                let has_zero = user.contains(&0) || password.contains(&0);
                assert!(!has_zero, "{event:?}");
                assert!(is_binary || !(user.contains(&b' ') || password.contains(&b' ')));
            }
        }
        Event::Incomplete => {}
        Event::Close => return true,
    }
    false
}

fn is_whole(answer: &[u8], is_binary: bool) {
    if !is_binary {
        let lines = answer.iter().filter(|&&byte| byte == b'\n').count();
        assert!(
            lines == 1 && answer.ends_with(b"\r\n"),
            "{}",
            answer.escape_ascii()
        );
        return;
    }
    assert_eq!(answer[0], 0x81);
    let body = u32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]);
    assert_eq!(answer.len(), 24 + body as usize);
}
