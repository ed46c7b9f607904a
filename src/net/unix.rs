//! A unix socket that waits for writability only while it is full.
//!
//! The kernel wakes those who wait to write to a unix socket each time the peer has read, even if there was
//! room before, and tokio's own stream always waits for it: each reply would wake its worker once more, and
//! each request its client. So the socket is registered for reading alone until a write finds it full.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// A connected unix socket. Its halves are tokio's pipe types, because those register for one direction
/// only, and the kernel interface is the same.
#[derive(Debug)]
pub struct UnixSocket {
    reader: pipe::Receiver,
    /// Registered for writing; exists once the socket has been full.
    writer: Option<pipe::Sender>,
}

impl UnixSocket {
    /// Registers `socket`, which must be non-blocking, with this thread's event loop.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn new(socket: UnixStream) -> io::Result<UnixSocket> {
        Ok(UnixSocket {
            reader: pipe::Receiver::from_owned_fd_unchecked(OwnedFd::from(socket))?,
            writer: None,
        })
    }

    /// Writes with `now` if the socket was never full, otherwise with `later`, which waits for room.
    #[inline]
    fn poll_write_by(
        &mut self,
        now: impl Fn(SockRef<'_>) -> io::Result<usize>,
        later: impl FnOnce(Pin<&mut pipe::Sender>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => match now(SockRef::from(&self.reader)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let again = self.reader.as_fd().try_clone_to_owned()?;
                    self.writer.insert(pipe::Sender::from_owned_fd_unchecked(again)?)
                }
                done => return Poll::Ready(done),
            },
        };
        later(Pin::new(writer))
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl AsyncRead for UnixSocket {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for UnixSocket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_by(|socket| socket.send(buf), |writer| writer.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_by(
            |socket| socket.send_vectored(bufs),
            |writer| writer.poll_write_vectored(cx, bufs),
        )
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = SockRef::from(&self.reader);
        Poll::Ready(socket.shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (UnixSocket, UnixSocket) {
        let (one, other) = UnixStream::pair().expect("a pair");
        let socket = |socket: UnixStream| {
            socket.set_nonblocking(true).expect("set");
            UnixSocket::new(socket).expect("registered")
        };
        (socket(one), socket(other))
    }

    #[tokio::test]
    async fn what_is_written_arrives_though_the_socket_is_full_meanwhile() {
        let (mut one, mut other) = pair();
        let sent: Vec<u8> = (0..3 << 20).map(|n: u32| n as u8).collect();
        let write = async {
            one.write_all(&sent).await.expect("written");
            assert!(one.writer.is_some(), "3 MiB fit no socket");
            one.write_all(b"end").await.expect("written");
            one.shutdown().await.expect("closed");
            one
        };
        let mut got = Vec::new();
        let (_one, read) = tokio::join!(write, other.read_to_end(&mut got));
        read.expect("read");
        assert_eq!(got.len(), sent.len() + 3);
        assert!(got.starts_with(&sent) && got.ends_with(b"end"));
    }

    #[tokio::test]
    async fn who_writes_to_one_that_is_gone_is_told() {
        let (mut one, other) = pair();
        drop(other);
        let error = one.write_all(b"x").await.expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
