//! Random sequences of commands, the same for a bare memcached and for Ringway before one: the same replies,
//! byte for byte.
//!
//! A [`generator`](sequences) makes short pipelined sequences in all three protocols, valid and invalid. A
//! [`Lane`] says each to both sides and compares what they read, up to the answer of a marker that no command
//! of the sequence can bring about, or up to the end of the connection. Sequences that differ are said again,
//! for a second may have begun between the two sides; those that differ each time are made smaller and shown.
//!
//! `DIFFERENTIAL_CASES=1000000` makes a long run, `DIFFERENTIAL_SEED=n` begins at sequence `n`: with one case
//! it replays that one.
//!
//! Left out, because Ringway means to answer otherwise or cannot know:
//! - `stats`, `version`, `verbosity`, `shutdown`, `watch` and their like: they speak of the process.
//! - Zero bytes in text: they end the line for memcached 1.6.18.
//! - `ms` with a mistake in its flags and in its data block: Ringway sees that of the data block first.
//! - Lines longer than 2048 bytes: what memcached does depends on how much of them has come.
//! - Storage commands and `ms` with a bad key: their data block is swallowed.
//! - A key too long for get, gets, gat or gats: memcached 1.6.18 then forgets the replies that it owes before.
//! - flush_all with a delay: until then it brings back what was flushed before and not reused.
//! - Binary keys that base64 makes longer than a key may be: no text says them to a node.
//! - Quiet `ma` with `N`: only memcached itself knows whether it created the number, which it then shows.
//! - Numbers that need 64 bits: memcached looks for a minus sign behind them, in memory that nobody wrote.
//! - Counting a value that is all white space: memcached reads on behind it.
//! - `mg` with `T-1` and `t`: how far in the past that is depends on when memcached was started.
//! - `k` with a key that has a space: memcached sometimes forgets that it was in base64 and sends it raw.
//! - `me` of a key with a space or a control character: its answer has the key, perhaps raw; it is refused.
//! - Spaces behind a number that became shorter: memcached writes them where nobody holds the item.
//! - Binary verbosity, and an unknown operation with a key or extras: memcached 1.6.18 loses step there.

mod binary;
mod replies;
mod sequence;
mod text;

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::replies::normalised;
use self::sequence::{Cas, Command, Packet, Sequence};
use crate::support::certificates::{Authority, Pair};
use crate::support::memcached::Memcached;
use crate::support::redis::Redis;
use crate::support::ringway::{Client, Ringway, pool, shown};
use crate::support::tls_relay;

/// Sequences in the suite.
const CASES: u64 = 10_000;
/// Threads, each with processes of its own.
const LANES: usize = 3;
/// So many differences are shown before the run is given up.
const MAX_SHOWN: usize = 8;
/// So many steps at most make a sequence smaller.
const MAX_STEPS: usize = 100;
/// How often a sequence must differ.
const TRIES: usize = 3;
/// How long a side may be silent before it owes nothing more; on a slow machine the sequence is said again.
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn any_sequence_reads_the_same_from_ringway_as_from_a_bare_memcached() {
    let start = |node: &Memcached| {
        (
            Ringway::start(&pool(&[node.address()], &["request_timeout: 20s"])),
            None,
        )
    };
    compare(CASES, Memcached::start, start, |_| false);
}

#[test]
fn any_sequence_reads_the_same_over_tls_on_both_sides_as_from_a_bare_memcached() {
    let start = |node: &Memcached| {
        let (authority, pair) = certificates();
        let (ca, cert, key) = (authority.ca(), pair.cert.display(), pair.key.display());
        let nodes = pool(
            &[format!("localhost:{}", node.port())],
            &["request_timeout: 20s", &format!("tls: {{ca: {}}}", ca.display())],
        );
        let mut ringway = Ringway::start(&format!(
            "listeners: [{{bind: '127.0.0.1:PORT', tls: {{cert: {cert}, key: {key}}}}}]\n{nodes}"
        ));
        ringway.port = tls_relay::encrypt(&ca, ringway.port);
        (ringway, None)
    };
    let node = || {
        let (_, pair) = certificates();
        let chain = format!("ssl_chain_cert={}", pair.cert.display());
        let key = format!("ssl_key={}", pair.key.display());
        Memcached::start_with(&["-Z", "-o", &chain, "-o", &key])
    };
    compare(CASES / 4, node, start, |_| false);
}

