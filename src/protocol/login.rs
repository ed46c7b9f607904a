//! Reads what a client sends before it has authenticated, as memcached's `-Y` (text) and `-S` (binary) do.
//!
//! ```text
//! client ─ set ANYTHING 0 0 LENGTH, then "user password" ──▶ STORED, or CLIENT_ERROR authentication failure
//! client ─ SASL list, auth (PLAIN), step ──────────────────▶ Authenticated, or Auth failure.
//! client ─ anything else ──────────────────────────────────▶ CLIENT_ERROR unauthenticated, or Auth failure. and the end
//! ```
//!
//! Pure: [`Login::next`] says what stands at the front of a buffer, and the caller checks the password. The
//! answers are those of memcached 1.6.18 with two exceptions: each refused line gets an answer of its own (memcached
//! merges those that arrive together), and a line, data block or packet that is longer than any password is closed for
//! at once, so that a client that is not known yet holds little memory.

use super::binary::answer::{Echo, Status, write_own};
use super::binary::{HEAD, Head, REQUEST};
use super::numbers::parse_u32;

/// The maximum length of a line, a data block and a packet in bytes.
const MAX: usize = 2048;
/// The maximum length of a mechanism's name (`MAX_SASL_MECH_LEN`).
const MAX_MECHANISM: usize = 32;
/// The only mechanism.
const PLAIN: &[u8] = b"PLAIN";

const VERSION: u8 = 0x0b;
const SASL_LIST: u8 = 0x20;
const SASL_AUTH: u8 = 0x21;
const SASL_STEP: u8 = 0x22;

/// The state of a client that has not authenticated yet.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whether its first byte was that of a packet: what it speaks, for good. `None` before that byte.
    is_binary: Option<bool>,
    /// Whether a step may follow.
    has_begun: bool,
}

/// What stands at the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// It is incomplete.
    Incomplete,
    /// A question that anyone may ask.
    Answer(Vec<u8>),
    /// The version of Ringway's nodes is asked for. Answer it with [`version`].
    Version(Head),
    /// A command that must wait until the client has authenticated, or an attempt that cannot be read.
    Refuse(Vec<u8>),
    /// As [`Event::Refuse`], and the connection must close.
    RefuseAndClose(Vec<u8>),
    /// An attempt. Answer it with [`Attempt::answer`].
    Attempt(Attempt<'a>),
    /// The connection must close without an answer: what comes is no request, or too long.
    Close,
}

/// A client says who it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// User and password. `None`: they were sent in a way that is always refused.
    pub words: Option<(&'a [u8], &'a [u8])>,
    /// The packet that brought them; `None` for a text client.
    head: Option<Head>,
}

impl Attempt<'_> {
    /// Returns the answer if the client `is_accepted` or not.
    pub fn answer(&self, is_accepted: bool) -> Vec<u8> {
        match (&self.head, is_accepted) {
            (None, true) => b"STORED\r\n".to_vec(),
            (None, false) => b"CLIENT_ERROR authentication failure\r\n".to_vec(),
            (Some(head), true) => packet(head, Status::Success, b"Authenticated"),
            (Some(head), false) => packet(head, Status::Unauthenticated, b""),
        }
    }
}

impl Login {
    /// Returns what stands at the front of `buffer`, and how many of its bytes that takes.
    pub fn next<'a>(&mut self, buffer: &'a [u8]) -> (Event<'a>, usize) {
        let Some(first) = buffer.first() else {
            return (Event::Incomplete, 0);
        };
        match self.is_binary.get_or_insert(*first == REQUEST) {
            true if *first != REQUEST => (Event::Close, 0),
            true => self.packet(buffer),
            false => line(buffer),
        }
    }

    /// Whether the client speaks the binary protocol; `None` before its first byte.
    pub fn is_binary(&self) -> Option<bool> {
        self.is_binary
    }

    /// memcached's `dispatch_bin_command`.
    fn packet<'a>(&mut self, buffer: &'a [u8]) -> (Event<'a>, usize) {
        let Some(head) = Head::read(buffer) else {
            return (Event::Incomplete, 0);
        };
        let close = |status| (Event::RefuseAndClose(packet(&head, status, b"")), HEAD);
        let Head {
            key, extras, body, ..
        } = head;
        let is_login = matches!(head.opcode, SASL_AUTH | SASL_STEP);
        let is_known = is_login || matches!(head.opcode, SASL_LIST | VERSION);
        if key + extras > body {
            return close(Status::Unknown);
        }
        if !is_known {
            return close(Status::Unauthenticated);
        }
        match is_login {
            true if extras > 0 || key == 0 => return close(Status::Invalid),
            true if body > MAX => return close(Status::Unauthenticated),
            false if body > 0 => return close(Status::Invalid),
            _ => {}
        }
        let Some(body) = buffer.get(HEAD..HEAD + body) else {
            return (Event::Incomplete, 0);
        };
        let event = match head.opcode {
            VERSION => Event::Version(head),
            SASL_LIST => Event::Answer(packet(&head, Status::Success, PLAIN)),
            _ if key > MAX_MECHANISM => Event::Refuse(packet(&head, Status::Invalid, b"")),
            _ => {
                let (mechanism, message) = body.split_at(key);
                self.login(head, mechanism, message)
            }
        };
        (event, HEAD + body.len())
    }

    /// memcached's `process_bin_complete_sasl_auth`. It never looks at the mechanism of a step.
    fn login<'a>(&mut self, head: Head, mechanism: &[u8], message: &'a [u8]) -> Event<'a> {
        let is_step = head.opcode == SASL_STEP;
        let may_go_on = if is_step {
            self.has_begun
        } else {
            mechanism.eq_ignore_ascii_case(PLAIN)
        };
        if !is_step {
            self.has_begun = may_go_on && message.is_empty();
            if self.has_begun {
                return Event::Answer(packet(&head, Status::Continue, b""));
            }
        }
        Event::Attempt(Attempt {
            words: plain(message).filter(|_| may_go_on),
            head: Some(head),
        })
    }
}

