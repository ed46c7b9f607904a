//! A world of one seed: some clients send one request after the other to processes over caches, the policies'
//! requests wait there, and each step executes any one of them. So every interleaving of copies and changes occurs.
//!
//! A value that is read must be one that no answered change had replaced before the read began. Misses prove nothing, so
//! a test also fails if too few reads find a value.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::advance;

use crate::protocol::numbers::parse_u64;
use crate::protocol::{Command, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::route::testing::caches::{COUNTER, Caches};
use crate::route::testing::{ask, meta, run};
use crate::route::{Call, Route};

pub const CLIENTS: usize = 4;
const STEPS: usize = 60;

/// A change of the key `k`; an empty value for a delete. Times are steps.
#[derive(Debug, Clone)]
struct KeyChange {
    value: String,
    begin: usize,
    end: Option<usize>,
}

/// A request of a client.
struct Asked {
    answer: Answer,
    begin: usize,
    what: What,
}

enum What {
    Read,
    /// The index of a change, which is done if the reply is good.
    Change(usize),
    /// The counter's minimum value after it.
    Count(u64),
}

/// One process: begins a request, and returns where it goes.
pub type Process = Box<dyn Fn() -> (Call, Route)>;

/// Clients, processes and caches.
pub struct World {
    /// What the clients speak to, in turns.
    processes: Vec<Process>,
    changes: Vec<KeyChange>,
    counted: u64,
    clients: [Option<Asked>; CLIENTS],
    /// The cas id of the last read.
    cas: u64,
    /// Whether a counter may be lost.
    may_miss: bool,
    /// Reads that were answered.
    reads: u64,
    /// Reads that found a value.
    hits: u64,
}

impl World {
    fn ask(&mut self, client: usize, now: usize) {
        let process = &self.processes[client % self.processes.len()];
        let (call, route) = process();
        let value = format!("v{}", self.changes.len());
        let mut request = ask(Command::Get, "k");
        let what = match fastrand::u64(..14) {
            0..=4 => What::Read,
            5 => {
                request.command = Command::Gets;
                What::Read
            }
            6..=11 => {
                let commands = [
                    Command::Set,
                    Command::Set,
                    Command::Delete,
                    Command::Add,
                    Command::Replace,
                    Command::Cas,
                ];
                request.command = commands[fastrand::usize(..commands.len())];
                let is_delete = request.command == Command::Delete;
                if request.command == Command::Cas {
                    request.cas = self.cas;
                }
                if !is_delete {
                    request.value = value.as_bytes();
                }
                self.changes.push(KeyChange {
                    value: if is_delete { String::new() } else { value.clone() },
                    begin: now,
                    end: None,
                });
                What::Change(self.changes.len() - 1)
            }
            12 => {
                request.command = Command::Touch;
                request.exptime = 1000;
                What::Count(0)
            }
            _ => {
                let least = COUNTER + self.counted + 1;
                request = match fastrand::bool() {
                    // Should the counter be lost, it begins with more than was ever counted.
                    true => meta(Command::MetaArithmetic, "n", "v N0 J5000"),
                    false => Request {
                        delta: 1,
                        ..ask(Command::Incr, "n")
                    },
                };
                What::Count(least)
            }
        };
        self.clients[client] = Some(Asked {
            answer: call.send(&route, &request),
            begin: now,
            what,
        });
    }

    /// Takes the reply to the request of `client`, if it has arrived.
    fn look(&mut self, client: usize, now: usize) {
        let Some(asked) = &mut self.clients[client] else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(reply) = Pin::new(&mut asked.answer).poll(&mut cx) else {
            return;
        };
        let asked = self.clients[client].take().expect("it waits");
        if matches!(asked.what, What::Read) {
            self.reads += 1;
            self.hits += u64::from(matches!(reply, Reply::Value(_)));
        }
        match (asked.what, reply) {
            (What::Read, Reply::Value(item)) => {
                self.cas = item.cas;
                self.check(&String::from_utf8_lossy(item.data()), asked.begin);
            }
            (What::Change(index), Reply::Done) => self.changes[index].end = Some(now),
            (What::Change(index), Reply::NotFound) if self.changes[index].value.is_empty() => {
                self.changes[index].end = Some(now);
            }
            (What::Count(least), Reply::Number(number)) => self.count(number, least),
            (What::Count(least), Reply::Meta(meta)) if meta.data().is_some() => {
                let number = meta.data().and_then(parse_u64).expect("a number");
                self.count(number, least);
            }
            // No client stores anything but numbers there.
            (What::Count(_), Reply::Error(error)) => panic!("the counter: {error:?}"),
            // An incr that failed, and a change of the ring, may cost the counter.
            (What::Count(least), Reply::NotFound) => {
                assert!(least == 0 || self.may_miss, "the counter is lost")
            }
            _ => {}
        }
    }

    fn count(&mut self, number: u64, least: u64) {
        assert!(number >= least, "{number} after {least}");
        self.counted += 1;
    }

    fn check(&self, value: &str, begin: usize) {
        let written = self.changes.iter().find(|change| change.value == value);
        let written = written.filter(|_| !value.is_empty());
        let written = written.unwrap_or_else(|| panic!("{value:?} was never written"));
        let Some(end) = written.end else { return };
        let is_later = |change: &&KeyChange| change.begin > end && change.end.is_some_and(|end| end < begin);
        if let Some(later) = self.changes.iter().find(is_later) {
            panic!("{written:?} was read at {begin}, after {later:?}");
        }
    }
}

/// What the worlds of one test have in common.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The route, over the pools `a` and `b`; empty if the processes have their own.
    pub route: &'a str,
    /// The caches that have the values at the beginning.
    pub filled: &'static [usize],
    /// The caches that evict the key from time to time.
    pub evicts: &'a [usize],
    /// Whether requests fail.
    pub faults: bool,
    /// Whether replies take their time; if not, they arrive when the request is executed.
    pub is_late: bool,
    /// How much time passes in each step.
    pub tick: Duration,
    /// How many processes there are.
    pub processes: usize,
}

