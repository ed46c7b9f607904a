//! Builds the line that answers a meta command, flag by flag, for answers that no memcached wrote.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::protocol::meta::flags;
use crate::protocol::meta::flags::{MAX_OPAQUE, OPAQUE_TOO_LONG};
use crate::protocol::{MetaReply, Reply};

/// The words of a meta command that its answer repeats.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The plain key.
    pub key: &'a [u8],
    /// Whether the key is shown in base64.
    pub is_base64: bool,
    /// The client's flags, unparsed.
    pub flags: &'a [u8],
}

/// A partial line, without its line end.
#[derive(Debug)]
pub struct Line {
    text: Vec<u8>,
    key: Range<usize>,
}

impl Line {
    /// Begins a line with a status such as `HD`.
    pub fn new(status: &[u8]) -> Line {
        Line {
            text: status.to_vec(),
            key: 0..0,
        }
    }

    /// Begins the line of a value of `length` bytes.
    pub fn value(length: usize) -> Line {
        let mut line = Line::new(b"VA ");
        line.number(length);
        line
    }

    /// Adds a flag without a token.
    pub fn mark(&mut self, name: u8) {
        self.text.extend_from_slice(&[b' ', name]);
    }

    /// Adds a flag with a number.
    pub fn field(&mut self, name: u8, number: impl itoa::Integer) {
        self.mark(name);
        self.number(number);
    }

    /// Adds the seconds left, or -1 if the item never ends.
    pub fn ttl(&mut self, seconds_left: Option<u32>) {
        self.field(b't', seconds_left.map_or(-1, i64::from));
    }

    /// Adds the key, plain or in base64 with the flag that says so.
    pub fn key(&mut self, key: &[u8], is_base64: bool) {
        let start = self.text.len();
        self.mark(b'k');
        self.text.extend_from_slice(&shown_key(key, is_base64));
        self.key = start..self.text.len();
        if is_base64 {
            self.mark(b'b');
        }
    }

    /// Adds the client's opaque token.
    ///
    /// # Errors
    /// The line that refuses it.
    pub fn opaque(&mut self, flag: &[u8]) -> Result<(), &'static str> {
        if flag.len() > MAX_OPAQUE {
            return Err(OPAQUE_TOO_LONG);
        }
        self.text.push(b' ');
        self.text.extend_from_slice(flag);
        Ok(())
    }

    /// Adds what is returned as requested: the opaque token and the key.
    ///
    /// # Errors
    /// The line that refuses the opaque token.
    pub fn echo(&mut self, flag: &[u8], asked: Asked<'_>) -> Result<(), &'static str> {
        match flag[0] {
            b'O' => self.opaque(flag)?,
            b'k' => self.key(asked.key, asked.is_base64),
            _ => {}
        }
        Ok(())
    }

    /// Adds everything that [`echo`](Line::echo) handles.
    ///
    /// # Errors
    /// As [`echo`](Line::echo).
    pub fn echo_all(mut self, asked: Asked<'_>) -> Result<Line, &'static str> {
        for flag in flags(asked.flags) {
            self.echo(flag, asked)?;
        }
        Ok(self)
    }

    /// Replaces the status that the line began with.
    pub fn set_status(&mut self, status: [u8; 2]) {
        self.text[..2].copy_from_slice(&status);
    }

    /// Returns the complete reply.
    pub fn into_reply(self, data: Option<Bytes>) -> Reply {
        Reply::Meta(MetaReply::new(self.text, self.key, data))
    }

    fn number(&mut self, number: impl itoa::Integer) {
        let mut buffer = itoa::Buffer::new();
        self.text.extend_from_slice(buffer.format(number).as_bytes());
    }
}

/// Returns a key as a line shows it.
pub fn shown_key(key: &[u8], is_base64: bool) -> Cow<'_, [u8]> {
    if is_base64 {
        Cow::Owned(STANDARD.encode(key).into_bytes())
    } else {
        Cow::Borrowed(key)
    }
}
