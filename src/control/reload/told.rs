//! What a reload changed: in the log, and for those who ask.

use std::sync::Arc;

use tracing::info;

use crate::config::Config;
use crate::diff::{Difference, Shown, percent};
use crate::snapshot::Snapshot;
use crate::state::State;

/// The maximum number of one reload's changes that are logged on lines of their own.
const MAX_LOGGED: usize = 50;

/// Logs and keeps what `next` changed relative to `old`, unless yet another configuration runs by then. The
/// rings are built on a thread of their own, while the new configuration serves.
pub async fn tell_difference(state: Arc<State>, old: Arc<Snapshot>, next: Config) {
    let compared = next.clone();
    let compare = move || Difference::between(&old.config, &compared, None);
    let Ok(difference) = tokio::task::spawn_blocking(compare).await else {
        return;
    };
    for change in difference.changes.iter().take(MAX_LOGGED) {
        let shown = |value: &Option<serde_json::Value>| value.as_ref().map(|value| Shown(value).to_string());
        let (old, new) = (shown(&change.old), shown(&change.new));
        info!(path = change.path, old, new, "setting changed");
    }
    if let Some(more @ 1..) = difference.changes.len().checked_sub(MAX_LOGGED) {
        info!(more, "settings changed");
    }
    for moves in difference.pools.iter().filter(|moves| moves.moved > 0.0) {
        let (pool, moved) = (moves.name(), percent(moves.moved));
        info!(
            pool,
            moved,
            exact = moves.exact,
            at_most = moves.at_most,
            "keys moved"
        );
    }
    if state.snapshot.load().config == next {
        let mut reloads = state.reloads.lock().expect("no holder panics");
        reloads.difference = Some(difference);
    }
}
