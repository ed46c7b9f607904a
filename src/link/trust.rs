//! Whether an open link may be written to.
//!
//! ```text
//!            idle for IDLE, a request comes            its address is gone from the name's answer
//!   Full ─────────────────────────────▶ Doubted   Full, Doubted, Asked ─────────────────▶ Leaving
//!    ▲                                     │ `version` is written                          │ nothing is outstanding
//!    └──────── an answer in time ──────  Asked ──── no answer ──▶ opened anew ◀────────────┘
//! ```
//!
//! In every state except `Full` requests are queued, so those of one session keep their order. A firewall
//! or a load balancer may have silently forgotten a connection that carried nothing for a while: requests
//! written to it are lost, and a lost write fails. So the connection is asked first. A busy link is never
//! asked, and an idle one once for each silence, when it is used again.

use bytes::BytesMut;

use crate::config;
use crate::protocol::dialect::Dialect;
use crate::protocol::version;

/// A link that was idle for longer is asked before it is used, in microseconds.
pub const IDLE: u64 = 1_000_000;
/// The maximum length of an answer in bytes.
const MAX_LINE: usize = 256;

/// Whether an open link may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// It may be written to.
    #[default]
    Full,
    /// It must be asked first.
    Doubted,
    /// It was asked and must answer by this time.
    Asked(u64),
    /// It must not be written to, and closes once nothing is outstanding.
    Leaving,
}

/// The time to wait for an answer, in microseconds. It leaves enough of the request's own time to reopen
/// the link.
pub fn patience(settings: &config::Pool) -> u64 {
    let limit = settings.connect_timeout.min(settings.request_timeout / 4);
    limit.as_micros() as u64
}

/// The question to a node that speaks `dialect`.
pub fn question(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::Meta | Dialect::Classic => b"version\r\n",
        Dialect::Resp => b"PING\r\n",
    }
}

/// Takes an answer to [`question`] from `buffer` and returns whether it is valid; `None` if it is
/// incomplete.
pub fn take_answer(buffer: &mut BytesMut, dialect: Dialect) -> Option<bool> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return (buffer.len() > MAX_LINE).then_some(false);
    };
    let line = buffer.split_to(end + 1);
    let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
    let is_answer = match dialect {
        // Some proxies do not know the command, but their answer proves as much.
        Dialect::Meta | Dialect::Classic => version::of_line(line).is_some() || line == b"ERROR",
        Dialect::Resp => line == b"+PONG",
    };
    Some(is_answer && buffer.is_empty())
}

#[test]
fn an_answer_is_a_line_and_nothing_more() {
    let cases: [(&[u8], Option<bool>); 9] = [
        (b"", None),
        (b"VERSION 1.6", None),
        (b"VERSION 1.6.18\r\n", Some(true)),
        (b"VERSION 1.4.2\n", Some(false)),
        (b"ERROR\r\n", Some(true)),
        (b"HD\r\n", Some(false)),
        (b"VERSION 1.6.18\r\nHD\r\n", Some(false)),
        (b"\r\n", Some(false)),
        (&[b'x'; MAX_LINE + 1], Some(false)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            take_answer(&mut BytesMut::from(bytes), Dialect::Meta),
            expected,
            "{}",
            bytes.escape_ascii()
        );
    }
    for (bytes, expected) in [
        (&b"+PONG\r\n"[..], true),
        (b"-NOAUTH\r\n", false),
        (b"VERSION 1.6.18\r\n", false),
    ] {
        let answer = take_answer(&mut BytesMut::from(bytes), Dialect::Resp);
        assert_eq!(answer, Some(expected), "{}", bytes.escape_ascii());
    }
}
