//! What is counted: each step of a request by itself, and whole rounds.

use std::hint::black_box;
use std::task::{Context, Waker};

use bytes::Bytes;
use ringway::client::replies::Replies;
use ringway::config;
use ringway::net::outgoing::Outgoing;
use ringway::protocol::binary::{Ask, HEAD, Head, Room};
use ringway::protocol::line::Line;
use ringway::protocol::reply;
use ringway::protocol::text::{self, DataBlock};
use ringway::protocol::{Command, Item, OnError, Reply};
use ringway::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
use ringway::route::Route;
use ringway::snapshot::Snapshot;

use super::count::measure;
use super::round::{rounds, rounds_of_three, rounds_over};
use super::session::Change;

/// A case, and what runs it under the counter.
type Case = (&'static str, fn());

/// One set.
const SET: &[u8] = b"set key:1234567890 0 0 10\r\n0123456789\r\n";

const CASES: &[Case] = &[
    ("parse-classic-get", || parse_text(b"get key:1234567890\r\n")),
    ("parse-classic-set", || parse_text(SET)),
    ("parse-classic-get-100", || parse_text(&many("get", 100))),
    ("parse-meta-get", || parse_text(b"mg key:1234567890 v t f\r\n")),
    ("parse-meta-set", || {
        parse_text(b"ms key:1234567890 10 T0 F1\r\n0123456789\r\n")
    }),
    ("parse-binary-get", parse_binary_get),
    ("pick-of-3", || pick(3)),
    ("pick-of-10", || pick(10)),
    ("pick-of-100", || pick(100)),
    ("pick-of-1000", || pick(1000)),
    ("pick-eight-of-10", pick_eight),
    ("read-reply-value", || {
        read_reply(b"VA 10 kkey:1234567890 f0\r\n0123456789\r\n")
    }),
    ("read-reply-get-line", || {
        read_reply(b"VALUE key:1234567890 0 10\r\n0123456789\r\n")
    }),
    ("read-reply-stored", || read_reply(b"HD kkey:1234567890\r\n")),
    ("write-reply-value", write_value),
    ("round-get", || rounds(&many("get", 1))),
    ("round-get-16", || rounds(&many("get", 1).repeat(16))),
    ("round-set", || rounds(SET)),
    ("round-set-16", || rounds(&sets())),
    ("round-get-100-keys", || rounds(&many("get", 100))),
    ("round-get-100-KiB", || rounds(b"get large:1234567890\r\n")),
    ("round-meta-get", || rounds(b"mg key:1234567890 v f\r\n")),
    ("round-meta-get-16", || {
        rounds(&b"mg key:1234567890 v f\r\n".repeat(16))
    }),
    ("round-binary-get", || rounds(&binary_get())),
    ("round-binary-get-16", || rounds(&binary_get().repeat(16))),
    ("prefix-get-16", || {
        over("{prefix: {'nobody:': other}, else: main}")
    }),
    ("failover-get-16", || over("{failover: [main, other]}")),
    ("replicate-get-16", || over("{replicate: [main, other]}")),
    ("lazy-fill-get-16", || {
        over("{lazy_fill: {to: main, from: other}}")
    }),
    ("replicate-set-16", || {
        sets_over("{replicate: [main, {key: {to: main, add_prefix: 'copy:'}}]}")
    }),
    ("lazy-fill-set-16", || {
        sets_over("{lazy_fill: {to: main, from: {key: {to: main, add_prefix: 'old:'}}}}")
    }),
    ("routing-prefix-get-16", || {
        over("{routing_prefix: {/a/b/: other}, else: main}")
    }),
    ("by-command-get-16", || {
        over("{by_command: {writes: other}, else: main}")
    }),
    ("by-listener-get-16", || {
        over("{by_listener: {'127.0.0.1:1': other}, else: main}")
    }),
    ("single-flight-get-16", || over("{single_flight: main}")),
    ("hot-cache-get-16", || {
        over("{hot_cache: {to: main, min_rate: 10000000}}")
    }),
    ("stampede-get-16", || over("{stampede: {to: main}}")),
    ("spread-get-16", || {
        over("{spread: {to: main, min_rate: 10000000}}")
    }),
    ("shadow-get-16", || {
        over("{shadow: {of: main, to: other, share: 1%, by: key}}")
    }),
    ("limit-get-16", || over("{limit: {to: main, in_flight: 100}}")),
    ("expiry-get-16", || over("{expiry: {to: main, max: 24h}}")),
    ("key-get-16", || over("{key: {to: main, add_prefix: 'a:'}}")),
    ("deny-get-16", || {
        over("{deny: {to: main, commands: [flush_all]}}")
    }),
    ("read-only-get-16", || over("{read_only: main}")),
    ("three-nodes-get-16", || of_three(None)),
    ("handover-unmoved-get-16", || of_three(Some(Change::OfOtherKeys))),
    ("handover-copied-get-16", || of_three(Some(Change::OfTheKey))),
];

/// The names of all cases.
pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// Runs the case called `name`, once for the counter.
pub fn run(name: &str) {
    let case = CASES.iter().find(|(known, _)| *known == name);
    case.expect("a case of that name").1();
}

/// Sixteen gets in one piece, which `route` leads to the first pool.
fn over(route: &str) {
    rounds_over(route, &many("get", 1).repeat(16));
}

/// Sixteen sets in one piece, for each of which `route` sends two requests.
fn sets_over(route: &str) {
    rounds_over(route, &sets());
}

/// Sixteen sets, each of another key.
fn sets() -> Vec<u8> {
    let sets = (0..16).map(|n| format!("set key:{} 0 0 10\r\n0123456789\r\n", 1234567890 + n));
    sets.collect::<String>().into_bytes()
}

/// Sixteen gets in one piece, of a key in a pool of three nodes.
fn of_three(change: Option<Change>) {
    rounds_of_three(change, &many("get", 1).repeat(16));
}

/// A line that asks for so many keys.
fn many(command: &str, count: u64) -> Vec<u8> {
    let keys = (0..count).map(|n| format!(" key:{}", 1234567890 + n));
    format!("{command}{}\r\n", keys.collect::<String>()).into_bytes()
}

fn binary_get() -> Vec<u8> {
    let key = b"key:1234567890";
    let mut packet = vec![0; HEAD];
    packet[0] = 0x80;
    packet[3] = key.len() as u8;
    packet[11] = key.len() as u8;
    packet.extend_from_slice(key);
    packet
}

fn parse_text(bytes: &[u8]) {
    measure(|| {
        let (line, length) = text::read_line(black_box(bytes)).expect("a whole line");
        match line {
            Line::Read { keys, .. } => keys.for_each(|key| {
                black_box(key);
            }),
            Line::Store {
                request,
                length: value,
                ..
            } => {
                black_box(&request);
                let block = text::data_block(&bytes[length..], value);
                assert!(matches!(black_box(block), DataBlock::Value(_)));
            }
            line => {
                black_box(&line);
            }
        }
    });
}

fn parse_binary_get() {
    let packet = binary_get();
    let mut room = Room::default();
    measure(|| {
        let packet = black_box(&packet[..]);
        let head = Head::read(packet).expect("a whole header");
        let Ask::Operation(operation) = head.ask() else {
            panic!("get is an operation");
        };
        let command = operation.command().expect("a node is asked");
        black_box(head.request(operation, command, &packet[HEAD..], &mut room));
    });
}

/// What a key costs on its way to its node, in a pool of so many.
fn pick(nodes: usize) {
    let snapshot = pool_of(nodes);
    let pool = &snapshot.pools["main"];
    let keys = keys();
    let mut next = 0;
    measure(|| {
        next = if next + 1 < keys.len() { next + 1 } else { 0 };
        black_box(pool.place(black_box(keys[next].as_bytes())));
    });
}

/// What eight keys of a multi-get cost on their way to their nodes.
fn pick_eight() {
    let snapshot = pool_of(10);
    let Route::Pool(pool) = &snapshot.listeners[0].route else {
        panic!("the route is a pool");
    };
    let keys = keys();
    let mut next = 0;
    measure(|| {
        next = (next + 8) % 96;
        let eight: [&[u8]; 8] = std::array::from_fn(|index| keys[next + index].as_bytes());
        let mut nodes = [0; 8];
        pool.pick_all(black_box(&eight), &mut nodes);
        black_box(nodes);
    });
}

/// A pool of so many nodes.
fn pool_of(nodes: usize) -> Snapshot {
    let nodes: Vec<String> = (0..nodes)
        .map(|n| format!("'10.0.{}.{}:11211'", n / 250, n % 250 + 1))
        .collect();
    let text = format!("pools: {{main: {{nodes: [{}]}}}}", nodes.join(", "));
    Snapshot::build(config::parse(&text, "bench").expect("a good configuration"), None)
}

fn keys() -> Vec<String> {
    (0..100).map(|n| format!("key:{}", 1234567890 + n)).collect()
}

fn read_reply(bytes: &[u8]) {
    measure(|| {
        black_box(reply::read(black_box(bytes), 1 << 20));
    });
}

fn write_value() {
    let asked = RequestOrigin {
        command: Command::Get,
        mode: ReplyMode::Single,
        on_error: OnError::HIDE,
        format: WireFormat::Classic,
    };
    let (key, value) = (
        Bytes::from_static(b"key:1234567890"),
        Bytes::from_static(&[b'v'; 100]),
    );
    let reply = Reply::Value(Item::new(key, 0, 0, value));
    let (mut replies, mut out) = (Replies::default(), Outgoing::default());
    let mut client = tokio::io::sink();
    let mut cx = Context::from_waker(Waker::noop());
    measure(|| {
        replies.write(black_box(&asked), black_box(&reply), &mut out);
        assert!(out.poll_flush(&mut client, &mut cx, &mut 0).is_ready());
    });
}
