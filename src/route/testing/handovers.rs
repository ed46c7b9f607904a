//! Handovers in worlds of races: processes, at most one phase apart, over the nodes of the old ring and the new
//! one; in most worlds these are one old owner of all keys and a new one.
//!
//! A process goes on at any step at which no process, and no request that is still under way, is behind. So
//! each pair of neighbouring phases meets in many worlds, with requests that began in one phase and end in
//! the next.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::caches::Caches;
use super::world::{CALM, Process, Trial, live, seeds_of_many, survives, survives_seeds};
use super::{Source, ask, meta, parse};
use crate::node::Node;
use crate::protocol::operation::Operation;
use crate::protocol::owned::OwnedRequest;
use crate::protocol::{Command, Failure, Reply, Request};
use crate::reply::slot::ReplySlot;
use crate::route::call::fast_path::held;
use crate::route::call::hold::{Hold, InProgress};
use crate::route::handover::MovingKey;
use crate::route::handover::progress::{Phase, Progress};
use crate::route::handover::tally::HandoverTally;
use crate::route::toolkit::lease::{MetaKey, cas_of, may_be_placeholder};
use crate::route::toolkit::writes::Writes;
use crate::route::{Call, Forwarder, Handover, Place, Pool, Route, handover};

/// The phase before a handover; the others are [`Phase`] as numbers.
const BEFORE: u8 = 0;

/// One process in a handover.
#[derive(Debug)]
struct Sidecar {
    caches: Rc<Caches>,
    rings: Rings,
    /// Where its requests go before the handover, in it and after it.
    routes: [Route; 3],
    phase: Cell<u8>,
    /// Requests under way, by the phase in which they began.
    under_way: RefCell<Vec<Weak<UnderWay>>>,
    order: Order,
}

/// A pool before its handover, in it and after it. A node has the number of its cache.
#[derive(Debug)]
pub struct Rings {
    nodes: Vec<Arc<Node>>,
    before: Arc<Pool>,
    during: Arc<Pool>,
    after: Arc<Pool>,
}

