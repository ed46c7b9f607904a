//! The greedy client: what it sends, and how.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// Bytes of a large value: most of what a node takes by default.
const LARGE: usize = 900_000;
/// Requests in one write.
const MANY: usize = 1000;
/// Clients of the rows that have several, each with one request at a time.
const SESSIONS: usize = 400;

/// What the greedy client of one row of the table does.
pub struct Row {
    /// Its name in the table.
    pub name: &'static str,
    greedy: fn() -> Greedy,
}

impl Row {
    /// The client.
    pub fn greedy(&self) -> Greedy {
        (self.greedy)()
    }
}

/// Every row of the table.
pub const ROWS: &[Row] = &[
    row("nobody", || Greedy::of(Vec::new())),
    row("get", || many("get key\r\n")),
    row("get of a large value", || Greedy {
        first: set("large", LARGE),
        ..many("get large\r\n")
    }),
    row("get of 100 keys", || {
        many(&format!("get{}\r\n", " key".repeat(100)))
    }),
    row("get of 60 000 keys", || {
        Greedy::of(format!("get{}\r\n", " k".repeat(60_000)).into_bytes())
    }),
    row("gat", || many("gat 0 key\r\n")),
    row("set of 100 bytes", || Greedy::of(set("key", 100).repeat(MANY))),
    row("set noreply", || many("set key 0 0 1 noreply\r\nv\r\n")),
    row("set of a large value", || Greedy::of(set("large", LARGE))),
    row("set of a value that is refused", || {
        Greedy::of(set("large", 2 * LARGE))
    }),
    row("append to a large value", || {
        extending("append large 0 0 1 noreply\r\nv\r\n")
    }),
    row("prepend to a large value", || {
        extending("prepend large 0 0 1 noreply\r\nv\r\n")
    }),
    row("append and touch", || {
        extending("append large 0 0 1 noreply\r\nv\r\ntouch large 0 noreply\r\n")
    }),
    row("append and get", || {
        extending("append large 0 0 1 noreply\r\nv\r\nget large\r\n")
    }),
    row("incr", || Greedy {
        first: b"set number 0 0 1\r\n1\r\n".to_vec(),
        ..many("incr number 1\r\n")
    }),
    row("incr of a long number", || Greedy {
        first: format!("set number 0 0 400000\r\n1{}\r\n", " ".repeat(399_999)).into_bytes(),
        ..many("incr number 1\r\n")
    }),
    row("delete", || many("delete key\r\n")),
    row("touch", || many("touch key 0\r\n")),
    row("mg", || many("mg key v t f c\r\n")),
    row("ms", || many("ms key 1\r\nv\r\n")),
    row("me", || many("me key\r\n")),
    row("mn", || many("mn\r\n")),
    row("version", || many("version\r\n")),
    row("verbosity noreply", || many("verbosity 1 noreply\r\n")),
    row("a line that is no command", || many("x\r\n")),
    row("flush_all", || many("flush_all\r\n")),
    row("stats", || many("stats\r\n")),
    row("stats nodes", || many("stats nodes\r\n")),
    row("stats settings", || many("stats settings\r\n")),
    row("stats of 400 sessions", || sessions("stats\r\n")),
    row("stats nodes of 400 sessions", || sessions("stats nodes\r\n")),
    row("binary noop", || Greedy::of(packet(0x0a, b"").repeat(MANY))),
    row("binary get", || Greedy::of(packet(0x00, b"key").repeat(MANY))),
    row("binary stat", || Greedy::of(packet(0x10, b"").repeat(MANY))),
    row("binary stat nodes", || {
        Greedy::of(packet(0x10, b"nodes").repeat(MANY))
    }),
    row("a long line, byte by byte", || Greedy {
        first: format!("get{}", " key".repeat(LARGE / 4)).into_bytes(),
        piece: 1,
        ..Greedy::of(b"k".repeat(100_000))
    }),
    row("a data block, byte by byte", || Greedy {
        first: format!("set{} key 0 0 {LARGE}\r\n", " ".repeat(1900)).into_bytes(),
        piece: 1,
        ..Greedy::of(b"k".repeat(LARGE))
    }),
];

const fn row(name: &'static str, greedy: fn() -> Greedy) -> Row {
    Row { name, greedy }
}

/// One client, or several that do the same.
pub struct Greedy {
    /// How many there are.
    sessions: usize,
    /// What it sends at first.
    first: Vec<u8>,
    /// What it repeats.
    repeated: Vec<u8>,
    /// Bytes in one write.
    piece: usize,
}

impl Greedy {
    fn of(repeated: Vec<u8>) -> Greedy {
        Greedy {
            sessions: 1,
            first: Vec::new(),
            repeated,
            piece: usize::MAX,
        }
    }

    /// Sends as fast as it is served, and reads the answers, until `is_over`. Where it is thrown out it comes back.
    pub fn run(&self, listener: &Path, is_over: &AtomicBool) {
        if self.sessions > 1 {
            return self.run_all(listener, is_over);
        }
        while !is_over.load(Relaxed) && !self.repeated.is_empty() {
            let client = UnixStream::connect(listener).expect("a listener");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut client, mut answers) = (&client, vec![0; 1 << 20]);
                    while client.read(&mut answers).is_ok_and(|n| n > 0) {}
                });
                let _thrown_out = self.send(&client, is_over);
                let _closed = client.shutdown(Shutdown::Both);
            });
        }
    }

    /// All sessions ask at once, and ask again when all have read their answers.
    fn run_all(&self, listener: &Path, is_over: &AtomicBool) {
        let connect = |_| UnixStream::connect(listener).expect("a listener");
        let clients: Vec<UnixStream> = (0..self.sessions).map(connect).collect();
        let mut answer = vec![0; 1 << 20];
        while !is_over.load(Relaxed) {
            for mut client in &clients {
                client.write_all(&self.repeated).expect("written");
            }
            for mut client in &clients {
                let mut length = 0;
                while !answer[..length].ends_with(b"END\r\n") {
                    length += client.read(&mut answer[length..]).expect("answered");
                }
            }
        }
    }

    fn send(&self, mut client: &UnixStream, is_over: &AtomicBool) -> std::io::Result<()> {
        // A write that waits ends with the measurement.
        client.set_write_timeout(Some(std::time::Duration::from_millis(100)))?;
        let pieces = [&self.first].into_iter().chain(std::iter::repeat(&self.repeated));
        for piece in pieces.flat_map(|bytes| bytes.chunks(self.piece.max(1))) {
            let mut rest = piece;
            while !rest.is_empty() {
                if is_over.load(Relaxed) {
                    return Ok(());
                }
                match client.write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// `line` so many times in one write.
fn many(line: &str) -> Greedy {
    Greedy::of(line.repeat(MANY).into_bytes())
}

/// Several clients, each of which asks `line` and reads the answer.
fn sessions(line: &str) -> Greedy {
    Greedy {
        sessions: SESSIONS,
        ..Greedy::of(line.as_bytes().to_vec())
    }
}

/// A large value, and `lines` after it that make it longer.
fn extending(lines: &str) -> Greedy {
    Greedy::of([set("large", LARGE), lines.repeat(20 * MANY).into_bytes()].concat())
}

fn set(key: &str, size: usize) -> Vec<u8> {
    format!("set {key} 0 0 {size}\r\n{}\r\n", "v".repeat(size)).into_bytes()
}

fn packet(opcode: u8, key: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 24];
    (packet[0], packet[1]) = (0x80, opcode);
    (packet[3], packet[11]) = (key.len() as u8, key.len() as u8);
    packet.extend_from_slice(key);
    packet
}
