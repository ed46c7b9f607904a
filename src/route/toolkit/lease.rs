//! memcached's leases: a request fetches a value from elsewhere, and stores it only if no other request has
//! changed the key meanwhile.
//!
//! An mg with `N` on a missing key creates an empty item, the placeholder, and grants a lease (`W`) whose
//! token is the item's cas id. A write that compares this id succeeds only if no request wrote or deleted
//! the key since. The placeholder is not a value: readers recognise it by its size and by the flags `W` and
//! `Z` (doc/protocol.txt, "Meta Commands").

use bytes::Bytes;

use crate::protocol::meta::{Names, flag, flags};
use crate::protocol::numbers::{parse_u32, parse_u64};
use crate::protocol::resp::stored::is_digest;
use crate::protocol::{Command, Failure, Item, Meta, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::route::toolkit::reply::{is_done, is_error, is_failure, is_miss, is_no_number};
use crate::route::toolkit::rewrite::{Ttl, unix_time};
use crate::route::{Call, Route};

/// The time to live of a placeholder, in seconds. A copy that takes longer has lost the lease.
const LEASE: &str = "N10";
/// The maximum number of seconds that an item has left: nodes read an expiry as a signed number of 32 bits.
const MAX_LEFT: u64 = i32::MAX as u64;
/// The number of attempts while other requests keep writing what must be deleted.
const TRIES: usize = 8;

/// A key for which a policy itself sends meta commands, in the form in which its client sent it.
#[derive(Debug, Clone)]
pub struct MetaKey {
    plain: Bytes,
    as_sent: Bytes,
    is_base64: bool,
}

/// The result of a look-up with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A value with this cas id.
    Value(u64),
    /// No value, and no lease was asked for.
    Nothing,
    /// No value; a lease with this token was granted.
    LeaseGranted(u64),
    /// No value, but the placeholder of a lease that was granted before. Its token can still be used to
    /// fill it.
    LeaseHeld(u64),
}

/// The outcome of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyOutcome {
    /// The value is stored.
    Stored,
    /// There is nothing to copy.
    Absent,
    /// Another request wrote or deleted the key meanwhile.
    Superseded,
}

impl MetaKey {
    /// Returns the key of `request`.
    pub fn of(request: &Request<'_>) -> MetaKey {
        let as_sent = request.meta.map_or(request.key, |meta| meta.key);
        MetaKey {
            plain: Bytes::copy_from_slice(request.key),
            as_sent: Bytes::copy_from_slice(as_sent),
            is_base64: request.meta.is_some_and(|meta| flag(meta.flags, b'b').is_some()),
        }
    }

    /// Returns a meta command on the key. `scratch` takes its flags.
    fn command<'a>(&'a self, command: Command, words: &str, scratch: &'a mut Vec<u8>) -> Request<'a> {
        if self.is_base64 {
            scratch.extend_from_slice(b"b ");
        }
        scratch.extend_from_slice(words.as_bytes());
        let meta = Meta {
            key: &self.as_sent,
            flags: scratch,
            is_binary: false,
        };
        Request {
            meta: Some(meta),
            ..Request::new(command, &self.plain)
        }
    }

    /// Sends a meta command on the key along `route`. `words` are its flags.
    pub async fn send(&self, command: Command, words: &str, route: &Route, call: &Call) -> Reply {
        let mut scratch = Vec::new();
        call.send(route, &self.command(command, words, &mut scratch))
            .await
    }

    /// Deletes the key in `route`.
    pub async fn delete(&self, route: &Route, call: &Call) -> Reply {
        self.start_delete(route, call).await
    }

    /// The same; the request is sent before this returns.
    pub fn start_delete(&self, route: &Route, call: &Call) -> Answer {
        let mut scratch = Vec::new();
        call.send(route, &self.command(Command::MetaDelete, "", &mut scratch))
    }

    /// Checks whether `first`, the reply of `route` to the read `request`, may have come from a
    /// placeholder, and if so reads again. Returns the reply for the client, or `None` if there is no
    /// value.
    pub async fn recheck(
        &self,
        request: &Request<'_>,
        first: &Reply,
        route: &Route,
        call: &Call,
    ) -> Option<Reply> {
        if !may_be_placeholder(first) {
            return None;
        }
        match first {
            // The empty value and the flags came in one line: it was a placeholder.
            Reply::Meta(meta) if meta.data().is_some() => None,
            Reply::Meta(_) => {
                let size = self.send(Command::MetaGet, "s", route, call).await;
                if is_miss(&size) || is_placeholder(&size) {
                    return None;
                }
                let again = call.send(route, request).await;
                (!is_miss(&again)).then_some(again)
            }
            // A classic reply has no flags, so the value is read again, in meta.
            _ => {
                let reply = self.send(Command::MetaGet, "s f c v", route, call).await;
                let Reply::Meta(meta) = &reply else {
                    return Some(reply);
                };
                let data = meta.shared_data().filter(|_| !is_placeholder(&reply))?;
                let number = |name| flag_of(&reply, name).and_then(parse_u64).unwrap_or_default();
                let cas = if request.wants_cas() { number(b'c') } else { 0 };
                let item = Item::new(self.plain.clone(), number(b'f') as u32, cas, data);
                Some(Reply::Value(item))
            }
        }
    }

