//! One place in a session's queue, from the request until its reply is taken.

use super::kept_format::KeptFormat;
use crate::protocol::{Command, OnError, Reply};
use crate::reply::origin::{ReplyMode, RequestOrigin};
use crate::runtime::byte_queue::ByteQueue;

/// The place of one reply.
#[derive(Debug)]
pub(super) struct QueueEntry {
    pub(super) reply: Reply,
    /// The number of outstanding replies; of a multi-get, the number of keys that were not taken.
    pub(super) awaited: u32,
    /// The fields of [`RequestOrigin`], inlined to save memory.
    pub(super) command: Command,
    pub(super) mode: ReplyMode,
    pub(super) on_error: OnError,
    pub(super) format: KeptFormat,
}

// Each is a cache miss when its reply arrives.
const _: () = assert!(size_of::<QueueEntry>() <= 88);

impl QueueEntry {
    /// Returns the entry of a request, whose text is appended to `text`.
    #[inline]
    pub(super) fn new<const KEEP: usize>(
        origin: RequestOrigin<'_>,
        awaited: u32,
        reply: Reply,
        text: &mut ByteQueue<KEEP>,
    ) -> QueueEntry {
        QueueEntry {
            reply,
            awaited,
            command: origin.command,
            mode: origin.mode,
            on_error: origin.on_error,
            format: KeptFormat::keep(origin.format, text),
        }
    }

    /// Returns the request's origin. `text` begins with its text.
    #[inline]
    pub(super) fn origin<'a, const KEEP: usize>(&self, text: &'a ByteQueue<KEEP>) -> RequestOrigin<'a> {
        RequestOrigin {
            command: self.command,
            mode: self.mode,
            on_error: self.on_error,
            format: self.format.format(text),
        }
    }
}
