//! The resources of one worker, whatever it serves: clock, buffers, memory, random numbers, adaptive
//! batching, and the bound of a turn.

pub mod buffers;
pub mod byte_queue;
pub mod clock;
pub mod coalesce;
pub mod local;
pub mod logins;
pub mod memory;
pub mod shared_text;
pub mod taps;
pub mod turn;
