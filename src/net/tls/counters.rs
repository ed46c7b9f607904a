//! What is counted of handshakes, of the whole process: they are rare beside requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::HandshakeKind;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A node.
    Node,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With all that belongs to it.
    Full,
    /// With a session that was kept from before.
    Resumed,
    /// Without a connection.
    Failed,
}

impl Side {
    /// Every side, in the order of their discriminants.
    pub const ALL: [Side; 1] = [Side::Node];

    /// The outcomes of handshakes with it.
    pub fn outcomes(self) -> &'static [Outcome] {
        match self {
            Side::Node => &[Outcome::Full, Outcome::Resumed, Outcome::Failed],
        }
    }

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Side::Node => "node",
        }
    }
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Outcome; 3] = [Outcome::Full, Outcome::Resumed, Outcome::Failed];

    /// The outcome of a handshake that ended well.
    pub fn of(kind: Option<HandshakeKind>) -> Outcome {
        match kind {
            Some(HandshakeKind::Resumed) => Outcome::Resumed,
            _ => Outcome::Full,
        }
    }

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Full => "full",
            Outcome::Resumed => "resumed",
            Outcome::Failed => "failed",
        }
    }
}

static HANDSHAKES: [[AtomicU64; Outcome::ALL.len()]; Side::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; Outcome::ALL.len()] }; Side::ALL.len()];

/// Counts a handshake.
pub fn count(side: Side, outcome: Outcome) {
    HANDSHAKES[side as usize][outcome as usize].fetch_add(1, Relaxed);
}

/// How many handshakes with `side` ended in `outcome`.
pub fn handshakes(side: Side, outcome: Outcome) -> u64 {
    HANDSHAKES[side as usize][outcome as usize].load(Relaxed)
}
