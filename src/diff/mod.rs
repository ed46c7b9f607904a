//! Compares configurations: what another one would change, and how many keys it would move. For `ringway
//! diff`, and for the log and `/config` after each reload.
//!
//! ```text
//! two configurations ─┬─ settings: as JSON, path by path ─▶ changes
//!                     └─ movement: rings, pool by pool   ─▶ moves
//! ```

mod movement;
mod settings;

use std::fmt;

use serde::Serialize;

use crate::config::Config;

pub use movement::{Move, MovedKeys, Moves, Rest, moved};
pub use settings::{SettingChange, Shown};

/// The differences. Displayed as text, one line per change and per move.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Settings, pools and nodes that differ, by their paths.
    pub changes: Vec<SettingChange>,
    /// The keys that move, for each pool that is in both, and for each pair of pools of which one replaces
    /// the other behind a listener.
    pub pools: Vec<Moves>,
}

impl Difference {
    /// Returns what `new` would change relative to `old`. Any `keys` given are checked one by one too.
    ///
    /// Builds every ring of both: some ten milliseconds for 1000 nodes.
    pub fn between(old: &Config, new: &Config, keys: Option<&[Vec<u8>]>) -> Difference {
        Difference {
            changes: settings::changes(old, new),
            pools: movement::between(old, new, keys),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes
            .iter()
            .try_for_each(|change| writeln!(f, "{change}"))?;
        self.pools.iter().try_for_each(|moves| write!(f, "{moves}"))
    }
}

/// Formats a share from 0 to 1 as a percentage.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.0005 {
        return "less than 0.1%".to_owned();
    }
    format!("{:.1}%", share * 100.0)
}
