//! The load under which nodes fail: many sessions at once, in classic text and in meta, one request at a time
//! and several in one packet, on all keys.
//!
//! What is wrong in an answer fails the test as it is read. What is late or not served becomes a complaint, so that
//! a trial that fails shows all of them.

use std::iter::{repeat_with, successors};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::ask::{Ask, Sent, send};
use super::keys::Key;
use crate::support::client::Client;

/// Keys that one session writes, in turn.
pub const OWN: usize = 8;
/// `request_timeout` of the pools: so long that a healthy node answers in time on a busy machine, too.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two rounds of a session.
const PAUSE: Duration = Duration::from_millis(30);

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
    /// How long the single requests of steady sessions took, with the phase in which they were sent.
    times: Mutex<Vec<(Phase, Duration)>>,
    complaints: Mutex<Vec<String>>,
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
            complaints: Mutex::default(),
            keys,
        }
    }

    /// How many sessions it is made for.
    pub fn sessions(&self) -> usize {
        self.rounds.len()
    }

    /// True for one session in four, by turns on either listener: it uses no key of the node with the fault,
    /// so it never waits for that.
    pub fn is_steady(session: usize) -> bool {
        matches!(session % 8, 3 | 6)
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

    /// Notes what is not as it should be.
    pub fn complain(&self, complaint: String) {
        self.complaints.lock().expect("no panics").push(complaint);
    }

    /// All complaints so far.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().expect("no panics").clone()
    }

    /// Waits until each session made so many more rounds. False: `until` came.
    pub fn rounds_pass(&self, count: usize, until: Instant) -> bool {
        let now = || self.rounds.iter().map(|session| session.load(SeqCst));
        let begun: Vec<usize> = now().collect();
        while now().zip(&begun).any(|(now, begun)| now < begun + count) {
            assert!(!self.is_over.load(SeqCst), "a session failed");
            if Instant::now() > until {
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        true
    }

    /// The time that 99 of 100 requests of steady sessions took at most in this phase. A request that waits
    /// keeps back others that would have waited too, so it counts as often as it could have been sent.
    pub fn p99(&self, phase: Phase) -> Duration {
        let times = self.times.lock().expect("no panics");
        let of_phase = times.iter().filter(|time| time.0 == phase).map(|time| time.1);
        let kept_back = |time| successors(Some(time), |rest: &Duration| rest.checked_sub(PAUSE));
        let mut times: Vec<Duration> = of_phase.flat_map(kept_back).collect();
        assert!(!times.is_empty(), "no request while {phase:?}");
        times.sort();
        times[times.len() * 99 / 100]
    }

    /// Writes every key once.
    pub fn fill(&self, client: &mut Client) {
        for key in &self.keys {
            for sent in send(client, [Ask::Set { key, is_meta: false }]) {
                self.read(client, sent, Phase::Before);
            }
        }
    }

    /// One session, from its first request to the end of the load.
    pub fn run_session(&self, session: usize, address: (&str, u16)) {
        let _ends_with_me = EndOnDrop(self);
        let mut client = Client::connect_to(address);
        let own = &self.keys[session * OWN..][..OWN];
        let mut random = Random(session as u64 + 1);
        let is_steady = Load::is_steady(session);
        let mut keys = repeat_with(|| &self.keys[random.below(self.keys.len())])
            .filter(|key| !is_steady || !key.is_sick);
        let mut any = || keys.next().expect("there is no end");
        let is_meta = session % 4 < 2;
        for round in 0.. {
            if self.is_over.load(SeqCst) {
                break;
            }
            let (key, other) = (&own[round % OWN], &own[(round + OWN / 2) % OWN]);
            let opaque = 2 * round as u32;
            for ask in [
                Ask::Set { key, is_meta },
                Ask::Get(vec![any()]),
                Ask::MetaGet(any(), opaque),
            ] {
                let took = self.round_trip(&mut client, [ask]);
                if is_steady {
                    self.times.lock().expect("no panics").push(took);
                }
            }
            let several = [
                Ask::Set {
                    key: other,
                    is_meta: !is_meta,
                },
                Ask::Get(vec![any(), any(), any(), any(), any()]),
                Ask::MetaGet(any(), opaque + 1),
                Ask::Get(vec![key]),
            ];
            self.round_trip(&mut client, several);
            self.rounds[session].fetch_add(1, SeqCst);
            sleep(PAUSE);
        }
    }

    /// Sends requests in one piece and reads all answers: how long it took, and the phase when it began.
    fn round_trip<'a>(
        &self,
        client: &mut Client,
        asks: impl IntoIterator<Item = Ask<'a>>,
    ) -> (Phase, Duration) {
        let (phase, begun) = (self.phase(), Instant::now());
        for sent in send(client, asks) {
            self.read(client, sent, phase);
        }
        (phase, begun.elapsed())
    }

    /// Reads the answer to a request that was sent in `phase`, which must come before the client's deadline. A key
    /// that must be served and was not becomes a complaint.
    fn read(&self, client: &mut Client, sent: Sent<'_>, phase: Phase) {
        let at = sent.at;
        let answer = sent.read(client);
        let took = at.elapsed();
        let is_all_well = phase != Phase::Fault && self.phase() == phase;
        let unserved = answer.served.iter().filter(|(_, is_served)| !is_served);
        for (key, _) in unserved.clone().filter(|(key, _)| is_all_well || !key.is_sick) {
            let (name, reason) = (&key.name, &answer.reason);
            let node = if key.is_sick {
                "the node with the fault"
            } else {
                "another node"
            };
            self.complain(format!(
                "{name} on {node} was not served after {took:?} in {phase:?}: {reason}"
            ));
        }
        if unserved.count() > 0 {
            self.unserved.fetch_add(1, SeqCst);
        }
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
