//! Worlds in which a ring changes and changes back, through two Ringways whose handovers are at most a phase apart,
//! while clients read and write, and nodes are killed, started again, empty, and stopped.
//!
//! A read must show no value that an answered write or delete had replaced before the read began, through whichever
//! Ringway. Requests of one phase are answered before a Ringway goes on two phases: that is what `prepare` is for.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringway::config::{self, Address, Origin};
use ringway::control::handover;
use ringway::control::reload::{MembersTaken, Reloader};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::memcached::Memcached;
use super::random::Random;
use super::sidecar::{self, Sidecar, simulate};
use crate::support::history::History;

const KEYS: usize = 2;
const CLIENTS: usize = 4;
/// The nodes of the rings, in turn.
const RINGS: [&[usize]; 2] = [&[0, 1], &[1, 2]];
const NODES: usize = 3;
/// How long a process may take to do what it is told, in the time of the world.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a world is like.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Whether nodes are killed, and started again, empty.
    pub kills: bool,
    /// Whether nodes are stopped.
    pub stops: bool,
}

/// Lives through the world of `seed`. Returns what was in it, in a line.
pub fn run(seed: u64, faults: Faults) -> String {
    simulate(seed, live(seed, faults))
}

/// One Ringway.
struct Process {
    sidecar: Sidecar,
    reloader: Arc<Reloader>,
}

struct World {
    random: Random,
    directory: tempfile::TempDir,
    born: Instant,
    nodes: Vec<Rc<Memcached>>,
    processes: Vec<Process>,
    history: History,
    /// How many values were written.
    values: Cell<u64>,
    /// How many requests each client has begun.
    turns: Vec<Cell<u64>>,
    /// How many values were read.
    hits: Cell<u64>,
    is_over: Cell<bool>,
    /// Whether it takes seconds until the next thing happens, so that clients take their time.
    is_waiting: Cell<bool>,
    /// Whether a client ended before its time.
    has_failed: Cell<bool>,
}

async fn live(seed: u64, faults: Faults) -> String {
    let random = Random::new(seed);
    let delay = *random.choose(&[0, 1, 5, 20]);
    let world = Rc::new(World::new(random, delay));
    for process in 0..world.processes.len() {
        world.begin(process, RINGS[0]).await;
    }
    let mut tasks = Vec::new();
    for client in 0..CLIENTS {
        let world = world.clone();
        tasks.push(tokio::task::spawn_local(
            async move { world.client(client).await },
        ));
    }
    let injecting = {
        let world = world.clone();
        tokio::task::spawn_local(async move { world.inject(faults).await })
    };
    for ring in [RINGS[1], RINGS[0]] {
        world.change(ring).await;
    }
    world.is_over.set(true);
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    injecting.abort();
    format!(
        "seed {seed}: {} writes, {} hits, {} found at old owners alone",
        world.values.get(),
        world.hits.get(),
        world.found_at_old_owners()
    )
}

fn key(number: usize) -> String {
    format!("k{number}")
}

