//! What is shown of a pool's discovery: in `/pools`, in metrics and in `/readyz`.

use std::time::Instant;

use serde::Serialize;

/// How a question to a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a list of nodes.
    Ok,
    /// With a list without nodes, or with fewer than `min_nodes`.
    TooFew,
    /// With an error, or with something that is no list.
    Failed,
    /// Not in time.
    Timeout,
}

impl Outcome {
    /// All of them, in the order of the counters.
    pub const ALL: [Outcome; 4] = [Outcome::Ok, Outcome::TooFew, Outcome::Failed, Outcome::Timeout];

    /// The value of the metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::TooFew => "too_few",
            Outcome::Failed => "failed",
            Outcome::Timeout => "timeout",
        }
    }
}

/// A change that waits for an operator, because it would move too many keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Nodes that would join.
    pub added: Vec<String>,
    /// Nodes that would leave.
    pub removed: Vec<String>,
    /// The share of keys that would move, from 0 to 1.
    pub moved: f64,
}

/// The discovery of one pool.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// When the last list came.
    pub last_answer: Option<Instant>,
    /// Why there was none, if the last question failed.
    pub last_error: Option<String>,
    /// How many nodes of the pool were discovered.
    pub members: usize,
    /// Nodes in the last list that do not take keys yet.
    pub joining: Vec<String>,
    /// Nodes that are missing in the last list and still take keys.
    pub leaving: Vec<String>,
    /// A change that waits for an operator.
    pub held: Option<Held>,
    /// An operator accepted it, and it is about to be applied.
    pub is_accepted: bool,
    /// Questions by their outcome.
    pub answers: [u64; Outcome::ALL.len()],
}
