//! `pools.NAME.health`: when a node is down and when it is up again.

use std::time::Duration;

use super::kind::{number, timeout};
use super::rows::section;
use crate::health;

const MAX_COUNT: u64 = 1_000_000;

section! {
    /// When a node is down and when it is up again.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Health {
        /// Failures in a row until a node is down.
        down_after: u32 = 3, number(1..=MAX_COUNT);
        /// How often each node is probed.
        probe_interval: Duration = Duration::from_secs(1), timeout();
        /// The time for the answer to a probe.
        probe_timeout: Duration = Duration::from_millis(500), timeout();
        /// Good probes in a row until a node is up.
        up_after: u32 = 2, number(1..=MAX_COUNT);
        /// A node that stays down is probed at growing intervals, up to this one.
        max_probe_interval: Duration = Duration::from_secs(5), timeout();
    }
}

impl Health {
    /// What the state machine of a node needs to know.
    pub fn limits(&self) -> health::Limits {
        health::Limits {
            down_after: self.down_after,
            up_after: self.up_after,
            probe_interval: self.probe_interval,
            max_probe_interval: self.max_probe_interval,
        }
    }
}
