//! A change of the configuration waits, pool by pool, for the handover that is going on.

use tracing::info;

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
