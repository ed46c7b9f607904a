//! Worlds in which nodes join and leave while clients read and write, as lists of a source say that are sometimes empty,
//! short or not to be had.
//!
//! Nodes do nothing wrong but die. The rules of discovery, the publishing of members, the probes and the health of nodes
//! are Ringway's; the lists are drawn. What is promised, and checked while it runs:
//!
//! - a node that lives never leaves, whatever the lists say, and there are never fewer members than `min_nodes`;
//! - a node that does not answer never joins, except with the first list;
//! - a request fails only if its key is, or was since it was sent, on a node that was ever down;
//! - a read finds what was acknowledged last, unless its key got another node after that write was sent: then it may
//!   miss, or find what that node had kept from before, and the next write ends that;
//! - no write is carried out twice, and every request has one answer in its time.
//!
//! When all is calm, exactly the nodes that are listed or live are members, and all keys are served.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringway::config::{self, Address, Origin};
use ringway::control::reload::{MembersTaken, Reloader};
use ringway::discovery::members::{Members, Probe, Rules};
use ringway::health;
use tokio::time::{Instant, sleep};

use super::client::{self, Client, KEYS};
use super::node::{FAULTS, Node};
use super::places::Places;
use super::random::Random;
use super::sidecar::{self, Sidecar, simulate};

const TIMEOUT: Duration = Duration::from_millis(100);
/// From one look at the members to the next.
const TICK: Duration = Duration::from_millis(100);
/// As many nodes as there may be.
const NODES: u64 = 6;
const CLIENTS: u64 = 3;
/// A node that is started again is up within this.
const NOTICED: Duration = Duration::from_secs(1);
/// After the last event: everybody has joined or left by then.
const SETTLED: Duration = Duration::from_secs(8);

/// Lives through the world of `seed`. Returns what was in it, in a line.
pub fn run(seed: u64) -> String {
    simulate(seed, live(seed))
}

struct World {
    random: Random,
    directory: tempfile::TempDir,
    /// Every node by its name.
    nodes: BTreeMap<String, Rc<Node>>,
    /// Those that live, and since when.
    living: RefCell<BTreeMap<String, Instant>>,
    /// Those that answered a probe before they joined.
    answered: RefCell<BTreeSet<String>>,
    /// Those in the source's list.
    listed: RefCell<BTreeSet<String>>,
    /// What the source says for now instead.
    answer: Cell<Answer>,
    members: RefCell<Members>,
    rules: Rules,
    sidecar: Sidecar,
    reloader: Reloader,
    places: Rc<Places>,
    born: Instant,
    changes: Cell<u64>,
    moved: Cell<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The list.
    Whole,
    /// A list without nodes.
    Empty,
    /// The first node of the list.
    Short,
    /// None.
    Failed,
}

