//! The load under which nodes fail: many sessions at once, in classic text and in meta, one request at a time
//! and several in one packet, on all keys. Every answer is checked as it is read.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::keys::Key;
use crate::support::client::Client;

/// Keys that one session writes, in turn.
pub const OWN: usize = 8;
/// `request_timeout` of the pools.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// Within that every request is answered, though the machine may be busy.
const ANSWERED_WITHIN: Duration = Duration::from_millis(3000);
/// Between two rounds of a session.
const PAUSE: Duration = Duration::from_millis(25);

/// What is going on while the load runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// No node has a fault yet: everything is served.
    Before,
    /// One node has a fault, or gets over it.
    Fault,
    /// It is over: everything is served.
    After,
}

/// What all sessions share.
pub struct Load {
    /// All keys; those from `n * OWN` on are written by the session `n`.
    pub keys: Vec<Key>,
    phase: AtomicU8,
    is_over: AtomicBool,
    /// Requests whose keys were not all served.
    unserved: AtomicU64,
    /// Rounds that each session made.
    rounds: Vec<AtomicUsize>,
    /// Times of single requests to nodes without the fault, with the phase in which they were sent.
    times: Mutex<Vec<(Phase, Duration)>>,
}

/// One request.
enum Ask<'a> {
    /// `set`, or `ms`, of a key.
    Set { key: &'a Key, is_meta: bool },
    /// `get` of keys.
    Get(Vec<&'a Key>),
    /// `mg` of a key with an opaque.
    MetaGet(&'a Key, u32),
}

/// A request that was sent, and what may be read for it.
struct Sent<'a> {
    ask: Ask<'a>,
    phase: Phase,
    at: Instant,
    /// The number of the write, or for each key the least write that may be read.
    numbers: Vec<u32>,
}

impl Load {
    /// A load of as many sessions as have keys.
    pub fn new(keys: Vec<Key>) -> Load {
        Load {
            phase: AtomicU8::new(Phase::Before as u8),
            is_over: AtomicBool::new(false),
            unserved: AtomicU64::new(0),
            rounds: (0..keys.len() / OWN).map(|_| AtomicUsize::new(0)).collect(),
            times: Mutex::default(),
            keys,
        }
    }

    /// How many sessions it is made for.
    pub fn sessions(&self) -> usize {
        self.rounds.len()
    }

    /// The next phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Before,
            1 => Phase::Fault,
            _ => Phase::After,
        }
    }

    /// How many requests were not served so far.
    pub fn unserved(&self) -> u64 {
        self.unserved.load(SeqCst)
    }

    /// Waits until each session made so many more rounds. False: `until` came.
    pub fn rounds_pass(&self, count: usize, until: Instant) -> bool {
        let now = |session: &AtomicUsize| session.load(SeqCst);
        let begun: Vec<usize> = self.rounds.iter().map(now).collect();
        let have_passed = || {
            self.rounds
                .iter()
                .zip(&begun)
                .all(|(session, begun)| now(session) >= begun + count)
        };
        while !have_passed() {
            assert!(!self.is_over.load(SeqCst), "a session failed");
            if Instant::now() > until {
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        true
    }

    /// The time that 99 of 100 single requests to nodes without the fault took at most in this phase.
    pub fn p99(&self, phase: Phase) -> Duration {
        let times = self.times.lock().expect("no panics");
        let mut times: Vec<Duration> = times
            .iter()
            .filter(|time| time.0 == phase)
            .map(|time| time.1)
            .collect();
        assert!(times.len() > 100, "{} requests while {phase:?}", times.len());
        times.sort();
        times[times.len() * 99 / 100]
    }

    /// Writes every key once.
    pub fn fill(&self, client: &mut Client) {
        for key in &self.keys {
            let sent = self.send(client, [Ask::Set { key, is_meta: false }]).remove(0);
            self.read(client, sent);
        }
    }

    /// One session, from its first request to the end of the load.
    pub fn run_session(&self, session: usize, address: (&str, u16)) {
        let _ends_with_me = EndOnDrop(self);
        let mut client = Client::connect_to(address);
        let own = &self.keys[session * OWN..][..OWN];
        let mut random = Random(session as u64 + 1);
        let mut any = || &self.keys[random.below(self.keys.len())];
        let mut times = Vec::new();
        for round in 0.. {
            if self.is_over.load(SeqCst) {
                break;
            }
            let mine = &own[round % OWN];
            let single = [
                Ask::Set {
                    key: mine,
                    is_meta: session % 4 < 2,
                },
                Ask::Get(vec![any()]),
                Ask::MetaGet(any(), round as u32),
            ];
            for ask in single {
                let sent = self.send(&mut client, [ask]).remove(0);
                let (phase, at, is_sick) = (sent.phase, sent.at, sent.keys().iter().any(|key| key.is_sick));
                self.read(&mut client, sent);
                if !is_sick {
                    times.push((phase, at.elapsed()));
                }
            }
            let several = [
                Ask::Set {
                    key: &own[(round + OWN / 2) % OWN],
                    is_meta: session % 4 >= 2,
                },
                Ask::Get(vec![any(), any(), any(), any(), any()]),
                Ask::MetaGet(any(), round as u32 + 1_000_000),
                Ask::Get(vec![mine]),
            ];
            for sent in self.send(&mut client, several) {
                self.read(&mut client, sent);
            }
            self.rounds[session].fetch_add(1, SeqCst);
            sleep(PAUSE);
        }
        self.times.lock().expect("no panics").append(&mut times);
    }

    /// Sends requests in one piece.
    fn send<'a>(&self, client: &mut Client, asks: impl IntoIterator<Item = Ask<'a>>) -> Vec<Sent<'a>> {
        let phase = self.phase();
        let (mut text, mut sent) = (String::new(), Vec::new());
        for ask in asks {
            let mut numbers: Vec<u32> = Vec::new();
            match &ask {
                Ask::Set { key, is_meta } => {
                    let (number, value) = key.write();
                    let (name, length) = (&key.name, value.len());
                    text += &match is_meta {
                        true => format!("ms {name} {length} F{number}\r\n{value}\r\n"),
                        false => format!("set {name} {number} 0 {length}\r\n{value}\r\n"),
                    };
                    numbers.push(number);
                }
                Ask::Get(keys) => {
                    text += "get";
                    for key in keys {
                        text += &format!(" {}", key.name);
                        numbers.push(key.stored());
                    }
                    text += "\r\n";
                }
                Ask::MetaGet(key, opaque) => {
                    text += &format!("mg {} v f k O{opaque}\r\n", key.name);
                    numbers.push(key.stored());
                }
            }
            let at = Instant::now();
            sent.push(Sent {
                ask,
                phase,
                at,
                numbers,
            });
        }
        client.send(text);
        sent
    }

    /// Reads the answer to a request and checks all of it.
    fn read(&self, client: &mut Client, sent: Sent<'_>) {
        let served = match &sent.ask {
            Ask::Set { key, is_meta } => {
                let line = client.line();
                let is_stored = line == if *is_meta { "HD" } else { "STORED" };
                assert!(
                    is_stored || line.starts_with("SERVER_ERROR "),
                    "{}: {line}",
                    key.name
                );
                if is_stored {
                    key.note_stored(sent.numbers[0]);
                }
                vec![is_stored]
            }
            Ask::Get(keys) => read_get(client, keys, &sent.numbers),
            Ask::MetaGet(key, opaque) => vec![read_mg(client, key, *opaque, sent.numbers[0])],
        };
        let took = sent.at.elapsed();
        assert!(took < ANSWERED_WITHIN, "an answer took {took:?}");
        let is_all_well = sent.phase != Phase::Fault && self.phase() == sent.phase;
        for (key, is_served) in sent.keys().iter().zip(&served) {
            assert!(
                *is_served || key.is_sick && !is_all_well,
                "{} is not served while {:?}; its node has the fault: {}",
                key.name,
                sent.phase,
                key.is_sick
            );
        }
        if served.contains(&false) {
            self.unserved.fetch_add(1, SeqCst);
        }
    }
}

