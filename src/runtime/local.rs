//! What the sessions and links of one worker share.

use std::rc::Rc;

use crate::hot_keys::Sampler;
use crate::runtime::buffers::Buffers;
use crate::runtime::clock::Clock;
use crate::runtime::memory::{Memory, MemoryBudget};
use crate::runtime::shared_text::SharedTexts;

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
    /// The memory that all of them hold.
    pub memory: Rc<Memory>,
    /// The memory of the requests that policies are processing.
    pub in_progress: MemoryBudget,
    /// Shared texts such as `stats`, which sessions wait for.
    pub texts: Rc<SharedTexts>,
}
