//! Clients: listeners accept them, and a session reads one client's requests and writes its replies.

mod batch;
mod dispatch;
mod in_progress;
mod key_order;
pub mod listener;
pub mod login;
mod multi_get;
mod reading;
pub mod replies;
pub mod requests;
mod routed;
pub mod session;
pub mod stats;
