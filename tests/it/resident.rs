//! `memory_limit` and what the process really takes: for each kind of request and reply, with the longest words that
//! clients may say, against nodes that are stopped and clients that do not read.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, wait_at_most};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 16 * MIB;
/// What the process may take beyond the limit.
const MARGIN: u64 = 16 * MIB;
/// How long a busy machine may take to fail and to drop it all.
const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: usize = 80;
const REQUESTS: usize = 1024;
/// The longest key.
const KEY: usize = 250;

/// Kinds of requests: a name, and the request with this number, of [`REQUESTS`]; empty for none.
type Kind = (&'static str, fn(usize) -> Vec<u8>);

/// A key of `length` bytes.
fn key(number: usize, length: usize) -> String {
    format!("{number:0>length$}")
}

/// An answer of kilobytes is asked for less often.
fn few(number: usize, request: &[u8]) -> Vec<u8> {
    if number.is_multiple_of(8) {
        request.to_vec()
    } else {
        Vec::new()
    }
}

fn packet(opcode: u8, extras: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut packet = vec![0x80, opcode, 0, key.len() as u8, extras.len() as u8, 0, 0, 0];
    packet.extend_from_slice(&body.to_be_bytes());
    packet.extend_from_slice(&[0; 12]);
    packet.extend_from_slice(extras);
    packet.extend_from_slice(key.as_bytes());
    packet.extend_from_slice(value);
    packet
}

const CLASSIC: &[Kind] = &[
    ("get", |n| format!("get {}\r\n", key(n, KEY)).into()),
    ("short get", |n| format!("get k{n}\r\n").into()),
    ("multi-get", |n| {
        let keys: Vec<String> = (0..20).map(|i| key(n * 100 + i, KEY)).collect();
        let line = format!("get {}\r\n", keys.join(" "));
        if n.is_multiple_of(20) {
            line.into()
        } else {
            Vec::new()
        }
    }),
    ("gat", |n| format!("gat 100 {}\r\n", key(n, KEY)).into()),
    ("set", |n| {
        format!("set {} 4294967295 2147483647 1\r\nv\r\n", key(n, KEY)).into()
    }),
    ("set of 200 bytes", |n| {
        format!("set {} 0 0 200\r\n{}\r\n", key(n, KEY), "v".repeat(200)).into()
    }),
    ("delete", |n| format!("delete {}\r\n", key(n, KEY)).into()),
    ("incr", |n| {
        format!("incr {} 18446744073709551615\r\n", key(n, KEY)).into()
    }),
];

const META: &[Kind] = &[
    ("mg with spaces", |n| {
        format!("mg k{n}{}v\r\n", " ".repeat(1985)).into()
    }),
    ("mg of an ordinary key", |n| {
        format!("mg {} s v t f c\r\n", key(n, 246)).into()
    }),
    ("mg with a long opaque", |n| {
        format!("mg {} v O{}\r\n", key(n, KEY), "o".repeat(31)).into()
    }),
    ("mg in base64", |n| {
        format!("mg {}{}= b k v\r\n", key(n, 7), "A".repeat(240)).into()
    }),
    ("ms", |n| {
        format!("ms {} 1 T100 F5 c{}\r\nv\r\n", key(n, KEY), " ".repeat(1500)).into()
    }),
    ("md", |n| {
        format!("md {} q{}O1\r\n", key(n, KEY), " ".repeat(1600)).into()
    }),
    ("ma", |n| {
        format!("ma {} t v N0 J1{}O1\r\n", key(n, KEY), " ".repeat(1600)).into()
    }),
    ("me", |n| format!("me {}\r\n", key(n, KEY)).into()),
];

const BINARY: &[Kind] = &[
    ("binary get", |n| packet(0x0c, b"", &key(n, KEY), b"")),
    ("binary set", |n| packet(0x01, &[0; 8], &key(n, KEY), b"v")),
    ("binary delete", |n| packet(0x04, b"", &key(n, KEY), b"")),
];

const OWN: &[Kind] = &[
    ("stats", |n| few(n, b"stats\r\n")),
    ("stats nodes", |n| few(n, b"stats nodes\r\n")),
    ("binary stats", |n| few(n, &packet(0x10, b"", "", b""))),
    ("unknown", |_| b"x\r\n".to_vec()),
    ("key too long", |n| format!("get {}\r\n", key(n, 251)).into()),
    ("binary unknown", |_| packet(0x7f, b"", "", b"")),
];

/// Keys that are there, and the sizes of their values.
const VALUES: &[(&str, usize)] = &[
    ("v100", 100),
    ("v1000", 1000),
    ("v10000", 10_000),
    ("v100000", 100_000),
];

const READS: &[Kind] = &[
    ("value of 100 bytes", |_| b"get v100\r\n".to_vec()),
    ("value of 1000 bytes", |_| b"mg v1000 v k O1\r\n".to_vec()),
    ("value of 10000 bytes", |_| b"get v10000 v100\r\n".to_vec()),
    ("value of 100000 bytes", |_| b"gets v100000\r\n".to_vec()),
    ("binary value", |_| packet(0x0c, b"", "v1000", b"")),
];

/// Clients that send as many of their requests as Ringway takes, and read nothing.
fn send(ringway: &Ringway, kind: &Kind) -> Vec<TcpStream> {
    let requests: Vec<u8> = (0..REQUESTS).flat_map(kind.1).collect();
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", ringway.port)).expect("it listens");
        stream.set_nonblocking(true).expect("a socket");
        stream
    };
    let mut clients: Vec<(TcpStream, usize)> = (0..CLIENTS).map(|_| (connect(), 0)).collect();
    let mut taken = 0.0;
    loop {
        for (stream, sent) in &mut clients {
            while *sent < requests.len() {
                match stream.write(&requests[*sent..]) {
                    Ok(count) => *sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{}: {error}", kind.0),
                }
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        let now = ringway.metric("ringway_client_bytes_read_total", &[]);
        if std::mem::replace(&mut taken, now) == now {
            return clients.into_iter().map(|client| client.0).collect();
        }
    }
}

/// Six nodes, and a Ringway with so many workers before them that is patient with all of them.
fn start(workers: usize) -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..6).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let settings = ["request_timeout: 60s", "health: {probe_timeout: 60s}"];
    let ringway = Ringway::start(&format!(
        "workers: {workers}\nmemory_limit: {LIMIT}\n{}",
        pool(&addresses, &settings)
    ));
    // Every link of every worker is open.
    let mut clients: Vec<Client> = (0..8).map(|_| ringway.client()).collect();
    for number in 0..60 {
        let key = format!("warm{number}");
        clients.iter_mut().for_each(|client| client.set(&key, "v"));
    }
    (nodes, ringway)
}