impl World {
    /// Two processes, over nodes that take up to this many milliseconds before and after they execute a request.
    fn new(random: Random, delay: u64) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let keys: Vec<String> = (0..KEYS).map(key).collect();
        let nodes = (0..NODES)
            .map(|node| {
                let path = directory.path().join(format!("n{node}"));
                Memcached::start(path, &random, keys.clone(), delay)
            })
            .collect();
        let connections = random.within(1..3);
        let process = |_| {
            let sidecar = Sidecar::start(sidecar::config(&format!(
                "pools: {{main: {{discover: {{from: file+/nodes}}, distribution: ringway, \
                 handover: {{prepare: 1h, serve: 1h}}, request_timeout: 100ms, connect_timeout: 50ms, \
                 connections: {connections}, on_read_error: error, on_write_error: error, \
                 health: {{down_after: 1000000, probe_interval: 200ms, probe_timeout: 100ms, \
                 max_probe_interval: 400ms}}}}}}"
            )));
            let reloader = Arc::new(Reloader::new(None, sidecar.state.clone()));
            tokio::spawn(handover::run(sidecar.state.clone(), reloader.clone()));
            Process { sidecar, reloader }
        };
        World {
            directory,
            born: Instant::now(),
            nodes,
            processes: (0..2).map(process).collect(),
            history: History::new(KEYS, |_| "never".to_owned()),
            values: Cell::new(0),
            turns: (0..CLIENTS).map(|_| Cell::new(0)).collect(),
            hits: Cell::new(0),
            is_over: Cell::new(false),
            is_waiting: Cell::new(false),
            has_failed: Cell::new(false),
            random,
        }
    }

    fn note(&self, key: impl Into<Option<usize>>, what: &str) {
        let at = self.born.elapsed().as_millis();
        self.history.note(key, format!("{at:>6} ms  {what}"));
    }

    /// Lets the ring change, the one process a phase ahead of the other.
    async fn change(&self, ring: &[usize]) {
        for process in 0..self.processes.len() {
            self.begin(process, ring).await;
            self.go_on().await;
        }
        for phase in ["serve", "finish", "none"] {
            for process in 0..self.processes.len() {
                self.reach(process, phase).await;
                self.go_on().await;
            }
        }
    }

    /// Tells a process the nodes of its ring, once it has no other handover.
    async fn begin(&self, process: usize, ring: &[usize]) {
        let Process { sidecar, reloader } = &self.processes[process];
        let discover = {
            let snapshot = sidecar.state.snapshot.load();
            let discover = snapshot.config.pools["main"].discover.clone();
            discover.expect("it discovers")
        };
        let end = Instant::now() + PATIENCE;
        let members = || ring.iter().map(|&node| self.member(node)).collect();
        while reloader.take_members("main", &discover, members()).await != MembersTaken::Applied {
            assert!(Instant::now() < end, "the handover before does not end");
            self.is_waiting.set(true);
            sleep(Duration::from_millis(100)).await;
        }
        self.is_waiting.set(false);
        self.note(None, &format!("process {process} is in prepare, to {ring:?}"));
    }

    /// Takes a process on until it is in `phase`.
    async fn reach(&self, process: usize, phase: &str) {
        let state = &self.processes[process].sidecar.state;
        let end = Instant::now() + PATIENCE;
        while handover::next(&state.snapshot.load_full(), "main", None)
            .await
            .is_ok_and(|reached| reached != phase)
        {
            assert!(Instant::now() < end, "process {process} does not reach {phase}");
            self.is_waiting.set(true);
            sleep(Duration::from_millis(100)).await;
        }
        self.is_waiting.set(false);
        self.note(None, &format!("process {process} is in {phase}"));
    }

    fn member(&self, node: usize) -> config::Node {
        config::Node {
            name: Some(format!("n{node}")),
            address: Address::Unix {
                path: self.nodes[node].path().clone(),
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

    /// Waits until each request that is under way is answered, and some more.
    async fn go_on(&self) {
        let more = *self.random.choose(&[2, 3, 10]);
        let enough: Vec<u64> = self.turns.iter().map(|turns| turns.get() + more).collect();
        let is_behind = |(turns, &enough): (&Cell<u64>, &u64)| turns.get() < enough;
        let end = Instant::now() + PATIENCE;
        while self.turns.iter().zip(&enough).any(is_behind) && !self.has_failed.get() {
            assert!(Instant::now() < end, "a client waits for an answer");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets one fault happen after the other.
    async fn inject(&self, faults: Faults) {
        loop {
            let calm = if self.is_waiting.get() { 3000 } else { 300 };
            sleep(Duration::from_millis(self.random.within(0..calm))).await;
            let index = self.random.within(0..NODES as u64) as usize;
            let node = &self.nodes[index];
            let pause = Duration::from_millis(*self.random.choose(&[0, 1, 20, 150, 1000]));
            if faults.kills && !(faults.stops && self.random.once_in(2)) {
                node.kill();
                self.note(None, &format!("node {index} is killed"));
                sleep(pause).await;
                node.restart();
                self.note(None, &format!("node {index} is started, empty"));
            } else if faults.stops {
                node.stop(pause);
                self.note(None, &format!("node {index} stops for {pause:?}"));
            }
        }
    }

    /// How many values the processes found at old owners alone.
    fn found_at_old_owners(&self) -> u64 {
        let counts = self.processes.iter().map(|process| {
            let snapshot = process.sidecar.state.snapshot.load();
            let tally = snapshot.pools["main"].tally.as_ref();
            tally.map_or(0, |tally| tally.counts().old)
        });
        counts.sum()
    }

    /// The connection of a client; they take turns at the processes.
    fn connect(&self, client: usize) -> Asking<'_> {
        let process = client % self.processes.len();
        Asking {
            stream: BufReader::new(self.processes[process].sidecar.connect()),
            world: self,
            name: format!("client {client} of process {process}"),
        }
    }

    /// One client, which asks one thing after the other.
    async fn client(&self, client: usize) {
        let _noticed = FailOnPanic(&self.has_failed);
        let mut asking = self.connect(client);
        while !self.is_over.get() {
            self.turns[client].set(self.turns[client].get() + 1);
            asking.step().await;
            let pause = if self.is_waiting.get() { 3000 } else { 30 };
            sleep(Duration::from_millis(self.random.within(0..pause))).await;
        }
        assert!(self.directory.path().exists());
    }
}

/// Sets the flag if it is dropped by a panic.
struct FailOnPanic<'a>(&'a Cell<bool>);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() || std::thread::panicking());
    }
}

