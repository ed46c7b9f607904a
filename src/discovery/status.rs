//! The state of a pool's discovery, for `/pools`, metrics and `/readyz`.

use std::time::Instant;

use serde::Serialize;

/// The outcome of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A list of nodes.
    Ok,
    /// A list without nodes, or with fewer than `min_nodes`.
    TooFew,
    /// An error, or an answer that is not a list.
    Failed,
    /// No answer in time.
    Timeout,
}

impl Outcome {
    /// All outcomes, in the order of the counters.
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
    /// When the last list arrived.
    pub last_answer: Option<Instant>,
    /// Why there was none, if the last query failed.
    pub last_error: Option<String>,
    /// The number of discovered nodes in the pool.
    pub members: usize,
    /// Nodes in the last list that do not take keys yet.
    pub joining: Vec<String>,
    /// Nodes that are missing in the last list and still take keys.
    pub leaving: Vec<String>,
    /// A change that waits for an operator.
    pub held: Option<Held>,
    /// Whether an operator accepted it, so that it is about to be applied.
    pub is_accepted: bool,
    /// The number of queries by outcome.
    pub answers: [u64; Outcome::ALL.len()],
}
