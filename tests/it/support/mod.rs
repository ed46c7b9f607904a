//! What the tests share: the running program, real memcached processes, and nodes that follow a script.

pub mod client;
pub mod memcached;
pub mod ringway;
pub mod scripted;
