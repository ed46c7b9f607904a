//! Parses the flags of a meta command as a node does: into what they request, or the error line that
//! refuses them.
//!
//! The rules, the error texts and their order are those of memcached 1.6.18 (`_meta_flag_preparse` in
//! proto_text.c): all commands know the same flags and ignore those that mean nothing to them. `E` and `x`
//! are newer (doc/protocol.txt of 1.6.45) and are accepted as well. Decoding base64 is left to the reader
//! of the key, and quiet mode to the writer of the answer.

use crate::protocol::numbers::{parse_i32, parse_u32, parse_u64};
use crate::protocol::{Command, MAX_KEY, Meta, meta};

/// The limit that the number of tokens must stay below, counting the name, the key and the length of ms
/// (`MFLAG_MAX_OPT_LENGTH`).
const MAX_TOKENS: usize = 20;

/// The longest opaque token, with its `O` (`MFLAG_MAX_OPAQUE_LENGTH`).
pub const MAX_OPAQUE: usize = 32;

/// Refuses an opaque token that is longer than [`MAX_OPAQUE`].
pub const OPAQUE_TOO_LONG: &str = "CLIENT_ERROR opaque token too long";
/// Refuses a mode that ms does not have.
pub const BAD_SET_MODE: &str = "CLIENT_ERROR invalid mode for ms M token";
const NO_BASE64: &str = "CLIENT_ERROR error decoding key";

const TOO_MANY_OF_MG: &str = "CLIENT_ERROR options flags are too long";
const TOO_MANY: &str = "CLIENT_ERROR options flags too long";
const INVALID_OR_DUPLICATE: &str = "CLIENT_ERROR invalid or duplicate flag";
const DUPLICATE: &str = "CLIENT_ERROR duplicate flag";
const INVALID: &str = "CLIENT_ERROR invalid flag";
const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format";
const BAD_MODE_LENGTH: &str = "CLIENT_ERROR incorrect length for M token";
const BAD_INITIAL: &str = "CLIENT_ERROR invalid numeric initial value";
const BAD_DELTA: &str = "CLIENT_ERROR invalid numeric delta value";

/// The parsed flags of a meta command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaFlags {
    /// `b`: the key is in base64.
    pub is_base64: bool,
    /// `v`: return the value.
    pub wants_value: bool,
    /// `u`: the read does not count as a hit.
    pub is_unnoticed: bool,
    /// `h`, `l`, `N`, `R`, `T`: asks for the state before this hit, or may change the item.
    pub is_exclusive: bool,
    /// `I`: mark as stale instead of removing; for ms, store as stale if the cas id is too low.
    pub makes_stale: bool,
    /// `x`: remove the value but not the item.
    pub empties: bool,
    /// `T`: seconds to live.
    pub ttl: Option<i32>,
    /// `N`: on a miss create the item, with this many seconds to live.
    pub vivify: Option<i32>,
    /// `R`: a reader that finds fewer seconds to live than this may refill the item.
    pub recache: Option<i32>,
    /// `F`: the client's flags.
    pub client_flags: u32,
    /// `C`: the cas id to compare.
    pub cas: Option<u64>,
    /// `E`: the item's new cas id.
    pub new_cas: Option<u64>,
    /// `M`: the mode of ms or ma, not validated yet.
    pub mode: Option<u8>,
    /// `J`: the initial number if ma creates the item.
    pub initial: u64,
    /// `D`: the number that ma adds or subtracts.
    pub delta: u64,
}

impl MetaFlags {
    const NONE: MetaFlags = MetaFlags {
        is_base64: false,
        wants_value: false,
        is_unnoticed: false,
        is_exclusive: false,
        makes_stale: false,
        empties: false,
        ttl: None,
        vivify: None,
        recache: None,
        client_flags: 0,
        cas: None,
        new_cas: None,
        mode: None,
        initial: 0,
        delta: 1,
    };

