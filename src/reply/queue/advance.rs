//! How many replies at the front of a session's queue may be taken: those that are there, and of a multi-get all
//! together, unless they are many bytes.

use super::{Queue, TOGETHER};
use crate::reply::origin::ReplyMode;

impl Queue {
    /// Advances over filled entries. Returns true if more may be taken than before.
    #[inline(always)]
    pub(super) fn advance(&mut self) -> bool {
        let before = self.complete;
        while let Some(entry) = self.entries.get(self.filled) {
            let (mode, awaited) = (entry.mode, entry.awaited);
            if awaited > 0 && (mode != ReplyMode::MultiGet || !self.pass_keys(awaited as usize)) {
                break;
            }
            self.filled += 1;
            if !matches!(mode, ReplyMode::MultiGet | ReplyMode::MultiGetItem) {
                self.complete = self.filled;
            }
        }
        // If every slot so far is filled, the end of a multi-get may not even be sent yet: its keys
        // continue once there is room, so the values must not wait for it.
        if self.filled == self.entries.len() || self.values.held >= TOGETHER {
            self.complete = self.filled;
        }
        self.complete > before
    }

    /// Passes the `count` keys of the first entry that is not filled. Returns false if one of them is outstanding or
    /// the entry gets more keys.
    #[inline(never)]
    fn pass_keys(&mut self, count: usize) -> bool {
        let is_open = self.is_open && self.filled + 1 == self.entries.len();
        self.wanted_keys = self.filled_keys + count;
        if is_open || self.keys.arrived() < self.wanted_keys {
            return false;
        }
        self.filled_keys = self.wanted_keys;
        self.released_keys = 0;
        true
    }

    /// Called when more keys at the front have their replies. Returns true if more may be taken than before.
    #[inline]
    pub(super) fn advance_keys(&mut self) -> bool {
        let may_advance = self.keys.arrived() >= self.wanted_keys || self.values.held >= TOGETHER;
        may_advance && (self.advance_past_keys() || self.release_keys())
    }

    #[inline(never)]
    fn advance_past_keys(&mut self) -> bool {
        self.advance()
    }

    /// Releases the keys that have their replies although others of their multi-get are outstanding, if they are many
    /// bytes. Returns true if more may be taken than before.
    fn release_keys(&mut self) -> bool {
        if self.values.held < TOGETHER {
            return false;
        }
        let before = (self.complete, self.released_keys);
        self.complete = self.filled;
        self.released_keys = self.keys.arrived() - self.filled_keys;
        (self.complete, self.released_keys) > before
    }
}
