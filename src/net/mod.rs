//! Bytes in and out of sockets: streams, how they are dialled and listened for, the buffers between them and us, the
//! clock that all who wait on them share, and how a busy worker waits for more of them.

pub mod dial;
pub mod keepalive;
pub mod listen;
pub mod outgoing;
pub mod socket_file;
pub mod stream;
pub mod unix;
