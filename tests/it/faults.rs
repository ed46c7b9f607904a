//! Nodes that fail under load: one of four does wrong in every way that a network or a machine knows, while
//! many sessions use all keys, over links in meta and over links in classic text.
//!
//! Whatever the fault: no value is wrong; each request is answered in its time; no session is closed; the
//! keys of the other nodes are served as before and as fast as before; and when the fault is over, all keys
//! are served again within a stated time, and nothing is owed.

mod keys;
mod load;

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::support::memcached::Memcached;
use crate::support::relay::{Fault, Relay};
use crate::support::ringway::{Ringway, wait_for};
use keys::Key;
use load::{EndOnDrop, Load, OWN, Phase, REQUEST_TIMEOUT};

/// How many clients there are.
const SESSIONS: usize = 16;
/// How long all is well before the fault.
const BEFORE: Duration = Duration::from_millis(1000);
/// How long the fault lasts.
const LASTS: Duration = Duration::from_millis(2000);
/// Within that all keys are served again when the fault is over.
const FULL_SERVICE_WITHIN: Duration = Duration::from_secs(8);
/// The p99 of the other nodes' keys may be so many times what it was before the fault,
const SLOWER: u32 = 10;
/// or this, if that is more: the machine may be busy, but nobody waits for the node with the fault.
const FAST: Duration = Duration::from_millis(250);

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// The relay before the node does this.
    Relay(Fault),
    /// The node's process is stopped, and goes on later.
    Stop,
    /// The node's process is killed, and started anew later.
    Kill,
}

/// Whether clients notice the fault, in answers that are misses or errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Costs {
    Nothing,
    Answers,
}

#[test]
fn a_node_that_refuses_connections_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::Refuse), Costs::Answers);
}

#[test]
fn a_node_that_accepts_and_says_nothing_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::Hang), Costs::Answers);
}

#[test]
fn a_node_that_answers_byte_by_byte_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::Slow), Costs::Answers);
}

#[test]
fn packets_of_one_byte_cost_nothing() {
    survives(Trouble::Relay(Fault::SingleBytes), Costs::Nothing);
}

#[test]
fn a_node_that_resets_in_the_middle_of_a_value_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::ResetInValue), Costs::Answers);
}

#[test]
fn a_node_that_ends_its_replies_and_still_reads_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::HalfClose), Costs::Answers);
}

#[test]
fn a_node_whose_replies_are_cut_short_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::CutShort), Costs::Answers);
}

#[test]
fn a_node_that_answers_garbage_under_load_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::Garbage), Costs::Answers);
}

#[test]
fn a_node_that_brings_values_of_other_keys_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::OtherValue), Costs::Answers);
}

#[test]
fn a_node_that_says_one_reply_too_many_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::OneMore), Costs::Answers);
}

#[test]
fn a_node_that_says_one_reply_too_few_costs_its_own_keys_only() {
    survives(Trouble::Relay(Fault::OneFewer), Costs::Answers);
}

#[test]
fn a_memcached_that_is_stopped_and_goes_on_costs_its_own_keys_only() {
    survives(Trouble::Stop, Costs::Answers);
}

#[test]
fn a_memcached_that_is_killed_and_started_anew_costs_its_own_keys_only() {
    survives(Trouble::Kill, Costs::Answers);
}

/// The node that has the fault, which is the first of the pools.
struct Sick {
    /// `None`: it is killed.
    node: Option<Memcached>,
    relay: Relay,
}

impl Sick {
    fn begin(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Relay(fault) => self.relay.turn_to(fault),
            Trouble::Stop => self.node().signal("STOP"),
            Trouble::Kill => self.node = None,
        }
    }

    fn end(&mut self, trouble: Trouble, port: u16) {
        match trouble {
            Trouble::Relay(_) => self.relay.turn_to(Fault::None),
            Trouble::Stop => self.node().signal("CONT"),
            Trouble::Kill => wait_for("the port to be free", || {
                self.node = Memcached::start_on(port);
                self.node.is_some()
            }),
        }
    }

    fn node(&self) -> &Memcached {
        self.node.as_ref().expect("it runs")
    }
}

fn survives(trouble: Trouble, costs: Costs) {
    let node = Memcached::start();
    let port = node.port();
    let others = [(); 3].map(|()| Memcached::start());
    let relay = Relay::start(port);
    let address = match trouble {
        Trouble::Relay(_) => relay.address(),
        _ => node.address(),
    };
    let mut sick = Sick {
        node: Some(node),
        relay,
    };
    let ringway = Ringway::start(&configuration(&address, &others));
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
        sick.begin(trouble);
        sleep(LASTS);
        sick.end(trouble, port);
        let healed = Instant::now();
        let has_cost = load.unserved() > 0;
        wait_for_full_service(&load, healed);
        assert_eq!(has_cost, costs == Costs::Answers, "unserved: {}", load.unserved());
        load.enter(Phase::After);
        assert!(
            load.rounds_pass(2 * OWN, Instant::now() + FULL_SERVICE_WITHIN),
            "sessions go on"
        );
    });
    let (before, during) = (load.p99(Phase::Before), load.p99(Phase::Fault));
    assert!(
        during < (before * SLOWER).max(FAST),
        "p99 of the other nodes: {during:?}, {before:?} before"
    );
    wait_for("nothing to be owed", || {
        ringway.metric("ringway_in_flight", &[]) == 0.0
    });
    let tried: u32 = load.keys.iter().map(Key::tried).sum();
    let executed: u32 = others.iter().chain([sick.node()]).map(writes).sum();
    assert!(executed <= tried, "{executed} writes came of {tried}");
}

/// Two pools of the same four nodes: one speaks meta to them and the other classic text, each with a listener
/// of its own.
fn configuration(sick: &str, others: &[Memcached]) -> String {
    let mut text = String::from(
        "workers: 2\nlisteners:\n  - {bind: '127.0.0.1:PORT', route: meta}\n  - {bind: '127.0.0.2:PORT', route: classic}\n\
         routes: {default: meta}\npools:\n",
    );
    for protocol in ["meta", "classic"] {
        text += &format!("  {protocol}:\n    protocol: {protocol}\n");
        text += &format!("    request_timeout: {}ms\n", REQUEST_TIMEOUT.as_millis());
        text += "    health: {down_after: 3, up_after: 2, probe_interval: 200ms}\n    nodes:\n";
        let others = others.iter().map(Memcached::address);
        for (address, name) in std::iter::once(sick.to_owned())
            .chain(others)
            .zip(["sick", "b", "c", "d"])
        {
            text += &format!("      - {{address: '{address}', name: {name}}}\n");
        }
    }
    text
}

fn keys(ringway: &Ringway) -> Vec<Key> {
    let all = (0..SESSIONS * OWN).map(|i| {
        let name = format!("key:{i}");
        let explained = ringway.get(&format!("/explain?key={name}")).1;
        Key::new(i, name, explained.contains("\"sick\""))
    });
    all.collect()
}

/// Waits until all sessions have used all their keys and all was served.
fn wait_for_full_service(load: &Load, healed: Instant) {
    loop {
        let unserved = load.unserved();
        assert!(
            load.rounds_pass(2 * OWN, healed + FULL_SERVICE_WITHIN),
            "no full service within {FULL_SERVICE_WITHIN:?}"
        );
        if load.unserved() == unserved {
            return;
        }
    }
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
