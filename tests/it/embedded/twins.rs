//! A real memcached and an embedded cache, asked the same.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ringway::node::embedded::Embedded;
use ringway::protocol::numbers::parse_u64;
use ringway::protocol::{Command, Item, Meta, Reply, Request};

use crate::support::memcached::Memcached;

/// A memcached and an embedded cache that are asked the same.
pub struct Twins {
    real: Real,
    /// The one that is no process; a test may put another in its place.
    pub embedded: Embedded,
    /// The cas ids that gets and gats showed: the real one's, and what the embedded cache had in its place.
    ids: BTreeMap<u64, u64>,
    /// In front of each key, so that a sequence does not meet the items of the one before.
    prefix: String,
}

impl Twins {
    /// Both empty.
    pub fn start() -> Twins {
        Twins {
            real: Real::start(),
            embedded: Embedded::new(64 << 20),
            ids: BTreeMap::new(),
            prefix: String::new(),
        }
    }

    /// Forgets everything, as far as the keys that follow are concerned.
    pub fn renew(&mut self, number: usize) {
        self.prefix = format!("s{number}");
        self.embedded = Embedded::new(64 << 20);
        self.ids.clear();
        self.ask(&Step::new(Command::FlushAll)).expect("OK from both");
    }

    /// Asks both, and gives the answer where it is one: its cas id is the real one's.
    pub fn ask(&mut self, step: &Step) -> Result<Reply, String> {
        let (real, mut ours) = self.ask_each(step);
        if let (Reply::Value(real), Reply::Value(ours)) = (&real, &mut ours) {
            if step.command.wants_cas() {
                self.ids.entry(real.cas).or_insert(ours.cas);
                if self.ids[&real.cas] != ours.cas || !self.ids.values().is_sorted_by(|a, b| a < b) {
                    return Err(format!("{step:?}: cas {} is {} here", real.cas, ours.cas));
                }
            }
            ours.cas = real.cas;
        }
        if real == ours {
            Ok(real)
        } else {
            Err(format!("{step:?}\n memcached: {real:?}\n  embedded: {ours:?}"))
        }
    }

    /// What memcached answers, and what the embedded cache does.
    pub fn ask_each(&mut self, step: &Step) -> (Reply, Reply) {
        let key = match step.command {
            Command::FlushAll => String::new(),
            _ => self.key(step.key),
        };
        // An id that was shown, or one that never was.
        let shown = self.ids.iter().nth(step.cas).map(|(real, ours)| (*real, *ours));
        let (real_cas, our_cas) = shown.unwrap_or((0, 0));
        let request = Request {
            flags: step.flags,
            exptime: step.exptime,
            delta: step.delta,
            value: &step.value,
            cas: real_cas,
            ..Request::new(step.command, key.as_bytes())
        };
        let real = self.real.execute(&request);
        let ours = self.embedded.execute(&Request {
            cas: our_cas,
            ..request
        });
        (real, ours)
    }

    /// Asks both a meta command, and gives the embedded cache's answer where it is one, but for what the clock
    /// may change.
    pub fn ask_meta(&mut self, step: &MetaStep) -> Result<MetaAnswer, String> {
        let plain = self.key(step.key);
        let typed = if step.is_base64 {
            STANDARD.encode(&plain)
        } else {
            plain.clone()
        };
        let [real_flags, our_flags] = self.cas_flags(&step.flags);
        let is_set = step.command == Command::MetaSet;
        let length = if is_set {
            format!(" {}", step.value.len())
        } else {
            String::new()
        };
        let line = format!("{} {typed}{length} {real_flags}\r\n", step.command.name());
        let block = if is_set {
            [&step.value[..], b"\r\n"].concat()
        } else {
            Vec::new()
        };
        let real = self.real.meta(&[line.as_bytes(), &block].concat());
        let ours = match self.embedded.execute(&Request {
            value: if is_set { &step.value } else { b"" },
            meta: Some(Meta {
                key: typed.as_bytes(),
                flags: our_flags.as_bytes(),
                is_binary: false,
            }),
            ..Request::new(step.command, plain.as_bytes())
        }) {
            Reply::Meta(reply) => (text(reply.line()), reply.data().map(<[u8]>::to_vec)),
            Reply::Error(line) => (text(&line), None),
            other => return Err(format!("{step:?}: {other:?}")),
        };
        let shown = format!(
            "{line}{}\n memcached: {real:?}\n  embedded: {ours:?}",
            text(&block)
        );
        if real.1 != ours.1 || !self.are_alike(&real.0, &ours.0) {
            return Err(shown);
        }
        Ok(ours)
    }

