//! The meta commands that change items: ms, md and ma.

use bytes::Bytes;

use super::Embedded;
use super::TOO_LARGE;
use super::expiry::Deadline;
use super::meta::{MetaResult, deadline};
use super::meta_request::Ask;
use super::stored::{Marks, Stored};
use super::write::{StoreOutcome, StoreRequest, counted};
use crate::protocol::Command;
use crate::protocol::meta::flags::BAD_SET_MODE;
use crate::protocol::meta::line::Line;
use crate::protocol::numbers::NON_NUMERIC;

const BAD_COUNT_MODE: &str = "CLIENT_ERROR invalid mode for ma M token";
const NO_MEMORY: &str = "SERVER_ERROR Out of memory allocating new item";

impl Embedded {
    pub(super) fn meta_set(&self, ask: &Ask<'_>, now: u64) -> MetaResult {
        let flags = &ask.flags;
        let command = match flags.mode {
            None | Some(b'S') if flags.cas.is_some() => Command::Cas,
            None | Some(b'S') => Command::Set,
            Some(b'R') if flags.cas.is_some() => Command::Cas,
            Some(b'R') => Command::Replace,
            Some(b'E') => Command::Add,
            Some(b'A') => Command::Append,
            Some(b'P') => Command::Prepend,
            Some(_) => return Err(BAD_SET_MODE),
        };
        // The line is built first, so that an error is found before anything is stored.
        Line::new(b"").echo_all(ask.asked())?;
        let written = self.write(
            &StoreRequest {
                command,
                key: ask.key,
                value: ask.value,
                flags: flags.client_flags,
                deadline: deadline(flags.ttl, now),
                cas: flags.cas.unwrap_or(0),
                new_cas: flags.new_cas,
                may_be_stale: flags.makes_stale,
                is_base64: flags.is_base64,
                vivify: flags.vivify.map(|seconds| deadline(Some(seconds), now)),
            },
            now,
        );
        let (status, cas, length) = match written {
            StoreOutcome::Stored { cas, length } => (b"HD", cas, length),
            StoreOutcome::NotStored => (b"NS", 0, ask.value.len()),
            StoreOutcome::Exists => (b"EX", 0, ask.value.len()),
            StoreOutcome::NotFound => (b"NF", 0, ask.value.len()),
            StoreOutcome::TooLarge => {
                // In every mode, memcached drops the old value rather than keep a stale one.
                self.shard(ask.key).remove(ask.key);
                return Err(TOO_LARGE);
            }
        };
        let mut line = Line::new(status);
        for flag in ask.raw() {
            match flag[0] {
                b'c' => line.field(b'c', cas),
                b's' => line.field(b's', length),
                _ => line.echo(flag, ask.asked())?,
            }
        }
        Ok(line.into_reply(None))
    }

    pub(super) fn meta_delete(&self, ask: &Ask<'_>, now: u64) -> MetaResult {
        let flags = &ask.flags;
        let mut line = Line::new(b"HD").echo_all(ask.asked())?;
        let mut shard = self.shard(ask.key);
        match shard.find(ask.key, now) {
            None => line.set_status(*b"NF"),
            Some(found) if flags.cas.is_some_and(|cas| cas != found.cas) => line.set_status(*b"EX"),
            Some(_) if !flags.makes_stale && !flags.empties => shard.remove(ask.key),
            Some(mut item) => {
                let number = self.next_number();
                if flags.empties {
                    let emptied =
                        Stored::new(ask.key, [b"", b""], flags.client_flags, deadline(flags.ttl, now));
                    item = emptied.numbered(number, Some(item.cas), now);
                }
                if flags.makes_stale {
                    item.cas = number;
                    item.marks.set(Marks::STALE);
                    // The next client may win the token again.
                    item.marks.clear(Marks::TOKEN_SENT);
                    if flags.ttl.is_some() {
                        item.deadline = deadline(flags.ttl, now);
                    }
                }
                item.cas = flags.new_cas.unwrap_or(item.cas);
                shard.put(item, now);
            }
        }
        Ok(line.into_reply(None))
    }

    pub(super) fn meta_count(&self, ask: &Ask<'_>, now: u64) -> MetaResult {
        let flags = &ask.flags;
        let is_incr = match flags.mode {
            None | Some(b'I' | b'+') => true,
            Some(b'D' | b'-') => false,
            Some(_) => return Err(BAD_COUNT_MODE),
        };
        let mut shard = self.shard(ask.key);
        let found = shard.find(ask.key, now);
        let is_new = found.is_none();
        let (number, item) = match found {
            Some(old) if old.size() == 0 => return Err(NON_NUMERIC),
            Some(old) if flags.cas.is_some_and(|cas| cas != 0 && cas != old.cas) => {
                return Ok(Line::new(b"EX").echo_all(ask.asked())?.into_reply(None));
            }
            Some(old) => counted(&mut shard, old, is_incr, flags.delta).ok_or(NON_NUMERIC)?,
            None if flags.vivify.is_none() => {
                return Ok(Line::new(b"NF").echo_all(ask.asked())?.into_reply(None));
            }
            None => {
                let digits = flags.initial.to_string();
                if !self.fits(ask.key, digits.len()) {
                    return Err(NO_MEMORY);
                }
                let item = Stored::new(ask.key, [digits.as_bytes(), b""], 0, Deadline::NEVER);
                (flags.initial, item)
            }
        };
        let mut item = item.numbered(self.next_number(), flags.new_cas, now);
        let digits = flags.wants_value.then(|| Bytes::from(number.to_string()));
        let line = describe(&mut item, is_new, digits.as_deref(), ask, now);
        // The number is changed even if the answer line is an error.
        shard.put(item, now);
        Ok(line?.into_reply(digits))
    }
}

/// Builds the line of ma, flag by flag; each sees the changes of those before it.
fn describe(
    item: &mut Stored,
    is_new: bool,
    digits: Option<&[u8]>,
    ask: &Ask<'_>,
    now: u64,
) -> Result<Line, &'static str> {
    let mut line = digits.map_or_else(|| Line::new(b"HD"), |digits| Line::value(digits.len()));
    for flag in ask.raw() {
        match flag[0] {
            b'T' => item.deadline = deadline(ask.flags.ttl, now),
            b'N' if is_new => item.deadline = deadline(ask.flags.vivify, now),
            b't' => line.ttl(item.deadline.seconds_left(now)),
            b'c' => line.field(b'c', item.cas),
            _ => line.echo(flag, ask.asked())?,
        }
    }
    Ok(line)
}