    /// Parses the flags that a client sent with `command`. The error is the line that the client reads,
    /// without its line end.
    pub fn parse(command: Command, raw: &[u8]) -> Result<MetaFlags, &'static str> {
        MetaFlags::parse_for(command, raw, true)
    }

    /// Like [`MetaFlags::parse`], and also checks the key: the `b` flag is an error if the key is not valid
    /// base64.
    pub fn of(command: Command, meta: &Meta<'_>) -> Result<MetaFlags, &'static str> {
        let is_base64 = || meta::decode_key(meta.key, &mut [0; MAX_KEY]) > 0;
        let is_key = meta::flag(meta.flags, b'b').is_none() || is_base64();
        MetaFlags::parse_for(command, meta.flags, is_key)
    }

    fn parse_for(command: Command, raw: &[u8], is_key: bool) -> Result<MetaFlags, &'static str> {
        let around = if command == Command::MetaSet { 3 } else { 2 };
        let is_read = command == Command::MetaGet;
        if meta::flags(raw).count() + around >= MAX_TOKENS {
            return Err(if is_read { TOO_MANY_OF_MG } else { TOO_MANY });
        }
        MetaFlags::read(raw, is_key).map_err(|diagnostic| match command {
            Command::MetaGet | Command::MetaSet => diagnostic,
            _ => INVALID_OR_DUPLICATE,
        })
    }

    /// Unknown and repeated flags are reported at once; of several invalid numbers the last is reported.
    fn read(raw: &[u8], is_key: bool) -> Result<MetaFlags, &'static str> {
        let mut found = MetaFlags::NONE;
        let mut seen = 0u128;
        let mut diagnostic = None;
        for flag in meta::flags(raw) {
            let name = flag[0];
            // memcached's table has 127 entries; flags beyond it count as repeated.
            if name >= 127 || seen & (1 << name) != 0 {
                return Err(DUPLICATE);
            }
            seen |= 1 << name;
            match found.take(name, &flag[1..]) {
                Ok(()) if name == b'b' && !is_key => diagnostic = Some(NO_BASE64),
                Ok(()) => {}
                Err(Wrong::Flag) => return Err(INVALID),
                Err(Wrong::Token(words)) => diagnostic = Some(words),
                // These errors have no text of their own.
                Err(Wrong::ClientFlags) => diagnostic = diagnostic.or(Some(BAD_FORMAT)),
            }
        }
        diagnostic.map_or(Ok(found), Err)
    }

    fn take(&mut self, name: u8, token: &[u8]) -> Result<(), Wrong> {
        match name {
            b'b' => self.is_base64 = true,
            b'v' => self.wants_value = true,
            b'u' => self.is_unnoticed = true,
            b'h' | b'l' => self.is_exclusive = true,
            b'I' => self.makes_stale = true,
            b'x' => self.empties = true,
            b'k' | b's' | b't' | b'c' | b'f' | b'q' | b'O' | b'P' | b'L' => {}
            b'T' => self.ttl = self.seconds(token)?,
            b'N' => self.vivify = self.seconds(token)?,
            b'R' => self.recache = self.seconds(token)?,
            b'F' => self.client_flags = parse_u32(token).ok_or(Wrong::ClientFlags)?,
            b'C' => self.cas = Some(parse_u64(token).ok_or(Wrong::Token(BAD_TOKEN))?),
            b'E' => self.new_cas = Some(parse_u64(token).ok_or(Wrong::Token(BAD_TOKEN))?),
            b'J' => self.initial = parse_u64(token).ok_or(Wrong::Token(BAD_INITIAL))?,
            b'D' => self.delta = parse_u64(token).ok_or(Wrong::Token(BAD_DELTA))?,
            b'M' => match token {
                [mode] => self.mode = Some(*mode),
                _ => return Err(Wrong::Token(BAD_MODE_LENGTH)),
            },
            _ => return Err(Wrong::Flag),
        }
        Ok(())
    }

    /// Parses the token of a flag that sets or compares a time.
    fn seconds(&mut self, token: &[u8]) -> Result<Option<i32>, Wrong> {
        self.is_exclusive = true;
        parse_i32(token).map(Some).ok_or(Wrong::Token(BAD_TOKEN))
    }
}

