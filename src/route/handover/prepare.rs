//! Writes before the new owner serves: the old one executes them, and what another process, which may be a
//! phase ahead, has copied to the new one goes.

use std::sync::Arc;

use crate::protocol::operation::Operation;
use crate::protocol::{Reply, Request};
use crate::route::toolkit::lease::MetaKey;
use crate::route::toolkit::reply::{is_error, is_gone, is_miss, is_not_stored, is_untouched};
use crate::route::{Call, Pool, Route};

/// Executes `request` at the `old` owner, then deletes its key in `new`, at the new one. In this order a copy that
/// is under way has either read what `request` left, or loses its lease.
pub(super) async fn write(request: &Request<'_>, old: &Route, new: &Arc<Pool>, call: &Call) -> Reply {
    let reply = call.send(old, request).await;
    if is_untouched(&reply) || changed_nothing(request, &reply) {
        return reply;
    }
    let gone = MetaKey::of(request).delete(&Route::Pool(new.clone()), call).await;
    match is_error(&gone) && !is_gone(&gone, new.is_valkey(request.key)) {
        true => gone,
        false => reply,
    }
}

/// Whether `reply` says that `request` left everything as it was. A delete must reach the new owner even if
/// the old one lacks the key: another process may have moved it.
fn changed_nothing(request: &Request<'_>, reply: &Reply) -> bool {
    let is_other = match reply {
        Reply::Exists => true,
        Reply::Meta(meta) => meta.line().starts_with(b"EX"),
        _ => false,
    };
    Operation::of(request) != Operation::Delete && (is_other || is_miss(reply) || is_not_stored(reply))
}