/// Returns the answer to [`Event::Version`].
pub fn version(head: &Head, version: &str) -> Vec<u8> {
    packet(head, Status::Success, version.as_bytes())
}

/// memcached's `try_read_command_asciiauth`.
fn line(buffer: &[u8]) -> (Event<'_>, usize) {
    // memcached waits for a second byte, too.
    if buffer.len() < 2 {
        return (Event::Incomplete, 0);
    }
    let Some(end) = memchr::memchr(b'\n', &buffer[..buffer.len().min(MAX + 1)]) else {
        let event = if buffer.len() > MAX {
            Event::Close
        } else {
            Event::Incomplete
        };
        return (event, 0);
    };
    let refuse = |words: &[u8]| Event::Refuse([b"CLIENT_ERROR ", words, b"\r\n"].concat());
    let (line, block) = (&buffer[..end], &buffer[end + 1..]);
    let Some(length) = block_length(line.strip_suffix(b"\r").unwrap_or(line)) else {
        return (refuse(b"unauthenticated"), end + 1);
    };
    if length > MAX {
        return (Event::Close, 0);
    }
    let Some(block) = block.get(..length + 2) else {
        return (Event::Incomplete, 0);
    };
    let event = match block.strip_suffix(b"\r\n") {
        None => refuse(b"bad command line termination"),
        Some(block) => {
            let mut words = words(block);
            match (words.next(), words.next()) {
                (Some(user), Some(password)) => Event::Attempt(Attempt {
                    words: Some((user, password)),
                    head: None,
                }),
                _ => refuse(b"bad authentication token format"),
            }
        }
    };
    (event, end + 1 + length + 2)
}

/// The length of the data block of `set ANYTHING ANYTHING ANYTHING LENGTH`; `None` for any other line.
fn block_length(line: &[u8]) -> Option<usize> {
    let mut words = words(line);
    (words.next()? == b"set").then_some(())?;
    Some(parse_u32(words.nth(3)?)? as usize)
}

/// The words of `text` up to its first zero byte, which ends it for memcached.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    text[..end]
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
}

/// Returns user and password of a message of SASL PLAIN (RFC 4616): `[user] NUL user NUL password`. A client may not
/// act for another user than the one whose password it brings.
fn plain(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = message.split(|&byte| byte == 0);
    let (acts_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_good = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    (is_good && (acts_for.is_empty() || acts_for == user)).then_some((user, password))
}

fn packet(head: &Head, status: Status, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEAD + body.len());
    write_own(Echo::with_key(head, b""), status, body, &mut |bytes| {
        packet.extend_from_slice(bytes)
    });
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text_is_an_attempt_a_refusal_or_the_end() {
        let unauthenticated = || Event::Refuse(b"CLIENT_ERROR unauthenticated\r\n".to_vec());
        let attempt = |user, password| {
            Event::Attempt(Attempt {
                words: Some((user, password)),
                head: None,
            })
        };
        let cases: Vec<(&[u8], Event<'_>, usize)> = vec![
            (b"set a 0 0 3\r\nu p\r\nget", attempt(b"u", b"p"), 18),
            (b"  set a x y +3 noreply\nu p\r\n", attempt(b"u", b"p"), 28),
            (b"set a 0 0 8\r\n u  p  x\r\n", attempt(b"u", b"p"), 23),
            (b"set a 0 0 3\r\nu p\r", Event::Incomplete, 0),
            (
                b"set a 0 0 3\r\nu pxx",
                Event::Refuse(b"CLIENT_ERROR bad command line termination\r\n".to_vec()),
                18,
            ),
            (
                b"set a 0 0 1\r\nu\r\n",
                Event::Refuse(b"CLIENT_ERROR bad authentication token format\r\n".to_vec()),
                16,
            ),
            (b"get k\r\n", unauthenticated(), 7),
            (b"SET a 0 0 3\r\n", unauthenticated(), 13),
            (b"set a 0 0\r\n", unauthenticated(), 11),
            (b"set a 0 0 -1\r\n", unauthenticated(), 14),
            (b"\n", Event::Incomplete, 0),
            (b"\r\n", unauthenticated(), 2),
            (b"get k", Event::Incomplete, 0),
            (b"set a 0 0 2049\r\n", Event::Close, 0),
        ];
        for (text, event, length) in cases {
            let found = Login::default().next(text);
            assert_eq!(found, (event, length), "{}", text.escape_ascii());
        }
        let long = [b'x'; MAX + 1];
        assert_eq!(Login::default().next(&long[..MAX]).0, Event::Incomplete);
        assert_eq!(Login::default().next(&long).0, Event::Close);
    }

    #[test]
    fn plain_has_three_parts_and_no_client_acts_for_another() {
        let cases: [(&[u8], bool); 9] = [
            (b"\0u\0p", true),
            (b"u\0u\0p", true),
            (b"x\0u\0p", false),
            (b"u", false),
            (b"\0u", false),
            (b"\0u\0", false),
            (b"\0\0p", false),
            (b"\0u\0p\0", false),
            (b"", false),
        ];
        for (message, is_good) in cases {
            assert_eq!(plain(message).is_some(), is_good, "{}", message.escape_ascii());
        }
    }
}
