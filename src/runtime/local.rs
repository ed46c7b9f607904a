//! What the sessions and links of one worker share.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::hot_keys::Sampler;
use crate::insight::miss_ratio::Traces;
use crate::insight::slow_log::SlowRequests;
use crate::runtime::buffers::Buffers;
use crate::runtime::clock::Clock;
use crate::runtime::memory::{Memory, MemoryBudget};
use crate::runtime::shared_text::SharedTexts;
use crate::runtime::taps::Taps;

/// What the sessions and links of one worker share.
#[derive(Debug, Default)]
pub struct Local {
    /// The worker's index.
    pub worker: usize,
    /// The worker's clock.
    pub clock: Clock,
    /// The worker's read buffers.
    pub buffers: Buffers,
    /// Counts the keys of requests to nodes.
    pub hot_keys: Sampler,
    /// What was noted for miss-ratio curves in the present second.
    pub traces: Traces,
    /// The taps of the process.
    pub taps: Arc<Taps>,
    /// Whether one of them is open, as of the last batch of requests.
    pub is_tapped: Cell<bool>,
    /// The slow requests of the present second.
    pub slow: SlowRequests,
    /// The memory that all of them hold.
    pub memory: Rc<Memory>,
    /// The memory of the requests that policies are processing.
    pub in_progress: MemoryBudget,
    /// Shared texts such as `stats`, which sessions wait for.
    pub texts: Rc<SharedTexts>,
}