/// Sends each kind to a Ringway of its own whose clients do not read, and compares what the process takes. Kinds take
/// turns with one worker and with four; with `RESIDENT_ALL` in the environment each has both.
fn stays_within_the_limit(kinds: &[Kind], are_stopped: bool) {
    let is_long = std::env::var_os("RESIDENT_ALL").is_some();
    for (index, kind) in kinds.iter().enumerate() {
        for workers in [1, 4] {
            if is_long || (workers == 1) == index.is_multiple_of(2) {
                compare(kind, workers, are_stopped);
            }
        }
    }
}

fn compare(kind: &Kind, workers: usize, are_stopped: bool) {
    let (nodes, ringway) = start(workers);
    for (key, size) in VALUES {
        ringway.client().set(key, "v".repeat(*size));
    }
    let before = ringway.resident();
    if are_stopped {
        nodes.iter().for_each(|node| node.signal("STOP"));
    }
    let clients = send(&ringway, kind);
    let most = ringway.resident();
    let shown = format!(
        "{} with {workers} workers: {} MiB, {} before",
        kind.0,
        most / MIB,
        before / MIB
    );
    assert!(most < before + LIMIT + MARGIN, "{shown}");
    drop((clients, nodes));
    wait_at_most(
        PATIENCE,
        &format!("what was held to be given back: {shown}"),
        || {
            let now = ringway.resident();
            assert!(now < before + LIMIT + MARGIN, "{shown}, {} afterwards", now / MIB);
            (ringway.metric("ringway_buffer_bytes", &[]) as u64) < MIB
        },
    );
    if are_stopped {
        // Each worker keeps 2 MiB of read buffers, and the C library a part, for the next time; of values it keeps
        // most.
        wait_at_most(PATIENCE, &format!("memory to be given back: {shown}"), || {
            ringway.resident() < before + LIMIT + workers as u64 * 2 * MIB
        });
    }
}

#[test]
fn classic_requests_that_wait_for_stopped_nodes_stay_within_the_limit() {
    stays_within_the_limit(CLASSIC, true);
}

#[test]
fn meta_requests_that_wait_for_stopped_nodes_stay_within_the_limit() {
    stays_within_the_limit(META, true);
}

#[test]
fn binary_requests_that_wait_for_stopped_nodes_stay_within_the_limit() {
    stays_within_the_limit(BINARY, true);
}

#[test]
fn ringways_own_answers_that_nobody_reads_stay_within_the_limit() {
    stays_within_the_limit(OWN, false);
}

#[test]
fn values_that_nobody_reads_stay_within_the_limit() {
    stays_within_the_limit(READS, false);
}