/// What the nodes are.
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
        self.0.push(pool.pick(request.key), request, slot);
    }

    fn within(&self, _: &Handover) -> Rc<dyn Forwarder> {
        unreachable!("it is within already")
    }

    fn worker(&self) -> usize {
        0
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A request under way since its process was in this phase. It ends with its last hold.
#[derive(Debug)]
struct UnderWay(u8);

impl InProgress for UnderWay {
    fn hold(&self, _: u64) {}
    fn release(&self, _: u64) {}
}

/// Forwards the requests of clients, each of which keeps its process from being left behind.
#[derive(Debug, Clone)]
struct Outside {
    sidecar: Rc<Sidecar>,
    hold: Hold,
}

impl Forwarder for Outside {
    fn send(&self, pool: &Arc<Pool>, request: &Request<'_>, slot: ReplySlot) {
        let caches = &self.sidecar.caches;
        let owners = match pool.place(request.key) {
            // In prepare, a request from before is done: that is what `prepare` is for.
            Place::Node(node) => return caches.push(node, request, held(self.hold.clone(), slot)),
            Place::Moving(owners) => owners,
        };
        let key = MovingKey {
            pool: pool.clone(),
            owners,
        };
        let writes = [Operation::Set, Operation::Delete].contains(&Operation::of(request));
        if self.sidecar.order == Order::Swapped && writes {
            let call = Call {
                forwarder: self.within(key.handover()),
                hold: Some(self.hold.clone()),
            };
            return send_swapped(pool, key.handover(), request, slot, call);
        }
        let call = Call {
            forwarder: Rc::new(self.clone()),
            hold: Some(self.hold.clone()),
        };
        let to_new = |request: &Request<'_>, slot| caches.push(pool.nodes[owners.new], request, slot);
        handover::send(key, request, slot, call, to_new);
    }

    fn within(&self, _: &Handover) -> Rc<dyn Forwarder> {
        Rc::new(Within(self.sidecar.caches.clone()))
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

impl Rings {
    /// Returns a pool of memcached nodes whose ring changes from the nodes `old` to the nodes `new`.
    pub fn of(old: &[&str], new: &[&str]) -> Rings {
        Rings::on(Server::Memcached, old, new)
    }

    fn on(server: Server, old: &[&str], new: &[&str]) -> Rings {
        let scheme = if server == Server::Valkey { "valkey://" } else { "" };
        let settings = |names: &[&str]| {
            let nodes: Vec<String> = names.iter().map(|name| format!("'{scheme}{name}:1'")).collect();
            let nodes = nodes.join(", ");
            let text =
                format!("pools: {{main: {{nodes: [{nodes}], distribution: ringway, handover: {{}}}}}}");
            parse(&text).pools["main"].clone()
        };
        // The nodes of the snapshot: the new ones, and then those that leave.
        let leaving = old.iter().filter(|name| !new.contains(name));
        let names: Vec<&str> = new.iter().chain(leaving).copied().collect();
        let all = settings(&names);
        let node = |node| Arc::new(Node::new("main", node, &all.health, 1, &Arc::default()));
        let nodes: Vec<_> = all.nodes.iter().map(node).collect();
        let compile = |own: &[&str]| {
            let place = |name| names.iter().position(|known| known == name).expect("it is one");
            let indices = own.iter().map(place).collect();
            Arc::new(Pool::among(
                "main",
                &settings(own),
                indices,
                |index| &nodes[index],
                None,
            ))
        };
        let (before, after) = (compile(old), compile(new));
        Rings::between(nodes, before, after)
    }

    fn between(nodes: Vec<Arc<Node>>, before: Arc<Pool>, after: Arc<Pool>) -> Rings {
        let again = |pool: &Pool| {
            let (settings, indices) = (&pool.settings, pool.nodes.clone());
            Pool::among("main", settings, indices, |index| &nodes[index], Some(pool))
        };
        let (mut old, mut during) = (again(&before), again(&after));
        old.is_old = true;
        let tally = Arc::new(HandoverTally::new(1));
        let plan = during.settings.handover.clone().expect("it is written");
        let progress = Progress::new(plan, 1.0, old.nodes.len(), during.nodes.len(), &tally);
        let leaving = (during.nodes.len()..nodes.len()).collect();
        let handover = Handover::new(&during, Arc::new(old), leaving, Arc::new(progress), tally);
        during.handover = Some(Box::new(handover));
        Rings {
            before,
            during: Arc::new(during),
            after,
            nodes,
        }
    }

    /// The same handover, of another process.
    fn again(&self) -> Rings {
        Rings::between(self.nodes.clone(), self.before.clone(), self.after.clone())
    }

    /// The pool before the handover, in it and after it.
    pub fn pools(&self) -> [&Arc<Pool>; 3] {
        [&self.before, &self.during, &self.after]
    }

    /// The handover.
    pub fn handover(&self) -> &Handover {
        self.during.handover.as_deref().expect("it is in one")
    }

    fn moves(&self, key: &[u8]) -> bool {
        matches!(self.during.place(key), Place::Moving(_))
    }
}

impl Sidecar {
    /// A process over nodes with these `caches`, whose new nodes have the `marks`.
    fn new(world: &World, caches: &Rc<Caches>, marks: &[u64]) -> Rc<Sidecar> {
        let rings = world.rings.again();
        let marks = marks.iter().enumerate();
        marks.for_each(|(member, &mark)| rings.handover().progress.set_mark(member, mark));
        let writes = Arc::new(Writes::default());
        let route = |pool| world.source.with_main(pool).compile(&writes).0;
        Rc::new(Sidecar {
            caches: caches.clone(),
            routes: rings.pools().map(route),
            rings,
            phase: Cell::new(BEFORE),
            under_way: RefCell::default(),
            order: world.kind.order,
        })
    }

    fn process(self: &Rc<Sidecar>) -> Process {
        let sidecar = self.clone();
        Box::new(move || {
            let phase = sidecar.phase.get();
            let request = Rc::new(UnderWay(phase));
            sidecar.under_way.borrow_mut().push(Rc::downgrade(&request));
            let hold = Hold::first(request, 0);
            let route = match phase {
                BEFORE => &sidecar.routes[0],
                phase if phase < Phase::Done as u8 => &sidecar.routes[1],
                _ => &sidecar.routes[2],
            };
            let call = Call {
                forwarder: Rc::new(Outside {
                    sidecar: sidecar.clone(),
                    hold: hold.clone(),
                }),
                hold: Some(hold),
            };
            (call, route.clone())
        })
    }

    /// The earliest phase of the process and of its requests under way.
    fn earliest(&self) -> u8 {
        let mut under_way = self.under_way.borrow_mut();
        under_way.retain(|request| request.strong_count() > 0);
        let phases = under_way.iter().filter_map(|request| Some(request.upgrade()?.0));
        phases.fold(self.phase.get(), u8::min)
    }

    /// Goes to the next phase.
    fn advance(&self) {
        let next = self.phase.get() + 1;
        let progress = &self.rings.handover().progress;
        let is_valkey = self.rings.during.is_valkey(b"");
        // A Valkey is swept in prepare, or as soon as it can be reached.
        let is_swept = next == Phase::Finish as u8 || next == Phase::Serve as u8 && fastrand::bool();
        for member in 0..self.rings.during.nodes.len() {
            if next == Phase::Done as u8 {
                self.sweep(member, progress.mark(member));
                self.expire_leases(member);
            }
            if is_valkey && is_swept && progress.mark(member) > 0 {
                self.sweep(member, u64::MAX);
                progress.set_mark(member, 0);
            }
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

    /// Removes the placeholders at a new node. A handover is done only when the last of them must have expired, and no
    /// time passes here.
    fn expire_leases(&self, member: usize) {
        let cache = &self.caches.caches[member];
        for key in ["k", "n"] {
            if may_be_placeholder(&cache.execute(&meta(Command::MetaGet, key, "s v"))) {
                cache.execute(&ask(Command::Delete, key));
            }
        }
    }

    /// Removes what a new node has from an earlier ring.
    fn sweep(&self, member: usize, mark: u64) {
        let cache = &self.caches.caches[member];
        for key in ["k", "n"] {
            if self.rings.during.pick(key.as_bytes()) != member || !self.rings.moves(key.as_bytes()) {
                continue;
            }
            let found = cas_of(&cache.execute(&meta(Command::MetaGet, key, "c")));
            if found.is_some_and(|cas| cas <= mark) {
                cache.execute(&ask(Command::Delete, key));
            }
        }
    }
}

/// A kind of worlds, beside the [`Trial`].
#[derive(Debug, Clone, Copy)]
struct Kind {
    server: Server,
    order: Order,
    /// The names of the nodes.
    old: &'static [&'static str],
    new: &'static [&'static str],
    /// Over the pool `main`.
    route: &'static str,
    processes: usize,
}

/// All keys move from one node to another, between two processes.
const ALL_MOVE: Kind = Kind {
    server: Server::Memcached,
    order: Order::Right,
    old: &["old"],
    new: &["new"],
    route: "main",
    processes: 2,
};

/// What all worlds of a kind share.
struct World {
    kind: Kind,
    rings: Rings,
    source: Source,
}

impl Kind {
    fn world(self) -> World {
        let rings = Rings::on(self.server, self.old, self.new);
        World {
            kind: self,
            source: Source::over_main(self.route, &rings.before),
            rings,
        }
    }
}

/// Lets processes go through a handover from `first` on, the one at most a phase ahead.
async fn hand_over(world: &World, trial: Trial<'_>, seed: u64, first: u8, last: u8) -> (u64, u64) {
    fastrand::seed(seed);
    let World { kind, rings, .. } = world;
    // A node that cannot be reached counts as dead, for all processes: requests fail in other ways here.
    let caches = Caches::new(rings.nodes.len(), Failure::Timeout);
    if fastrand::bool() {
        leave_over(&caches, rings);
    }
    caches.fill(|key| rings.before.pick(key));
    let sidecars: Vec<_> = (0..kind.processes)
        .map(|_| Sidecar::new(world, &caches, &marks(*kind, &caches)))
        .collect();
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
        let is_behind = sidecar.phase.get() <= earliest.expect("there is one");
        if is_behind && sidecar.phase.get() < last {
            sidecar.advance();
        }
    };
    live(trial, caches.clone(), processes, change).await
}

/// Takes the mark of each new node.
fn marks(kind: Kind, caches: &Caches) -> Vec<u64> {
    let mark = |node: usize| match kind.server {
        Server::Memcached => {
            let reply = caches.caches[node].execute(&meta(Command::MetaGet, "mark", "c N1"));
            cas_of(&reply).expect("it has a cas id")
        }
        Server::Valkey => {
            // No item of the old owner has the cas id of one of these.
            (0..1000).for_each(|_| drop(caches.caches[node].execute(&ask(Command::Set, "other"))));
            u64::MAX
        }
    };
    (0..kind.new.len()).map(mark).collect()
}

/// Leaves values at new owners that an earlier ring had stored there.
fn leave_over(caches: &Caches, rings: &Rings) {
    for (key, value) in [("k", "left over"), ("n", "1")] {
        let set = Request {
            value: value.as_bytes(),
            ..ask(Command::Set, key)
        };
        let owner = rings.during.pick(key.as_bytes());
        assert_eq!(caches.caches[owner].execute(&set), Reply::Done);
    }
}

const TRIAL: Trial<'static> = CALM;

/// The first of the new nodes.
const NEW: usize = 0;

const DONE: u8 = Phase::Done as u8;

#[test]
fn a_handover_brings_no_old_value_back() {
    let world = ALL_MOVE.world();
    survives(10, async |seed| {
        hand_over(&world, TRIAL, seed, BEFORE, DONE).await
    });
}

#[test]
fn a_handover_brings_no_old_value_back_if_items_and_replies_are_lost() {
    let trial = Trial {
        evicts: &[NEW],
        faults: true,
        ..TRIAL
    };
    let world = ALL_MOVE.world();
    survives(5, async |seed| hand_over(&world, trial, seed, BEFORE, DONE).await);
}

#[test]
fn each_pair_of_phases_brings_no_old_value_back() {
    let world = ALL_MOVE.world();
    for first in BEFORE..Phase::Settle as u8 {
        survives(5, async |seed| {
            let evicts: &[usize] = if seed % 2 == 1 { &[NEW] } else { &[] };
            hand_over(&world, Trial { evicts, ..TRIAL }, seed, first, first + 1).await
        });
    }
}

#[test]
fn a_handover_between_valkeys_brings_no_old_value_back() {
    let kind = Kind {
        server: Server::Valkey,
        ..ALL_MOVE
    };
    let world = kind.world();
    for faults in [false, true] {
        let trial = Trial {
            evicts: if faults { &[NEW] } else { &[] },
            faults,
            ..TRIAL
        };
        survives(5, async |seed| hand_over(&world, trial, seed, BEFORE, DONE).await);
    }
}

const SWAPPED: Kind = Kind {
    order: Order::Swapped,
    ..ALL_MOVE
};

#[test]
#[should_panic(expected = "was read at")]
fn a_delete_at_the_new_owner_before_the_write_at_the_old_one_is_noticed() {
    let world = SWAPPED.world();
    let (first, last) = (Phase::Prepare as u8, Phase::Serve as u8);
    survives(5, async |seed| hand_over(&world, TRIAL, seed, first, last).await);
}

#[test]
#[should_panic(expected = "was read at")]
fn a_write_at_the_new_owner_before_the_delete_at_the_old_one_is_noticed() {
    let world = SWAPPED.world();
    let (first, last) = (Phase::Serve as u8, Phase::Finish as u8);
    survives(5, async |seed| hand_over(&world, TRIAL, seed, first, last).await);
}

/// Three nodes become three, or four: the key stays or moves, and its copies get other numbers.
const SOME_MOVE: [Kind; 2] = [
    Kind {
        old: &["one", "two", "three"],
        new: &["four", "one", "three"],
        ..ALL_MOVE
    },
    Kind {
        old: &["one", "two", "three"],
        new: &["one", "two", "three", "four"],
        ..ALL_MOVE
    },
];

#[test]
fn policies_over_a_handover_show_what_was_written() {
    for (route, processes) in [
        ("{single_flight: main}", 1),
        ("{hot_cache: {to: main, min_rate: 0}}", 1),
        ("{stampede: {to: main, wait: 20ms}}", 2),
        ("{spread: {to: main, min_rate: 0}}", 2),
        ("{single_flight: {spread: {to: main, min_rate: 0}}}", 1),
        (
            "{hot_cache: {to: {stampede: {to: main, wait: 20ms}}, min_rate: 0}}",
            1,
        ),
    ] {
        for kind in [&SOME_MOVE[..], &[ALL_MOVE]].concat() {
            let kind = Kind {
                route,
                processes,
                ..kind
            };
            let world = kind.world();
            println!("{route}");
            survives_seeds(seeds_of_many(), 5, async |seed| {
                let trial = Trial {
                    evicts: if seed % 2 == 1 { &[NEW] } else { &[] },
                    is_late: true,
                    tick: Duration::from_millis(3),
                    ..TRIAL
                };
                hand_over(&world, trial, seed, BEFORE, DONE).await
            });
        }
    }
}
