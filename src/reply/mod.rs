//! The way back: the queue of replies that a session is owed, and who else may wait for a reply.

pub mod oneshot;
pub mod origin;
pub mod queue;
pub mod refusal;
pub mod slot;
pub mod wakeup;
