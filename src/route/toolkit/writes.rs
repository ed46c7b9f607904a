//! Detects whether a key was written in the meantime, across all workers of the process.
//!
//! Keys are divided into `STRIPES` groups by their hash, each with two counters: writes that began, and
//! writes that ended. While the two differ a write is in progress, and no reader may rely on what another
//! one reads. If they are equal, and unchanged later, no write of the key was acknowledged in between. Keys
//! of one group affect each other, which costs a reader its sharing but is never wrong.
//!
//! All policies of the process that ask share one table, which outlives reloads: a write that began under
//! the former configuration is seen under the present one.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::protocol::operation::Operation;
use crate::protocol::{Command, Request, fingerprint};
use crate::route::toolkit::lease::uses_lease;

/// The number of groups of keys.
const STRIPES: usize = 1 << 14;

/// Every flush_all that goes through a policy counts as a write of all keys.
static FLUSHES: Stripe = Stripe::new();

/// The writes of all keys.
#[derive(Debug)]
pub struct Writes(Box<[Stripe]>);

/// The state of a key at one moment: equal states mean that no write of it was acknowledged in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    writes: u32,
    flushes: u32,
}

/// A write in progress, until it is dropped: before its client gets the reply.
#[derive(Debug)]
pub struct InProgress<'a>(&'a Stripe);

#[derive(Debug)]
struct Stripe {
    begun: AtomicU32,
    ended: AtomicU32,
}

impl Writes {
    /// Begins a write of `key`.
    pub fn begin(&self, key: &[u8]) -> InProgress<'_> {
        self.stripe(key).begin()
    }

    /// Returns the state of `key`; `None` while a write of it is in progress.
    pub fn version(&self, key: &[u8]) -> Option<Version> {
        Some(Version {
            writes: self.stripe(key).version()?,
            flushes: FLUSHES.version()?,
        })
    }

    fn stripe(&self, key: &[u8]) -> &Stripe {
        &self.0[fingerprint(key) as usize % STRIPES]
    }
}

impl Default for Writes {
    fn default() -> Writes {
        Writes((0..STRIPES).map(|_| Stripe::new()).collect())
    }
}

/// Whether `request` may change what a read of its key finds.
pub fn changes(request: &Request<'_>) -> bool {
    request.command != Command::MetaDebug && (Operation::of(request) != Operation::Get || uses_lease(request))
}

/// Begins a flush_all.
pub fn begin_flush() -> InProgress<'static> {
    FLUSHES.begin()
}

impl Stripe {
    const fn new() -> Stripe {
        Stripe {
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
        }
    }

    fn begin(&self) -> InProgress<'_> {
        self.begun.fetch_add(1, SeqCst);
        InProgress(self)
    }

    /// Reads `ended` first: a write that begins between the two reads makes them differ.
    fn version(&self) -> Option<u32> {
        let ended = self.ended.load(SeqCst);
        (self.begun.load(SeqCst) == ended).then_some(ended)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_changes_with_each_write_and_there_is_none_during_one() {
        let writes = Writes::default();
        let before = writes.version(b"k");
        assert!(before.is_some());
        let one = writes.begin(b"k");
        let other = writes.begin(b"k");
        assert_eq!(writes.version(b"k"), None);
        drop(one);
        assert_eq!(writes.version(b"k"), None, "the other goes on");
        drop(other);
        let after = writes.version(b"k");
        assert!(after.is_some() && after != before);
        assert_eq!(writes.version(b"k"), after);
    }
}