/// Two caches that keep what they have, and one process.
pub const CALM: Trial<'static> = Trial {
    route: "",
    filled: &[],
    evicts: &[],
    faults: false,
    is_late: false,
    tick: Duration::ZERO,
    processes: 1,
};

/// Lets clients of `processes` live in a world over `caches`; each step begins with `change`. Returns how many
/// reads were answered, and how many of them found a value.
pub async fn live(
    trial: Trial<'_>,
    caches: Rc<Caches>,
    processes: Vec<Process>,
    mut change: impl FnMut(usize),
) -> (u64, u64) {
    for &cache in trial.filled {
        caches.fill(|_| cache);
    }
    let mut world = World {
        processes,
        changes: vec![KeyChange {
            value: "v0".to_owned(),
            begin: 0,
            end: Some(0),
        }],
        counted: 0,
        clients: [const { None }; CLIENTS],
        cas: 0,
        may_miss: trial.faults || trial.route.is_empty(),
        reads: 0,
        hits: 0,
    };
    for now in 1..=STEPS {
        change(now);
        if !trial.tick.is_zero() {
            advance(trial.tick).await;
        }
        let client = fastrand::usize(..CLIENTS);
        if world.clients[client].is_none() {
            world.ask(client, now);
        }
        if !trial.evicts.is_empty() && fastrand::u64(..5) == 0 {
            let evicting = trial.evicts[fastrand::usize(..trial.evicts.len())];
            caches.caches[evicting].execute(&ask(Command::Delete, "k"));
        }
        for _ in 0..=fastrand::u64(..3) {
            caches.step(trial.faults, trial.is_late);
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        (0..CLIENTS).for_each(|client| world.look(client, now));
    }
    (world.reads, world.hits)
}

/// The number of worlds in one test, unless the environment sets another one (`RACES_SEEDS`).
const SEEDS: u64 = 2000;

/// The same for each kind of worlds in a test of many kinds.
const SEEDS_OF_MANY: u64 = 100;

/// The minimum number of reads that must be answered in each world, on average.
const MIN_READS: u64 = 3;

/// Runs `world` for each seed, and checks that enough reads are answered, and at least `min_hits` percent of
/// them by a value.
pub fn survives(min_hits: u64, world: impl AsyncFn(u64) -> (u64, u64)) {
    survives_seeds(seeds_or(SEEDS), min_hits, world);
}

/// The number of worlds of one kind in a test that has many kinds.
pub fn seeds_of_many() -> u64 {
    seeds_or(SEEDS_OF_MANY)
}

fn seeds_or(default: u64) -> u64 {
    number("RACES_SEEDS").unwrap_or(default)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The same for this number of seeds; or for one alone, which the environment names (`RACES_SEED`).
pub fn survives_seeds(seeds: u64, min_hits: u64, world: impl AsyncFn(u64) -> (u64, u64)) {
    if let Some(seed) = number("RACES_SEED") {
        return run(async {
            world(seed).await;
        });
    }
    let (mut reads, mut hits) = (0, 0);
    for seed in 0..seeds {
        let lived = catch_unwind(AssertUnwindSafe(|| {
            run(async {
                let (answered, found) = world(seed).await;
                reads += answered;
                hits += found;
            });
        }));
        if let Err(panic) = lived {
            eprintln!("-- run it again with RACES_SEED={seed}");
            resume_unwind(panic);
        }
    }
    assert!(reads >= seeds * MIN_READS, "{reads} reads in {seeds} worlds");
    assert!(hits * 100 >= reads * min_hits, "only {hits} of {reads} reads hit");
}
