//! A byte stream over TCP or a unix socket.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::tls::socket::{SESSION, TlsSocket};
use super::unix::UnixSocket;

/// The maximum number of encrypted bytes that a peer has not taken (`DEFAULT_BUFFER_LIMIT` of rustls).
const TLS_UNSENT: usize = 64 << 10;

/// The maximum time for a TLS peer to receive the end of its connection.
const END: Duration = Duration::from_secs(1);

/// A connected TCP or unix socket, or TLS over TCP.
#[derive(Debug)]
pub enum Stream {
    /// TCP with `TCP_NODELAY`.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixSocket),
    /// Over TLS. Written bytes may stay in it until it is flushed.
    Tls(Box<TlsStream<TlsSocket>>),
}

impl Stream {
    /// The address of the peer; `None` for a unix socket, and for a connection that is gone.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            Stream::Unix(_) => None,
            Stream::Tls(stream) => stream.get_ref().0.tcp().peer_addr().ok(),
        }
    }

    /// Its socket; `None` over TLS, where the socket is not all there is of the connection.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Stream::Tcp(stream) => Some(stream.as_fd()),
            Stream::Unix(socket) => Some(socket.as_fd()),
            Stream::Tls(_) => None,
        }
    }

    /// Makes the following close reset the connection, so that the kernel drops what it has not delivered
    /// yet. Not needed for a unix socket, which delivers at once.
    pub fn forget_unsent(&self) {
        let stream = match self {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0.tcp(),
            Stream::Unix(_) => return,
        };
        // If this fails, the connection is already gone.
        let _is_gone = stream.set_zero_linger();
    }

    /// Ready once everything written has been passed to the kernel.
    #[inline]
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tcp(_) | Stream::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Tells a TLS peer that nothing was cut off, before the connection closes.
    pub async fn end(&mut self) {
        if self.is_tls() {
            let _best_effort = timeout(END, self.shutdown()).await;
        }
    }

    /// The number of bytes that it holds itself: those of TLS.
    #[inline]
    pub fn held(&self) -> usize {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => 0,
            Stream::Tls(stream) if stream.get_ref().1.wants_write() => SESSION + TLS_UNSENT,
            Stream::Tls(_) => SESSION,
        }
    }

    /// The number of encrypted bytes that have arrived since the handshake.
    pub fn encrypted(&self) -> u64 {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => 0,
            Stream::Tls(stream) => stream.get_ref().0.received(),
        }
    }

    /// Whether it is encrypted.
    #[inline]
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }
}

/// Says in plain words that a TLS peer closed without telling that it has sent all.
#[cold]
fn cut_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the connection was cut off"),
        _ => error,
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf).map_err(cut_off),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
