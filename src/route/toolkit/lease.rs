//! A place that is held for a value while the value is fetched from elsewhere: memcached's own means against races.
//!
//! A look with `N` leaves an empty item where the key is missing, and says its cas id: the token. What is stored with
//! that id is stored only if nobody wrote or deleted the key meanwhile. The empty item is no value: readers tell it
//! by its size and by the flags `W` and `Z` that it comes with (doc/protocol.txt, "Meta Commands").

use bytes::Bytes;

use crate::protocol::meta::{Names, flag, flags};
use crate::protocol::numbers::{parse_u32, parse_u64};
use crate::protocol::{Command, Failure, Item, Meta, Reply, Request};
use crate::route::counters::Event;
use crate::route::toolkit::reply::{is_done, is_error, is_failure, is_miss};
use crate::route::toolkit::rewrite::{Ttl, unix_time};
use crate::route::{Call, Policy, Route};

/// Seconds that a place is held at most. Who takes longer has lost it.
const HELD: &str = "N10";

/// A key as a policy itself asks for it, in whatever form its client typed it.
#[derive(Debug, Clone)]
pub struct Key {
    plain: Bytes,
    typed: Bytes,
    is_base64: bool,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A value, with its cas id.
    Value(u64),
    /// A place that is held, for one who looked before where `is_mine` is false. Whoever has the token may fill it.
    Place {
        /// The cas id of the empty item.
        token: u64,
        /// The look itself made it.
        is_mine: bool,
    },
}

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The value is there now.
    Stored,
    /// There is nothing to copy.
    Absent,
    /// Somebody wrote or deleted the key meanwhile.
    Lost,
}

impl Key {
    /// The key of `request`.
    pub fn of(request: &Request<'_>) -> Key {
        let typed = request.meta.map_or(request.key, |meta| meta.key);
        Key {
            plain: Bytes::copy_from_slice(request.key),
            typed: Bytes::copy_from_slice(typed),
            is_base64: request.meta.is_some_and(|meta| flag(meta.flags, b'b').is_some()),
        }
    }

    /// A meta command on the key. `room` takes its flags.
    fn ask<'a>(&'a self, command: Command, words: &str, room: &'a mut Vec<u8>) -> Request<'a> {
        if self.is_base64 {
            room.extend_from_slice(b"b ");
        }
        room.extend_from_slice(words.as_bytes());
        let meta = Meta {
            key: &self.typed,
            flags: room,
            is_binary: false,
        };
        Request {
            meta: Some(meta),
            ..Request::new(command, &self.plain)
        }
    }

    /// Sends a meta command on the key along `route`.
    async fn send(&self, command: Command, words: &str, route: &Route, call: &Call) -> Reply {
        let mut room = Vec::new();
        call.send(route, &self.ask(command, words, &mut room)).await
    }

    /// Deletes the key behind `route`.
    pub async fn delete(&self, route: &Route, call: &Call) -> Reply {
        self.send(Command::MetaDelete, "", route, call).await
    }

    /// What is to be said to the read `request`, whose reply `first` may tell of a held place: its value as it is
    /// now, or `None` where there is none.
    pub async fn confirm(
        &self,
        request: &Request<'_>,
        first: &Reply,
        route: &Route,
        call: &Call,
    ) -> Option<Reply> {
        match first {
            // An empty value and the flags came in one line: there is no doubt.
            Reply::Meta(meta) if meta.data().is_some() => None,
            Reply::Meta(_) => {
                let size = self.send(Command::MetaGet, "s", route, call).await;
                if is_miss(&size) || is_place(&size) {
                    return None;
                }
                let again = call.send(route, request).await;
                (!is_miss(&again)).then_some(again)
            }
            _ => {
                let reply = self.send(Command::MetaGet, "s f c v", route, call).await;
                let Reply::Meta(meta) = &reply else {
                    return Some(reply);
                };
                let data = meta.shared_data().filter(|_| !is_place(&reply))?;
                let number = |name| token(&reply, name).and_then(parse_u64).unwrap_or_default();
                let cas = if request.wants_cas() { number(b'c') } else { 0 };
                let item = Item::new(self.plain.clone(), number(b'f') as u32, cas, data);
                Some(Reply::Value(item))
            }
        }
    }

    /// Looks whether there is a value behind `route`, and holds its place where there is none.
    ///
    /// # Errors
    /// The reply that says neither: a failure, or that the node knows no tokens.
    pub async fn look(&self, route: &Route, call: &Call) -> Result<Found, Reply> {
        let reply = self
            .send(Command::MetaGet, &format!("s c {HELD}"), route, call)
            .await;
        if !is_done(&reply) {
            return Err(reply);
        }
        let cas = token(&reply, b'c').and_then(parse_u64).unwrap_or_default();
        Ok(match is_place(&reply) {
            false => Found::Value(cas),
            true => Found::Place {
                token: cas,
                is_mine: token(&reply, b'W').is_some(),
            },
        })
    }

