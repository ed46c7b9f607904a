//! A relay that stands before a real memcached and, when it is told to, does wrong to what it carries.
//!
//! ```text
//!   Ringway ◀──────── replies ──── Relay ◀──── replies ──── memcached
//!            one at a time, each       └ Fault
//!            right, wrong or never
//! ```
//!
//! Each connection has two threads. Requests are carried as they come. Replies, meta or classic, are carried
//! one by one, and every few of them meet the [`Fault`]. It listens on another loopback address than all
//! else, so that nobody takes its port while it refuses connections.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{sleep, spawn};
use std::time::Duration;

use socket2::SockRef;

/// What the relay does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nobody listens, and connections that were open are closed.
    Refuse,
    /// Connections are accepted, and nothing ever comes back on them, nor on those that were open and used.
    Hang,
    /// Replies come byte by byte with a pause after each.
    Slow,
    /// Requests come late, each piece after a pause of [`LATE`], also if they have timed out.
    Late,
    /// Requests and replies come in packets of one byte (the first [`SINGLE`] bytes of each piece).
    SingleBytes,
    /// The connection is reset in the middle of a value.
    ResetInValue,
    /// The replies end, and requests are still taken.
    HalfClose,
    /// The connection is closed in the middle of a reply.
    CutShort,
    /// Something else stands where a reply should: see [`GARBAGE`].
    Garbage,
    /// In place of a value comes the one of another key, which was read before it.
    OtherValue,
    /// A reply comes twice.
    OneMore,
    /// A reply does not come.
    OneFewer,
}

/// One of so many replies meets the fault.
const RARE: usize = 5;
/// The pause after each byte of a slow reply.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause before each piece of late requests: longer than clients of Ringway wait in tests.
const LATE: Duration = Duration::from_millis(300);
/// How often the relay looks whether somebody connects.
const LOOK: Duration = Duration::from_millis(2);
/// So many bytes of a piece are sent one by one; a large value would keep the machine busy.
const SINGLE: usize = 400;
/// What stands in place of a reply, in turn.
const GARBAGE: [&[u8]; 6] = [
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    b"\x81\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x05",
    b"VA 99999999999999999999 kx f0\r\nx\r\n",
    b"VALUE x 0 -1\r\nEND\r\n",
    b"\r\n\r\n\n\r\0",
    &[b'x'; 10_000],
];

/// A relay that runs until it is dropped.
pub struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    /// The port of the memcached behind it.
    to: u16,
    fault: Mutex<Fault>,
    /// Replies that could have met the fault.
    replies: AtomicUsize,
    /// Both ends of each connection.
    sockets: Mutex<Vec<Weak<TcpStream>>>,
    is_over: AtomicBool,
}

impl Relay {
    /// A relay without a fault to the memcached on port `to` of 127.0.0.1.
    pub fn start(to: u16) -> Relay {
        let listener = listen(SocketAddr::from(([127, 0, 0, 3], 0))).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            to,
            fault: Mutex::new(Fault::None),
            replies: AtomicUsize::new(0),
            sockets: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        spawn(move || accepting.accept(listener, address));
        Relay { shared, address }
    }

    /// Its address, as a configuration has it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on it does this; [`Fault::None`] ends what it did.
    pub fn turn_to(&self, fault: Fault) {
        *self.shared.fault.lock().expect("no panics") = fault;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        self.shared.close_all();
    }
}

impl Shared {
    fn fault(&self) -> Fault {
        *self.fault.lock().expect("no panics")
    }

    fn accept(self: Arc<Shared>, listener: TcpListener, address: SocketAddr) {
        let mut listener = Some(listener);
        while !self.is_over.load(SeqCst) {
            match self.fault() {
                Fault::Refuse if listener.is_some() => {
                    listener = None;
                    self.close_all();
                }
                Fault::Refuse => {}
                _ if listener.is_none() => listener = listen(address).ok(),
                _ => {}
            }
            match listener.as_ref().map(TcpListener::accept) {
                Some(Ok((stream, _))) => self.serve(stream),
                _ => sleep(LOOK),
            }
        }
    }

    /// Carries what comes on a connection, if memcached is there.
    fn serve(self: &Arc<Shared>, front: TcpStream) {
        let Ok(back) = TcpStream::connect(("127.0.0.1", self.to)) else {
            return;
        };
        for stream in [&front, &back] {
            stream.set_nonblocking(false).expect("a socket");
            stream.set_nodelay(true).expect("a socket");
        }
        let (front, back) = (Arc::new(front), Arc::new(back));
        let mut sockets = self.sockets.lock().expect("no panics");
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.extend([Arc::downgrade(&front), Arc::downgrade(&back)]);
        let (shared, from, to) = (self.clone(), front.clone(), back.clone());
        spawn(move || {
            let _closed = shared.carry_requests(&from, &to);
            let _closed_before = to.shutdown(Shutdown::Both);
        });
        let shared = self.clone();
        spawn(move || {
            let end = shared.carry_replies(&back, &front);
            let _closed_before = back.shutdown(Shutdown::Both);
            // A reset is what the last holder's drop does.
            if !matches!(end, Ok(Goes::Reset)) {
                let _closed_before = front.shutdown(Shutdown::Both);
            }
        });
    }

