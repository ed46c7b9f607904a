//! What the tests share: the running program, real memcached processes, a relay that does
//! wrong to what it carries, and nodes that follow a script.

pub mod client;
pub mod history;
pub mod memcached;
pub mod relay;
pub mod ringway;
pub mod scripted;
