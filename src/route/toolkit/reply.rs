//! Inspects and rewrites replies, independent of the node's protocol.

use bytes::Bytes;

use crate::protocol::meta::answer::without_base64_flag;
use crate::protocol::meta::flag;
use crate::protocol::numbers::{NON_NUMERIC, parse_u64};
use crate::protocol::{Command, Failure, MetaReply, Reply, Request};

/// Replaces the cas ids of any pool but the first. No item ever has it, and every client can parse it, even
/// one that parses a signed number.
pub const NO_CAS: u64 = i64::MAX as u64;

/// Whether the reply says that the key is missing.
pub fn is_miss(reply: &Reply) -> bool {
    match reply {
        Reply::NotFound => true,
        Reply::Meta(meta) => meta.is_miss(),
        _ => false,
    }
}

/// Whether a read found its key.
pub fn is_hit(reply: &Reply) -> bool {
    !is_miss(reply) && !is_error(reply)
}

/// Whether the node did not do what was requested, and another one might: it did not reply, or with
/// `SERVER_ERROR`. Not if the value or the key is too large, because it is elsewhere too, and not if the
/// protocol cannot express the request.
pub fn is_failure(reply: &Reply) -> bool {
    match reply {
        Reply::Failed(Failure::TooLarge | Failure::Unsupported | Failure::LongKey) => false,
        Reply::Failed(_) => true,
        Reply::Error(line) | Reply::Refused(line) => {
            line.starts_with(b"SERVER_ERROR") && !line.ends_with(b"too large for cache")
        }
        _ => false,
    }
}

/// Whether a request may go on without the node: it counts as down, or it refuses connections and has lost its items by
/// that. One that `keeps_items` on its disk has them again once it is back.
pub fn is_gone(reply: &Reply, keeps_items: bool) -> bool {
    match reply {
        Reply::Failed(Failure::Down) => true,
        Reply::Failed(Failure::Connect) => !keeps_items,
        _ => false,
    }
}

/// Whether a condition of the request did not hold.
pub fn is_not_stored(reply: &Reply) -> bool {
    match reply {
        Reply::NotStored => true,
        Reply::Meta(meta) => meta.line().starts_with(b"NS"),
        _ => false,
    }
}

/// Whether the item of an incr, decr or ma is no number.
pub fn is_no_number(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(line) if line == NON_NUMERIC)
}

/// Whether the request was certainly not executed: not one byte was sent, or the node said so.
pub fn is_untouched(reply: &Reply) -> bool {
    use Failure::{Busy, Connect, Down, Missed, OutOfMemory, Refused, Unopened};
    matches!(
        reply,
        Reply::Failed(Connect | Down | Busy | Missed | OutOfMemory | Refused | Unopened)
    )
}

/// Whether the node did what was requested.
pub fn is_done(reply: &Reply) -> bool {
    match reply {
        Reply::Done => true,
        Reply::Meta(meta) => meta.line().starts_with(b"HD"),
        _ => false,
    }
}

/// Whether it is an error of any kind.
pub fn is_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Failed(_) | Reply::Error(_) | Reply::Refused(_))
}

/// Returns `reply` with the key of `request`, in the form in which it was sent, instead of the key that the node was
/// asked for.
pub fn with_key(reply: Reply, request: &Request<'_>) -> Reply {
    match reply {
        Reply::Value(item) => Reply::Value(item.with_key(Bytes::copy_from_slice(request.key))),
        Reply::Meta(reply) => {
            let as_sent = request.meta.map_or(request.key, |meta| meta.key);
            let is_base64 = flag(request.raw_flags(), b'b').is_some();
            Reply::Meta(meta_with_key(reply, request.command, as_sent, is_base64))
        }
        other => other,
    }
}

fn meta_with_key(reply: MetaReply, command: Command, as_sent: &[u8], is_base64: bool) -> MetaReply {
    let line = reply.line();
    let (range, token) = match command {
        // Its key is the second word: ME <key> …
        Command::MetaDebug if line.starts_with(b"ME ") => {
            let end = line[3..].iter().position(|&byte| byte == b' ');
            (3..end.map_or(line.len(), |end| 3 + end), as_sent.to_vec())
        }
        _ if reply.key().is_empty() => return reply,
        _ => (reply.key(), [b" k", as_sent].concat()),
    };
    let (before, after) = (&line[..range.start], &line[range.end..]);
    if reply.key().is_empty() {
        let changed = [before, &token, after].concat();
        return reply.with_line(changed, 0..0);
    }
    let key = range.start..range.start + token.len();
    // The flag says in which form the key is returned.
    let flag: &[u8] = if is_base64 { b" b" } else { b"" };
    let changed = [before, &token, flag, without_base64_flag(after)].concat();
    reply.with_line(changed, key)
}

