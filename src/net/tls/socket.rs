//! A TCP socket under TLS. It counts what its handshake reads, since TLS keeps the bytes of a message until that is
//! complete; what may be kept is for the caller to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a TLS session holds, measured after large values went both ways: its state, and a buffer for a record. A
/// handshake holds less, and what it has read.
pub const SESSION: usize = 16 << 10;

/// A TCP socket under TLS.
#[derive(Debug)]
pub struct TlsSocket {
    tcp: TcpStream,
    /// The number of bytes that the handshake has read; `None` once it is done.
    read: Option<Arc<AtomicUsize>>,
    /// The number of bytes that were read since then.
    received: u64,
}

impl TlsSocket {
    /// Returns `tcp` before its handshake, which adds to `read` what it reads.
    pub fn new(tcp: TcpStream, read: Arc<AtomicUsize>) -> TlsSocket {
        TlsSocket {
            tcp,
            read: Some(read),
            received: 0,
        }
    }

    /// The socket itself.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The number of bytes that were read since the handshake.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The handshake is done.
    pub fn finish(&mut self) {
        self.read = None;
    }
}

impl AsyncRead for TlsSocket {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        match &self.read {
            Some(read) => {
                read.fetch_add(count, Relaxed);
            }
            None => self.received += count as u64,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsSocket {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
