//! What one worker owns whatever it serves: its clock, its buffers, its memory, its random numbers.

pub mod buffers;
pub mod clock;
pub mod coalesce;
pub mod local;
pub mod memory;
pub mod rng;
