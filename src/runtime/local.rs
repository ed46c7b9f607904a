//! What the sessions and links of one worker share.

use std::rc::Rc;

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
    /// What all of them hold.
    pub memory: Rc<Memory>,
    /// Of the requests that policies are at work on.
    pub in_progress: MemoryBudget,
    /// Texts about Ringway itself that sessions wait for.
    pub texts: Rc<SharedTexts>,
}
