//! One command line of a text client as it was read, and the words that all lines are made of.

use super::scan::{find_space, skip_spaces};
use super::{Command, MAX_KEY, Request};

pub(super) const ERROR: &str = "ERROR";
pub(super) const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
/// memcached takes no larger data block, whatever its item size (`INT_MAX - 2`).
pub(super) const MAX_LENGTH: i32 = i32::MAX - 2;

/// One command line, without its line end.
#[derive(Debug)]
pub enum Line<'a> {
    /// get, gets, gat, gats. Every key is good; gat and gats may have none.
    Read {
        /// Which of the four.
        command: Command,
        /// Of gat and gats, in memcached's sense; else 0.
        exptime: i64,
        /// The keys in the order in which they were asked.
        keys: Keys<'a>,
    },
    /// A storage command, or ms; its data block of `length` bytes and a line end follow.
    Store {
        /// All but the value.
        request: Request<'a>,
        /// Of the value, in bytes.
        length: usize,
        /// The client wants no answer.
        noreply: bool,
    },
    /// incr, decr, delete, touch; mg, md, ma, me.
    Single {
        /// Whole.
        request: Request<'a>,
        /// The client wants no answer.
        noreply: bool,
    },
    /// flush_all.
    FlushAll {
        /// Seconds, 0 or less: at once.
        delay: i64,
        /// The client wants no answer.
        noreply: bool,
    },
    /// mn: answered when everything before it is.
    Noop,
    /// version.
    Version,
    /// verbosity; it changes nothing here.
    Verbosity {
        /// The client wants no answer.
        noreply: bool,
    },
    /// stats, with what stands behind it.
    Stats(&'a [u8]),
    /// quit.
    Quit,
    /// No command, or one with mistakes.
    Bad {
        /// The line to answer, without its line end.
        answer: &'static str,
        /// Bytes of a data block to swallow.
        swallow: usize,
        /// The client wants no answer.
        noreply: bool,
        /// The mistake is a key that is longer than [`MAX_KEY`].
        has_long_key: bool,
    },
    /// The first line of an HTTP request: memcached closes the connection.
    Http,
    /// The line is longer than any command: memcached closes the connection.
    TooLong,
}

/// The keys of a reading command.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a>(pub(super) &'a [u8]);

impl<'a> Keys<'a> {
    /// The keys in what is left of a line that was read before, with its line end.
    pub fn of(line: &'a [u8]) -> Keys<'a> {
        Keys(
            line.strip_suffix(b"\n")
                .map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)),
        )
    }

    /// Bytes of the line, without its end, that are not read yet.
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

/// A mistake with no data block behind it, which is answered.
pub(super) fn bad<'a>(answer: &'static str) -> Line<'a> {
    Line::Bad {
        answer,
        swallow: 0,
        noreply: false,
        has_long_key: false,
    }
}

/// The answer to a key that is longer than any, with `swallow` bytes of a data block behind the line.
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