impl<'a> Sent<'a> {
    fn keys(&self) -> Vec<&'a Key> {
        match &self.ask {
            Ask::Set { key, .. } | Ask::MetaGet(key, _) => vec![key],
            Ask::Get(keys) => keys.clone(),
        }
    }
}

/// Which of `keys` were hits. Values come in the order in which they were asked for.
fn read_get(client: &mut Client, keys: &[&Key], at_least: &[u32]) -> Vec<bool> {
    let mut hits = vec![false; keys.len()];
    let mut next = 0;
    loop {
        let line = client.line();
        if line == "END" {
            return hits;
        }
        let words: Vec<&str> = line.split(' ').collect();
        assert!(
            words.len() == 4 && words[0] == "VALUE",
            "no answer to get: {line}"
        );
        let ahead = keys[next..].iter().position(|key| key.name == words[1]);
        let at = next + ahead.unwrap_or_else(|| panic!("{line} was not asked for, or not here"));
        next = at + 1;
        let value = client.exact(words[3].parse().expect("a length"));
        client.expect("\r\n");
        keys[at].check(words[2].parse().expect("flags"), &value, at_least[at]);
        hits[at] = true;
    }
}

/// True where it was a hit.
fn read_mg(client: &mut Client, key: &Key, opaque: u32, at_least: u32) -> bool {
    let line = client.line();
    let words: Vec<&str> = line.split(' ').collect();
    let own = [format!("k{}", key.name), format!("O{opaque}")];
    match words[..] {
        // A node says no more of a miss; Ringway, where it has no node to ask, does.
        ["EN"] => false,
        ["EN", ref rest @ ..] if rest == own => false,
        ["VA", length, flags, ref rest @ ..] if rest == own => {
            let value = client.exact(length.parse().expect("a length"));
            client.expect("\r\n");
            let flags = flags.strip_prefix('f').and_then(|flags| flags.parse().ok());
            key.check(flags.expect("flags"), &value, at_least);
            true
        }
        _ => panic!("no answer to mg of {own:?}: {line}"),
    }
}

/// Ends the load when it is dropped: nobody waits for a session that failed, or for who looks on.
pub struct EndOnDrop<'a>(pub &'a Load);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

/// Numbers that look random, the same ones in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }
}