/// A client's connection.
struct Asking<'a> {
    stream: BufReader<UnixStream>,
    world: &'a World,
    name: String,
}

impl Asking<'_> {
    async fn step(&mut self) {
        let key = self.world.random.within(0..KEYS as u64) as usize;
        match self.world.random.within(0..14) {
            0..4 => drop(self.read(key, "get").await),
            4 => self.read_many().await,
            5..8 => self.change(key, "set", "").await,
            8 => self.change(key, "add", "").await,
            9 => self.change(key, "replace", "").await,
            10 => {
                if let Some(id) = self.read(key, "gets").await {
                    self.change(key, "cas", &format!(" {id}")).await;
                }
            }
            11 => drop(self.ask(&format!("touch k{key} 1000\r\n")).await),
            _ => self.delete(key).await,
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream
            .read_line(&mut line)
            .await
            .expect("the session answers");
        line.trim_end().to_owned()
    }

    async fn ask(&mut self, request: &str) -> String {
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        self.line().await
    }

    /// Reads the value of a key; its cas id, if the command asks for it.
    async fn read(&mut self, key: usize, command: &str) -> Option<String> {
        let begin = self.world.history.now();
        self.world.note(key, &format!("{}: {command}", self.name));
        let line = self.ask(&format!("{command} k{key}\r\n")).await;
        let Some(found) = line.strip_prefix(&format!("VALUE k{key} ")) else {
            self.world.note(key, &format!("{}: {line}", self.name));
            return None;
        };
        let words: Vec<&str> = found.split(' ').collect();
        self.check(key, words[1], begin).await;
        assert_eq!(self.line().await, "END");
        words.get(2).map(|&id| id.to_owned())
    }

    /// Reads all keys four times in one line, which makes it a multi-get of many keys.
    async fn read_many(&mut self) {
        let begin = self.world.history.now();
        let keys = (0..4 * KEYS).map(|number| number % KEYS);
        let names = keys.map(|key| {
            self.world.note(key, &format!("{}: get of many", self.name));
            format!(" k{key}")
        });
        let request = format!("get{}\r\n", names.collect::<String>());
        let mut line = self.ask(&request).await;
        while let Some(found) = line.strip_prefix("VALUE k") {
            let words: Vec<&str> = found.split(' ').collect();
            self.check(words[0].parse().expect("a key"), words[2], begin)
                .await;
            line = self.line().await;
        }
    }

    /// Checks the value of this `length` that comes next, which `key` has.
    async fn check(&mut self, key: usize, length: &str, begin: u128) {
        let mut value = vec![0; length.parse::<usize>().expect("a length") + 2];
        self.stream.read_exact(&mut value).await.expect("a value");
        let value = String::from_utf8_lossy(&value[..value.len() - 2]).into_owned();
        self.world.note(key, &format!("{}: reads {value}", self.name));
        self.world.hits.set(self.world.hits.get() + 1);
        self.world.history.check(key, &value, begin);
    }

    async fn change(&mut self, key: usize, command: &str, id: &str) {
        let number = self.world.values.get();
        self.world.values.set(number + 1);
        let value = format!("v{number}");
        let begun = self.world.history.begin(key, &value);
        self.world.note(key, &format!("{}: {command} {value}", self.name));
        let length = value.len();
        let line = self
            .ask(&format!("{command} k{key} 0 0 {length}{id}\r\n{value}\r\n"))
            .await;
        self.world
            .note(key, &format!("{}: {command} {value}: {line}", self.name));
        if line == "STORED" {
            self.world.history.done(&begun);
        }
    }

    async fn delete(&mut self, key: usize) {
        let begun = self.world.history.begin(key, "");
        self.world.note(key, &format!("{}: delete", self.name));
        let line = self.ask(&format!("delete k{key}\r\n")).await;
        self.world.note(key, &format!("{}: delete: {line}", self.name));
        if ["DELETED", "NOT_FOUND"].contains(&line.as_str()) {
            self.world.history.done(&begun);
        }
    }
}

