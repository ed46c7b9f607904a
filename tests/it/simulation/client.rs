//! A client that asks at random, several requests at a time, and holds each answer against what may be.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::history::History;
use super::places::Places;
use super::random::Random;

/// What a request may take beyond its timeout: timers count in milliseconds.
const SLACK: Duration = Duration::from_millis(5);
/// A client sends fewer requests than this at once.
const BATCH: u64 = 8;
/// Keys of one client.
pub const KEYS: u64 = 5;

/// What holds in the world that a client lives in.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What a request may take: the pool's `request_timeout`, and as much before it is read, where a reload
    /// gives its session other links and what it owes must come first.
    pub patience: Duration,
    /// Requests of one session for one key wait for each other.
    pub in_turn: bool,
    /// Nodes fail, so a read may miss and a write may fail.
    pub may_fail: bool,
    /// Keys move to other nodes and back.
    pub may_be_old: bool,
    /// A write that failed may be done in a part of the nodes that have the key.
    pub may_be_half_done: bool,
}

/// One client with its session.
pub struct Client {
    name: u64,
    stream: OwnedWriteHalf,
    /// The lines that the session wrote, each with the moment when it was there.
    lines: UnboundedReceiver<(String, Instant)>,
    random: Random,
    rules: Rules,
    /// The number of the next write of the world.
    writes: Rc<Cell<u64>>,
    histories: HashMap<String, History>,
    /// What is owed, each with the moments when it was sent and is due, and the number of the ring.
    owed: VecDeque<(RequestOrigin, Instant, Instant, u64)>,
    /// The answer that is checked.
    now: Answered,
    /// Which node has each key, if that changes while the client asks.
    places: Rc<Places>,
    /// When the last write of each key that was acknowledged, or failed, was sent: the number of the ring.
    written: HashMap<String, u64>,
}

/// When a request was sent, and its answer was there.
#[derive(Debug, Clone, Copy)]
struct Answered {
    sent: Instant,
    arrived: Instant,
}

/// A request whose answer is owed.
#[derive(Debug)]
enum RequestOrigin {
    Get(Vec<String>),
    Set(String, u64),
    Delete(String),
    MetaGet(String, u64),
    MetaSet(String, u64),
    MetaDelete(String, u64),
}

impl RequestOrigin {
    fn keys(&self) -> &[String] {
        match self {
            RequestOrigin::Get(keys) => keys,
            RequestOrigin::Set(key, _)
            | RequestOrigin::Delete(key)
            | RequestOrigin::MetaGet(key, _)
            | RequestOrigin::MetaSet(key, _)
            | RequestOrigin::MetaDelete(key, _) => std::slice::from_ref(key),
        }
    }

    /// The key that it writes.
    fn writes(&self) -> Option<&String> {
        match self {
            RequestOrigin::Get(_) | RequestOrigin::MetaGet(..) => None,
            RequestOrigin::Set(key, _)
            | RequestOrigin::Delete(key)
            | RequestOrigin::MetaSet(key, _)
            | RequestOrigin::MetaDelete(key, _) => Some(key),
        }
    }
}

impl Client {
    /// Client `name` on its side of a session's stream.
    pub fn new(
        name: u64,
        stream: UnixStream,
        random: &Random,
        rules: Rules,
        writes: &Rc<Cell<u64>>,
    ) -> Client {
        let (read, write) = stream.into_split();
        let (sender, lines) = unbounded_channel();
        tokio::task::spawn_local(async move {
            let mut read = BufReader::new(read).lines();
            while let Ok(Some(line)) = read.next_line().await
                && sender.send((line, Instant::now())).is_ok()
            {}
        });
        Client {
            name,
            stream: write,
            lines,
            random: random.clone(),
            rules,
            writes: writes.clone(),
            histories: HashMap::new(),
            owed: VecDeque::new(),
            now: Answered {
                sent: Instant::now(),
                arrived: Instant::now(),
            },
            places: Rc::default(),
            written: HashMap::new(),
        }
    }

    /// Holds what it reads of each key against where the key was.
    pub fn watch(&mut self, places: &Rc<Places>) {
        self.places = places.clone();
    }

