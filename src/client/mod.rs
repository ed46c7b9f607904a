//! The near side: listeners accept clients, a session reads one client's requests and writes its replies.

pub mod listener;
mod packets;
pub mod replies;
pub mod requests;
pub mod session;
pub mod stats;
mod stores;