    /// The flags as both are to read them, with a cas id in the place of each `@`.
    fn cas_flags(&self, flags: &str) -> [String; 2] {
        let replace = |pick: fn((&u64, &u64)) -> u64| {
            let words = flags.split(' ').map(|flag| match flag.strip_prefix("C@") {
                Some(which) => {
                    let shown = self.ids.iter().nth(which.parse().expect("a number"));
                    format!("C{}", shown.map_or(0, pick))
                }
                None => flag.to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        [replace(|(real, _)| *real), replace(|(_, ours)| *ours)]
    }

    /// Whether the lines are the same, but for the cas ids' own numbers, what time made of a time, and
    /// how memory is reckoned.
    fn are_alike(&mut self, real: &str, ours: &str) -> bool {
        let is_debug = real.starts_with("ME ");
        let (real, ours): (Vec<_>, Vec<_>) = (real.split(' ').collect(), ours.split(' ').collect());
        let is_error = real[0].ends_with("ERROR");
        real.len() == ours.len()
            && real.iter().zip(&ours).enumerate().all(|(at, (real, ours))| {
                if at == 0 || is_error {
                    real == ours
                } else if is_debug {
                    self.are_alike_fields(real, ours)
                } else {
                    self.are_alike_flags(real, ours)
                }
            })
    }

    fn are_alike_flags(&mut self, real: &str, ours: &str) -> bool {
        match (real.split_at(1), ours.split_at(1)) {
            (("c", real), ("c", ours)) => self.is_same_cas(real, ours),
            (("t", real), ("t", ours)) => is_near(real, ours),
            // memcached does not note each read.
            (("l", real), ("l", ours)) => [real, ours].iter().all(|idle| idle.parse::<u32>().is_ok()),
            _ => real == ours,
        }
    }

    fn are_alike_fields(&mut self, real: &str, ours: &str) -> bool {
        match (real.split_once('='), ours.split_once('=')) {
            (Some(("cas", real)), Some(("cas", ours))) => self.is_same_cas(real, ours),
            (Some(("exp", real)), Some(("exp", ours))) => is_near(real, ours),
            (Some(("la" | "cls" | "size", _)), Some((_, ours))) => ours.parse::<u64>().is_ok(),
            _ => real == ours,
        }
    }

    fn is_same_cas(&mut self, real: &str, ours: &str) -> bool {
        let [Ok(real), Ok(ours)] = [real, ours].map(str::parse::<u64>) else {
            return false;
        };
        if real == 0 || ours == 0 {
            return real == ours;
        }
        self.ids.entry(real).or_insert(ours);
        self.ids[&real] == ours && self.ids.values().is_sorted_by(|a, b| a < b)
    }

    /// The number under `key`. Both are asked, for even this can tell a client to fill a stale item.
    pub fn number(&mut self, key: &'static str) -> Option<u64> {
        let step = MetaStep {
            command: Command::MetaGet,
            key,
            is_base64: false,
            flags: "v u".to_owned(),
            value: Vec::new(),
        };
        let (_line, data) = self.ask_meta(&step).expect("both alike");
        data.and_then(|data| parse_u64(&data))
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// One request of a sequence.
#[derive(Debug, Clone)]
pub struct Step {
    pub command: Command,
    pub key: &'static str,
    pub flags: u32,
    pub exptime: i64,
    /// Which of the cas ids shown so far.
    pub cas: usize,
    pub delta: u64,
    pub value: Vec<u8>,
}

impl Step {
    /// The command on the key `k`, all else zero or empty.
    pub fn new(command: Command) -> Step {
        Step {
            command,
            key: "k",
            flags: 0,
            exptime: 0,
            cas: 0,
            delta: 0,
            value: Vec::new(),
        }
    }
}

/// A line, and the value behind it.
pub type MetaAnswer = (String, Option<Vec<u8>>);

/// One meta command of a sequence.
#[derive(Debug, Clone)]
pub struct MetaStep {
    pub command: Command,
    pub key: &'static str,
    /// The key is typed so; a `b` among the flags says it.
    pub is_base64: bool,
    /// With spaces between them; `C@1` is the second cas id that was shown.
    pub flags: String,
    pub value: Vec<u8>,
}

/// True for numbers that some seconds lie between; those that wrapped around are all alike.
fn is_near(real: &str, ours: &str) -> bool {
    let [Ok(real), Ok(ours)] = [real, ours].map(str::parse::<i64>) else {
        return false;
    };
    let wrapped = i64::from(u32::MAX / 2);
    (real - ours).abs() <= 5 && (real < 0) == (ours < 0) || real > wrapped && ours > wrapped
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A connection to a real memcached that takes requests as the embedded cache takes them.
struct Real {
    stream: BufReader<TcpStream>,
    _process: Memcached,
}

impl Real {
    fn start() -> Real {
        // The threads that sort items by age hold some of them for a while, and an incr of such an item
        // writes a new one, without the spaces, instead of filling up the old one.
        let process = Memcached::start_with(&["-o", "no_lru_maintainer,no_lru_crawler"]);
        let stream = TcpStream::connect(("127.0.0.1", process.port())).expect("memcached answers");
        stream.set_nodelay(true).expect("a socket");
        Real {
            stream: BufReader::new(stream),
            _process: process,
        }
    }

    fn execute(&mut self, request: &Request<'_>) -> Reply {
        let sent = self.stream.get_mut().write_all(&encode(request));
        sent.expect("memcached takes the request");
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "STORED" | "DELETED" | "TOUCHED" | "OK" => Reply::Done,
            "NOT_STORED" => Reply::NotStored,
            "EXISTS" => Reply::Exists,
            "NOT_FOUND" | "END" => Reply::NotFound,
            "VALUE" => Reply::Value(self.value(&words)),
            _ => match line.parse() {
                Ok(number) => Reply::Number(number),
                Err(_) => Reply::Error(Bytes::from(line)),
            },
        }
    }

    /// The line and the value that answer a meta command.
    fn meta(&mut self, command: &[u8]) -> MetaAnswer {
        let sent = self.stream.get_mut().write_all(command);
        sent.expect("memcached takes the command");
        let line = self.line();
        let data = line.strip_prefix("VA ").map(|rest| {
            let length = rest.split(' ').next().expect("a length");
            let mut data = vec![0; length.parse::<usize>().expect("a length") + 2];
            self.stream.read_exact(&mut data).expect("a value");
            data.truncate(data.len() - 2);
            data
        });
        (line, data)
    }

    fn value(&mut self, words: &[&str]) -> Item {
        let mut data = vec![0; words[3].parse::<usize>().expect("a length") + 2];
        self.stream.read_exact(&mut data).expect("a data block");
        data.truncate(data.len() - 2);
        assert_eq!(self.line(), "END");
        Item::new(
            Bytes::copy_from_slice(words[1].as_bytes()),
            words[2].parse().expect("flags"),
            words.get(4).map_or(0, |cas| cas.parse().expect("a cas id")),
            Bytes::from(data),
        )
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.strip_suffix("\r\n").expect("a whole line").to_owned()
    }
}

fn encode(request: &Request<'_>) -> Vec<u8> {
    let name = request.command.name();
    let key = String::from_utf8_lossy(request.key);
    let Request {
        flags,
        exptime,
        cas,
        delta,
        value,
        ..
    } = request;
    let line = match request.command {
        Command::Get | Command::Gets | Command::Delete => format!("{name} {key}"),
        Command::Gat | Command::Gats => format!("{name} {exptime} {key}"),
        Command::Touch => format!("{name} {key} {exptime}"),
        Command::Incr | Command::Decr => format!("{name} {key} {delta}"),
        Command::FlushAll => format!("{name} {exptime}"),
        Command::Cas => format!("{name} {key} {flags} {exptime} {} {cas}", value.len()),
        _ => format!("{name} {key} {flags} {exptime} {}", value.len()),
    };
    let mut bytes = line.into_bytes();
    bytes.extend_from_slice(b"\r\n");
    if request.command.is_store() {
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
