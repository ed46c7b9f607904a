//! What happens to a discovered pool while clients read and write: a real name server, real memcached nodes, and a load
//! that checks every value.
//!
//! `DNS_DOWN_SECONDS=60 cargo test --test it -- dns_is_down` keeps the name server down for a minute; by default it is
//! down for as long as it takes to notice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::discovery::{check_changes, keys, main_pool, nodes, places, places_in, wait_nodes};
use crate::dns::{SERVICE, asking, error, names, service, service_at};
use crate::support::dns::Dns;
use crate::support::load::Load;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::scripted::{Act, Scripted};

fn ports(memcached: &[Memcached]) -> Vec<u16> {
    memcached.iter().map(Memcached::port).collect()
}

/// The keys that are on one of `nodes` if the pool has all of `all`.
fn keys_of(nodes: &[String], all: &[String]) -> Vec<String> {
    let placed = keys().into_iter().zip(places(all, &keys()));
    placed
        .filter(|(_, node)| nodes.contains(node))
        .map(|(key, _)| key)
        .collect()
}

/// How often the log has a change of the discovered nodes: the first list is one.
fn changes(ringway: &Ringway) -> usize {
    ringway.log().matches("discovered nodes changed").count()
}

/// Lets the client go on for half of the time for which the name server is to be down, and once at least.
fn go_on_for_half(load: &Load) {
    let seconds = std::env::var("DNS_DOWN_SECONDS").map_or(0, |text| text.parse().expect("a number"));
    let until = Instant::now() + Duration::from_secs(seconds) / 2;
    load.go_on();
    while Instant::now() < until {
        load.go_on();
    }
}

/// The addresses that links to the node with this index lead to.
fn connected(ringway: &Ringway, index: usize) -> Vec<String> {
    let shown: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    let connected = shown[index]["connected"].as_object().expect("addresses");
    connected.keys().cloned().collect()
}

#[test]
fn every_address_is_replaced_one_after_the_other_and_only_the_keys_of_that_node_miss_once() {
    let mut memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let ports = ports(&memcached);
    let all = names(&ports);
    let mut at: Vec<(&str, u16)> = ports.iter().map(|&port| ("127.0.0.1", port)).collect();
    let mut dns = Dns::start(&service_at(&at));
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrvnoa+{SERVICE}"), "max_moved: 0%"));
    wait_nodes(&ringway, &all);
    let before = places_in(&ringway, &keys());
    let load = Load::start(ringway.port, keys());
    load.go_on();
    for index in 0..3 {
        let next = memcached[index].start_beside("127.0.0.2");
        at[index].0 = "127.0.0.2";
        dns.set(&service_at(&at));
        wait_for("the links to lead to the new address", || {
            connected(&ringway, index) == [format!("127.0.0.2:{}", ports[index])]
        });
        memcached[index] = next;
        load.go_on();
        let own: BTreeSet<String> = keys_of(&all[index..=index], &all).into_iter().collect();
        let missed = load.take_misses();
        assert!(missed.is_subset(&own), "of other nodes: {:?}", &missed - &own);
        load.go_on();
    }
    load.end();
    assert_eq!(places_in(&ringway, &keys()), before);
    assert_eq!(changes(&ringway), 1, "{}", ringway.log());
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
}

#[test]
fn dns_is_down_and_ringway_is_restarted_meanwhile_and_no_key_is_missed() {
    let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let ports = ports(&memcached);
    let mut dns = Dns::start(&service(&ports));
    let state = tempfile::tempdir().expect("a directory");
    let pools = asking(&dns, &format!("dnssrvnoa+{SERVICE}"), "");
    let yaml = format!("state_dir: {}\n{pools}", state.path().display());
    let ringway = Ringway::start(&yaml);
    wait_nodes(&ringway, &names(&ports));
    let load = Load::start(ringway.port, keys());
    load.go_on();
    dns.stop();
    wait_for("nobody answers", || error(&ringway).contains("cannot be reached"));
    go_on_for_half(&load);
    let written = load.end();
    let before = places_in(&ringway, &keys());
    drop(ringway);

    let ringway = Ringway::start(&yaml);
    ringway.wait_logged("begins with the nodes that the last run discovered");
    assert_eq!(places_in(&ringway, &keys()), before);
    written.check(ringway.port);
    let load = Load::start(ringway.port, keys());
    wait_for("nobody answers", || error(&ringway).contains("cannot be reached"));
    go_on_for_half(&load);
    dns.set(&service(&ports));
    wait_for("there is an answer again", || error(&ringway) == "null");
    load.go_on();
    load.end();
    assert_eq!(places_in(&ringway, &keys()), before);
    assert_eq!(changes(&ringway), 0, "{}", ringway.log());
}

#[test]
fn half_of_the_nodes_are_gone_at_once_and_the_others_do_not_notice() {
    let mut memcached: Vec<Memcached> = (0..6).map(|_| Memcached::start()).collect();
    let ports = ports(&memcached);
    let all = names(&ports);
    let mut dns = Dns::start(&service(&ports));
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrvnoa+{SERVICE}"), "max_moved: 20%"));
    wait_nodes(&ringway, &all);
    let load = Load::start(ringway.port, keys_of(&all[..3], &all));
    load.go_on();
    memcached.truncate(3);
    dns.set(&service(&ports[..3]));
    wait_for("the change is held", || {
        main_pool(&ringway)["discover"]["held"] != Value::Null
    });
    load.go_on();
    assert_eq!(nodes(&ringway).len(), 6);
    assert_eq!(ringway.post("/pools/main/accept").0, 200);
    wait_nodes(&ringway, &all[..3]);
    load.go_on();
    load.end();
    check_changes(&ringway, &all);
    assert_eq!(places_in(&ringway, &keys()), places(&all[..3], &keys()));
    let load = Load::start(ringway.port, keys());
    load.go_on();
    load.end();
}

#[test]
fn the_port_of_an_exporter_in_the_answer_gets_no_key() {
    let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let ports = ports(&memcached);
    let all = names(&ports);
    let exporter = Scripted::start("", |_| {
        let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        vec![Act::Say(refusal.to_vec()), Act::Close]
    });
    let mut dns = Dns::start(&service(&ports));
    let ringway = Ringway::start(&asking(&dns, &format!("dnssrvnoa+{SERVICE}"), ""));
    wait_nodes(&ringway, &all);
    let before = places_in(&ringway, &keys());
    let load = Load::start(ringway.port, keys());
    load.go_on();
    let mut records = service(&ports);
    records.push(format!("srv-host={SERVICE},cache-0.cache.test,{}", exporter.port));
    dns.set(&records);
    let joining = json!([format!("cache-0.cache.test:{}", exporter.port)]);
    wait_for("the exporter is seen", || {
        main_pool(&ringway)["discover"]["joining"] == joining
    });
    let answers = || ringway.metric("ringway_discovery_answers_total", &["result=\"ok\""]);
    let before_more = answers();
    wait_for("more lists", || answers() >= before_more + 2.0);
    load.go_on();
    load.end();
    assert_eq!(places_in(&ringway, &keys()), before);
    assert_eq!(changes(&ringway), 1, "{}", ringway.log());
    assert!(exporter.seen().is_empty(), "it is asked for its version only");
}
