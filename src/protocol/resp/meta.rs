//! Writes meta commands as commands of a Valkey or Redis.
//!
//! Those whose flags ask for no more than a native command does take it; the others call the script. No server tells
//! whether an item was read before, so `h` is always 1: libraries ask for it with every read. `u` has no effect: a read
//! counts as a use.

use super::expiry::Expiry;
use super::form::{Context, Expected, Form, Piece};
use super::writer::{Count, Deletion, Reading, Store, Writer, letters};
use crate::protocol::meta::flags::{BAD_SET_MODE, MAX_OPAQUE, MetaFlags, OPAQUE_TOO_LONG};
use crate::protocol::meta::{Names, flag, flags};
use crate::protocol::{Command, Meta, Request};

const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const BAD_COUNT_MODE: &str = "CLIENT_ERROR invalid mode for ma M token";

/// Writes a meta command, and returns what its reply means.
pub fn write<F: FnMut(Piece<'_>)>(
    request: &Request<'_>,
    context: &Context,
    writer: &mut Writer<'_, F>,
) -> Expected {
    let meta = request.meta.expect("a meta command has its text");
    let form = match write_valid(request, &meta, context, writer) {
        Ok(form) => form,
        Err(line) => writer.refuse(line),
    };
    Expected {
        form,
        flags: Some(meta.flags.into()),
        size: request.value.len(),
    }
}

/// The same for a command that is valid. The error is the line that refuses it, before anything was written.
fn write_valid<F: FnMut(Piece<'_>)>(
    request: &Request<'_>,
    meta: &Meta<'_>,
    context: &Context,
    writer: &mut Writer<'_, F>,
) -> Result<Form, &'static str> {
    if request.command == Command::MetaDebug {
        // me ignores flags that it does not know.
        let is_key = flag(meta.flags, b'b').is_none() || meta.key != request.key;
        return if is_key {
            Ok(writer.debug(request.key, context))
        } else {
            Err(BAD_FORMAT)
        };
    }
    let parsed = MetaFlags::of(request.command, meta)?;
    if flag(meta.flags, b'O').is_some_and(|opaque| opaque.len() > MAX_OPAQUE) {
        return Err(OPAQUE_TOO_LONG);
    }
    let names = Names::of(meta.flags);
    match request.command {
        Command::MetaGet => Ok(get(request, meta, names, &parsed, context, writer)),
        Command::MetaSet => set(request, names, &parsed).map(|store| writer.store(request, &store, context)),
        Command::MetaDelete => Ok(delete(request, names, &parsed, context, writer)),
        _ => count(names, &parsed).map(|count| writer.count(request.key, &count, context)),
    }
}

fn expiry(seconds: Option<i32>) -> Option<Expiry> {
    seconds.map(|seconds| Expiry::of(seconds.into()))
}

fn get<F: FnMut(Piece<'_>)>(
    request: &Request<'_>,
    meta: &Meta<'_>,
    names: Names,
    parsed: &MetaFlags,
    context: &Context,
    writer: &mut Writer<'_, F>,
) -> Form {
    // Binary clients know no tokens, and take none.
    let takes_no_token = meta.is_binary || !context.has_stale;
    if takes_no_token && names.has(b'v') && names.are_among(b"vfsckOqbuhPL") {
        return writer.get(request.key);
    }
    if let Some(touch) = expiry(parsed.ttl).filter(|_| takes_no_token) {
        if names.has(b'v') && names.are_among(b"vfsckOqbuhPLT") {
            return writer.get_and_touch(request.key, touch);
        }
        if names.are_among(b"kOqbuPLT") {
            return writer.touch(request.key, touch, context);
        }
    }
    let order: Vec<u8> = flags(meta.flags).map(|flag| flag[0]).collect();
    let place = |name: u8| order.iter().position(|own| *own == name);
    let options = letters(&[
        (names.has(b'v'), b'v'),
        (names.has(b'c'), b'c'),
        (names.has(b'l'), b'l'),
        (parsed.new_cas.is_some(), b'E'),
        (meta.is_binary, b'b'),
        // What sets the expiry does so before it is compared.
        (place(b'T') < place(b'R'), b'o'),
        // The last of the two that set the expiry of an item that is created.
        (place(b'T') < place(b'N'), b'n'),
    ]);
    let reading = Reading {
        touch: expiry(parsed.ttl),
        vivify: expiry(parsed.vivify),
        recache: expiry(parsed.recache),
        chosen_id: parsed.new_cas,
    };
    writer.read(request.key, &options, &reading, context)
}

fn set(request: &Request<'_>, names: Names, parsed: &MetaFlags) -> Result<Store, &'static str> {
    let mode = parsed.mode.unwrap_or(b'S');
    if !b"SERAP".contains(&mode) {
        return Err(BAD_SET_MODE);
    }
    debug_assert_eq!(request.command, Command::MetaSet);
    Ok(Store {
        mode,
        flags: parsed.client_flags,
        expiry: expiry(parsed.ttl).unwrap_or(Expiry::Never),
        cas: parsed.cas.filter(|_| mode != b'E'),
        chosen_id: parsed.new_cas,
        may_be_stale: parsed.makes_stale,
        vivify: expiry(parsed.vivify),
        wants_cas: names.has(b'c'),
    })
}

fn delete<F: FnMut(Piece<'_>)>(
    request: &Request<'_>,
    names: Names,
    parsed: &MetaFlags,
    context: &Context,
    writer: &mut Writer<'_, F>,
) -> Form {
    if names.are_among(b"kOqbTFPL") {
        return writer.delete(request.key);
    }
    let deletion = Deletion {
        cas: parsed.cas,
        makes_stale: parsed.makes_stale,
        empties: parsed.empties,
        expiry: expiry(parsed.ttl),
        chosen_id: parsed.new_cas,
        flags: parsed.client_flags,
    };
    writer.remove(request.key, &deletion, context)
}

fn count(names: Names, parsed: &MetaFlags) -> Result<Count, &'static str> {
    let is_incr = match parsed.mode {
        None | Some(b'I' | b'+') => true,
        Some(b'D' | b'-') => false,
        Some(_) => return Err(BAD_COUNT_MODE),
    };
    Ok(Count {
        is_incr,
        delta: parsed.delta,
        cas: parsed.cas,
        chosen_id: parsed.new_cas,
        vivify: expiry(parsed.vivify),
        initial: parsed.initial,
        touch: expiry(parsed.ttl),
        wants_cas: names.has(b'c'),
    })
}