/// An authority and a pair of `localhost`, for the nodes and for Ringway.
fn certificates() -> &'static (Authority, Pair) {
    static CERTIFICATES: OnceLock<(Authority, Pair)> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let authority = Authority::new();
        let pair = authority.pair("both", &["localhost"]);
        (authority, pair)
    })
}

#[test]
fn any_sequence_reads_the_same_from_an_embedded_node_as_from_a_bare_memcached() {
    let start = |_: &Memcached| {
        let yaml = "pools: {main: {nodes: [{name: e, embedded: 64MiB}]}}\n";
        (Ringway::start(yaml), None)
    };
    compare(CASES / 4, Memcached::start, start, is_otherwise_when_embedded);
}

/// Whether an embedded node means to answer otherwise: a meta command has a flag that memcached 1.6.18 refuses or
/// passes over, me shows what the item takes, a value is larger than memcached's own limit, or ma counts where `h` is
/// asked: memcached then has a new item, which was not hit, if the reply to an earlier mg is not sent yet.
fn is_otherwise_when_embedded(sequence: &Sequence) -> bool {
    let texts = sequence.commands.iter().filter_map(|command| match command {
        Command::Text(text) => Some(text),
        Command::Packet(_) => None,
    });
    let (mut counts, mut shows_hits) = (false, false);
    for line in texts.flat_map(|text| text.split(|&byte| byte == b'\n')) {
        let mut words = line.trim_ascii().split(|&byte| byte == b' ');
        let command = words.next().unwrap_or_default();
        let flags: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
        let has = |names: &[u8]| flags.iter().any(|flag| names.contains(&flag[0]));
        counts |= command == b"ma";
        shows_hits |= has(b"h");
        let is_otherwise = match command {
            b"mg" | b"md" => has(b"xE"),
            b"ma" => has(b"xET"),
            b"ms" => has(b"xENs"),
            b"me" => true,
            b"set" => line.starts_with(b"set huge "),
            _ => false,
        };
        if is_otherwise {
            return true;
        }
    }
    counts && shows_hits
}

#[test]
fn any_sequence_reads_the_same_from_a_redis_node_as_from_a_bare_memcached() {
    let start = |_: &Memcached| {
        let redis = Redis::start();
        let settings = ["request_timeout: 20s", "connect_timeout: 20s"];
        let ringway = Ringway::start(&pool(&[redis.address()], &settings));
        (ringway, Some(redis))
    };
    compare(CASES / 4, Memcached::start, start, is_otherwise_in_redis);
}

/// Whether a Redis node means to answer otherwise (docs/valkey.md): as an embedded one, and where cas ids are compared,
/// which it does not number, where it is asked what it does not know, where a key in base64 or the time of an item
/// that is just created is shown, and where memcached looks for other mistakes before it refuses an opaque.
fn is_otherwise_in_redis(sequence: &Sequence) -> bool {
    let compares = sequence.commands.iter().any(|command| match command {
        Command::Text(text) => text.contains(&b'@'),
        Command::Packet(packet) => matches!(packet.cas, Cas::After(_)),
    });
    let words: Vec<&[u8]> = sequence
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Text(text) => Some(text.split(|byte| byte.is_ascii_whitespace())),
            Command::Packet(_) => None,
        })
        .flatten()
        .collect();
    let has_flag = |flags: &[u8]| {
        words
            .iter()
            .any(|word| word.len() == 1 && flags.contains(&word[0]))
    };
    let has_flag_with = |name: u8| words.iter().any(|word| word.first() == Some(&name));
    let shows_time = has_flag(b"t") && has_flag_with(b'N');
    let shows_key = has_flag(b"b") && has_flag(b"k");
    let is_long_opaque = |word: &&[u8]| word.starts_with(b"O") && word.len() > 32;
    compares
        || words.iter().any(is_long_opaque)
        || has_flag(b"hl")
        || shows_time
        || shows_key
        || is_otherwise_when_embedded(sequence)
}

