//! How the process ends: told to stop, it leaves, then drains.
//!
//! ```text
//!  Serving ──SIGTERM, SIGINT──▶ Leaving ──shutdown.delay──▶ Draining ──▶ (the composition root waits)
//!                                   └────────── a second signal ends the process at once
//! ```
//!
//! In `Leaving` everything is served as before and only `/readyz` says no: load balancers and the other
//! containers of a pod go first. Waiting for what is owed, at most `shutdown.drain`, is left to the
//! caller.

use std::future::Future;
use std::io;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::state::{Phase, State};

/// The future ends when the process was told to stop and [`Phase::Draining`] began. The signals are
/// caught from this call on, not only when the future runs; it must be called inside a runtime.
pub fn wait(state: Arc<State>) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut ends = Ends::catch()?;
    Ok(async move {
        let signal = ends.next().await;
        let delay = state.snapshot.load().config.shutdown.delay;
        info!(signal, delay = ?delay, "told to stop");
        tokio::spawn(async move {
            let signal = ends.next().await;
            warn!(
                signal,
                "told to stop a second time: ending at once, what is owed is cut"
            );
            process::exit(0);
        });
        leave(&state, delay).await;
    })
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

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn catch() -> io::Result<Ends> {
        Ok(Ends {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
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
