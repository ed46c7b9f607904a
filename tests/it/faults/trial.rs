//! One trial: four nodes, a load, a fault of one node, its end, and what must hold all the while.

use std::fmt;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::keys::Key;
use super::load::{EndOnDrop, Load, OWN, Phase, REQUEST_TIMEOUT};
use crate::support::certificates::Authority;
use crate::support::memcached::Memcached;
use crate::support::relay::{Fault, Relay};
use crate::support::ringway::{DEADLINE, Ringway, wait_for};
use crate::support::tls_relay;

/// How many clients there are.
const SESSIONS: usize = 16;
/// How long all is well before the fault.
const BEFORE: Duration = Duration::from_millis(1000);
/// How long the fault lasts: longer than a request may take, so that the node is found to be down before it ends.
const LASTS: Duration = Duration::from_millis(3000);
/// Within that all keys are served again when the fault is over.
const FULL_SERVICE_WITHIN: Duration = DEADLINE;
/// The p99 of the other nodes' keys may be so many times what it was before the fault,
const SLOWER: u32 = 10;
/// or this, if that is more: the machine may be busy, but nobody waits for the node with the fault.
const FAST: Duration = Duration::from_millis(500);
/// How often the p99 may be too high. A busy machine looks like a slow Ringway, so the p99 alone is measured again;
/// whatever else is wrong fails the test at once.
const TRIES: usize = 4;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum Injected {
    /// The relay before the node does this.
    Relay(Fault),
    /// The node's process is stopped, and goes on later.
    Stop,
    /// The node's process is killed, and started anew later.
    Kill,
}

/// Whether clients notice the fault, in answers that are misses or errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costs {
    /// They do not.
    Nothing,
    /// They do.
    Answers,
}

/// Fails the test if the fault does more than it may.
pub fn survives(injected: Injected, costs: Costs) {
    survives_over(None, injected, costs);
}

/// The same with TLS to all nodes.
pub fn survives_over_tls(injected: Injected, costs: Costs) {
    let authority = Authority::new();
    survives_over(Some(&authority), injected, costs);
}

fn survives_over(tls: Option<&Authority>, injected: Injected, costs: Costs) {
    let mut slow = Vec::new();
    while slow.len() < TRIES {
        match trial(tls, injected, costs) {
            Ok(()) => return,
            Err(p99) => slow.push(p99.to_string()),
        }
        eprintln!("{slow:#?}");
    }
    panic!("{TRIES} times: {slow:#?}");
}

/// The p99 of the other nodes' keys was too high during the fault.
struct SlowP99 {
    before: Duration,
    during: Duration,
}

impl fmt::Display for SlowP99 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlowP99 { before, during } = self;
        write!(f, "p99 of the other nodes: {during:?}, and {before:?} before")
    }
}

/// Runs one trial. Everything but the p99 fails the test here.
fn trial(tls: Option<&Authority>, injected: Injected, costs: Costs) -> Result<(), SlowP99> {
    let node = Memcached::start();
    let port = node.port();
    let others = [(); 3].map(|()| Memcached::start());
    let relay = Relay::start(port);
    let address = match injected {
        Injected::Relay(_) => relay.address(),
        _ => node.address(),
    };
    let mut sick = Sick {
        node: Some(node),
        relay,
    };
    let addresses = std::iter::once(address).chain(others.iter().map(Memcached::address));
    let ringway = Ringway::start(&configuration(addresses, tls));
    let load = Load::new(keys(&ringway));
    load.fill(&mut ringway.client());
    scope(|sessions| {
        let _ends_with_me = EndOnDrop(&load);
        for session in 0..load.sessions() {
            let (load, ringway) = (&load, &ringway);
            let host = ["127.0.0.1", "127.0.0.2"][session % 2];
            sessions.spawn(move || load.run_session(session, (host, ringway.port)));
        }
        sleep(BEFORE);
        load.enter(Phase::Fault);
        sick.begin(injected);
        sleep(LASTS);
        sick.end(injected, port);
        let until = Instant::now() + FULL_SERVICE_WITHIN;
        if (load.unserved() > 0) != (costs == Costs::Answers) {
            load.complain(format!("{} requests were not served", load.unserved()));
        }
        if is_served_in_full(&load, until) {
            load.enter(Phase::After);
            load.rounds_pass(2 * OWN, Instant::now() + FULL_SERVICE_WITHIN);
        } else {
            load.complain(format!("no full service within {FULL_SERVICE_WITHIN:?}"));
        }
    });
    let complaints = load.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    wait_for("nothing to be owed", || {
        ringway.metric("ringway_in_flight", &[]) == 0.0
    });
    let tried: u32 = load.keys.iter().map(Key::tried).sum();
    let executed: u32 = others.iter().chain([sick.node()]).map(writes).sum();
    assert!(executed <= tried, "{executed} writes came of {tried}");
    let (before, during) = (load.p99(Phase::Before), load.p99(Phase::Fault));
    if during > (before * SLOWER).max(FAST) {
        return Err(SlowP99 { before, during });
    }
    Ok(())
}