    /// Looks for a value in `route`, and takes a lease if there is none. An item whose cas id is at most
    /// `leftover` is none: it serves as the placeholder of a lease that was just granted. Not if its id is a digest: that
    /// is no token, because it would match again if the same value were written meanwhile. Such an item is deleted.
    ///
    /// # Errors
    /// The reply, if it says neither: a failure, or a node without leases.
    pub async fn look_up(&self, route: &Route, leftover: u64, call: &Call) -> Result<Found, Reply> {
        let words = format!("s c {LEASE}");
        for _ in 0..TRIES {
            match self.find_by(&words, route, leftover, call).await {
                Ok(Found::LeaseGranted(token)) if is_digest(token) => {
                    self.release(token, route, call).await?;
                }
                found => return found,
            }
        }
        Err(Reply::Failed(Failure::Busy))
    }

    /// The same without taking a lease.
    ///
    /// # Errors
    /// As [`MetaKey::look_up`].
    pub async fn find(&self, route: &Route, leftover: u64, call: &Call) -> Result<Found, Reply> {
        self.find_by("s c", route, leftover, call).await
    }

    async fn find_by(&self, words: &str, route: &Route, leftover: u64, call: &Call) -> Result<Found, Reply> {
        let reply = self.send(Command::MetaGet, words, route, call).await;
        if is_miss(&reply) {
            return Ok(Found::Nothing);
        }
        if !is_done(&reply) {
            return Err(reply);
        }
        let cas = flag_of(&reply, b'c').and_then(parse_u64).unwrap_or_default();
        Ok(if !is_placeholder(&reply) {
            match cas <= leftover {
                true => Found::LeaseGranted(cas),
                false => Found::Value(cas),
            }
        } else if flag_of(&reply, b'W').is_some() {
            Found::LeaseGranted(cas)
        } else {
            Found::LeaseHeld(cas)
        })
    }

    /// Whether `reply` of `route`, to a count, may be about a placeholder and not about the value with the cas id `seen`:
    /// memcached says that an item is no number before it compares cas ids. `leftover` as in [`MetaKey::look_up`].
    pub async fn has_counted_another(
        &self,
        reply: &Reply,
        seen: Option<u64>,
        route: &Route,
        leftover: u64,
        call: &Call,
    ) -> bool {
        if !is_no_number(reply) {
            return false;
        }
        let Some(seen) = seen else { return true };
        self.find(route, leftover, call).await != Ok(Found::Value(seen))
    }

    /// Copies the value from `warm`, with its flags and its remaining time to live, into the placeholder
    /// with this `token` in `cold`; there it lives at most `max_ttl` seconds. If nothing is stored the
    /// placeholder stays.
    ///
    /// # Errors
    /// The reply of the route that failed.
    pub async fn copy(
        &self,
        warm: &Route,
        cold: &Route,
        token: u64,
        max_ttl: Option<i64>,
        call: &Call,
    ) -> Result<CopyOutcome, Reply> {
        let reply = self.send(Command::MetaGet, "t f v", warm, call).await;
        match value(&reply) {
            Some(value) => self.store(&value, cold, token, max_ttl, call).await,
            None if is_miss(&reply) || has_no_value(&reply) => Ok(CopyOutcome::Absent),
            None => Err(reply),
        }
    }

    /// Takes a lease and copies. Returns true if the value is stored. `leftover` as in
    /// [`MetaKey::look_up`].
    pub async fn copy_under_lease(
        &self,
        warm: &Route,
        cold: &Route,
        max_ttl: Option<i64>,
        leftover: u64,
        call: &Call,
    ) -> bool {
        // If another request holds the lease, it makes the copy: one is enough.
        let Ok(Found::LeaseGranted(token)) = self.look_up(cold, leftover, call).await else {
            return false;
        };
        let copied = self.copy(warm, cold, token, max_ttl, call).await;
        if !matches!(copied, Ok(CopyOutcome::Stored | CopyOutcome::Superseded)) {
            let _released = self.release(token, cold, call).await;
        }
        copied == Ok(CopyOutcome::Stored)
    }

    /// Releases a lease: deletes its placeholder in `route`. Returns false if it was gone already.
    ///
    /// # Errors
    /// The reply of a node that failed.
    pub async fn release(&self, token: u64, route: &Route, call: &Call) -> Result<bool, Reply> {
        let words = format!("C{token}");
        let reply = self.send(Command::MetaDelete, &words, route, call).await;
        if is_error(&reply) {
            return Err(reply);
        }
        Ok(is_done(&reply))
    }