/// Says so many sequences to memcached and to what `start` starts, perhaps before the `node` that it is given; but not
/// those that `is_left_out`.
fn compare(
    cases: u64,
    node: fn() -> Memcached,
    start: fn(&Memcached) -> Before,
    is_left_out: fn(&Sequence) -> bool,
) {
    let first = setting("DIFFERENTIAL_SEED", 0);
    let end = first + setting("DIFFERENTIAL_CASES", cases);
    let next = Arc::new(AtomicU64::new(first));
    let found = Arc::new(Mutex::new(Vec::new()));
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let (next, found) = (next.clone(), found.clone());
            thread::spawn(move || {
                let mut lane = Lane::start(node(), start, is_left_out);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || found.lock().expect("no panics").len() >= MAX_SHOWN {
                        return;
                    }
                    if let Some(difference) = lane.check(seed) {
                        eprintln!("{difference}\n");
                        found.lock().expect("no panics").push(difference);
                    }
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.join().expect("a lane ends well");
    }
    let found = found.lock().expect("no panics");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Sequences of one protocol, or of both text protocols, or binary ones.
fn sequences() -> BoxedStrategy<Sequence> {
    let quit = || Just(Command::Text(b"quit\r\n".to_vec())).boxed();
    prop_oneof![
        3 => sequence(text::classic(), quit()),
        3 => sequence(text::meta(), quit()),
        1 => sequence(prop_oneof![text::classic(), text::meta()].boxed(), quit()),
        3 => sequence(binary::packet(), binary::last_packet()),
    ]
    .boxed()
}

fn sequence(command: BoxedStrategy<Command>, last: BoxedStrategy<Command>) -> BoxedStrategy<Sequence> {
    let last = prop_oneof![9 => Just(None), 1 => last.prop_map(Some)];
    let cut = prop_oneof![3 => Just(0), 1 => 1usize..1000];
    (prop::collection::vec(command, 1..12), last, cut)
        .prop_map(|(mut commands, last, cut)| {
            let closes = last.is_some();
            // What comes behind a close makes the other side forget what it has not read.
            let cut = if closes { 0 } else { cut };
            commands.extend(last);
            Sequence {
                commands,
                cut,
                closes,
            }
        })
        .boxed()
}

/// Ringway, and the node behind it that is no memcached, if there is one.
type Before = (Ringway, Option<Redis>);

/// Both sides, and what is asked of them.
struct Lane {
    bare: Side,
    ringway: Side,
    strategy: BoxedStrategy<Sequence>,
    is_left_out: fn(&Sequence) -> bool,
    _nodes: [Memcached; 2],
    _redis: Option<Redis>,
    _ringway: Ringway,
}

impl Lane {
    fn start(node: Memcached, start: fn(&Memcached) -> Before, is_left_out: fn(&Sequence) -> bool) -> Lane {
        let nodes = [Memcached::start(), node];
        let (ringway, redis) = start(&nodes[1]);
        let has_numbers = redis.is_none();
        Lane {
            bare: Side::new(nodes[0].port(), has_numbers),
            ringway: Side::new(ringway.port, has_numbers),
            strategy: sequences(),
            is_left_out,
            _nodes: nodes,
            _redis: redis,
            _ringway: ringway,
        }
    }

    /// The smallest difference that comes from the sequence of this number.
    fn check(&mut self, seed: u64) -> Option<String> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut tree = self.strategy.new_tree(&mut runner).expect("no filters");
        let mut smallest = self.differs(&tree.current(), TRIES)?;
        let mut goes_on = tree.simplify();
        for _ in 0..MAX_STEPS {
            if !goes_on {
                break;
            }
            goes_on = match self.differs(&tree.current(), 1) {
                Some(difference) => {
                    smallest = difference;
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        Some(format!(
            "DIFFERENTIAL_SEED={seed} DIFFERENTIAL_CASES=1\n{smallest}"
        ))
    }

    fn differs(&mut self, sequence: &Sequence, tries: usize) -> Option<String> {
        if (self.is_left_out)(sequence) {
            return None;
        }
        let mut shown = None;
        for _ in 0..tries {
            let (bare, ringway) = (self.bare.ask(sequence), self.ringway.ask(sequence));
            if bare == ringway {
                return None;
            }
            shown = Some(difference(sequence, &bare, &ringway));
        }
        shown
    }
}

fn difference(sequence: &Sequence, bare: &Heard, ringway: &Heard) -> String {
    let commands: Vec<String> = sequence
        .commands
        .iter()
        .map(|command| match command {
            Command::Text(text) => shown(text),
            Command::Packet(packet) => format!("{packet:x?}"),
        })
        .collect();
    format!(
        "{} (cut: {})\n  memcached: {}\n  ringway:   {}",
        commands.join("\n"),
        sequence.cut,
        bare.shown(),
        ringway.shown()
    )
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    replies: Vec<u8>,
    is_closed: bool,
    /// The marker's answer stands at its end.
    is_whole: bool,
}

impl Heard {
    fn shown(&self) -> String {
        let end = if self.is_closed { " and closed" } else { "" };
        format!("{}{end}", shown(&self.replies))
    }
}

/// One of the two, with connections that are used again.
struct Side {
    port: u16,
    control: Client,
    text: Option<TcpStream>,
    binary: Option<TcpStream>,
    asked: u32,
    /// Whether cas ids are numbered.
    has_numbers: bool,
}

impl Side {
    fn new(port: u16, has_numbers: bool) -> Side {
        Side {
            port,
            has_numbers,
            control: Client::connect(port),
            text: None,
            binary: None,
            asked: 0,
        }
    }

    /// Says `sequence` to an empty cache and hears all replies.
    fn ask(&mut self, sequence: &Sequence) -> Heard {
        self.control.send("flush_all\r\nms first 1 c\r\nx\r\n");
        assert_eq!(self.control.line(), "OK");
        let line = self.control.line();
        let first = line.strip_prefix("HD c").expect("stored, with a cas id");
        let first = first.parse().expect("a cas id");
        self.asked += 1;
        let is_binary = sequence.is_binary();
        let kept = if is_binary {
            &mut self.binary
        } else {
            &mut self.text
        };
        let mut stream = kept.take().unwrap_or_else(|| connect(self.port));
        let bytes = sequence.bytes(first);
        let (start, rest) = bytes.split_at(bytes.len() * sequence.cut / 1000);
        let (marker, answer) = if sequence.closes {
            (Vec::new(), Vec::new())
        } else {
            marker(is_binary, self.asked)
        };
        let _closed_before = stream.write_all(start);
        let _closed_already = stream.write_all(&[rest, &marker].concat());
        let heard = hear(&mut stream, &answer);
        if heard.is_whole {
            *kept = Some(stream);
        }
        Heard {
            replies: normalised(&heard.replies, is_binary, first, self.has_numbers),
            ..heard
        }
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// A request that ends a sequence, and its answer, which no other request has.
fn marker(is_binary: bool, number: u32) -> (Vec<u8>, Vec<u8>) {
    if is_binary {
        let noop = Packet {
            opaque: number,
            cas: Cas::Fixed(0),
            ..Packet::new(0x0a)
        };
        let asked = noop.bytes(0);
        let mut answer = asked.clone();
        answer[0] = 0x81;
        return (asked, answer);
    }
    // Empty lines first: a data block that is some bytes short takes them.
    let asked = format!("\r\n\r\n\r\n\r\nmg none Oend-{number}\r\n");
    (asked.into_bytes(), format!("EN Oend-{number}\r\n").into_bytes())
}

/// Reads up to `answer`, which is left out, or to the end of the connection.
fn hear(stream: &mut TcpStream, answer: &[u8]) -> Heard {
    let mut replies = Vec::new();
    let mut chunk = [0; 64 << 10];
    loop {
        let read = stream.read(&mut chunk);
        let Ok(length @ 1..) = read else {
            let is_reset = matches!(&read, Err(error) if error.kind() == ErrorKind::ConnectionReset);
            if read.is_err() && !is_reset {
                replies.extend(format!("({read:?})").bytes());
            }
            return Heard {
                replies,
                is_closed: read.is_ok() || is_reset,
                is_whole: false,
            };
        };
        replies.extend_from_slice(&chunk[..length]);
        if !answer.is_empty() && replies.ends_with(answer) {
            replies.truncate(replies.len() - answer.len());
            return Heard {
                replies,
                is_closed: false,
                is_whole: true,
            };
        }
    }
}
