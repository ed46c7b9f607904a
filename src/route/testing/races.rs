//! Policies that copy values, over two caches that carry requests out in any order, and lose items and replies.
//!
//! Each seed is a world of its own: some clients ask one thing after the other, what policies ask of the caches waits,
//! and a step carries out any one of what waits. So a copy meets every change at every moment. A value that is read
//! must be one that no answered change has replaced since before the read began.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::link::queued::Owned;
use crate::node::embedded::Embedded;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::oneshot::Answer;
use crate::reply::slot::Slot;
use crate::route::testing::{ask, compile, run};
use crate::route::{Call, Forwarder, Pool, Route};
use crate::runtime::rng;

const CLIENTS: usize = 4;
const STEPS: usize = 60;
/// The counter begins here.
const COUNTER: u64 = 1000;

/// The caches of the pools `a` and `b`, and what waits to be carried out there.
#[derive(Debug)]
struct Caches {
    caches: [Embedded; 2],
    waiting: RefCell<Vec<Waiting>>,
}

/// What one cache is asked.
#[derive(Debug)]
struct Waiting {
    cache: usize,
    owned: Owned,
    slot: Slot,
    /// Who has less waits longer; so some wait while much else happens.
    haste: u64,
}

impl Forwarder for Caches {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: Slot) {
        let cache = usize::from(pool.name == "b");
        self.waiting.borrow_mut().push(Waiting {
            cache,
            owned: Owned::new(request),
            slot,
            haste: rng::below(1 << 20),
        });
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Caches {
    /// Carries out any one of what waits. With `faults` some are not carried out, or their replies are lost.
    fn step(&self, faults: bool) {
        let mut waiting = self.waiting.borrow_mut();
        let hastiest = (0..waiting.len()).max_by_key(|&index| waiting[index].haste);
        let Some(hastiest) = hastiest else { return };
        let next = match rng::below(4) {
            0 => rng::below(waiting.len() as u64) as usize,
            _ => hastiest,
        };
        let Waiting {
            cache, owned, slot, ..
        } = waiting.swap_remove(next);
        drop(waiting);
        let fault = if faults { rng::below(40) } else { 40 };
        if fault == 0 {
            return slot.fill(Reply::Failed(Failure::Connect));
        }
        let reply = self.caches[cache].execute(&owned.request());
        slot.fill(if fault == 1 {
            Reply::Failed(Failure::Timeout)
        } else {
            reply
        });
    }
}

/// A change of the key `k`; an empty value for a delete. Times are steps.
#[derive(Debug, Clone)]
struct Change {
    value: String,
    begin: usize,
    end: Option<usize>,
}

/// What a client waits for.
struct Asked {
    answer: Answer,
    begin: usize,
    what: What,
}

enum What {
    Read,
    /// The index of a change, which is done where the reply is good.
    Change(usize),
    /// The counter's least value after it.
    Count(u64),
}

struct World {
    caches: Rc<Caches>,
    route: Route,
    changes: Vec<Change>,
    counted: u64,
    clients: [Option<Asked>; CLIENTS],
    /// The cas id that was read last.
    cas: u64,
    /// Requests fail.
    faults: bool,
}

impl World {
    fn ask(&mut self, client: usize, now: usize) {
        let call = Call {
            forwarder: self.caches.clone(),
            hold: None,
        };
        let value = format!("v{}", self.changes.len());
        let mut request = ask(Command::Get, "k");
        let what = match rng::below(14) {
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
                request.command = commands[rng::below(commands.len() as u64) as usize];
                let is_delete = request.command == Command::Delete;
                if request.command == Command::Cas {
                    request.cas = self.cas;
                }
                if !is_delete {
                    request.value = value.as_bytes();
                }
                self.changes.push(Change {
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
                request = Request {
                    delta: 1,
                    ..ask(Command::Incr, "n")
                };
                What::Count(COUNTER + self.counted + 1)
            }
        };
        self.clients[client] = Some(Asked {
            answer: call.send(&self.route, &request),
            begin: now,
            what,
        });
    }

    /// Takes the answer to what `client` asked, where it is there.
    fn look(&mut self, client: usize, now: usize) {
        let Some(asked) = &mut self.clients[client] else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(reply) = Pin::new(&mut asked.answer).poll(&mut cx) else {
            return;
        };
        let asked = self.clients[client].take().expect("it waits");
        match (asked.what, reply) {
            (What::Read, Reply::Value(item)) => {
                self.cas = item.cas;
                self.check(&String::from_utf8_lossy(item.data()), asked.begin);
            }
            (What::Change(index), Reply::Done) => self.changes[index].end = Some(now),
            (What::Change(index), Reply::NotFound) if self.changes[index].value.is_empty() => {
                self.changes[index].end = Some(now);
            }
            (What::Count(least), Reply::Number(number)) => {
                assert!(number >= least, "{number} after {least}");
                self.counted += 1;
            }
            // An incr that failed may cost the counter.
            (What::Count(least), Reply::NotFound) => {
                assert!(least == 0 || self.faults, "the counter is lost")
            }
            _ => {}
        }
    }

    fn check(&self, value: &str, begin: usize) {
        let written = self.changes.iter().find(|change| change.value == value);
        let written = written.filter(|_| !value.is_empty());
        let written = written.unwrap_or_else(|| panic!("{value:?} was never written"));
        let Some(end) = written.end else { return };
        let is_later = |change: &&Change| change.begin > end && change.end.is_some_and(|end| end < begin);
        if let Some(later) = self.changes.iter().find(is_later) {
            panic!("{written:?} was read at {begin}, after {later:?}");
        }
    }
}

/// A world in which `route` is used; `losses`: the key leaves the cache `a` from time to time, as if evicted.
async fn survive(route: &str, seed: u64, losses: bool, faults: bool) {
    rng::seed(seed);
    let caches = Rc::new(Caches {
        caches: [Embedded::new(1 << 20), Embedded::new(1 << 20)],
        waiting: RefCell::default(),
    });
    let counter = COUNTER.to_string();
    for (key, value) in [("k", "v0"), ("n", counter.as_str())] {
        let set = Request {
            value: value.as_bytes(),
            ..ask(Command::Set, key)
        };
        caches.caches[1].execute(&set);
    }
    let mut world = World {
        caches: caches.clone(),
        route: compile(route).0,
        changes: vec![Change {
            value: "v0".to_owned(),
            begin: 0,
            end: Some(0),
        }],
        counted: 0,
        clients: [const { None }; CLIENTS],
        cas: 0,
        faults,
    };
    for now in 1..=STEPS {
        let client = rng::below(CLIENTS as u64) as usize;
        if world.clients[client].is_none() {
            world.ask(client, now);
        }
        if losses && rng::below(5) == 0 {
            caches.caches[0].execute(&ask(Command::Delete, "k"));
        }
        for _ in 0..=rng::below(3) {
            caches.step(faults);
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        (0..CLIENTS).for_each(|client| world.look(client, now));
    }
}

/// So many worlds in one test, where the environment does not say otherwise (`RACES_SEEDS`).
const SEEDS: u64 = 2000;

fn survives(route: &'static str, losses: bool, faults: bool) {
    let seeds = std::env::var("RACES_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        run(survive(route, seed, losses, faults));
    }
}

#[test]
fn lazy_fill_brings_no_old_value_back() {
    survives("{lazy_fill: {to: a, from: b}}", false, false);
}

#[test]
fn lazy_fill_brings_no_old_value_back_where_items_and_replies_are_lost() {
    survives("{lazy_fill: {to: a, from: b}}", true, true);
}

#[test]
fn layers_show_what_was_written_through_them() {
    survives("{layers: {near: a, far: b, near_expiry: 60s}}", true, false);
}
