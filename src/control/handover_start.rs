//! What a change of the configuration does before it runs, for the sake of handovers: it waits for one that
//! is going on, and begins the next.

use std::io;

use tracing::{info, warn};

use super::{kept_handovers, leftovers};
use crate::config::Config;
use crate::snapshot::Snapshot;

/// Returns `next` in which each pool keeps the ring that it has in `current` while that is handed over, and
/// the names of the pools that were to get another one.
pub fn without_second_changes(mut next: Config, current: &Snapshot) -> (Config, Vec<String>) {
    let mut waiting = Vec::new();
    for (name, settings) in &mut next.pools {
        let Some(pool) = current.pools.get(name) else {
            continue;
        };
        if let Some(handover) = &pool.handover
            && !settings.has_ring_of(&pool.settings)
        {
            settings.keep_ring_of(&pool.settings);
            if !handover.progress.is_awaited() {
                info!(
                    pool = name,
                    "another change of the ring waits for the handover to end"
                );
            }
            handover.progress.await_end();
            waiting.push(name.clone());
        }
    }
    (next, waiting)
}

/// Prepares the handovers that begin with `snapshot`, before workers see it.
pub async fn begin(snapshot: &Snapshot) {
    leftovers::mark(snapshot).await;
    keep(snapshot).await;
}

/// Writes the handovers of `snapshot` to `state_dir`, if there is one.
pub async fn keep(snapshot: &Snapshot) {
    let Some((dir, text)) = kept_handovers::text(snapshot) else {
        return;
    };
    let path = dir.display().to_string();
    let keeping = tokio::task::spawn_blocking(move || kept_handovers::keep(&dir, &text));
    if let Err(error) = keeping.await.map_err(io::Error::from).flatten() {
        warn!(state_dir = path, %error, "handovers cannot be kept: a restart would not know of them");
    }
}
