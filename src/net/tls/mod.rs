//! TLS on sockets: handshakes, how many of them a turn has room for, and what is counted of them.

pub mod client;
pub mod counters;
mod pace;
mod reason;
