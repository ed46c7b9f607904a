//! A steady load: clients that read and write keys at fixed times, and ask a slow origin for those that they miss.
//!
//! Each value is a version. A key is written by one client alone, and what the origin gave is only added, so a version that
//! is older than what was written before the read is an old value.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The number of keys.
pub const KEYS: u32 = 10_000;
const CLIENTS: u32 = 16;
/// How long the origin takes.
const ORIGIN: Duration = Duration::from_millis(20);
/// The size of a value.
const VALUE: usize = 500;
/// One of this many requests is a write.
const WRITES: u32 = 20;

/// A read.
pub struct Read {
    /// Since the load began.
    pub at: Duration,
    /// The index of its key.
    pub key: u32,
    /// Whether the cache had it.
    pub is_hit: bool,
    /// Whether that was an old value.
    pub is_old: bool,
    /// How long the cache took.
    pub took: Duration,
}

/// A load that runs.
pub struct Load {
    /// When it began.
    pub began: Instant,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Read>>>,
}

struct Shared {
    /// The version of each key that was written last.
    versions: Vec<AtomicU32>,
    is_over: AtomicBool,
    reads: AtomicU64,
    hits: AtomicU64,
}

/// The name of the key with this index.
pub fn key(index: u32) -> String {
    format!("user:{index}")
}

/// Stores every key through the Ringway on `port`.
pub fn store_all(port: u16) {
    let mut client = Client::connect(port);
    (0..KEYS).for_each(|key| client.store("set", key, 0));
}

impl Load {
    /// Starts clients of the Ringway on `port`, which together read `rate` keys in a second.
    pub fn start(port: u16, rate: u32) -> Load {
        let shared = Arc::new(Shared {
            versions: (0..KEYS).map(|_| AtomicU32::new(0)).collect(),
            is_over: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        });
        let began = Instant::now();
        let clients = (0..CLIENTS).map(|number| {
            let shared = shared.clone();
            thread::spawn(move || read(port, number, rate, began, &shared))
        });
        Load {
            clients: clients.collect(),
            began,
            shared,
        }
    }

    /// The reads and hits since the last call.
    pub fn take(&self) -> (u64, u64) {
        let shared = &self.shared;
        (shared.reads.swap(0, Relaxed), shared.hits.swap(0, Relaxed))
    }

    /// Ends it, and returns its reads.
    pub fn end(self) -> Vec<Read> {
        self.shared.is_over.store(true, Relaxed);
        let reads = self
            .clients
            .into_iter()
            .map(|client| client.join().expect("a client failed"));
        reads.flatten().collect()
    }
}

/// Reads keys as one of the clients.
fn read(port: u16, number: u32, rate: u32, began: Instant, shared: &Shared) -> Vec<Read> {
    let mut client = Client::connect(port);
    let mut random = fastrand::Rng::with_seed(number.into());
    let pause = Duration::from_secs(1) * CLIENTS / rate;
    let mut due = began + pause * number / CLIENTS;
    let mut reads = Vec::new();
    while !shared.is_over.load(Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // The square of a fraction: a quarter of the keys get half of the reads.
        let fraction = random.f64();
        let key = (fraction * fraction * f64::from(KEYS)) as u32;
        let asked = Instant::now();
        if random.u32(..WRITES) == 0 {
            let own = key - key % CLIENTS + number;
            if own < KEYS {
                let version = &shared.versions[own as usize];
                let next = version.load(SeqCst) + 1;
                client.store("set", own, next);
                version.store(next, SeqCst);
            }
            due = (due + pause).max(asked);
            continue;
        }
        let newest = shared.versions[key as usize].load(SeqCst);
        let found = client.get(key);
        let is_hit = found.is_some();
        reads.push(Read {
            at: asked - began,
            key,
            is_hit,
            is_old: found.is_some_and(|found| found < newest),
            took: asked.elapsed(),
        });
        shared.reads.fetch_add(1, Relaxed);
        shared.hits.fetch_add(is_hit.into(), Relaxed);
        if !is_hit {
            thread::sleep(ORIGIN);
            client.store("add", key, shared.versions[key as usize].load(SeqCst));
        }
        // What the origin delayed is not read later in a burst.
        due = (due + pause).max(asked);
    }
    reads
}

/// A connection.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("ringway listens");
        stream.set_nodelay(true).expect("a socket");
        Client {
            reader: BufReader::new(stream),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("sent");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer");
        line
    }

    /// The version that the cache has of the key.
    fn get(&mut self, key: u32) -> Option<u32> {
        self.send(format!("get {}\r\n", self::key(key)).as_bytes());
        if !self.line().starts_with("VALUE ") {
            return None;
        }
        let mut rest = [0; VALUE + "\r\nEND\r\n".len()];
        self.reader.read_exact(&mut rest).expect("a value");
        let text = std::str::from_utf8(&rest[..VALUE]).expect("text");
        Some(text.trim_end().parse().expect("a version"))
    }

    fn store(&mut self, command: &str, key: u32, version: u32) {
        let request = format!(
            "{command} {} 0 0 {VALUE}\r\n{version:<VALUE$}\r\n",
            self::key(key)
        );
        self.send(request.as_bytes());
        self.line();
    }
}
