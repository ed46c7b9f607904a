//! One worker's view of the configuration, and how it forwards requests.

pub mod context;
pub mod forwarder;
