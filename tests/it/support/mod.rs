//! What the tests share: the running program, real memcached processes, a relay that does wrong to what it carries,
//! nodes that follow a script, names that a test decides, and what several subjects say and look for.

pub mod binary;
pub mod certificates;
pub mod client;
pub mod diagnostics;
pub mod dns;
pub mod echo_node;
pub mod forgetful;
pub mod history;
pub mod hosts;
pub mod load;
pub mod memcached;
pub mod metric_names;
pub mod ports;
pub mod program;
pub mod prometheus;
pub mod quiescence;
pub mod redis;
pub mod relay;
pub mod ringway;
pub mod routes;
pub mod scripted;
pub mod sources;
pub mod tls_relay;
pub mod vectors;
