//! The parsed form of a text client's command line, and the tokens that lines consist of.

use super::scan::{find_space, skip_spaces};
use super::{Command, MAX_KEY, Request};

pub(super) const ERROR: &str = "ERROR";
pub(super) const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
/// The largest data block that memcached accepts, whatever its item size (`INT_MAX - 2`).
pub(super) const MAX_LENGTH: i32 = i32::MAX - 2;

/// One command line, without its line end.
#[derive(Debug)]
pub enum Line<'a> {
    /// get, gets, gat, gats. Every key is valid; gat and gats may have none.
    Read {
        /// Which of the four.
        command: Command,
        /// The exptime of gat and gats, in memcached's sense; otherwise 0.
        exptime: i64,
        /// The keys, in the order of the request.
        keys: Keys<'a>,
    },
    /// A storage command, or ms; its data block of `length` bytes and a line end follow.
    Store {
        /// The request without its value.
        request: Request<'a>,
        /// The length of the value in bytes.
        length: usize,
        /// Whether the client wants no reply.
        noreply: bool,
    },
    /// incr, decr, delete, touch; mg, md, ma, me.
    Single {
        /// The complete request.
        request: Request<'a>,
        /// Whether the client wants no reply.
        noreply: bool,
    },
    /// flush_all.
    FlushAll {
        /// The delay in seconds; 0 or less means at once.
        delay: i64,
        /// Whether the client wants no reply.
        noreply: bool,
    },
    /// mn: answered once everything before it is.
    Noop,
    /// version.
    Version,
    /// verbosity; it has no effect here.
    Verbosity {
        /// Whether the client wants no reply.
        noreply: bool,
    },
    /// stats, with its arguments.
    Stats(&'a [u8]),
    /// quit.
    Quit,
    /// Not a command, or a malformed one.
    Bad {
        /// The line to answer, without its line end.
        answer: &'static str,
        /// The number of bytes to swallow as its data block.
        swallow: usize,
        /// Whether the client wants no reply.
        noreply: bool,
        /// Whether the error is a key longer than [`MAX_KEY`].
        has_long_key: bool,
    },
    /// The first line of an HTTP request: memcached closes the connection.
    Http,
    /// A line longer than any command: memcached closes the connection.
    TooLong,
}

/// The keys of a reading command.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a>(pub(super) &'a [u8]);

impl<'a> Keys<'a> {
    /// Returns the keys in the remainder of a line that was already parsed in part, with its line end.
    pub fn of(line: &'a [u8]) -> Keys<'a> {
        Keys(
            line.strip_suffix(b"\n")
                .map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)),
        )
    }

    /// The number of unread bytes of the line, without its end.
    pub fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let token = next_token(&mut self.0);
        (!token.is_empty()).then_some(token)
    }
}

/// Returns an error that has no data block behind it and is sent to the client.
pub(super) fn bad<'a>(answer: &'static str) -> Line<'a> {
    Line::Bad {
        answer,
        swallow: 0,
        noreply: false,
        has_long_key: false,
    }
}

/// Returns the error for a key that is too long, with `swallow` bytes of a data block behind the line.
pub(super) fn long_key<'a>(swallow: usize, noreply: bool) -> Line<'a> {
    Line::Bad {
        answer: BAD_FORMAT,
        swallow,
        noreply,
        has_long_key: true,
    }
}

pub(super) fn is_good_key(key: &[u8]) -> bool {
    key.len() <= MAX_KEY
}

/// Takes the next token and the spaces before it; empty if there is none.
#[inline]
pub(super) fn next_token<'a>(line: &mut &'a [u8]) -> &'a [u8] {
    let text = skip_spaces(line);
    let (token, rest) = text.split_at(find_space(text));
    *line = rest;
    token
}
