//! Sockets: streams, how they are dialled and listened for, and how bytes are written to them.

pub mod authenticate;
pub mod dial;
pub mod fd_channel;
pub mod greet;
pub mod inherited;
pub mod keepalive;
pub mod listen;
pub mod outgoing;
pub mod socket_file;
pub mod stream;
pub mod succession;
pub mod tls;
pub mod unix;
