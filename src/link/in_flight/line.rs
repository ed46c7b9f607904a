//! The multi-get lines among the requests in flight: which keys are of one line, and what is left of the oldest.

use super::InFlightQueue;
use crate::link::entry::{Framing, InFlight};

impl InFlightQueue {
    /// Whether the entry about to be pushed is a key of a multi-get line.
    #[inline]
    pub(super) fn joins_line(&mut self, framing: Framing) -> bool {
        match (framing, self.lines.back_mut()) {
            (Framing::Own | Framing::Keyless, _) => return false,
            (Framing::SameLine, Some(keys)) => *keys += 1,
            _ => self.lines.push_back(1),
        }
        true
    }

    /// Whether the next reply belongs to a multi-get line.
    #[inline]
    pub(in crate::link) fn is_in_line(&self) -> bool {
        match self.lines.front() {
            None => false,
            Some(0) => true,
            Some(_) => self.entries.front().is_some_and(|entry| entry.is_in_line),
        }
    }

    /// The number of outstanding keys in the multi-get line whose reply comes next.
    #[inline]
    pub(in crate::link) fn left_in_line(&self) -> u32 {
        self.lines.front().copied().unwrap_or(0)
    }

    /// The number of keys of the line before the next one that equals `key`; `None` if none does.
    #[inline]
    pub(in crate::link) fn find_in_line(&self, key: &[u8]) -> Option<usize> {
        if self.left_in_line() > 0 && self.front_key() == key {
            return Some(0);
        }
        let mut text = self.text.bytes();
        self.lengths()
            .take(self.left_in_line() as usize)
            .position(|length| {
                let (own, rest) = text.split_at(length);
                text = rest;
                own == key
            })
    }

    /// The lengths of the plain keys of all requests.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let mut of_runs = self.runs.iter().map(|key| usize::from(key.length));
        let mut entries = self.entries.iter();
        let (mut left, mut next) = (0, None);
        std::iter::from_fn(move || {
            if left == 0 {
                let entry: &InFlight = entries.next()?;
                (left, next) = (entry.run.max(1), (entry.run == 0).then(|| entry.key.into()));
            }
            left -= 1;
            next.or_else(|| of_runs.next())
        })
    }
}
