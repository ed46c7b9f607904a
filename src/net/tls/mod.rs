//! TLS on sockets: handshakes, their pace, and their counters.

pub mod client;
pub mod counters;
mod pace;
mod reason;
pub mod server;
pub mod socket;
