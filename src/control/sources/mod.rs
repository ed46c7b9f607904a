//! Keeps the nodes of pools whose configuration does not list them: one task for each such pool.
//!
//! ```text
//!            ask: file, ElastiCache            probes of new nodes, health of missing ones
//! source ───────────────▶ answer ─▶ discovery::members ─▶ change ─ max_moved ─▶ reload ─▶ snapshot
//! ```
//!
//! A task begins when a configuration with its pool is applied and ends when the pool's discovery changes.
//! Its state is in the snapshot: the discovered nodes are there.

mod ask;
mod dns;
mod keep;
mod probe;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::reload::Reloader;
use crate::config::{Config, Discover, Node, Pool};
use crate::discovery;
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

/// The running tasks, each with the settings that it was started for.
#[derive(Default)]
struct Keepers {
    tasks: JoinSet<()>,
    running: Vec<(String, Discover, AbortHandle)>,
}

impl Keepers {
    /// Ends the tasks of pools whose discovery is no longer in the snapshot or has changed, and starts
    /// those that are new.
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

/// The nodes that a source names now, or the reason that it names none.
pub type Named = Result<Vec<Node>, String>;

/// Asks the source of each pool of `config` once, all at the same time. Returns the answers by the names of the pools,
/// without nodes that the configuration lists.
pub async fn ask_once(config: &Config) -> BTreeMap<String, Named> {
    let mut asked = JoinSet::new();
    for (name, pool) in &config.pools {
        if let Some(discover) = &pool.discover {
            let (name, protection) = (name.clone(), pool.protection.clone());
            let mut source = ask::Asked::new(discover);
            asked.spawn(async move { (name, source.ask(&protection).await) });
        }
    }
    let mut named = BTreeMap::new();
    for (name, answer) in asked.join_all().await {
        let nodes = answer.map(|list| joining(list.nodes, config, &config.pools[&name]));
        named.insert(name, nodes.map_err(|no_list| no_list.reason));
    }
    named
}

/// Those of `nodes` that may join `pool`, in order.
fn joining(mut nodes: Vec<Node>, config: &Config, pool: &Pool) -> Vec<Node> {
    nodes.retain(|node| !pool.lists(node) && !config.is_own_listener(node));
    discovery::sort(&mut nodes);
    nodes
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
    // Pools that took longer are waited for in the background.
    let _ = timeout(patience, all).await;
}

fn pools(state: &State) -> Vec<(String, Discover)> {
    let snapshot = state.snapshot.load();
    let pools = snapshot.config.pools.iter();
    pools
        .filter_map(|(name, pool)| Some((name.clone(), pool.discover.clone()?)))
        .collect()
}