    fn carry_requests(&self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            let n = from.read(&mut chunk)?;
            match self.fault() {
                _ if n == 0 => return Ok(()),
                Fault::SingleBytes => send_single(to, &chunk[..n])?,
                Fault::Late => {
                    sleep(LATE);
                    to.write_all(&chunk[..n])?;
                }
                _ => to.write_all(&chunk[..n])?,
            }
        }
    }

    /// Returns when the connection is to be closed, and how.
    fn carry_replies(&self, mut from: &TcpStream, to: &TcpStream) -> io::Result<Goes> {
        let mut chunk = vec![0; 64 << 10];
        let (mut unread, mut before) = (Vec::new(), Vec::new());
        loop {
            let n = from.read(&mut chunk)?;
            if n == 0 {
                return Ok(Goes::Away);
            }
            unread.extend_from_slice(&chunk[..n]);
            while let Some(end) = end_of_reply(&unread) {
                let reply: Vec<u8> = unread.drain(..end).collect();
                match self.carry_reply(&reply, &before, to)? {
                    Goes::On => {}
                    Goes::Silent => return io::copy(&mut from, &mut io::sink()).map(|_| Goes::Away),
                    end => return Ok(end),
                }
                if has_value(&reply) {
                    before = reply;
                }
            }
        }
    }

    /// Carries one reply. `before` is the last one with a value, if any.
    fn carry_reply(&self, reply: &[u8], before: &[u8], mut to: &TcpStream) -> io::Result<Goes> {
        let half = &reply[..reply.len() / 2];
        match self.fault() {
            Fault::Hang => return Ok(Goes::Silent),
            Fault::Slow => self.send_slowly(to, reply)?,
            Fault::SingleBytes => send_single(to, reply)?,
            Fault::ResetInValue if has_value(reply) && self.turn().is_some() => {
                to.write_all(half)?;
                // A socket that is closed without a linger says RST. Who reads from it is to let go of it.
                SockRef::from(to).set_linger(Some(Duration::ZERO))?;
                to.shutdown(Shutdown::Read)?;
                return Ok(Goes::Reset);
            }
            Fault::HalfClose if self.turn().is_some() => {
                to.shutdown(Shutdown::Write)?;
                return Ok(Goes::Silent);
            }
            Fault::CutShort if self.turn().is_some() => {
                to.write_all(half)?;
                return Ok(Goes::Away);
            }
            Fault::OtherValue if are_of_other_keys(reply, before) && self.turn().is_some() => {
                to.write_all(before)?;
            }
            Fault::Garbage => match self.turn() {
                Some(turn) => to.write_all(GARBAGE[turn % GARBAGE.len()])?,
                None => to.write_all(reply)?,
            },
            Fault::OneMore if self.turn().is_some() => to.write_all(&[reply, reply].concat())?,
            Fault::OneFewer if self.turn().is_some() => {}
            _ => to.write_all(reply)?,
        }
        Ok(Goes::On)
    }

    /// Counts a reply. Every few: how many of those there were.
    fn turn(&self) -> Option<usize> {
        let count = self.replies.fetch_add(1, SeqCst);
        (count % RARE == RARE - 1).then_some(count / RARE)
    }

    /// Once the fault has ended, what is left comes at once.
    fn send_slowly(&self, mut to: &TcpStream, reply: &[u8]) -> io::Result<()> {
        for (at, byte) in reply.iter().enumerate() {
            if self.fault() != Fault::Slow {
                return to.write_all(&reply[at..]);
            }
            to.write_all(&[*byte])?;
            sleep(PAUSE);
        }
        Ok(())
    }

    fn close_all(&self) {
        for socket in self.sockets.lock().expect("no panics").drain(..) {
            if let Some(socket) = socket.upgrade() {
                let _closed_before = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

/// What becomes of a connection after a reply.
enum Goes {
    /// It carries more.
    On,
    /// It stays open, and no more replies come.
    Silent,
    /// It is closed.
    Away,
    /// It is reset.
    Reset,
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn send_single(mut to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let (first, rest) = bytes.split_at(bytes.len().min(SINGLE));
    for byte in first {
        to.write_all(&[*byte])?;
    }
    to.write_all(rest)
}

fn has_value(reply: &[u8]) -> bool {
    reply.starts_with(b"VA")
}

/// True for two replies with values that have no key in common.
fn are_of_other_keys(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (keys(one), keys(other));
    !one.is_empty() && !other.is_empty() && one.iter().all(|key| !other.contains(key))
}

/// The keys in a reply with values.
fn keys(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply);
    let key = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        match words.next()? {
            "VALUE" => words.next().map(str::to_owned),
            "VA" => words.find_map(|word| word.strip_prefix('k').map(str::to_owned)),
            _ => None,
        }
    };
    text.lines().filter_map(key).collect()
}

/// Where the first reply ends, meta or classic; `None` if not all of it has come.
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line_end = at + bytes[at..].iter().position(|&byte| byte == b'\n')? + 1;
        let line = String::from_utf8_lossy(&bytes[at..line_end]);
        let mut words = line.split_ascii_whitespace();
        let length: usize = match words.next() {
            Some("VA") => words.next()?.parse().ok()?,
            Some("VALUE") => words.nth(2)?.parse().ok()?,
            _ => return Some(line_end),
        };
        at = line_end + length + 2;
        if at > bytes.len() {
            return None;
        }
        if line.starts_with("VA ") {
            return Some(at);
        }
    }
}

#[test]
fn a_relay_tells_replies_apart() {
    let cases: &[(&str, Option<usize>)] = &[
        ("HD kx\r\nHD", Some(7)),
        ("HD kx", None),
        ("VA 2 kx\r\n\r\n\r\nEN\r\n", Some(13)),
        ("VA 2 kx\r\n\r\n", None),
        ("VALUE x 0 1\r\na\r\nEND\r\n", Some(21)),
        ("VALUE x 0 1\r\na\r\nEN", None),
        ("END\r\n", Some(5)),
    ];
    for (bytes, end) in cases {
        assert_eq!(end_of_reply(bytes.as_bytes()), *end, "{bytes:?}");
    }
}
