//! Finds the keys that a pool's nodes are asked for most, by requests and by bytes.
//!
//! ```text
//!   worker: a request in 16 ─▶ sampler ─▶ sketches: keys and prefixes, by requests and by bytes
//!                                            │ once a second: rates, then everything decays
//!                                            ▼
//!   control: the summaries of all workers ─▶ ranking ─▶ /hotkeys, metrics
//! ```
//!
//! Policies that act on hot keys have a [`detector`] of their own: it counts what clients ask for, which does
//! not change if the policy spares the nodes.
//!
//! A worker alone writes its sampler, so counting needs neither locks nor atomics. Memory is fixed: at most
//! 2 MiB with up to eight workers, the summaries and the ranking included. Time is an argument.
//!
//! How exact it is. Of the requests of a key that arrive in about ten seconds, one in [`PERIOD`] is seen, so
//! a rate of 500 requests a second has a standard error of about 5 %. A worker with more than 640,000 requests a
//! second sees fewer of them, but at least 10,000 a second: the rate of a key with a hundredth of them all then
//! has an error of about 3 %. A rate is never made up: it only has requests of that key. What a sketch may
//! miss, [`sketch`] says.

pub mod detector;
mod pace;
pub mod ranking;
pub mod sampler;
pub mod sketch;

use std::ops::{AddAssign, MulAssign};

pub use detector::Detector;
pub use ranking::{HotKey, Order, Ranking};
pub use sampler::{Access, Sampler, Summary};

/// One request in this many is sampled, at random distances: a pipeline of 16 requests, always the same
/// ones, must not show the same request each time.
pub const PERIOD: u32 = 16;

/// What remains of every count after a second: a count is halved in about 6.6 seconds.
const DECAY: f64 = 0.9;

/// Counts of sampled requests, or rates, of one key or of all keys.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Requests that read.
    pub reads: f64,
    /// All other requests.
    pub writes: f64,
    /// Bytes of keys and values that were read.
    pub read_bytes: f64,
    /// Bytes of keys and values that were written.
    pub write_bytes: f64,
}

impl Figures {
    /// Returns the figures of one request with `bytes` bytes of key and value.
    pub fn of(access: Access, bytes: f64) -> Figures {
        let none = Figures::default();
        match access {
            Access::Read => Figures {
                reads: 1.0,
                read_bytes: bytes,
                ..none
            },
            Access::Write => Figures {
                writes: 1.0,
                write_bytes: bytes,
                ..none
            },
        }
    }

    /// Reads and writes.
    pub fn requests(&self) -> f64 {
        self.reads + self.writes
    }

    /// Bytes that were read and written.
    pub fn bytes(&self) -> f64 {
        self.read_bytes + self.write_bytes
    }

    /// Returns the larger of each pair of figures.
    pub fn max(self, other: Figures) -> Figures {
        Figures {
            reads: self.reads.max(other.reads),
            writes: self.writes.max(other.writes),
            read_bytes: self.read_bytes.max(other.read_bytes),
            write_bytes: self.write_bytes.max(other.write_bytes),
        }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Figures) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.read_bytes += other.read_bytes;
        self.write_bytes += other.write_bytes;
    }
}

impl MulAssign<f64> for Figures {
    fn mul_assign(&mut self, factor: f64) {
        self.reads *= factor;
        self.writes *= factor;
        self.read_bytes *= factor;
        self.write_bytes *= factor;
    }
}