    /// Asks `batches` times.
    pub async fn run(&mut self, batches: u64) {
        for _ in 0..batches {
            let mut bytes = String::new();
            for _ in 0..self.random.within(1..BATCH) {
                self.ask(&mut bytes);
            }
            self.send(&bytes).await;
            // Now and then the next requests go out before the answers are read.
            if !self.random.once_in(3) {
                self.read_all().await;
            }
            sleep(Duration::from_millis(self.random.within(0..60))).await;
        }
        self.read_all().await;
    }

    /// Stores and reads every key. All nodes are well again.
    pub async fn finds_all_well(&mut self) {
        self.rules = Rules {
            may_fail: false,
            may_be_old: false,
            ..self.rules
        };
        self.places = Rc::default();
        for key in 0..KEYS {
            let key = self.key(key);
            // Writes of unknown outcome are carried out by now, or never.
            *self.history(&key) = History::default();
            let mut bytes = String::new();
            self.ask_set(key.clone(), &mut bytes);
            self.ask_get(vec![key], &mut bytes);
            self.send(&bytes).await;
            self.read_all().await;
        }
    }

    fn key(&self, number: u64) -> String {
        key(self.name, number)
    }

    fn any_key(&self) -> String {
        self.key(self.random.within(0..KEYS))
    }

    fn history(&mut self, key: &str) -> &mut History {
        self.histories.entry(key.to_owned()).or_default()
    }

    fn failed(&mut self, key: &str, number: u64) {
        let may_be_half_done = self.rules.may_be_half_done;
        let arrived = self.now.arrived;
        let history = self.history(key);
        history.failed(number, arrived);
        if may_be_half_done {
            history.unknown(number);
        }
    }

    async fn send(&mut self, bytes: &str) {
        self.stream
            .write_all(bytes.as_bytes())
            .await
            .expect("the session reads");
    }

    fn ask(&mut self, bytes: &mut String) {
        let key = self.any_key();
        match self.random.within(0..10) {
            0..3 => self.ask_get(vec![key], bytes),
            3 => {
                let keys = (0..self.random.within(2..5)).map(|_| self.any_key()).collect();
                self.ask_get(keys, bytes);
            }
            4..6 => self.ask_set(key, bytes),
            6 => {
                let number = self.write(&key);
                self.history(&key).unknown(number);
                let value = format!("v{number}");
                *bytes += &format!("set {key} 0 0 {} noreply\r\n{value}\r\n", value.len());
            }
            7 => {
                *bytes += &format!("delete {key}\r\n");
                self.owe(RequestOrigin::Delete(key));
            }
            8 => {
                let opaque = self.random.within(0..1000);
                if self.random.once_in(2) {
                    *bytes += &format!("mg {key} v O{opaque}\r\n");
                    self.owe(RequestOrigin::MetaGet(key, opaque));
                } else {
                    *bytes += &format!("md {key} O{opaque}\r\n");
                    self.owe(RequestOrigin::MetaDelete(key, opaque));
                }
            }
            _ => {
                let number = self.write(&key);
                let value = format!("v{number}");
                *bytes += &format!("ms {key} {} O{number}\r\n{value}\r\n", value.len());
                self.owe(RequestOrigin::MetaSet(key, number));
            }
        }
    }

    fn ask_get(&mut self, keys: Vec<String>, bytes: &mut String) {
        *bytes += &format!("get {}\r\n", keys.join(" "));
        self.owe(RequestOrigin::Get(keys));
    }

    fn ask_set(&mut self, key: String, bytes: &mut String) {
        let number = self.write(&key);
        let value = format!("v{number}");
        *bytes += &format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
        self.owe(RequestOrigin::Set(key, number));
    }

    fn write(&mut self, key: &str) -> u64 {
        let number = self.writes.get();
        self.writes.set(number + 1);
        self.history(key).sent(number);
        number
    }

    fn owe(&mut self, asked: RequestOrigin) {
        // Among those before it are some that want no reply.
        let turns = match self.rules.in_turn {
            true => self.owed.len() + BATCH as usize,
            false => 1,
        };
        let now = Instant::now();
        let due = now + self.rules.patience * turns as u32 + SLACK;
        self.owed.push_back((asked, now, due, self.places.ring()));
    }

