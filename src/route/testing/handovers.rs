//! Handovers in worlds of races: two processes, at most one phase apart, over the old owner of all keys (the
//! cache `b`) and the new one (`a`).
//!
//! A process goes on at any step at which no process, and no request that is still under way, is behind. So
//! each pair of neighbouring phases meets in many worlds, with requests that began in one phase and end in
//! the next.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::time::Instant;

use super::caches::Caches;
use super::world::{CALM, Process, Trial, live, survives};
use super::{ask, meta};
use crate::config;
use crate::node::Node;
use crate::protocol::operation::Operation;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::slot::ReplySlot;
use crate::route::handover::progress::{Phase, Progress};
use crate::route::handover::tally::HandoverTally;
use crate::route::toolkit::lease::{MetaKey, cas_of};
use crate::route::{Call, Forwarder, Handover, Pool, Route, handover};

const NEW: usize = 0;
const OLD: usize = 1;

/// The phase before a handover; the others are [`Phase`] as numbers.
const BEFORE: u8 = 0;

/// One process in a handover.
#[derive(Debug)]
struct Sidecar {
    caches: Rc<Caches>,
    pool: Arc<Pool>,
    phase: Cell<u8>,
    /// Requests under way, by the phase in which they began.
    under_way: RefCell<Vec<Weak<u8>>>,
    order: Order,
}

/// What the new owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// A memcached, at which leftovers are known by the mark.
    Memcached,
    /// A Valkey or Redis, which is swept.
    Valkey,
}

/// In which order writes and deletes reach both owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As handovers have it.
    Right,
    /// The other way round: to see that it would be noticed.
    Swapped,
}

/// Reaches both owners.
#[derive(Debug)]
struct Within(Rc<Caches>);

impl Forwarder for Within {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        self.0.push(usize::from(pool.is_old), request, slot);
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Forwards the requests of clients, each of which keeps its process from being left behind.
#[derive(Debug)]
struct Outside {
    sidecar: Rc<Sidecar>,
    hold: Rc<u8>,
}

impl Forwarder for Outside {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        let caches = &self.sidecar.caches;
        let moving = pool.handover.as_ref().expect("it is in one");
        match self.sidecar.phase.get() {
            BEFORE => caches.push(OLD, request, slot),
            phase if phase == Phase::Done as u8 => caches.push(NEW, request, slot),
            _ => {
                let call = Call {
                    forwarder: Rc::new(Within(caches.clone())),
                    hold: Some(self.hold.clone()),
                };
                let writes = [Operation::Set, Operation::Delete].contains(&Operation::of(request));
                match self.sidecar.order {
                    Order::Swapped if writes => send_swapped(pool, moving, request, slot, call),
                    _ => handover::send(pool, moving, request, slot, call),
                }
            }
        }
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Sends a write or a delete to both owners in the wrong order.
fn send_swapped(pool: &Arc<Pool>, moving: &Handover, request: &Request<'_>, slot: ReplySlot, call: Call) {
    let (old, new) = (Route::Pool(moving.old.clone()), Route::Pool(pool.clone()));
    let is_prepare = moving.progress.phase() == Phase::Prepare;
    let owned = OwnedRequest::new(request);
    tokio::task::spawn_local(async move {
        let request = owned.request();
        let key = MetaKey::of(&request);
        slot.fill(match is_prepare {
            true => {
                key.delete(&new, &call).await;
                call.send(&old, &request).await
            }
            false => {
                let reply = call.send(&new, &request).await;
                key.delete(&old, &call).await;
                reply
            }
        });
    });
}

impl Sidecar {
    /// A process whose mark of the new owner is `mark`.
    fn new(caches: &Rc<Caches>, mark: u64, order: Order, server: Server) -> Rc<Sidecar> {
        let settings = |node: &str| {
            let scheme = if server == Server::Valkey { "valkey://" } else { "" };
            let text = format!("pools: {{main: {{nodes: ['{scheme}{node}:1'], handover: {{}}}}}}");
            config::parse(&text, "test").expect("good").pools["main"].clone()
        };
        let node = |settings: &config::Pool| {
            Arc::new(Node::new(
                "main",
                &settings.nodes[0],
                &settings.health,
                1,
                &Arc::default(),
            ))
        };
        let (old, new) = (settings("old"), settings("new"));
        let nodes = [node(&new), node(&old)];
        let mut pool = Pool::compile("main", &new, NEW, &nodes[..1], None);
        let mut old = Pool::among("main", &old, vec![OLD], |index| &nodes[index], None);
        old.is_old = true;
        let tally = Arc::new(HandoverTally::new(1));
        let plan = new.handover.clone().expect("it is written");
        let progress = Progress::new(plan, 1.0, 1, 1, &tally);
        progress.set_mark(0, mark);
        pool.handover = Some(Box::new(Handover {
            old: Arc::new(old),
            leaving: vec![OLD],
            progress: Arc::new(progress),
            tally,
        }));
        Rc::new(Sidecar {
            caches: caches.clone(),
            pool: Arc::new(pool),
            phase: Cell::new(BEFORE),
            under_way: RefCell::default(),
            order,
        })
    }

