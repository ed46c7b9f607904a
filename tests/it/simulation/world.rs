//! One world: what its seed draws, what happens in it, and how it must end.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringway::config;
use ringway::health;
use tokio::time::{Instant, sleep};

use super::client::{Client, Rules};
use super::node::{FAULTS, Node};
use super::random::Random;
use super::route::{PLAIN, Route};
use super::sidecar::{self, Sidecar, simulate};

const TIMEOUT: Duration = Duration::from_millis(100);
/// After the last fault is healed: all nodes are up within this, however often they flapped before.
const HEALED: Duration = Duration::from_secs(60);
/// And then every link works again within this.
const SETTLED: Duration = Duration::from_secs(5);

/// Lives through the world of `seed`, which has one pool. Returns what was in it, in a line.
pub fn run(seed: u64) -> String {
    simulate(seed, live(seed, Random::new(seed), PLAIN))
}

/// The same with a policy in front of one pool or two.
pub fn run_with_policy(seed: u64) -> String {
    let random = Random::new(seed);
    let route = Route::draw(&random);
    simulate(seed, live(seed, random, route))
}

struct World {
    random: Random,
    directory: tempfile::TempDir,
    route: Route,
    /// The nodes of each pool.
    pools: Vec<Vec<Rc<Node>>>,
    sidecar: Sidecar,
    settings: String,
}

async fn live(seed: u64, random: Random, route: Route) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let faults: Vec<_> = (0..3).map(|_| *random.choose(&FAULTS)).collect();
    let is_healthy = random.once_in(8);
    let start_pool = |pool: &&str| -> Vec<Rc<Node>> {
        // Each pool does each write once.
        let done: Rc<RefCell<HashSet<String>>> = Rc::default();
        let paths = (0..random.within(1..5)).map(|n| directory.path().join(format!("{pool}-{n}")));
        paths
            .map(|path| Node::start(path, &random, faults.clone(), &done))
            .collect()
    };
    let pools: Vec<Vec<Rc<Node>>> = route.pools.iter().map(start_pool).collect();
    let settings = settings(&random, is_healthy);
    let has_rehash = settings.contains("rehash");
    let all: Vec<&[Rc<Node>]> = pools.iter().map(Vec::as_slice).collect();
    let world = World {
        random: random.clone(),
        sidecar: Sidecar::start(config_of(route, &all, &settings)),
        directory,
        route,
        pools,
        settings,
    };

    let reloads = random.once_in(3);
    let patience = TIMEOUT * route.tries;
    let rules = Rules {
        patience: if reloads { 2 * patience } else { patience },
        in_turn: route.has_policy(),
        may_fail: !is_healthy,
        may_be_old: has_rehash || (reloads && world.pools[0].len() > 1) || route.may_be_old,
        may_be_half_done: route.may_be_half_done,
    };
    let rate = if is_healthy {
        0
    } else {
        *random.choose(&[2, 5, 20])
    };
    world.nodes().for_each(|node| node.faulty.set(rate));
    let writes = Rc::new(Cell::new(1));
    let clients: Vec<_> = (0..random.within(1..5))
        .map(|name| world.client(name, rules, &writes))
        .collect();
    let events = world.happen(is_healthy, reloads);
    let mut clients = run_all(clients, &random, events).await;

    world.heal().await;
    for client in &mut clients {
        client.finds_all_well().await;
    }
    world.ends_clean(clients).await;
    format!(
        "seed {seed}: {}, {} nodes, faults {faults:?} once in {rate}, {}, {} writes",
        world.route.yaml,
        world.nodes().count(),
        world.settings,
        writes.get()
    )
}

/// What a pool may have set.
fn settings(random: &Random, is_healthy: bool) -> String {
    let in_flight = if is_healthy {
        16384
    } else {
        *random.choose(&[16384, 3])
    };
    let down_after = random.within(1..5);
    [
        format!(
            "request_timeout: {}ms, connect_timeout: 50ms",
            TIMEOUT.as_millis()
        ),
        format!("connections: {}", random.within(1..3)),
        random
            .choose(&["on_node_down: fail", "on_node_down: rehash"])
            .to_string(),
        random.choose(&["rejoin: flush", "rejoin: trust"]).to_string(),
        random
            .choose(&["on_read_error: miss", "on_read_error: error"])
            .to_string(),
        // A delete that failed is to be told from one that found nothing.
        "on_write_error: error".to_owned(),
        format!("max_in_flight: {in_flight}"),
        random.choose(&["max_down: 50%", "max_down: 100%"]).to_string(),
        random.choose(&["protocol: auto", "protocol: meta"]).to_string(),
        format!(
            "health: {{down_after: {down_after}, up_after: 2, probe_interval: 200ms, probe_timeout: 100ms, \
             max_probe_interval: 400ms}}"
        ),
    ]
    .join(", ")
}