/// Performs the checks that memcached makes on an ms before it allocates the item: returns the plain key,
/// decoded into `room` if it was sent in base64, or the line that refuses the command.
pub fn check_set<'a>(meta: &Meta<'a>, room: &'a mut [u8; MAX_KEY]) -> Result<&'a [u8], &'static str> {
    let flags = MetaFlags::of(Command::MetaSet, meta)?;
    if meta::flag(meta.flags, b'O').is_some_and(|opaque| opaque.len() > MAX_OPAQUE) {
        return Err(OPAQUE_TOO_LONG);
    }
    if flags.mode.is_some_and(|mode| !b"EAPRS".contains(&mode)) {
        return Err(BAD_SET_MODE);
    }
    if !flags.is_base64 {
        return Ok(meta.key);
    }
    let length = meta::decode_key(meta.key, room);
    Ok(&room[..length])
}

/// An error in one flag.
enum Wrong {
    /// No such flag.
    Flag,
    /// An invalid token, with its error text.
    Token(&'static str),
    /// An invalid token of `F`.
    ClientFlags,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(command: Command, raw: &str) -> Option<&'static str> {
        MetaFlags::parse(command, raw.as_bytes()).err()
    }

    #[test]
    fn mistakes_are_told_as_memcached_tells_them() {
        let table = [
            ("v v Tx", DUPLICATE),
            ("Tx v v", DUPLICATE),
            ("Tx z", INVALID),
            ("z v v", INVALID),
            ("5", INVALID),
            ("~", INVALID),
            ("\x7f", DUPLICATE),
            ("é", DUPLICATE),
            ("T", BAD_TOKEN),
            ("Nx", BAD_TOKEN),
            ("R1x", BAD_TOKEN),
            ("C-1", BAD_TOKEN),
            ("Ex", BAD_TOKEN),
            ("Fx", BAD_FORMAT),
            ("Fx Cx", BAD_TOKEN),
            ("Cx Fx", BAD_TOKEN),
            ("M", BAD_MODE_LENGTH),
            ("MXX Tx", BAD_TOKEN),
            ("Tx Fx MXX", BAD_MODE_LENGTH),
            ("Jx", BAD_INITIAL),
            ("Jx Dx", BAD_DELTA),
            ("i", INVALID),
            ("S1", INVALID),
        ];
        for (raw, diagnostic) in table {
            for command in [Command::MetaGet, Command::MetaSet] {
                assert_eq!(refusal(command, raw), Some(diagnostic), "{command:?} {raw}");
            }
            for command in [Command::MetaDelete, Command::MetaArithmetic] {
                assert_eq!(
                    refusal(command, raw),
                    Some(INVALID_OR_DUPLICATE),
                    "{command:?} {raw}"
                );
            }
        }
    }

    #[test]
    fn a_command_has_19_tokens_at_most() {
        let all = ["s v k f c t h l O1 q u N0 T0 R0 F0 C0", "MX", "J0"];
        let sixteen = all[0].to_owned();
        let seventeen = all[..2].join(" ");
        let eighteen = all.join(" ");
        let table = [
            (Command::MetaGet, &seventeen, None),
            (Command::MetaGet, &eighteen, Some(TOO_MANY_OF_MG)),
            (Command::MetaSet, &sixteen, None),
            (Command::MetaSet, &seventeen, Some(TOO_MANY)),
            (Command::MetaDelete, &seventeen, None),
            (Command::MetaDelete, &eighteen, Some(TOO_MANY)),
            (Command::MetaArithmetic, &seventeen, None),
            (Command::MetaArithmetic, &eighteen, Some(TOO_MANY)),
        ];
        for (command, raw, want) in table {
            assert_eq!(refusal(command, raw), want, "{command:?} {raw}");
        }
    }

    #[test]
    fn numbers_are_read_and_what_is_not_said_has_its_default() {
        let raw = b" T-1 N30 R60 F4294967297 C7 E8 MA J9 D10 b v u I x k Oq";
        let want = MetaFlags {
            is_base64: true,
            wants_value: true,
            is_unnoticed: true,
            is_exclusive: true,
            makes_stale: true,
            empties: true,
            ttl: Some(-1),
            vivify: Some(30),
            recache: Some(60),
            client_flags: 1,
            cas: Some(7),
            new_cas: Some(8),
            mode: Some(b'A'),
            initial: 9,
            delta: 10,
        };
        assert_eq!(MetaFlags::parse(Command::MetaGet, raw), Ok(want));
        assert_eq!(MetaFlags::parse(Command::MetaSet, b"k q"), Ok(MetaFlags::NONE));
    }
}
