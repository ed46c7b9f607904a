//! Detects clients that do not read their answers: a stream that knows when its socket is full, and a time
//! limit for each answer.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::net::stream::Stream;

/// The progress of one connection's answers.
#[derive(Debug)]
pub struct Progress {
    /// Whether the last write was incomplete: outside of a poll, whether bytes of an answer wait for the
    /// client.
    is_blocked: AtomicBool,
    /// When the last answer was ready to be written.
    answered: watch::Sender<Option<Instant>>,
}

impl Progress {
    /// Returns the state before any answer.
    pub fn new() -> Progress {
        Progress {
            is_blocked: AtomicBool::new(false),
            answered: watch::Sender::new(None),
        }
    }

    /// Records that an answer is ready to be written.
    pub fn answered(&self, now: Instant) {
        self.answered.send_replace(Some(now));
    }

    /// Returns once the client has not read an answer within `limit` after it was ready; otherwise never.
    pub async fn late(&self, limit: Duration) {
        let mut answers = self.answered.subscribe();
        while answers.changed().await.is_ok() {
            let Some(answered) = *answers.borrow_and_update() else {
                continue;
            };
            sleep_until(answered + limit).await;
            // A later answer has its own limit.
            let is_last = *answers.borrow() == Some(answered);
            if is_last && self.is_blocked.load(Relaxed) {
                return;
            }
        }
        pending().await
    }
}

/// A connection whose writes are observed.
#[derive(Debug)]
pub struct WatchedStream {
    stream: Stream,
    progress: Arc<Progress>,
}

impl WatchedStream {
    /// Observes `stream` for `progress`.
    pub fn new(stream: Stream, progress: Arc<Progress>) -> WatchedStream {
        WatchedStream { stream, progress }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.progress.is_blocked.store(written.is_pending(), Relaxed);
        written
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
