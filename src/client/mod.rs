//! The near side: listeners accept clients, a session reads one client's requests and writes its replies.

mod batch;
mod figures;
pub mod listener;
mod order;
mod packets;
pub mod replies;
pub mod requests;
mod routed;
pub mod session;
pub mod stats;
mod stores;
