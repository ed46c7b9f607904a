//! Answered requests that something is to be told of: sampled ones, slow ones, and all of them while a tap is open.

use std::rc::Rc;

use crate::insight::Times;
use crate::protocol::operation::Operation;
use crate::reply::queue::ReplyQueue;

/// What is known of one answered request, beside its key.
#[derive(Debug)]
pub struct Note {
    /// What it does.
    pub operation: Operation,
    /// Whether its key is counted now.
    pub is_counted: bool,
    /// Whether its times are those of a clock of its own.
    pub is_timed: bool,
    /// Whether its key is followed for the miss-ratio curve.
    pub is_traced: bool,
    /// Whether it was sent a second time.
    pub is_retry: bool,
    /// Where its time went; `None` if it was abandoned before.
    pub times: Option<Times>,
    /// Bytes of the value that was read.
    pub read: usize,
    /// Bytes of the request as it was sent.
    pub sent: usize,
    /// What became of it.
    pub outcome: &'static str,
    /// The slot of its reply, if that is in a session's queue.
    pub slot: Option<(Rc<ReplyQueue>, u32)>,
}

/// The notes since they were last taken, with their keys. It keeps its memory.
#[derive(Debug, Default)]
pub struct Notes {
    keys: Vec<u8>,
    notes: Vec<(usize, Note)>,
}

impl Notes {
    /// Adds a note.
    pub fn push(&mut self, key: &[u8], note: Note) {
        self.keys.extend_from_slice(key);
        self.notes.push((key.len(), note));
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Passes each note with its key to `tell`.
    #[cold]
    pub fn drain(&mut self, mut tell: impl FnMut(&[u8], Note)) {
        let mut keys = &self.keys[..];
        for (length, note) in self.notes.drain(..) {
            let (own, rest) = keys.split_at(length);
            tell(own, note);
            keys = rest;
        }
        self.keys.clear();
    }
}