/// Returns `reply` with its cas id, if it has one, replaced by one that never matches.
pub fn without_cas(reply: Reply) -> Reply {
    change_cas(reply, |_| Some(NO_CAS))
}

/// Returns `reply` with its cas id, if it has one, changed by `change`; `None` removes it.
pub fn change_cas(reply: Reply, change: impl Fn(u64) -> Option<u64>) -> Reply {
    match reply {
        Reply::Value(item) if item.cas != 0 => {
            let cas = change(item.cas).unwrap_or_default();
            Reply::Value(item.with_cas(cas))
        }
        Reply::Meta(reply) => Reply::Meta(meta_with_cas(reply, change)),
        other => other,
    }
}

fn meta_with_cas(reply: MetaReply, change: impl Fn(u64) -> Option<u64>) -> MetaReply {
    let has_flags = reply.line().starts_with(b"HD ") || reply.line().starts_with(b"VA ");
    let cas_in = |token: &[u8]| token.strip_prefix(b"c").and_then(parse_u64);
    if !has_flags
        || !reply
            .line()
            .split(|&byte| byte == b' ')
            .skip(1)
            .any(|token| cas_in(token).is_some())
    {
        return reply;
    }
    let mut line = Vec::with_capacity(reply.line().len() + 20);
    let mut key = 0..0;
    for (at, token) in reply.line().split(|&byte| byte == b' ').enumerate() {
        let start = line.len();
        let cas = cas_in(token).filter(|_| at > 0);
        let changed = cas.map(&change);
        if changed == Some(None) {
            continue;
        }
        if at > 0 {
            line.push(b' ');
        }
        match changed.flatten() {
            Some(cas) => line.extend_from_slice(format!("c{cas}").as_bytes()),
            None => line.extend_from_slice(token),
        }
        if at > 0 && token.first() == Some(&b'k') && !reply.key().is_empty() {
            key = start..line.len();
        }
    }
    reply.with_line(line, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(line: &'static str, key: std::ops::Range<usize>) -> MetaReply {
        MetaReply::new(line, key, None)
    }

    #[test]
    fn a_key_is_put_in_the_place_of_the_one_that_was_asked_for() {
        let changed = meta_with_key(meta("HD kx:a f0 c12", 2..7), Command::MetaGet, b"longer", false);
        assert_eq!(
            (changed.line(), changed.key()),
            (&b"HD klonger f0 c12"[..], 2..10)
        );
        let changed = meta_with_key(meta("ME x:a exp=-1", 0..0), Command::MetaDebug, b"a", false);
        assert_eq!((changed.line(), changed.key()), (&b"ME a exp=-1"[..], 0..0));
        let changed = meta_with_key(meta("EN", 0..0), Command::MetaGet, b"a", true);
        assert_eq!(changed.line(), b"EN");
    }

    #[test]
    fn a_key_is_returned_in_the_form_in_which_it_was_sent() {
        for (line, key, as_sent, is_base64, expected) in [
            ("HD kx:a f0", 2..7, "YQ==", true, "HD kYQ== b f0"),
            ("HD keDph b f0", 2..8, "YQ==", true, "HD kYQ== b f0"),
            ("HD keDph b f0", 2..8, "a", false, "HD ka f0"),
            ("HD f0 keDph b", 5..11, "a", false, "HD f0 ka"),
        ] {
            let changed = meta_with_key(meta(line, key), Command::MetaGet, as_sent.as_bytes(), is_base64);
            assert_eq!(changed.line(), expected.as_bytes());
            assert_eq!(&changed.line()[changed.key()], format!(" k{as_sent}").as_bytes());
        }
    }

    #[test]
    fn a_cas_id_of_another_pool_never_matches() {
        let without = |reply| meta_with_cas(reply, |_| Some(NO_CAS));
        let changed = without(meta("VA 2 c12 kck f0 Oc1", 8..12));
        assert_eq!(changed.line(), b"VA 2 c9223372036854775807 kck f0 Oc1");
        assert_eq!(&changed.line()[changed.key()], b" kck");
        let unchanged = without(meta("HD kc1 f0", 2..6));
        assert_eq!((unchanged.line(), unchanged.key()), (&b"HD kc1 f0"[..], 2..6));
        let removed = meta_with_cas(meta("VA 2 c12 kck f0 Oc1", 8..12), |_| None);
        assert_eq!(removed.line(), b"VA 2 kck f0 Oc1");
        assert_eq!(&removed.line()[removed.key()], b" kck");
    }
}