    fn process(self: &Rc<Sidecar>) -> Process {
        let sidecar = self.clone();
        Process {
            route: Route::Pool(self.pool.clone()),
            call: Box::new(move || {
                let hold = Rc::new(sidecar.phase.get());
                sidecar.under_way.borrow_mut().push(Rc::downgrade(&hold));
                Call {
                    forwarder: Rc::new(Outside {
                        sidecar: sidecar.clone(),
                        hold: hold.clone(),
                    }),
                    hold: Some(hold),
                }
            }),
        }
    }

    /// The earliest phase of the process and of its requests under way.
    fn earliest(&self) -> u8 {
        let mut under_way = self.under_way.borrow_mut();
        under_way.retain(|hold| hold.strong_count() > 0);
        let phases = under_way
            .iter()
            .filter_map(|hold| hold.upgrade().map(|phase| *phase));
        phases.fold(self.phase.get(), u8::min)
    }

    /// Goes to the next phase.
    fn advance(&self) {
        let next = self.phase.get() + 1;
        let progress = &self.pool.handover.as_ref().expect("it is in one").progress;
        if next == Phase::Done as u8 {
            self.sweep(progress.mark(0));
        }
        // A Valkey is swept in prepare, or as soon as it can be reached.
        let is_swept = next == Phase::Finish as u8 || next == Phase::Serve as u8 && fastrand::bool();
        if self.pool.is_valkey(b"") && is_swept && progress.mark(0) > 0 {
            self.sweep(u64::MAX);
            progress.set_mark(0, 0);
        }
        let phases = [
            Phase::Prepare,
            Phase::Serve,
            Phase::Finish,
            Phase::Settle,
            Phase::Done,
        ];
        progress.enter(phases[usize::from(next) - 1], Instant::now());
        self.phase.set(next);
    }

