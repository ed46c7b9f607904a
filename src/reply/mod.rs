//! The way back: each session's queue of outstanding replies, and the other recipients of a reply.

pub mod dropped;
pub mod inspection;
pub mod keys;
mod lines;
pub mod oneshot;
pub mod origin;
pub mod queue;
pub mod refusal;
pub mod slot;
pub mod unfinished;
pub mod wakeup;