fn config_of(route: Route, pools: &[&[Rc<Node>]], settings: &str) -> config::Config {
    // The ring hashes names: the paths are other ones in each run.
    let node = |(n, node): (usize, &Rc<Node>)| format!("{{name: n{n}, address: '{}'}}", node.address());
    let pool = |(name, nodes): (&&str, &&[Rc<Node>])| {
        let nodes: Vec<String> = nodes.iter().enumerate().map(node).collect();
        format!("{name}: {{nodes: [{}], {settings}}}", nodes.join(", "))
    };
    let pools: Vec<String> = route.pools.iter().zip(pools).map(pool).collect();
    sidecar::config(&format!(
        "pools: {{{}}}\nroutes: {{default: {}}}",
        pools.join(", "),
        route.yaml
    ))
}

async fn run_all(clients: Vec<Client>, random: &Random, events: impl Future<Output = ()>) -> Vec<Client> {
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let batches = random.within(1..8);
            tokio::task::spawn_local(async move {
                client.run(batches).await;
                client
            })
        })
        .collect();
    events.await;
    let mut clients = Vec::new();
    for task in tasks {
        match task.await {
            Ok(client) => clients.push(client),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    clients
}

impl World {
    fn nodes(&self) -> impl Iterator<Item = &Rc<Node>> {
        self.pools.iter().flatten()
    }

    fn client(&self, name: u64, rules: Rules, writes: &Rc<Cell<u64>>) -> Client {
        Client::new(name, self.sidecar.connect(), &self.random, rules, writes)
    }

    /// Some things that operators and machines do, one after the other.
    async fn happen(&self, is_healthy: bool, reloads: bool) {
        for _ in 0..self.random.within(0..4) {
            sleep(Duration::from_millis(self.random.within(0..150))).await;
            let pool = self.random.choose(&self.pools);
            let node = self.random.choose(pool.as_slice());
            let pause = Duration::from_millis(*self.random.choose(&[20, 150, 1000, 4000]));
            match self.random.within(0..3) {
                0 if !is_healthy => {
                    node.kill();
                    sleep(pause).await;
                    node.restart();
                }
                1 if !is_healthy => node.stop(pause),
                2 if reloads => self.reload(is_healthy),
                _ => {}
            }
        }
    }

    /// Other settings, and perhaps without the last nodes of the first pool.
    fn reload(&self, is_healthy: bool) {
        let mut pools: Vec<&[Rc<Node>]> = self.pools.iter().map(Vec::as_slice).collect();
        let count = self.random.within(1..pools[0].len() as u64 + 1) as usize;
        pools[0] = &pools[0][..count];
        let settings = settings(&self.random, is_healthy);
        self.sidecar.reload(config_of(self.route, &pools, &settings));
    }

    /// Every fault ends, and every node is up and in its ring again in time.
    async fn heal(&self) {
        for node in self.nodes() {
            node.faulty.set(0);
            node.stop(Duration::ZERO);
        }
        let end = Instant::now() + HEALED;
        while !self.is_whole() {
            assert!(
                Instant::now() < end,
                "still down: {:?}",
                self.sidecar.state.snapshot.load().nodes
            );
            sleep(Duration::from_millis(50)).await;
        }
        sleep(SETTLED).await;
    }

    fn is_whole(&self) -> bool {
        let snapshot = self.sidecar.state.snapshot.load();
        let is_up =
            |node: &Arc<ringway::node::Node>| node.state() == health::State::Up && !node.missed.is_any();
        let is_complete = |pool: &Arc<ringway::route::Pool>| pool.targets == pool.nodes;
        snapshot.pools.values().all(is_complete) && snapshot.nodes.iter().all(is_up)
    }

    /// Nothing is owed, and with the clients their sessions go.
    async fn ends_clean(&self, clients: Vec<Client>) {
        for node in &self.sidecar.state.snapshot.load().nodes {
            assert_eq!(
                node.sum(|shard| &shard.in_flight),
                0,
                "{} is owed nothing",
                node.label
            );
        }
        let sessions = &self.sidecar.state.workers[0].sessions;
        assert_eq!(sessions.get(), clients.len() as u64);
        drop(clients);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(sessions.get(), 0);
        assert!(self.directory.path().exists());
    }
}
