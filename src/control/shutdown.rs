//! Ends the process: on a signal it leaves, then drains.
//!
//! ```text
//!  Serving ──SIGTERM, SIGINT──▶ Leaving ──shutdown.delay──▶ Draining ──▶ (the composition root waits)
//!                                   └────────── a second signal ends the process at once (`signals`)
//! ```
//!
//! If another process takes over, `Draining` begins at once (`takeover`).
//!
//! In `Leaving` everything is served as before and only `/readyz` fails: load balancers and the other
//! containers of a pod go first. Waiting for outstanding replies, for at most `shutdown.drain`, is left to
//! the caller.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::info;

use super::systemd;
use crate::config::show_duration;
use crate::state::{Phase, State};

/// Returns once a signal, whose name arrives on `stop`, has asked the process to stop and
/// [`Phase::Draining`] has begun.
pub async fn wait(state: Arc<State>, stop: oneshot::Receiver<&'static str>) {
    let Ok(signal) = stop.await else {
        // The signal thread lives as long as the process.
        return std::future::pending().await;
    };
    let delay = state.snapshot.load().config.shutdown.delay;
    info!(signal, delay = show_duration(delay), "told to stop");
    systemd::stopping();
    leave(&state, delay).await;
}

/// Begins to drain because another process took over. Nothing leaves: its listeners and sessions go there.
pub fn hand_over(state: &State) {
    info!("draining: another process took over");
    state.phase.send_replace(Phase::Draining);
}

/// Leaves for `delay`, then begins to drain.
async fn leave(state: &State, delay: Duration) {
    if !delay.is_zero() {
        state.phase.send_replace(Phase::Leaving);
        sleep(delay).await;
    }
    state.phase.send_replace(Phase::Draining);
    info!("draining");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    #[tokio::test]
    async fn the_process_leaves_before_it_drains() {
        let state = testing::state("pools: {main: {nodes: ['127.0.0.1:1']}}");
        state.phase.send_replace(Phase::Serving);
        let mut phases = state.phase.subscribe();
        let leaving = tokio::spawn({
            let state = state.clone();
            async move { leave(&state, Duration::from_millis(50)).await }
        });
        phases.changed().await.unwrap();
        assert_eq!(*phases.borrow_and_update(), Phase::Leaving);
        phases.changed().await.unwrap();
        assert_eq!(*phases.borrow_and_update(), Phase::Draining);
        leaving.await.unwrap();
    }

    #[tokio::test]
    async fn without_a_delay_it_drains_at_once() {
        let state = testing::state("pools: {main: {nodes: ['127.0.0.1:1']}}");
        state.phase.send_replace(Phase::Serving);
        leave(&state, Duration::ZERO).await;
        assert_eq!(*state.phase.borrow(), Phase::Draining);
    }
}
