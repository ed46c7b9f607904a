//! Merges the summaries of all workers once a second. A worker answers in its own time, so what is merged is
//! what it was asked for a second ago.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};

use crate::hot_keys::{Ranking, Summary};
use crate::state::State;

/// Runs for ever.
pub async fn run(state: Arc<State>) {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        let summaries: Vec<Arc<Summary>> = state.hot_keys.summaries.iter().map(ArcSwap::load_full).collect();
        let ranking = Ranking::merge(summaries.iter().map(|summary| &**summary));
        state.hot_keys.ranking.store(Arc::new(ranking));
        state.hot_keys.second.send_replace(());
    }
}