async fn live(seed: u64) -> String {
    let random = Random::new(seed);
    let rules = Rules {
        add_after: Duration::from_millis(*random.choose(&[0, 200, 1000])),
        remove_after: Duration::from_millis(*random.choose(&[0, 300, 2000])),
        min_nodes: random.within(1..4) as usize,
    };
    let world = Rc::new(World::new(&random, rules));
    world.look().await;
    assert_eq!(world.changes.get(), 1, "the first list is taken at once");
    let keeping = {
        let world = world.clone();
        tokio::task::spawn_local(async move {
            loop {
                sleep(TICK).await;
                world.look().await;
            }
        })
    };
    let client_rules = client::Rules {
        patience: 2 * TIMEOUT,
        in_turn: false,
        may_fail: false,
        may_be_old: false,
        may_be_half_done: false,
    };
    let writes = Rc::new(Cell::new(1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| {
            let mut client = Client::new(name, world.sidecar.connect(), &random, client_rules, &writes);
            client.watch(&world.places);
            let batches = random.within(10..60);
            tokio::task::spawn_local(async move {
                client.run(batches).await;
                client
            })
        })
        .collect();
    for _ in 0..random.within(3..12) {
        sleep(Duration::from_millis(random.within(0..600))).await;
        world.happen();
    }
    let mut done = Vec::new();
    for task in clients {
        match task.await {
            Ok(client) => done.push(client),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    world.answer.set(Answer::Whole);
    sleep(SETTLED).await;
    assert!(!keeping.is_finished(), "a promise of the members is broken");
    keeping.abort();
    if world.settled().iter().all(|member| world.lives(member)) {
        for client in &mut done {
            client.finds_all_well().await;
        }
    }
    format!(
        "seed {seed}: {rules:?}, {} changes that moved {} keys, {} writes",
        world.changes.get(),
        world.moved.get(),
        writes.get()
    )
}

fn name(number: u64) -> String {
    format!("n{number}")
}

/// The keys of all clients.
fn keys() -> impl Iterator<Item = String> {
    (0..CLIENTS).flat_map(|name| (0..KEYS).map(move |number| client::key(name, number)))
}

impl World {
    fn new(random: &Random, rules: Rules) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let stored = Rc::default();
        let nodes: BTreeMap<String, Rc<Node>> = (0..NODES)
            .map(|number| {
                let path = directory.path().join(name(number));
                (name(number), Node::start(path, random, FAULTS.to_vec(), &stored))
            })
            .collect();
        let first = random.within(rules.min_nodes as u64..NODES);
        let first: BTreeSet<String> = (0..first).map(name).collect();
        for (name, node) in &nodes {
            if !first.contains(name) {
                node.kill();
            }
        }
        let sidecar = Sidecar::start(sidecar::config(&format!(
            "pools: {{main: {{discover: {{from: file+/nodes}}, request_timeout: {}ms, connect_timeout: 50ms, \
             max_down: 100%, on_read_error: error, on_write_error: error, health: {{down_after: 2, up_after: 1, \
             probe_interval: 100ms, probe_timeout: 50ms, max_probe_interval: 200ms}}}}}}",
            TIMEOUT.as_millis()
        )));
        World {
            random: random.clone(),
            directory,
            nodes,
            living: RefCell::new(first.iter().map(|name| (name.clone(), Instant::now())).collect()),
            answered: RefCell::default(),
            listed: RefCell::new(first),
            answer: Cell::new(Answer::Whole),
            members: RefCell::new(Members::new(rules, Vec::new(), false)),
            rules,
            reloader: Reloader::new(None, sidecar.state.clone()),
            sidecar,
            places: Rc::default(),
            born: Instant::now(),
            changes: Cell::new(0),
            moved: Cell::new(0),
        }
    }

    /// Something that machines, and those who run them, do.
    fn happen(&self) {
        let is_coming = self.random.once_in(3);
        let may_come = |name: &String| self.listed.borrow().contains(name) != is_coming;
        let names: Vec<String> = (0..NODES).map(name).filter(may_come).collect();
        if names.is_empty() {
            return;
        }
        let name = self.random.choose(&names).clone();
        let is_living = self.lives(&name);
        match self.random.within(0..3) {
            // A node comes, listed at once or before it answers.
            _ if is_coming => {
                self.listed.borrow_mut().insert(name.clone());
                if !is_living && !self.random.once_in(4) {
                    self.begin(name);
                }
            }
            // It goes as it should: not listed any more, and then it ends.
            0 => {
                self.listed.borrow_mut().remove(&name);
                self.die(name);
            }
            // It dies and stays listed, and is there again, empty.
            1 if is_living => self.die(name),
            1 => self.begin(name),
            // It is forgotten, and lives.
            _ => drop(self.listed.borrow_mut().remove(&name)),
        }
        let answers = [
            Answer::Whole,
            Answer::Whole,
            Answer::Whole,
            Answer::Whole,
            Answer::Empty,
            Answer::Short,
            Answer::Failed,
        ];
        self.answer.set(*self.random.choose(&answers));
    }

    fn begin(&self, name: String) {
        self.nodes[&name].restart();
        self.living.borrow_mut().insert(name, Instant::now());
    }

    fn die(&self, name: String) {
        if self.living.borrow_mut().remove(&name).is_some() {
            self.places.fails(&name);
            self.nodes[&name].kill();
        }
    }

    /// Asks the source, and applies the change that is due.
    async fn look(&self) {
        let listed: Vec<String> = self.listed.borrow().iter().cloned().collect();
        let answer = match self.answer.get() {
            Answer::Whole => Some(listed),
            Answer::Empty => Some(Vec::new()),
            Answer::Short => Some(listed.into_iter().take(1).collect()),
            Answer::Failed => None,
        };
        let change = {
            let mut members = self.members.borrow_mut();
            if let Some(names) = answer {
                let nodes = names.iter().map(|name| self.discovered(name)).collect();
                members.answer(self.born.elapsed(), nodes);
            }
            for node in members.unproven() {
                let label = node.label();
                if self.lives(&label) {
                    members.probed(&label, Probe::Good);
                    self.answered.borrow_mut().insert(label);
                }
            }
            members.change(self.born.elapsed(), |label| self.is_down(label))
        };
        let Some(change) = change else {
            return;
        };
        for removed in &change.removed {
            let since = self.living.borrow().get(removed).copied();
            assert!(
                since.is_none_or(|since| since.elapsed() < NOTICED),
                "{removed} lives and leaves"
            );
        }
        for added in &change.added {
            let has_answered = self.answered.borrow().contains(added);
            assert!(
                change.is_first || has_answered,
                "{added} joins and never answered"
            );
        }
        assert!(change.next.len() >= self.rules.min_nodes, "{:?}", change.next);
        let discover = {
            let snapshot = self.sidecar.state.snapshot.load();
            snapshot.config.pools["main"]
                .discover
                .clone()
                .expect("it discovers")
        };
        let next = change.next.clone();
        let taken = self.reloader.take_members("main", &discover, next).await;
        assert_eq!(taken, MembersTaken::Applied);
        self.members.borrow_mut().apply(&change);
        self.changes.set(self.changes.get() + 1);
        let moved = self.places.change(keys(), |key| self.owner(key));
        self.moved.set(self.moved.get() + moved);
    }

    fn discovered(&self, name: &str) -> config::Node {
        config::Node {
            name: Some(name.to_owned()),
            address: Address::Unix {
                path: self.directory.path().join(name),
                server: config::Server::Memcached,
            },
            weight: 1,
            origin: Some(Arc::new(Origin {
                from: "file+/nodes".to_owned(),
                zone: None,
                resolver: None,
            })),
        }
    }

    fn is_down(&self, label: &str) -> bool {
        let snapshot = self.sidecar.state.snapshot.load();
        let mut nodes = snapshot.nodes.iter();
        let node = nodes.find(|node| node.label == label);
        node.is_some_and(|node| node.state() == health::State::Down)
    }

    fn lives(&self, name: &str) -> bool {
        self.living.borrow().contains_key(name)
    }

    /// The node that has `key` now.
    fn owner(&self, key: &str) -> String {
        let snapshot = self.sidecar.state.snapshot.load();
        let picked = snapshot.pools["main"].pick(key.as_bytes());
        snapshot.nodes[picked].label.clone()
    }

    /// The members at the end: who is listed and lives is one; who is neither is none, unless there were too few.
    fn settled(&self) -> BTreeSet<String> {
        let snapshot = self.sidecar.state.snapshot.load();
        let members: BTreeSet<String> = snapshot.nodes.iter().map(|node| node.label.clone()).collect();
        let listed = self.listed.borrow();
        if listed.len() >= self.rules.min_nodes {
            let mut wanted = listed.iter().filter(|name| self.lives(name));
            let missing = wanted.find(|name| !members.contains(*name));
            assert!(
                missing.is_none(),
                "{missing:?} is listed and lives, and is not in {members:?}"
            );
            let is_gone = |name: &&String| !listed.contains(*name) && !self.lives(name);
            let gone = members.iter().filter(is_gone).count();
            let is_held = members.len() - gone < self.rules.min_nodes;
            assert!(
                gone == 0 || is_held,
                "{gone} of {members:?} are neither listed nor live"
            );
        }
        members
    }
}
