//! What a node has of a key: a value, an old one, or the placeholder of a reader that computes it.

use crate::protocol::meta::Names;
use crate::protocol::numbers::{parse_u32, parse_u64};
use crate::protocol::{Item, Reply, Request};
use crate::route::toolkit::reply::is_miss;

/// The state of a key at its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is no item.
    Nothing,
    /// An empty item: a reader has won it, and computes the value. A value of no bytes for which a reader has
    /// won the token looks the same.
    Placeholder,
    /// A value that was deleted, or has expired.
    Old,
    /// A value.
    Value,
}

/// What a look at a key found.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The state of the key.
    pub state: State,
    /// The item's cas id.
    pub cas: u64,
    /// Whether the look itself won the token: its client is the one that computes the value.
    pub is_won: bool,
    item: Option<Item>,
}

impl Seen {
    /// Reads the reply to an mg with at least `s`, `c` and `t` for the key of `request`. Items live `stale`
    /// seconds longer than their clients asked for.
    ///
    /// # Errors
    /// The reply, if it says nothing about an item.
    pub fn of(reply: Reply, request: &Request<'_>, stale: i64) -> Result<Seen, Reply> {
        if is_miss(&reply) {
            return Ok(Seen {
                state: State::Nothing,
                cas: 0,
                is_won: false,
                item: None,
            });
        }
        let Reply::Meta(meta) = &reply else {
            return Err(reply);
        };
        let rest = meta.line().get(2..).unwrap_or_default();
        let names = Names::of(rest);
        let number = |name| meta.token(name).and_then(parse_u64);
        let Some(cas) = number(b'c') else {
            return Err(reply);
        };
        let is_empty = number(b's') == Some(0);
        // Items without an expiry have t-1.
        let has_expired = stale > 0 && number(b't').is_some_and(|left| left <= stale.unsigned_abs());
        let state = if is_empty && (names.has(b'W') || names.has(b'Z')) {
            State::Placeholder
        } else if names.has(b'X') || has_expired {
            State::Old
        } else {
            State::Value
        };
        let flags = meta.token(b'f').and_then(parse_u32).unwrap_or_default();
        let key = || request.key.to_vec().into();
        let item = meta.shared_data().map(|data| Item::new(key(), flags, cas, data));
        Ok(Seen {
            state,
            cas,
            is_won: names.has(b'W'),
            item,
        })
    }

    /// The value as the reply to `request`.
    pub fn reply(self, request: &Request<'_>) -> Reply {
        match self.item {
            Some(item) if request.wants_cas() => Reply::Value(item),
            Some(item) => Reply::Value(item.with_cas(0)),
            None => Reply::NotFound,
        }
    }
}
