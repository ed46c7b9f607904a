//! Lines of text between two processes of one machine, over a unix socket, of which a line may bring an open socket.
//!
//! Blocking: for threads of its own. The kernel may deliver several lines at once but never a descriptor before the
//! line that it was sent with, so descriptors are taken in the order in which their lines are read.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The maximum length of a line.
const MAX_LINE: usize = 16 << 10;
/// The maximum number of descriptors that one call receives.
const MAX_FDS: usize = 16;

/// One end of the connection.
#[derive(Debug)]
pub struct FdChannel {
    stream: UnixStream,
    unread: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl FdChannel {
    /// Returns this end of a connected `stream`, which becomes blocking; `patience` bounds each wait for the peer.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn new(stream: UnixStream, patience: Duration) -> io::Result<FdChannel> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(FdChannel {
            stream,
            unread: Vec::new(),
            fds: VecDeque::new(),
        })
    }

    /// Waits for each line for at most this time from now on.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Waits for lines without a limit from now on.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn wait_for_ever(&self) -> io::Result<()> {
        self.stream.set_read_timeout(None)
    }

    /// Sends `line`, which contains no line end, and with it `fd`.
    ///
    /// # Errors
    /// Those of the kernel; the peer may be gone.
    pub fn send(&mut self, line: &str, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = [line.as_bytes(), b"\n"].concat();
        let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let sent = sendmsg(
            self.stream.as_fd(),
            &[IoSlice::new(&bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        self.stream.write_all(&bytes[sent..])
    }

    /// Returns the next line; `None` at the end of the connection.
    ///
    /// # Errors
    /// Those of the kernel, and a line that is too long or not UTF-8.
    pub fn receive(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).take(end).collect();
                return String::from_utf8(line)
                    .map(Some)
                    .map_err(|_| ErrorKind::InvalidData.into());
            }
            if self.unread.len() >= MAX_LINE {
                return Err(ErrorKind::InvalidData.into());
            }
            if self.read()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Returns the descriptor that came with a line that was received.
    ///
    /// # Errors
    /// `InvalidData` if there is none.
    pub fn take_fd(&mut self) -> io::Result<OwnedFd> {
        self.fds.pop_front().ok_or(ErrorKind::InvalidData.into())
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            self.stream.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let received = match received {
            Err(rustix::io::Errno::INTR) => return self.read(),
            received => received?,
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        self.unread.extend_from_slice(&bytes[..received.bytes]);
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn each_line_brings_its_own_socket_though_many_arrive_at_once() {
        let (one, other) = UnixStream::pair().unwrap();
        let patience = Duration::from_secs(10);
        let (mut one, mut other) = (
            FdChannel::new(one, patience).unwrap(),
            FdChannel::new(other, patience).unwrap(),
        );
        let listeners: Vec<_> = (0..30)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        for listener in &listeners {
            one.send("nothing", None).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            one.send(&address, Some(listener.as_fd())).unwrap();
        }
        for listener in &listeners {
            assert_eq!(other.receive().unwrap().as_deref(), Some("nothing"));
            let line = other.receive().unwrap().unwrap();
            let passed = TcpListener::from(other.take_fd().unwrap());
            assert_eq!(passed.local_addr().unwrap().to_string(), line);
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            passed.accept().unwrap().0.write_all(b"!").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        assert!(other.take_fd().is_err());
        drop(one);
        assert_eq!(other.receive().unwrap(), None);
    }

    #[test]
    fn a_peer_that_sends_no_line_end_is_refused() {
        let (one, other) = UnixStream::pair().unwrap();
        let mut channel = FdChannel::new(one, Duration::from_secs(10)).unwrap();
        let writer = std::thread::spawn(move || (&other).write_all(&[b'x'; 2 * MAX_LINE]));
        assert_eq!(channel.receive().unwrap_err().kind(), ErrorKind::InvalidData);
        drop(channel);
        let _may_fail = writer.join().unwrap();
    }
}
