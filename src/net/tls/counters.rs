//! Process-wide counters of handshakes, which are rare beside requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::HandshakeKind;

/// The peer of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A node.
    Node,
    /// A client.
    Client,
    /// A client of the admin listener.
    Admin,
}

/// The outcome of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A full handshake.
    Full,
    /// A resumed session.
    Resumed,
    /// No connection.
    Failed,
    /// A client did not speak TLS on a listener that requires it.
    Plain,
    /// A client spoke TLS on a listener without it.
    Unexpected,
    /// A client's certificate has no allowed name.
    Refused,
}

impl Side {
    /// Every side, in the order of their discriminants.
    pub const ALL: [Side; 3] = [Side::Node, Side::Client, Side::Admin];

    /// The possible outcomes of handshakes with it.
    pub fn outcomes(self) -> &'static [Outcome] {
        match self {
            Side::Node => &Outcome::ALL[..3],
            Side::Client | Side::Admin => &Outcome::ALL,
        }
    }

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Side::Node => "node",
            Side::Client => "client",
            Side::Admin => "admin",
        }
    }
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Outcome; 6] = [
        Outcome::Full,
        Outcome::Resumed,
        Outcome::Failed,
        Outcome::Plain,
        Outcome::Unexpected,
        Outcome::Refused,
    ];

    /// Returns the outcome of a successful handshake.
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
            Outcome::Plain => "plain",
            Outcome::Unexpected => "unexpected",
            Outcome::Refused => "refused",
        }
    }
}

static HANDSHAKES: [[AtomicU64; Outcome::ALL.len()]; Side::ALL.len()] =
    [const { [const { AtomicU64::new(0) }; Outcome::ALL.len()] }; Side::ALL.len()];

/// Counts a handshake.
pub fn count(side: Side, outcome: Outcome) {
    HANDSHAKES[side as usize][outcome as usize].fetch_add(1, Relaxed);
}

/// The number of handshakes with `side` that ended in `outcome`.
pub fn handshakes(side: Side, outcome: Outcome) -> u64 {
    HANDSHAKES[side as usize][outcome as usize].load(Relaxed)
}
