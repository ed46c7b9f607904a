//! What a link to a Valkey or Redis keeps beside its queue: the MGET to which keys may still be added, and the numbers of
//! items.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::net::outgoing::Outgoing;
use crate::protocol::resp::stored::new_id;
use crate::protocol::resp::words::{write_argument, write_many};

/// The maximum length of the keys of one MGET in bytes. The server executes nothing else meanwhile.
const LONGEST: usize = 4000;

/// What a link to such a node needs beyond others.
#[derive(Debug, Default)]
pub(super) struct RespState {
    /// The keys of the open MGET, written as arguments.
    keys: Vec<u8>,
    count: usize,
    /// The Unix time in milliseconds at the origin of the worker's clock.
    epoch: u64,
    last_id: u64,
    /// The maximum size of a value in bytes.
    pub(super) max_value: usize,
}

impl RespState {
    /// Called when the link opens at `now`.
    pub(super) fn open(&mut self, now: u64) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.epoch = (unix.as_millis() as u64).saturating_sub(now / 1000);
    }

    /// Forgets the open MGET, whose requests are sent again.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.count = 0;
    }

    /// Ends the open MGET, if any.
    #[inline]
    pub(super) fn close(&mut self, outgoing: &mut Outgoing) {
        if self.count > 0 {
            write_many(self.count, &self.keys, &mut |bytes| outgoing.put(bytes));
            self.clear();
        }
    }

    /// Whether `key` may be added to the open MGET.
    pub(super) fn has_room(&self, key: &[u8]) -> bool {
        self.count > 0 && self.keys.len() + key.len() < LONGEST
    }

    /// Adds `key` to the open MGET, or opens one.
    pub(super) fn add(&mut self, key: &[u8]) {
        write_argument(key, &mut |bytes| self.keys.extend_from_slice(bytes));
        self.count += 1;
    }

    /// Returns the cas id for an item that is written at `now`, in microseconds of the worker's clock.
    pub(super) fn next_id(&mut self, now: u64) -> u64 {
        let id = new_id(self.epoch + now / 1000, fastrand::u32(..));
        self.last_id = id.max(self.last_id + 1);
        self.last_id
    }
}
