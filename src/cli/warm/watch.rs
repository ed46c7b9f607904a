//! Watches the running Ringway: values may be copied only while its handover is in *serve*.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use super::Told;
use crate::route::handover::progress::Progress;

/// The pause between looks. A process may go on to *finish* between two of them: `prepare` exceeds the skew of the fleet
/// by 15 seconds, which must suffice for a pause, two answers and a copy.
const PAUSE: Duration = Duration::from_millis(250);
/// This number of looks may fail.
const MAY_FAIL: u32 = 8;

/// What the running Ringway says, as a thread of its own asks it.
#[derive(Debug, Clone, Default)]
pub struct Watched(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_over: AtomicBool,
    /// Why no more may be copied.
    reason: Mutex<Option<String>>,
    /// Which old nodes missed a write.
    missed: Mutex<Vec<bool>>,
}

impl Watched {
    /// Asks again and again by `ask`, until it is over. Old nodes that Ringway does not read any more are noted in
    /// `progress`.
    pub fn follow(&self, ask: impl Fn() -> anyhow::Result<Told>, progress: &Progress) {
        let mut failed = 0;
        while !self.0.is_over.load(Relaxed) {
            match ask() {
                Ok(told) if told.handover.phase == "serve" => {
                    failed = 0;
                    told.handover.restore_lost(progress);
                    *self.0.missed.lock().expect("no holder panics") = told.missed;
                }
                Ok(told) => return self.stop(format!("the handover went on to {}", told.handover.phase)),
                Err(error) => {
                    failed += 1;
                    if failed > MAY_FAIL {
                        return self.stop(format!("{error:#}"));
                    }
                }
            }
            sleep(PAUSE);
        }
    }

    fn stop(&self, reason: String) {
        *self.0.reason.lock().expect("no holder panics") = Some(reason);
    }

    /// Ends [`Watched::follow`].
    pub fn end(&self) {
        self.0.is_over.store(true, Relaxed);
    }

    /// Returns why no more may be copied; `None` if it may.
    pub fn reason(&self) -> Option<String> {
        self.0.reason.lock().expect("no holder panics").clone()
    }

    /// Whether the old node with this index missed a write, so that its values may be old.
    pub fn has_missed(&self, node: usize) -> bool {
        let missed = self.0.missed.lock().expect("no holder panics");
        missed.get(node).copied().unwrap_or_default()
    }
}
