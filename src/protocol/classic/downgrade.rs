//! Translates a meta command into classic text, for nodes without meta, if classic text can express it.

use crate::protocol::meta::{flag, flags, is_bare};
use crate::protocol::numbers::{parse_i32, parse_u32, parse_u64};
use crate::protocol::{Command, Meta, Request};

/// Returns the classic request equivalent to the meta command `request`; `None` if there is none.
///
/// mg reads (`v f k c s O`) or touches (`T`), ms stores in its five modes (`F T C M`), md removes, ma
/// counts (`D M`). A base64 key is sent decoded, unless it is invalid base64 or contains bytes that text
/// cannot carry. Leases, stale items, time to live and the cas ids of writes have no classic form.
pub fn downgrade<'a>(request: &Request<'a>) -> Option<Request<'a>> {
    let Meta {
        key,
        flags: raw,
        is_binary,
    } = request.meta?;
    let is_no_base64 = flag(raw, b'b').is_some() && key == request.key;
    if is_no_base64 || !is_bare(request.key) {
        return None;
    }
    // A binary client accepts a reply without a cas id.
    let spare: &[u8] = if is_binary { b"c" } else { b"" };
    let classic = Request {
        meta: None,
        ..*request
    };
    match request.command {
        Command::MetaGet => read(classic, raw),
        Command::MetaSet => store(classic, raw, spare),
        Command::MetaDelete => says_only(raw, b"").then_some(Request {
            command: Command::Delete,
            ..classic
        }),
        Command::MetaArithmetic => count(classic, raw, spare),
        _ => None,
    }
}

/// Whether all flags are among `known` or among those that ask nothing of a node: `k O q b`.
fn says_only(raw: &[u8], known: &[u8]) -> bool {
    flags(raw).all(|flag| known.contains(&flag[0]) || b"kOqb".contains(&flag[0]))
}

fn read<'a>(request: Request<'a>, raw: &[u8]) -> Option<Request<'a>> {
    if !says_only(raw, b"vfcsT") {
        return None;
    }
    let wants_cas = flag(raw, b'c').is_some();
    let wants_item = wants_cas || [b'v', b'f', b's'].iter().any(|&name| flag(raw, name).is_some());
    let Some(expiry) = flag(raw, b'T') else {
        let command = if wants_cas { Command::Gets } else { Command::Get };
        return Some(Request { command, ..request });
    };
    let exptime = parse_i32(&expiry[1..])?.into();
    let command = match (wants_item, wants_cas) {
        (false, _) => Command::Touch,
        (true, false) => Command::Gat,
        (true, true) => Command::Gats,
    };
    Some(Request {
        command,
        exptime,
        ..request
    })
}

fn store<'a>(request: Request<'a>, raw: &[u8], spare: &[u8]) -> Option<Request<'a>> {
    if !says_only(raw, &[b"FTCM", spare].concat()) {
        return None;
    }
    let cas = flag(raw, b'C');
    let command = match (flag(raw, b'M').map(|mode| &mode[1..]), cas) {
        (None | Some(b"S" | b"R"), Some(_)) => Command::Cas,
        (None | Some(b"S"), None) => Command::Set,
        (Some(b"E"), None) => Command::Add,
        (Some(b"R"), None) => Command::Replace,
        (Some(b"A"), None) => Command::Append,
        (Some(b"P"), None) => Command::Prepend,
        _ => return None,
    };
    Some(Request {
        command,
        flags: flag(raw, b'F').map_or(Some(0), |flag| parse_u32(&flag[1..]))?,
        exptime: flag(raw, b'T')
            .map_or(Some(0), |flag| parse_i32(&flag[1..]))?
            .into(),
        cas: cas.map_or(Some(0), |flag| parse_u64(&flag[1..]))?,
        ..request
    })
}

fn count<'a>(request: Request<'a>, raw: &[u8], spare: &[u8]) -> Option<Request<'a>> {
    if !says_only(raw, &[b"vDM", spare].concat()) {
        return None;
    }
    let command = match flag(raw, b'M').map(|mode| &mode[1..]) {
        None | Some(b"I" | b"i" | b"+") => Command::Incr,
        Some(b"D" | b"d" | b"-") => Command::Decr,
        _ => return None,
    };
    let delta = flag(raw, b'D').map_or(Some(1), |flag| parse_u64(&flag[1..]))?;
    Some(Request {
        command,
        delta,
        ..request
    })
}
