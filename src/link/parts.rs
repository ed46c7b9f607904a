//! Splits what a link writes over TLS between requests. [`crate::net::outgoing`] explains why.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::link::state::LinkState;
use crate::net::outgoing::PART;
use crate::runtime::turn;

impl LinkState {
    /// Writes part by part until the queue is empty, and adds the number of bytes to `written`. `part_end`
    /// is the end of the part being written. Returns `Pending` as
    /// [`crate::net::outgoing::Outgoing::poll_flush`] does.
    pub(super) fn poll_flush_parts<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        part_end: &mut u64,
        cx: &mut Context<'_>,
        written: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            if self.outgoing.start() >= *part_end {
                *part_end = self.part_end();
            }
            *written += ready!(self.outgoing.poll_write_until(*part_end, stream, cx))? as u64;
            if *written >= turn::COST as u64 && !self.outgoing.is_empty() {
                return Poll::Pending;
            }
        }
        // The stream may still hold bytes that it accepted.
        Pin::new(stream).poll_flush(cx)
    }

    /// Returns the end of the part that begins with the next byte, which is the first of a request.
    fn part_end(&self) -> u64 {
        let (start, end) = (self.outgoing.start(), self.outgoing.end());
        let most = start + PART as u64;
        if end <= most {
            return end;
        }
        // A further key of a multi-get line does not begin behind a line end.
        let begins_line = |&offset: &u64| self.outgoing.byte_at(offset - 1) == Some(b'\n');
        let in_part = self
            .in_flight
            .starts_until(most)
            .take_while(|&offset| offset > start);
        let last = in_part.into_iter().find(begins_line);
        last.or_else(|| self.in_flight.starts_after(most).find(begins_line))
            .unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::pending_reply::PendingReply;
    use crate::protocol::dialect::Dialect;
    use crate::protocol::operation::Operation;
    use crate::protocol::{Command, Request};
    use crate::reply::slot::pending;

    /// Returns the parts in which requests are written: a set with a value of each size in bytes, or a get
    /// for 0.
    fn parts(dialect: Dialect, sizes: &[usize], room: usize) -> Vec<Vec<u8>> {
        let (mut state, mut answers) = (LinkState::default(), Vec::new());
        for (index, size) in sizes.iter().enumerate() {
            let (key, value) = (format!("key-{index}"), vec![b'v'; *size]);
            let command = if *size == 0 { Command::Get } else { Command::Set };
            let request = Request {
                value: &value,
                ..Request::new(command, key.as_bytes())
            };
            let (slot, answer) = pending();
            answers.push(answer);
            let pending = PendingReply {
                slot,
                operation: Operation::of(&request),
                started: 0,
                deadline: 0,
                is_retry: false,
                is_sampled: false,
            };
            assert!(state.write(dialect, &request, pending).is_ok());
        }
        state.close_line();
        let mut stream = Parts {
            parts: Vec::new(),
            room,
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut part_end = 0;
        while state
            .poll_flush_parts(&mut stream, &mut part_end, &mut cx, &mut 0)
            .is_pending()
        {}
        stream.parts
    }

    /// Records the bytes of each write, of which it accepts `room`.
    struct Parts {
        parts: Vec<Vec<u8>>,
        room: usize,
    }

    impl AsyncWrite for Parts {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.room);
            self.parts.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn each_part_is_whole_requests_that_fit_a_record_or_one_that_does_not() {
        let mixture: Vec<usize> = (0..400)
            .map(|n| [0, 100, 0, 3000, 1, 20_000, 70_000, 0][n % 8])
            .collect();
        let gets = vec![0; 3000];
        for (sizes, dialect) in [
            (&mixture, Dialect::Meta),
            (&mixture, Dialect::Classic),
            (&gets, Dialect::Meta),
            (&gets, Dialect::Classic),
        ] {
            let parts = parts(dialect, sizes, usize::MAX);
            assert!(parts.len() > 1);
            for part in &parts {
                let begins = [&b"mg "[..], b"ms ", b"get ", b"set "];
                assert!(begins.iter().any(|begin| part.starts_with(begin)) && part.ends_with(b"\r\n"));
                let requests = part
                    .windows(5)
                    .filter(|bytes| *bytes == b" key-" || *bytes == b"\nkey-");
                let is_one_line = part.starts_with(b"get ") && !part[..part.len() - 1].contains(&b'\n');
                assert!(
                    part.len() <= PART || requests.count() == 1 || is_one_line,
                    "{}",
                    part.len()
                );
            }
            let total: usize = parts.iter().map(Vec::len).sum();
            assert!(
                parts.len() < total / (PART / 4),
                "{} parts of {total} bytes",
                parts.len()
            );
        }
    }

    #[test]
    fn a_request_that_was_cut_by_a_full_stream_ends_its_part() {
        let sizes = [50_000, 10, 20, 40_000, 0, 0];
        let whole = parts(Dialect::Meta, &sizes, usize::MAX);
        let mut ends: Vec<usize> = Vec::new();
        whole
            .iter()
            .for_each(|part| ends.push(part.len() + ends.last().unwrap_or(&0)));
        let mut cut_ends: Vec<usize> = Vec::new();
        let cut = parts(Dialect::Meta, &sizes, 3_000);
        cut.iter()
            .for_each(|part| cut_ends.push(part.len() + cut_ends.last().unwrap_or(&0)));
        assert!(cut.concat() == whole.concat());
        assert!(
            ends.iter().all(|end| cut_ends.contains(end)),
            "{ends:?} {cut_ends:?}"
        );
    }
}
