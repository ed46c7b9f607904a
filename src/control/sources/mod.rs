//! Keeps the nodes of pools whose configuration does not list them: one task for each such pool.
//!
//! ```text
//!            ask: file, ElastiCache            probes of new nodes, health of missing ones
//! source ───────────────▶ answer ─▶ discovery::members ─▶ change ─ max_moved ─▶ reload ─▶ snapshot
//! ```
//!
//! A task begins when a configuration with its pool is applied and ends when that says something else of it. What it
//! knows is in the snapshot: the nodes that were discovered are there.

mod ask;
mod dns;
mod keep;
mod probe;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::reload::Reloader;
use crate::config::Discover;
use crate::state::State;

/// Keeps the nodes of every pool that discovers them, until this future is dropped.
pub async fn run(state: Arc<State>, reloader: Arc<Reloader>) {
    let mut changed = state.changed.subscribe();
    let mut keepers = Keepers::default();
    loop {
        keepers.follow(&state, &reloader);
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// The tasks that run, each with what it was begun for.
#[derive(Default)]
struct Keepers {
    tasks: JoinSet<()>,
    running: Vec<(String, Discover, AbortHandle)>,
}

impl Keepers {
    /// Ends the tasks of pools that the snapshot does not have any more, or otherwise, and begins those that it has
    /// anew.
    fn follow(&mut self, state: &Arc<State>, reloader: &Arc<Reloader>) {
        let wanted = pools(state);
        self.running.retain(|(pool, discover, task)| {
            let mut wanted = wanted.iter();
            let is_same = wanted.any(|wanted| (&wanted.0, &wanted.1) == (pool, discover));
            let stays = is_same && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        let is_wanted = |pool: &String| wanted.iter().any(|(wanted, _)| wanted == pool);
        let mut statuses = state.discovery.lock().expect("no holder panics");
        statuses.retain(|pool, _| is_wanted(pool));
        for (pool, discover) in wanted {
            if !self.running.iter().any(|(running, ..)| *running == pool) {
                statuses.entry(pool.clone()).or_default();
                let keeper = keep::Keeper::new(state, reloader, &pool, &discover);
                let task = self.tasks.spawn(keeper.run());
                self.running.push((pool, discover, task));
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Waits until every pool that discovers its nodes has some, for `patience` at most.
pub async fn wait_for_first(state: &State, patience: Duration) {
    let mut changed = state.changed.subscribe();
    let all = async {
        while state.snapshot.load().config.undiscovered().next().is_some() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    };
    // Those that took longer are waited for by others.
    let _ = timeout(patience, all).await;
}

fn pools(state: &State) -> Vec<(String, Discover)> {
    let snapshot = state.snapshot.load();
    let pools = snapshot.config.pools.iter();
    pools
        .filter_map(|(name, pool)| Some((name.clone(), pool.discover.clone()?)))
        .collect()
}