    async fn read_all(&mut self) {
        while let Some((asked, sent, due, ring)) = self.owed.pop_front() {
            let (line, arrived) = self.line().await;
            assert!(arrived <= due, "{asked:?} took {:?}", arrived - sent);
            self.now = Answered { sent, arrived };
            self.check(asked, line, ring).await;
        }
    }

    async fn line(&mut self) -> (String, Instant) {
        let line = self.lines.recv().await;
        line.unwrap_or_else(|| panic!("the session closed and owes {:?}", self.owed))
    }

    /// Checks the first line of an answer; the request was sent when `ring` was the newest.
    async fn check(&mut self, asked: RequestOrigin, line: String, ring: u64) {
        let has_failed = line.starts_with("SERVER_ERROR ");
        let may_fail = |key: &String| self.rules.may_fail || self.places.may_fail(key, ring);
        assert!(
            !has_failed || asked.keys().iter().any(may_fail),
            "{asked:?} answered {line}"
        );
        if let Some(key) = asked.writes() {
            self.written.insert(key.clone(), ring);
        }
        match asked {
            RequestOrigin::Get(keys) => self.check_values(keys, line).await,
            RequestOrigin::Set(key, number) => match line.as_str() {
                "STORED" => self.history(&key).stored(number),
                _ if has_failed => self.failed(&key, number),
                _ => panic!("set {key} answered {line}"),
            },
            RequestOrigin::Delete(key) => match line.as_str() {
                "DELETED" | "NOT_FOUND" => self.history(&key).deleted(),
                _ if has_failed => self.history(&key).deleted(),
                _ => panic!("delete {key} answered {line}"),
            },
            RequestOrigin::MetaGet(key, opaque) => {
                let mut words = line.split(' ');
                let status = words.next();
                assert!(
                    has_failed || line.ends_with(&format!("O{opaque}")) || status == Some("EN"),
                    "mg answered {line}"
                );
                match status {
                    Some("VA") => {
                        let (value, _) = self.line().await;
                        self.found(&key, Some(number(&value)));
                    }
                    Some("EN") => self.found(&key, None),
                    _ if has_failed => {}
                    _ => panic!("mg {key} answered {line}"),
                }
            }
            RequestOrigin::MetaSet(key, number) => match line.as_str() {
                _ if line == format!("HD O{number}") => self.history(&key).stored(number),
                _ if has_failed => self.failed(&key, number),
                _ => panic!("ms {key} O{number} answered {line}"),
            },
            RequestOrigin::MetaDelete(key, opaque) => match line.as_str() {
                _ if line == format!("HD O{opaque}") || line == format!("NF O{opaque}") => {
                    self.history(&key).deleted();
                }
                _ if has_failed => self.history(&key).deleted(),
                _ => panic!("md {key} O{opaque} answered {line}"),
            },
        }
    }

    /// The values of `keys`, of which `line` is the first line: in the order in which they were asked.
    async fn check_values(&mut self, keys: Vec<String>, mut line: String) {
        let mut asked = keys.iter();
        while let Some(rest) = line.strip_prefix("VALUE ") {
            let found = rest.split(' ').next().expect("a key").to_owned();
            for key in asked.by_ref() {
                if *key == found {
                    break;
                }
                self.found(key, None);
            }
            let (value, _) = self.line().await;
            self.found(&found, Some(number(&value)));
            line = self.line().await.0;
        }
        let has_failed = line.starts_with("SERVER_ERROR ");
        assert!(line == "END" || has_failed, "get {keys:?} ends with {line}");
        for key in asked.filter(|_| !has_failed) {
            self.found(key, None);
        }
    }

    fn found(&mut self, key: &str, value: Option<u64>) {
        let Rules {
            may_fail, may_be_old, ..
        } = self.rules;
        let ring = self.written.get(key).copied().unwrap_or_default();
        let may_be_old = may_be_old || self.places.has_moved(key, ring);
        let may_miss = may_fail || may_be_old || self.places.may_fail(key, ring);
        let sent = self.now.sent;
        let objection = self.history(key).objection(value, sent, may_miss, may_be_old);
        if let Some(objection) = objection {
            panic!("{key} reads {objection}");
        }
    }
}

/// A key of the client `name`.
pub fn key(name: u64, number: u64) -> String {
    format!("c{name}-{number}")
}

fn number(value: &str) -> u64 {
    let number = value.strip_prefix('v').and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{value} is no value"))
}
