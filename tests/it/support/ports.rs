//! Ports for what the tests start. No other run of these tests on the machine is given the same one.
//!
//! A port that the kernel gives for `:0` is free only until another process asks: under load, when a program takes
//! long to bind, a test could find another test's program there and take it for its own. So ports come from below
//! those of outgoing connections, in blocks; a process owns a block as long as it holds an abstract unix socket
//! with the block's name.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;

/// Above the ports that a program under test has by default, below the kernel's for outgoing connections.
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;
const BLOCK: u16 = 50;

/// The blocks of this process, and what it was given of the last one.
struct OwnedRequest {
    held: Vec<UnixListener>,
    /// The next block to ask for.
    block: u16,
    next: u16,
    end: u16,
}

static OWNED: Mutex<OwnedRequest> = Mutex::new(OwnedRequest {
    held: Vec::new(),
    block: FIRST,
    next: 0,
    end: 0,
});

/// A port that no process listens on now, and that is given only once.
pub fn free_port() -> u16 {
    let mut owned = OWNED.lock().expect("no panics");
    loop {
        while owned.next < owned.end {
            owned.next += 1;
            let port = owned.next - 1;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
        owned.take_block();
    }
}

impl OwnedRequest {
    /// Takes the next block that no process owns.
    fn take_block(&mut self) {
        while self.block + BLOCK <= LAST {
            let block = self.block;
            self.block += BLOCK;
            let name = format!("ringway-tests-ports-{block}");
            let address = SocketAddr::from_abstract_name(name).expect("a short name");
            if let Ok(socket) = UnixListener::bind_addr(&address) {
                self.held.push(socket);
                (self.next, self.end) = (block, block + BLOCK);
                return;
            }
        }
        panic!("all ports from {FIRST} to {LAST} were given to tests");
    }
}
