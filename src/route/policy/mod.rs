//! The policies, one a file.

pub mod delay;
pub mod deny;
pub mod expiry;
pub mod failover;
pub mod key;
pub mod layers;
pub mod lazy_fill;
pub mod limit;
pub mod prefix;
pub mod replicate;
pub mod shadow;
pub mod static_reply;
