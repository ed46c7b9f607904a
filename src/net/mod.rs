//! Bytes in and out of sockets: streams, how they are dialled and listened for, the buffers between them and us, and the
//! clock that all who wait on them share.

pub mod buffers;
pub mod chance;
pub mod clock;
pub mod dial;
pub mod listen;
pub mod nap;
pub mod outgoing;
pub mod stream;
