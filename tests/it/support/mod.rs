//! What the tests share: the running program, real memcached processes, a relay that does
//! wrong to what it carries, nodes that follow a script, and names that a test decides.

pub mod certificates;
pub mod client;
pub mod dns;
pub mod forgetful;
pub mod history;
pub mod hosts;
pub mod memcached;
pub mod ports;
pub mod program;
pub mod prometheus;
pub mod relay;
pub mod ringway;
pub mod scripted;