/// Waits until all sessions have used all their keys and all was served. False: `until` came.
fn is_served_in_full(load: &Load, until: Instant) -> bool {
    loop {
        let unserved = load.unserved();
        if !load.rounds_pass(2 * OWN, until) {
            return false;
        }
        if load.unserved() == unserved {
            return true;
        }
    }
}

/// The node that has the fault, which is the first of the pools.
struct Sick {
    /// `None`: it is killed.
    node: Option<Memcached>,
    relay: Relay,
}

impl Sick {
    fn begin(&mut self, injected: Injected) {
        match injected {
            Injected::Relay(fault) => self.relay.turn_to(fault),
            Injected::Stop => self.node().signal("STOP"),
            Injected::Kill => self.node = None,
        }
    }

    fn end(&mut self, injected: Injected, port: u16) {
        match injected {
            Injected::Relay(_) => self.relay.turn_to(Fault::None),
            Injected::Stop => self.node().signal("CONT"),
            Injected::Kill => wait_for("the port to be free", || {
                self.node = Memcached::start_on(port);
                self.node.is_some()
            }),
        }
    }

    fn node(&self) -> &Memcached {
        self.node.as_ref().expect("it runs")
    }
}

/// Two pools of the same four nodes: one speaks meta to them and the other classic text, each with a listener
/// of its own.
fn configuration(addresses: impl Iterator<Item = String>, tls: Option<&Authority>) -> String {
    let addresses: Vec<String> = match tls {
        None => addresses.collect(),
        Some(authority) => {
            let pair = authority.pair("nodes", &["localhost"]);
            addresses
                .map(|address| format!("localhost:{}", tls_relay::decrypt(&pair, address)))
                .collect()
        }
    };
    let mut text = String::from(
        "workers: 2\nlisteners:\n  - {bind: '127.0.0.1:PORT', route: meta}\n  - {bind: '127.0.0.2:PORT', route: classic}\n\
         routes: {default: meta}\npools:\n",
    );
    for protocol in ["meta", "classic"] {
        text += &format!("  {protocol}:\n    protocol: {protocol}\n");
        text += &format!("    request_timeout: {}ms\n", REQUEST_TIMEOUT.as_millis());
        if let Some(authority) = tls {
            text += &format!("    tls: {{ca: {}}}\n", authority.ca().display());
        }
        text += "    health: {down_after: 5, up_after: 2, probe_interval: 200ms, max_probe_interval: 500ms, probe_timeout: 1s}\n    nodes:\n";
        for (address, name) in addresses.iter().zip(["sick", "b", "c", "d"]) {
            text += &format!("      - {{address: '{address}', name: {name}}}\n");
        }
    }
    text
}

/// The keys of all sessions; those of steady ones are on other nodes than the one with the fault.
fn keys(ringway: &Ringway) -> Vec<Key> {
    let mut names = (0..).map(|number| format!("key:{number}"));
    let mut next = || {
        let name = names.next().expect("there is no end");
        let explained = ringway.get(&format!("/explain?key={name}")).1;
        (name, explained.contains("\"sick\""))
    };
    let all = (0..SESSIONS * OWN).map(|index| {
        let mut key = next();
        while Load::is_steady(index / OWN) && key.1 {
            key = next();
        }
        Key::new(index, key.0, key.1)
    });
    all.collect()
}

/// How many writes a node has carried out.
fn writes(node: &Memcached) -> u32 {
    let mut client = node.client();
    client.send("stats\r\n");
    let stats = client.read_to("END");
    let line = stats.lines().find_map(|line| line.strip_prefix("STAT cmd_set "));
    line.and_then(|count| count.parse().ok())
        .expect("memcached counts writes")
}
