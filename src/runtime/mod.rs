//! What one worker owns whatever it serves: its clock, its buffers, its memory, its random numbers, the bound
//! of a turn.

pub mod buffers;
pub mod clock;
pub mod coalesce;
pub mod local;
pub mod memory;
pub mod shared_text;
pub mod turn;
