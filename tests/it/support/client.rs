//! A client that speaks memcached's text: it sends bytes as they are, waits for what it wants to read, and
//! fails at a deadline.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};

use super::ringway::DEADLINE;

/// A client that speaks memcached's text, waits for what it wants to read, and fails at the deadline.
pub struct Client {
    /// The connection.
    pub stream: TcpStream,
    /// Bytes that were read and not taken.
    unread: Vec<u8>,
}

impl Client {
    /// A client of whoever listens on `port` of 127.0.0.1.
    pub fn connect(port: u16) -> Client {
        Client::connect_to(("127.0.0.1", port))
    }

    /// A client of whoever listens on `address`.
    pub fn connect_to(address: impl ToSocketAddrs) -> Client {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("a socket");
        Client {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sent");
    }

    /// Reads one line, without its line end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return String::from_utf8_lossy(&line)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned();
            }
            assert!(self.fill(), "closed in the middle of a line");
        }
    }

    /// Sends one request and reads one line.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.send(request);
        self.line()
    }

    /// Reads exactly so many bytes.
    pub fn exact(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.fill(), "closed before {count} bytes came");
        }
        self.unread.drain(..count).collect()
    }

    /// Reads as many bytes as `wanted` has and fails if they are others.
    pub fn expect(&mut self, wanted: impl AsRef<[u8]>) {
        let wanted = wanted.as_ref();
        let got = self.exact(wanted.len());
        assert!(got == wanted, "got {:?}\nwanted {:?}", shown(&got), shown(wanted));
    }

    /// Sends `request` and expects `answer`.
    pub fn expects(&mut self, request: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(answer);
    }

    /// Reads lines until one begins with `start`, which is left out.
    pub fn read_to(&mut self, start: &str) -> String {
        let mut text = String::new();
        loop {
            let line = self.line();
            if line.starts_with(start) {
                return text;
            }
            text += &line;
            text += "\r\n";
        }
    }

    /// Says that nothing more will be sent, and reads to the end.
    pub fn finish(mut self) -> Vec<u8> {
        let _closed_already = self.stream.shutdown(Shutdown::Write);
        self.rest()
    }

    /// Reads until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads what is there or comes next; false where the other side closed.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.unread.extend_from_slice(&chunk[..n]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing to read: {error}; so far {:?}", shown(&self.unread)),
        }
    }

    /// Stores a value, and reads that it is stored.
    pub fn set(&mut self, key: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.send(
            [
                format!("set {key} 0 0 {}\r\n", value.len()).as_bytes(),
                value,
                b"\r\n",
            ]
            .concat(),
        );
        assert_eq!(self.line(), "STORED", "set {key}");
    }

    /// Reads a value. `None`: a miss.
    pub fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let line = self.ask(format!("get {key}\r\n"));
        if line == "END" {
            return None;
        }
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(&words[..2], ["VALUE", key], "{line}");
        let value = self.exact(words[3].parse().expect("a length"));
        self.expect("\r\nEND\r\n");
        Some(value)
    }
}

/// Bytes as they are shown in a message: escaped, and cut.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(400)];
    format!(
        "{}{}",
        cut.escape_ascii(),
        if cut.len() < bytes.len() { "…" } else { "" }
    )
}