/// A world in which the only node becomes another one, and the process of client 0 is in *serve*, that of client 1 in
/// *prepare*.
async fn a_phase_apart() -> World {
    let world = World::new(Random::new(1), 0);
    for ring in [&[0], &[1]] {
        world.begin(0, ring).await;
        world.begin(1, ring).await;
    }
    world.reach(0, "serve").await;
    world
}

#[test]
fn a_write_clears_an_old_node_that_is_back_even_if_it_refused_connections_a_moment_ago() {
    simulate(1, async {
        let world = a_phase_apart().await;
        let [mut ahead, mut behind] = [world.connect(0), world.connect(1)];
        assert_eq!(ahead.ask("set k0 0 0 1\r\na\r\n").await, "STORED");
        world.nodes[0].kill();
        // The longer it refuses, the longer is it usually left alone.
        for _ in 0..20 {
            assert_eq!(ahead.ask("set k0 0 0 1\r\nb\r\n").await, "STORED");
            sleep(Duration::from_millis(150)).await;
        }
        world.nodes[0].restart();
        assert_eq!(behind.ask("set k0 0 0 1\r\nc\r\n").await, "STORED");
        assert_eq!(ahead.ask("set k0 0 0 1\r\nd\r\n").await, "STORED");
        assert_eq!(behind.ask("get k0\r\n").await, "END", "c was replaced");
    });
}

#[test]
fn a_write_clears_an_old_node_that_is_back_even_if_an_earlier_write_was_lost_with_it() {
    simulate(1, async {
        let world = a_phase_apart().await;
        let [mut ahead, mut behind] = [world.connect(0), world.connect(1)];
        assert_eq!(ahead.ask("set k1 0 0 1\r\na\r\n").await, "STORED");
        world.nodes[0].stop(Duration::from_secs(1));
        let under_way = b"set k0 0 0 1\r\na\r\n";
        ahead
            .stream
            .get_mut()
            .write_all(under_way)
            .await
            .expect("it reads");
        sleep(Duration::from_millis(10)).await;
        world.nodes[0].kill();
        let line = ahead.line().await;
        assert!(line.starts_with("SERVER_ERROR "), "{line}");
        for key in ["k1", "k0"] {
            let set = format!("set {key} 0 0 1\r\nb\r\n");
            assert_eq!(ahead.ask(&set).await, "STORED", "a dead old node costs no errors");
        }
        world.nodes[0].stop(Duration::ZERO);
        world.nodes[0].restart();
        assert_eq!(behind.ask("set k0 0 0 1\r\nc\r\n").await, "STORED");
        assert_eq!(ahead.ask("set k0 0 0 1\r\nd\r\n").await, "STORED");
        assert_eq!(behind.ask("get k0\r\n").await, "END", "c was replaced");
    });
}

#[test]
fn a_write_clears_a_new_node_that_is_back_even_if_it_refused_connections_a_moment_ago() {
    simulate(1, async {
        let world = a_phase_apart().await;
        let [mut ahead, mut behind] = [world.connect(0), world.connect(1)];
        assert_eq!(behind.ask("set k0 0 0 1\r\na\r\n").await, "STORED");
        world.nodes[1].kill();
        for _ in 0..20 {
            assert_eq!(behind.ask("set k0 0 0 1\r\nb\r\n").await, "STORED");
            sleep(Duration::from_millis(150)).await;
        }
        world.nodes[1].restart();
        // What the process ahead reads it copies.
        assert!(ahead.ask("get k0\r\n").await.starts_with("VALUE k0 "));
        assert_eq!(ahead.line().await + &ahead.line().await, "bEND");
        sleep(Duration::from_millis(1)).await;
        assert_eq!(behind.ask("set k0 0 0 1\r\nc\r\n").await, "STORED");
        assert!(ahead.ask("get k0\r\n").await.starts_with("VALUE k0 "));
        assert_eq!(ahead.line().await, "c", "b was replaced");
    });
}
