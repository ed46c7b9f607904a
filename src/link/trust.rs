//! Whether an open link may be written to.
//!
//! ```text
//!            idle for IDLE, a request comes            its address is gone from the name's answer
//!   Full ─────────────────────────────▶ Doubted   Full, Doubted, Asked ─────────────────▶ Leaving
//!    ▲                                     │ `version` is written                          │ nothing is owed
//!    └──────── an answer in time ──────  Asked ──── no answer ──▶ opened anew ◀────────────┘
//! ```
//!
//! In every state but `Full` requests are queued, so those of one session keep their order. A firewall or a load
//! balancer may have forgotten a connection that carried nothing for a while, and may not say so: what is written
//! then is lost, and a write that is lost fails. So the connection is asked first. A busy link is never asked, and an
//! idle one once for each silence, when it is used again.

use bytes::BytesMut;

use crate::config;
use crate::protocol::version;

/// A link that carried nothing for longer is asked before it is used, in microseconds.
pub const IDLE: u64 = 1_000_000;
/// What it is asked.
pub const QUESTION: &[u8] = b"version\r\n";
/// A longer answer is none, in bytes.
const MAX_LINE: usize = 256;

/// Whether an open link may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Yes.
    #[default]
    Full,
    /// Not before it was asked.
    Doubted,
    /// Not before it answers, which it may do until then.
    Asked(u64),
    /// No: it closes once nothing is owed.
    Leaving,
}

/// Microseconds for an answer. Enough of the request's own time is left to open the link anew.
pub fn patience(settings: &config::Pool) -> u64 {
    let limit = settings.connect_timeout.min(settings.request_timeout / 4);
    limit.as_micros() as u64
}

/// Whether what came is an answer to [`QUESTION`], which is taken from `buffer`; `None` if it is not whole.
pub fn take_answer(buffer: &mut BytesMut) -> Option<bool> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return (buffer.len() > MAX_LINE).then_some(false);
    };
    let line = buffer.split_to(end + 1);
    let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
    // Some proxies do not know the question, but their answer is as good.
    Some((version::of_line(line).is_some() || line == b"ERROR") && buffer.is_empty())
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
            take_answer(&mut BytesMut::from(bytes)),
            expected,
            "{}",
            bytes.escape_ascii()
        );
    }
}
