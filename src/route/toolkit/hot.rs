//! Which keys are hot enough for a policy to act on them, and which of their reads a copy can answer.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::time::Instant;

use crate::hot_keys::Detector;
use crate::route::call::Forwarder;
use crate::route::toolkit::state::PolicyState;

/// The flags of an mg that a copy of the item can answer: nothing that differs from one item to the other.
pub const ANSWERABLE: &[u8] = b"bfkOqsv";

/// A policy's measure of hot keys.
#[derive(Debug)]
pub struct HotKeys {
    /// The policy's state, whose address tells the policy's reads from those of others. A reload keeps it, so that hot
    /// keys stay known.
    state: Arc<PolicyState>,
    /// The rate, in reads a second of one worker, from which a key is hot; 0: every key is.
    min_rate: f64,
}

/// A worker's detector, and the instant from which its time counts.
struct Counted {
    detector: Detector,
    begun: Instant,
}

thread_local! {
    /// The detector of this worker, shared by all policies that need one.
    static COUNTED: RefCell<Option<Counted>> = const { RefCell::new(None) };
}

impl HotKeys {
    /// Returns the measure of the policy with this `state`: `min_rate` reads a second in all `workers` together.
    pub fn new(state: Arc<PolicyState>, min_rate: u32, workers: usize) -> HotKeys {
        HotKeys {
            state,
            min_rate: f64::from(min_rate) / workers as f64,
        }
    }

    /// Counts a read of `key`. Returns true if the key is hot.
    pub fn is_hot(&self, key: &[u8], forwarder: &dyn Forwarder) -> bool {
        if self.min_rate == 0.0 {
            return true;
        }
        let now = forwarder.now();
        let stream = Arc::as_ptr(&self.state).addr() as u32;
        COUNTED.with_borrow_mut(|counted| {
            let counted = counted.get_or_insert_with(|| Counted {
                detector: Detector::new(0),
                begun: now,
            });
            let elapsed = now.saturating_duration_since(counted.begun).as_micros() as u64;
            counted.detector.count(stream, key, elapsed) >= self.min_rate
        })
    }
}
