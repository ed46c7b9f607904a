//! A change that is carried out only where nobody was faster: as the client asked it, and with a cas id to compare.

use crate::protocol::meta::Names;
use crate::protocol::numbers::parse_u64;
use crate::protocol::{Command, Meta, Reply, Request};
use crate::route::toolkit::reply::is_done;
use crate::route::toolkit::rewrite::without_flags;

/// `request`, an add, which fills the place with this `token` and nothing else.
pub fn into_place<'a>(request: &Request<'a>, token: u64, room: &'a mut Vec<u8>) -> Request<'a> {
    match request.meta {
        None => conditional(request, Command::MetaSet, stored(request), token, room),
        Some(_) => {
            let mut flags = Vec::new();
            let plain = without_flags(request, &mut flags, b"M");
            let words = plain.meta.map_or_else(Vec::new, |meta| meta.flags.to_vec());
            conditional(request, request.command, words, token, room)
        }
    }
}

/// `request` as it is carried out on the item with this `cas` id alone; `None` for what compares one itself, or needs
/// none: cas, delete, touch and gat.
pub fn with_cas<'a>(request: &Request<'a>, cas: u64, room: &'a mut Vec<u8>) -> Option<Request<'a>> {
    let (command, words) = match request.command {
        Command::Replace => (Command::MetaSet, [b"MR ", &stored(request)[..]].concat()),
        Command::Append => (Command::MetaSet, b"MA".to_vec()),
        Command::Prepend => (Command::MetaSet, b"MP".to_vec()),
        Command::Incr => (Command::MetaArithmetic, format!("v D{}", request.delta).into()),
        Command::Decr => (Command::MetaArithmetic, format!("v MD D{}", request.delta).into()),
        Command::MetaSet | Command::MetaArithmetic => {
            let typed = request.typed_flags();
            if Names::of(typed).has(b'C') {
                return None;
            }
            (request.command, typed.to_vec())
        }
        _ => return None,
    };
    Some(conditional(request, command, words, cas, room))
}

/// What the client of `request` is told after this reply to what [`with_cas`] or [`into_place`] made of it; `None`
/// where somebody was faster.
pub fn carried_out(request: &Request<'_>, reply: Reply) -> Option<Reply> {
    let Reply::Meta(meta) = &reply else {
        return Some(reply);
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

/// The flags of an ms that stores what `request`, in classic text, stores.
fn stored(request: &Request<'_>) -> Vec<u8> {
    format!("F{} T{}", request.flags, request.exptime).into()
}

fn conditional<'a>(
    request: &Request<'a>,
    command: Command,
    words: Vec<u8>,
    cas: u64,
    room: &'a mut Vec<u8>,
) -> Request<'a> {
    *room = words;
    if !room.is_empty() {
        room.push(b' ');
    }
    room.extend_from_slice(format!("C{cas}").as_bytes());
    let (key, is_binary) = request
        .meta
        .map_or((request.key, false), |meta| (meta.key, meta.is_binary));
    let meta = Meta {
        key,
        flags: room,
        is_binary,
    };
    Request {
        command,
        meta: Some(meta),
        ..*request
    }
}