    async fn store(
        &self,
        value: &CopiedValue,
        cold: &Route,
        token: u64,
        max_ttl: Option<i64>,
        call: &Call,
    ) -> Result<CopyOutcome, Reply> {
        let ttl = match (value.ttl, max_ttl) {
            (Ttl::Forever, Some(max)) => Ttl::Seconds(max),
            (Ttl::Seconds(seconds), Some(max)) => Ttl::Seconds(seconds.min(max)),
            // It expires within this second; an expiry of 0 would mean never.
            (Ttl::Gone, _) => return Ok(CopyOutcome::Absent),
            (ttl, None) => ttl,
        };
        let words = format!("C{token} F{} T{}", value.flags, ttl.to_exptime(unix_time()));
        let mut scratch = Vec::new();
        let store = Request {
            value: &value.data,
            block: Some(&value.data),
            ..self.command(Command::MetaSet, &words, &mut scratch)
        };
        let reply = call.send(cold, &store).await;
        match reply {
            _ if is_done(&reply) => Ok(CopyOutcome::Stored),
            Reply::Meta(_) => Ok(CopyOutcome::Superseded),
            _ => Err(reply),
        }
    }
}

/// A value to copy.
struct CopiedValue {
    data: Bytes,
    flags: u32,
    ttl: Ttl,
}

/// Returns the value in the reply to an mg with `t f v`.
fn value(reply: &Reply) -> Option<CopiedValue> {
    let Reply::Meta(meta) = reply else { return None };
    let data = meta.shared_data().filter(|_| !has_no_value(reply))?;
    let ttl = match flag_of(reply, b't')? {
        b"-1" => Ttl::Forever,
        seconds => match parse_u64(seconds)? {
            0 => Ttl::Gone,
            // It expired while the node wrote the reply: the number has wrapped around 32 bits.
            seconds if seconds > MAX_LEFT => Ttl::Gone,
            seconds => Ttl::Seconds(i64::try_from(seconds).ok()?),
        },
    };
    Some(CopiedValue {
        data,
        flags: flag_of(reply, b'f').and_then(parse_u32)?,
        ttl,
    })
}

/// Whether the item in the reply to an mg with `v` cannot be copied: a placeholder, or a value that its client
/// marked as stale, because a copy would be fresh.
fn has_no_value(reply: &Reply) -> bool {
    let Reply::Meta(meta) = reply else { return false };
    let is_empty = meta.data().is_some_and(<[u8]>::is_empty);
    meta.token(b'X').is_some() || is_empty && is_placeholder_line(meta.line())
}

/// Whether a read with this reply may have found a placeholder; [`MetaKey::recheck`] finds out.
pub fn may_be_placeholder(reply: &Reply) -> bool {
    match reply {
        Reply::Value(item) => item.size() == 0,
        Reply::Meta(meta) => meta.data().is_none_or(<[u8]>::is_empty) && is_placeholder_line(meta.line()),
        _ => false,
    }
}

/// Whether the key of a read with this reply may be in another route: after a miss, a failure or a
/// placeholder.
pub fn may_be_elsewhere(reply: &Reply) -> bool {
    is_miss(reply) || is_failure(reply) || may_be_placeholder(reply)
}

/// Whether `request` itself may be granted a lease: mg with `N`, `R` or `E`.
pub fn uses_lease(request: &Request<'_>) -> bool {
    let names = Names::of(request.raw_flags());
    request.command == Command::MetaGet && b"NRE".iter().any(|&name| names.has(name))
}

/// Whether the node grants no lease of the key: it only speaks classic text, or the key is too long for it.
pub fn lacks_leases(reply: &Reply) -> bool {
    matches!(reply, Reply::Failed(Failure::Unsupported | Failure::LongKey))
}

/// Whether the reply to an mg with `s` is about a placeholder.
fn is_placeholder(reply: &Reply) -> bool {
    matches!(reply, Reply::Meta(meta) if is_placeholder_line(meta.line()))
        && flag_of(reply, b's') == Some(b"0")
}

/// Whether a line has a lease flag (`W` or `Z`) that is not for refreshing a stale value (`X`).
fn is_placeholder_line(line: &[u8]) -> bool {
    let has = |name: &[u8]| flags(line.get(2..).unwrap_or_default()).any(|flag| flag == name);
    (has(b"W") || has(b"Z")) && !has(b"X")
}

/// Returns the cas id of the item that a read found; `None` if the reply has none.
pub fn cas_of(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Value(item) => Some(item.cas),
        _ => flag_of(reply, b'c').and_then(parse_u64),
    }
}

/// Returns the value of the flag `name` of a meta reply.
fn flag_of(reply: &Reply, name: u8) -> Option<&[u8]> {
    let Reply::Meta(meta) = reply else { return None };
    meta.token(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MetaReply;

    #[test]
    fn a_copy_lives_as_long_as_the_value_has_left() {
        for (left, expected) in [
            ("-1", Some(Ttl::Forever)),
            ("0", Some(Ttl::Gone)),
            ("60", Some(Ttl::Seconds(60))),
            ("2147483647", Some(Ttl::Seconds(i32::MAX.into()))),
            ("4294967295", Some(Ttl::Gone)),
            ("soon", None),
        ] {
            let line = format!("VA 1 t{left} f0");
            let reply = Reply::Meta(MetaReply::new(line, 0..0, Some("v".into())));
            assert_eq!(value(&reply).map(|value| value.ttl), expected, "{left}");
        }
    }
}