    /// Copies the value behind `from`, with its flags and the time it has left to live, to the place with this `token`
    /// behind `to`; there it lives at most `most` seconds. Where nothing is stored the place stays.
    ///
    /// # Errors
    /// The reply of the one that failed.
    pub async fn copy(
        &self,
        from: &Route,
        to: &Route,
        token: u64,
        most: Option<i64>,
        call: &Call,
    ) -> Result<Copied, Reply> {
        let reply = self.send(Command::MetaGet, "t f v", from, call).await;
        match value(&reply) {
            Some(value) => self.store(&value, to, token, most, call).await,
            None if is_miss(&reply) => Ok(Copied::Absent),
            None => Err(reply),
        }
    }

    /// A read has found the key behind `from`. Once it is answered the value is copied as [`Key::copy`] does, unless
    /// somebody else is at it or comes between; what is stored is counted for `policy`.
    pub fn fill_later(self, policy: &Policy, from: &Route, to: &Route, most: Option<i64>, call: &Call) {
        let (counters, own) = (policy.counters.clone(), call.clone());
        let (from, to) = (from.clone(), to.clone());
        call.detach(async move {
            if self.fill(&from, &to, most, &own).await {
                counters.shard(own.carrier.worker()).count(Event::Filled);
            }
        });
    }

    /// Holds the place and copies. True where the value is stored.
    async fn fill(&self, from: &Route, to: &Route, most: Option<i64>, call: &Call) -> bool {
        let Ok(Found::Place { token, is_mine: true }) = self.look(to, call).await else {
            return false;
        };
        let copied = self.copy(from, to, token, most, call).await;
        if !matches!(copied, Ok(Copied::Stored | Copied::Lost)) {
            let _released = self.release(token, to, call).await;
        }
        copied == Ok(Copied::Stored)
    }

    /// Gives up the place with this `token` behind `route`. False where it was not there any more.
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
        value: &Value,
        to: &Route,
        token: u64,
        most: Option<i64>,
        call: &Call,
    ) -> Result<Copied, Reply> {
        let ttl = match (value.ttl, most) {
            (Ttl::Forever, Some(most)) => Ttl::Seconds(most),
            (Ttl::Seconds(seconds), Some(most)) => Ttl::Seconds(seconds.min(most)),
            // It ends in this second.
            (Ttl::Gone, _) => return Ok(Copied::Absent),
            (ttl, None) => ttl,
        };
        let words = format!("C{token} F{} T{}", value.flags, ttl.typed(unix_time()));
        let mut room = Vec::new();
        let store = Request {
            value: &value.data,
            block: Some(&value.data),
            ..self.ask(Command::MetaSet, &words, &mut room)
        };
        let reply = call.send(to, &store).await;
        match reply {
            _ if is_done(&reply) => Ok(Copied::Stored),
            Reply::Meta(_) => Ok(Copied::Lost),
            _ => Err(reply),
        }
    }
}

/// A value on its way.
struct Value {
    data: Bytes,
    flags: u32,
    ttl: Ttl,
}

/// The value in the reply to an mg with `t f v`.
fn value(reply: &Reply) -> Option<Value> {
    let Reply::Meta(meta) = reply else { return None };
    let data = meta.shared_data()?;
    // An empty one that somebody holds is none.
    if data.is_empty() && is_place_line(meta.line()) {
        return None;
    }
    let ttl = match token(reply, b't')? {
        b"-1" => Ttl::Forever,
        seconds => match parse_u64(seconds)? {
            0 => Ttl::Gone,
            seconds => Ttl::Seconds(i64::try_from(seconds).ok()?),
        },
    };
    Some(Value {
        data,
        flags: token(reply, b'f').and_then(parse_u32)?,
        ttl,
    })
}

/// True where a read that found this may have found a place that is held: [`Key::confirm`] knows.
pub fn may_be_place(reply: &Reply) -> bool {
    match reply {
        Reply::Value(item) => item.size() == 0,
        Reply::Meta(meta) => meta.data().is_none_or(<[u8]>::is_empty) && is_place_line(meta.line()),
        _ => false,
    }
}

/// True where what a read asks for may be elsewhere, though this was the reply.
pub fn may_be_elsewhere(reply: &Reply) -> bool {
    is_miss(reply) || is_failure(reply) || may_be_place(reply)
}

/// True where `request` may hold a place, or take a token, itself: mg with `N`, `R` or `E`.
pub fn takes_token(request: &Request<'_>) -> bool {
    let names = Names::of(request.typed_flags());
    request.command == Command::MetaGet && b"NRE".iter().any(|&name| names.has(name))
}

/// True where a node knows no tokens: it speaks classic text only.
pub fn is_unknown(reply: &Reply) -> bool {
    matches!(reply, Reply::Failed(Failure::Unsupported))
}

/// True where the reply to an mg with `s` tells of an empty item that is held.
fn is_place(reply: &Reply) -> bool {
    matches!(reply, Reply::Meta(meta) if is_place_line(meta.line())) && token(reply, b's') == Some(b"0")
}

/// One who looked has a token, and it is not for a value that was marked as stale.
fn is_place_line(line: &[u8]) -> bool {
    let has = |name: &[u8]| flags(line.get(2..).unwrap_or_default()).any(|flag| flag == name);
    (has(b"W") || has(b"Z")) && !has(b"X")
}

/// What stands behind the flag `name` of a meta reply.
fn token(reply: &Reply, name: u8) -> Option<&[u8]> {
    let Reply::Meta(meta) = reply else { return None };
    meta.token(name)
}
