//! The load of the demo: clients that read keys, and write those that they miss, as an application does with a cache.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Connections, each with a thread.
const CLIENTS: u32 = 8;
/// Each has one request at a time, and this pause after it: a few thousand requests a second together.
const PAUSE: Duration = Duration::from_millis(2);
/// The keys, of which some are much asked for and most are not.
const KEYS: u32 = 5000;
/// The maximum time to wait for a reply.
const PATIENCE: Duration = Duration::from_secs(2);

/// What clients saw.
#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    reads: AtomicU64,
    hits: AtomicU64,
    not_stored: AtomicU64,
    errors: AtomicU64,
    closed: AtomicU64,
}

/// What clients saw since the look before.
pub struct Seen {
    /// Requests that were answered.
    pub requests: u64,
    /// Reads among them.
    pub reads: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Writes that were answered with `NOT_STORED`, because their node failed.
    pub not_stored: u64,
    /// Other answers.
    pub errors: u64,
    /// Connections that were refused or closed.
    pub closed: u64,
}

/// The load, which ends with the process.
pub struct Load(Arc<Counters>);

impl Load {
    /// Starts clients of whichever of `addresses` answers.
    pub fn start(addresses: Vec<SocketAddr>) -> Load {
        let counters = Arc::new(Counters::default());
        for number in 0..CLIENTS {
            let (counters, addresses) = (counters.clone(), addresses.clone());
            thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(number.into());
                loop {
                    // It ends with an error only.
                    let _ended = serve(&addresses, &counters, &mut random);
                    counters.closed.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_millis(500));
                }
            });
        }
        Load(counters)
    }

    /// Returns what was counted since the last call.
    pub fn take(&self) -> Seen {
        let take = |counter: &AtomicU64| counter.swap(0, Relaxed);
        let counters = &self.0;
        Seen {
            requests: take(&counters.requests),
            reads: take(&counters.reads),
            hits: take(&counters.hits),
            not_stored: take(&counters.not_stored),
            errors: take(&counters.errors),
            closed: take(&counters.closed),
        }
    }
}

fn serve(addresses: &[SocketAddr], counters: &Counters, random: &mut fastrand::Rng) -> io::Result<()> {
    let mut stream = TcpStream::connect(addresses)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        // The square of a fraction: a quarter of the keys get half of the reads.
        let fraction = random.f64();
        let key = format!("user:{}", (fraction * fraction * f64::from(KEYS)) as u32);
        counters.reads.fetch_add(1, Relaxed);
        write!(stream, "get {key}\r\n")?;
        counters.requests.fetch_add(1, Relaxed);
        if read(&mut reader, counters)? {
            counters.hits.fetch_add(1, Relaxed);
        } else {
            write!(stream, "set {key} 0 300 {}\r\n{key}\r\n", key.len())?;
            counters.requests.fetch_add(1, Relaxed);
            match line(&mut reader)?.as_str() {
                "STORED" => {}
                "NOT_STORED" => drop(counters.not_stored.fetch_add(1, Relaxed)),
                _ => drop(counters.errors.fetch_add(1, Relaxed)),
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Reads the answer to `get`; returns whether it is a value.
fn read(reader: &mut impl BufRead, counters: &Counters) -> io::Result<bool> {
    let first = line(reader)?;
    if first.starts_with("VALUE ") {
        line(reader)?;
        line(reader)?;
        return Ok(true);
    }
    if first != "END" {
        counters.errors.fetch_add(1, Relaxed);
    }
    Ok(false)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
