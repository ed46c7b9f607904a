//! One place in a session's queue, from the request until its reply is taken.

use crate::protocol::{Command, OnError, Reply};
use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};

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
    pub(super) format: WireFormat,
}

// Each is a cache miss when its reply arrives.
const _: () = assert!(size_of::<QueueEntry>() <= 96);

impl QueueEntry {
    #[inline]
    pub(super) fn new(origin: RequestOrigin, awaited: u32, reply: Reply) -> QueueEntry {
        QueueEntry {
            reply,
            awaited,
            command: origin.command,
            mode: origin.mode,
            on_error: origin.on_error,
            format: origin.format,
        }
    }

    #[inline]
    pub(super) fn into_parts(self) -> (RequestOrigin, Reply) {
        let origin = RequestOrigin {
            command: self.command,
            mode: self.mode,
            on_error: self.on_error,
            format: self.format,
        };
        (origin, self.reply)
    }
}
