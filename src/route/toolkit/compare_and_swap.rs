//! Rewrites a client's write as a compare-and-swap against a known cas id, so that it is executed only if
//! no other request was faster.

use crate::protocol::meta::{Names, flag};
use crate::protocol::numbers::parse_u64;
use crate::protocol::operation::Operation;
use crate::protocol::{Command, Meta, Reply, Request};
use crate::route::toolkit::reply::{is_done, is_not_stored};
use crate::route::toolkit::rewrite::{put, put_number, without_flags};

/// Returns `request`, an add, as a write that fills the placeholder of the lease with this `token` and no
/// other item.
pub fn fill_placeholder<'a>(request: &Request<'a>, token: u64, scratch: &'a mut Vec<u8>) -> Request<'a> {
    match request.meta {
        None => with_cas(request, Command::MetaSet, storage_flags(request), token, scratch),
        Some(_) => {
            let mut flags = Vec::new();
            let plain = without_flags(request, &mut flags, b"M");
            let words = plain.meta.map_or_else(Vec::new, |meta| meta.flags.to_vec());
            with_cas(request, request.command, words, token, scratch)
        }
    }
}

/// Returns what stores the item of `request` if there is none: an add itself, and an append or prepend with `N` as an add.
/// `None` for other requests.
pub fn as_add<'a>(request: &Request<'a>, scratch: &'a mut Vec<u8>) -> Option<Request<'a>> {
    match Operation::of(request) {
        Operation::Add => return Some(*request),
        Operation::Append | Operation::Prepend => {}
        _ => return None,
    }
    let meta = request.meta.as_ref()?;
    let ttl = flag(meta.flags, b'N')?;
    put(scratch, b"ME");
    put(scratch, &[b"T", &ttl[1..]].concat());
    Some(without_flags(request, scratch, b"MNT"))
}

/// Returns `request` as a write that only changes the item with this `cas` id. Returns `None` for commands
/// that compare a cas id themselves or cannot: cas, delete, touch and gat.
pub fn compare_and_swap<'a>(
    request: &Request<'a>,
    cas: u64,
    scratch: &'a mut Vec<u8>,
) -> Option<Request<'a>> {
    let (command, words) = match request.command {
        Command::Replace => (Command::MetaSet, [b"MR ", &storage_flags(request)[..]].concat()),
        Command::Append => (Command::MetaSet, b"MA".to_vec()),
        Command::Prepend => (Command::MetaSet, b"MP".to_vec()),
        Command::Incr => (Command::MetaArithmetic, format!("v D{}", request.delta).into()),
        Command::Decr => (Command::MetaArithmetic, format!("v MD D{}", request.delta).into()),
        Command::MetaSet | Command::MetaArithmetic => {
            let written = request.raw_flags();
            if Names::of(written).has(b'C') {
                return None;
            }
            (request.command, written.to_vec())
        }
        _ => return None,
    };
    Some(with_cas(request, command, words, cas, scratch))
}

/// Returns the client's reply to `request`, given the `reply` to what [`compare_and_swap`],
/// [`fill_placeholder`] or [`as_add`] returned. Returns `None` if another request was faster.
pub fn swapped(request: &Request<'_>, reply: Reply) -> Option<Reply> {
    let Reply::Meta(meta) = &reply else {
        return (!is_not_stored(&reply)).then_some(reply);
    };
    let is_value = meta.line().starts_with(b"VA");
    if !is_done(&reply) && !is_value {
        return None;
    }
    if request.meta.is_some() {
        return Some(reply);
    }
    match meta.data().and_then(parse_u64) {
        Some(number) => Some(Reply::Number(number)),
        None => Some(Reply::Done),
    }
}

/// Returns the flags of an ms that stores what `request`, in classic text, stores.
fn storage_flags(request: &Request<'_>) -> Vec<u8> {
    format!("F{} T{}", request.flags, request.exptime).into()
}

fn with_cas<'a>(
    request: &Request<'a>,
    command: Command,
    words: Vec<u8>,
    cas: u64,
    scratch: &'a mut Vec<u8>,
) -> Request<'a> {
    *scratch = words;
    put_number(scratch, b"C", cas);
    let (key, is_binary) = request
        .meta
        .map_or((request.key, false), |meta| (meta.key, meta.is_binary));
    let meta = Meta {
        key,
        flags: scratch,
        is_binary,
    };
    Request {
        command,
        meta: Some(meta),
        ..*request
    }
}
