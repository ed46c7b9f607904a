//! Cas ids of moved keys, as clients see them.
//!
//! Each memcached numbers its items by itself, so a cas id that a client got from the old owner may happen to be
//! that of another item at the new one. While both owners are known, clients therefore see the ids of the
//! new one raised by a constant; an id that is not raised never matches. Those of a Valkey or Redis need that not: no
//! other item has them, whatever the node, unless its bytes are the same.

use crate::protocol::meta::flags;
use crate::protocol::numbers::parse_u64;
use crate::protocol::{Command, Reply, Request};
use crate::route::handover::MovingKey;
use crate::route::toolkit::reply::{NO_CAS, change_cas};
use crate::route::toolkit::rewrite::{put, put_number, with_flags};

/// More than any node counts to, and less than what a client cannot parse.
const RAISED: u64 = 1 << 62;

/// What the cas ids of a new owner are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// Its own numbers.
    Own,
    /// Those of no other item at any node.
    Unique,
}

impl Ids {
    /// Returns what those of the new owner of `key` are.
    pub(super) fn of(key: &MovingKey) -> Ids {
        match key.is_valkey() {
            true => Ids::Unique,
            false => Ids::Own,
        }
    }

    /// Returns `reply` of the node as a client may see it.
    pub(super) fn for_client(self, reply: Reply) -> Reply {
        match self {
            Ids::Own => raised(reply),
            Ids::Unique => reply,
        }
    }

    /// Returns `request` with the cas id that it compares as the node knows it. `scratch` takes the flags of a meta
    /// command.
    pub(super) fn of_node<'a>(self, request: &Request<'a>, scratch: &'a mut Vec<u8>) -> Request<'a> {
        match self {
            Ids::Own => lowered(request, scratch),
            Ids::Unique => *request,
        }
    }
}

fn raised(reply: Reply) -> Reply {
    change_cas(reply, |cas| Some(if cas >= RAISED { cas } else { cas + RAISED }))
}

fn lowered<'a>(request: &Request<'a>, scratch: &'a mut Vec<u8>) -> Request<'a> {
    let lower = |cas: u64| cas.checked_sub(RAISED).filter(|&cas| cas > 0 && cas < RAISED - 1);
    let lower = |cas| lower(cas).unwrap_or(NO_CAS);
    let Some(meta) = &request.meta else {
        return Request {
            cas: if request.command == Command::Cas {
                lower(request.cas)
            } else {
                request.cas
            },
            ..*request
        };
    };
    let compared = |flag: &[u8]| flag.strip_prefix(b"C").and_then(parse_u64);
    if !flags(meta.flags).any(|flag| compared(flag).is_some()) {
        return *request;
    }
    for flag in flags(meta.flags) {
        match compared(flag) {
            Some(cas) => put_number(scratch, b"C", lower(cas)),
            None => put(scratch, flag),
        }
    }
    with_flags(request, meta, scratch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::testing::{ask, meta};

    #[test]
    fn only_an_id_of_the_new_owner_is_compared_there() {
        let classic = |cas| Request {
            cas,
            ..ask(Command::Cas, "k")
        };
        assert_eq!(lowered(&classic(7), &mut Vec::new()).cas, NO_CAS);
        assert_eq!(lowered(&classic(7 + RAISED), &mut Vec::new()).cas, 7);
        assert_eq!(lowered(&classic(NO_CAS), &mut Vec::new()).cas, NO_CAS);
        let mut scratch = Vec::new();
        let raised = format!("T9 C{} c", 7 + RAISED);
        let changed = lowered(&meta(Command::MetaSet, "k", &raised), &mut scratch);
        assert_eq!(changed.raw_flags(), b"T9 C7 c");
    }
}