    /// Removes what the new owner has from an earlier ring.
    fn sweep(&self, mark: u64) {
        let cache = &self.caches.caches[NEW];
        for key in ["k", "n"] {
            let found = cas_of(&cache.execute(&meta(Command::MetaGet, key, "c")));
            if found.is_some_and(|cas| cas <= mark) {
                cache.execute(&ask(Command::Delete, key));
            }
        }
    }
}

/// Lets two processes go through a handover from `first` on, the one at most a phase ahead.
async fn hand_over(trial: Trial, seed: u64, first: u8, last: u8) -> (u64, u64) {
    let (order, server) = (Order::Right, Server::Memcached);
    hand_over_in(order, server, trial, seed, first, last).await
}

async fn hand_over_in(
    order: Order,
    server: Server,
    trial: Trial,
    seed: u64,
    first: u8,
    last: u8,
) -> (u64, u64) {
    fastrand::seed(seed);
    // A node that cannot be reached counts as dead, for all processes: requests fail in other ways here.
    let caches = Caches::new(Failure::Timeout);
    if fastrand::bool() {
        leave_over(&caches);
    }
    let mark = |caches: &Caches| {
        let reply = caches.caches[NEW].execute(&meta(Command::MetaGet, "mark", "c N1"));
        cas_of(&reply).expect("it has a cas id")
    };
    let marks = match server {
        Server::Memcached => [mark(&caches), mark(&caches)],
        Server::Valkey => {
            // No item of the old owner has the cas id of one of these.
            (0..1000).for_each(|_| drop(caches.caches[NEW].execute(&ask(Command::Set, "other"))));
            [u64::MAX; 2]
        }
    };
    let sidecars = marks.map(|mark| Sidecar::new(&caches, mark, order, server));
    for _ in BEFORE..first {
        sidecars.iter().for_each(|sidecar| sidecar.advance());
    }
    let processes = sidecars.iter().map(|sidecar| sidecar.process()).collect();
    let change = |_| {
        let index = fastrand::usize(..8);
        let Some(sidecar) = sidecars.get(index) else {
            return;
        };
        let earliest = sidecars.iter().map(|sidecar| sidecar.earliest()).min();
        let is_behind = sidecar.phase.get() <= earliest.expect("there are two");
        if is_behind && sidecar.phase.get() < last {
            sidecar.advance();
        }
    };
    live(trial, caches, processes, change).await
}

/// Leaves values at the new owner that an earlier ring had stored there.
fn leave_over(caches: &Caches) {
    for (key, value) in [("k", "left over"), ("n", "1")] {
        let set = Request {
            value: value.as_bytes(),
            ..ask(Command::Set, key)
        };
        assert_eq!(caches.caches[NEW].execute(&set), Reply::Done);
    }
}

const TRIAL: Trial = Trial {
    filled: &[OLD],
    ..CALM
};

#[test]
fn a_handover_brings_no_old_value_back() {
    survives(10, async |seed| {
        hand_over(TRIAL, seed, BEFORE, Phase::Done as u8).await
    });
}

#[test]
fn a_handover_brings_no_old_value_back_if_items_and_replies_are_lost() {
    let trial = Trial {
        evicts: true,
        faults: true,
        ..TRIAL
    };
    survives(5, async |seed| {
        hand_over(trial, seed, BEFORE, Phase::Done as u8).await
    });
}

#[test]
fn each_pair_of_phases_brings_no_old_value_back() {
    for first in BEFORE..Phase::Settle as u8 {
        survives(5, async |seed| {
            let evicts = seed % 2 == 1;
            hand_over(Trial { evicts, ..TRIAL }, seed, first, first + 1).await
        });
    }
}

#[test]
fn a_handover_between_valkeys_brings_no_old_value_back() {
    for faults in [false, true] {
        let trial = Trial {
            evicts: faults,
            faults,
            ..TRIAL
        };
        survives(5, async |seed| {
            let (order, server) = (Order::Right, Server::Valkey);
            hand_over_in(order, server, trial, seed, BEFORE, Phase::Done as u8).await
        });
    }
}

#[test]
#[should_panic(expected = "was read at")]
fn a_delete_at_the_new_owner_before_the_write_at_the_old_one_is_noticed() {
    survives(5, async |seed| {
        let (first, last) = (Phase::Prepare as u8, Phase::Serve as u8);
        hand_over_in(Order::Swapped, Server::Memcached, TRIAL, seed, first, last).await
    });
}

#[test]
#[should_panic(expected = "was read at")]
fn a_write_at_the_new_owner_before_the_delete_at_the_old_one_is_noticed() {
    survives(5, async |seed| {
        let (first, last) = (Phase::Serve as u8, Phase::Finish as u8);
        hand_over_in(Order::Swapped, Server::Memcached, TRIAL, seed, first, last).await
    });
}
