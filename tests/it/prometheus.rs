//! A real Prometheus scrapes a running Ringway, and answers what dashboard, rules and alerts ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::certificates::{Authority, Pair};
use crate::support::memcached::Memcached;
use crate::support::prometheus::Prometheus;
use crate::support::ringway::{DEADLINE, Ringway, free_port, pool, wait_for};
use crate::{dashboard, deploy};

#[test]
fn a_real_prometheus_scrapes_what_was_counted() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = ringway.client();
    for _ in 0..3 {
        client.set("k", "v");
    }
    let prometheus = Prometheus::scraping(ringway.admin, "");
    wait_for("the first scrape", || prometheus.ask("up") == Some(1.0));
    for (query, value) in [
        ("sum(ringway_requests_total{command=\"set\"})", 3.0),
        ("ringway_node_up", 1.0),
        ("ringway_config_last_reload_successful", 1.0),
        ("count(ringway_build_info)", 1.0),
        (
            "sum(ringway_request_duration_seconds_count{class=\"write\"})",
            3.0,
        ),
    ] {
        assert_eq!(prometheus.ask(query), Some(value), "{query}");
    }
}

/// Has what panels and alerts are about: a policy, a certificate, pools with a memcached, an embedded node and discovered
/// nodes.
const CONFIG: &str = "\
listeners: [{bind: '127.0.0.1:PORT', route: both}, {bind: '127.0.0.1:OTHER', route: both, tls: {cert: CERT, key: KEY}}]
routes: {both: {failover: [main, found]}}
pools:
  main: {nodes: [NODE], health: {down_after: 1, probe_interval: 100ms}}
  found: {discover: {from: 'file+TARGETS', interval: 1s}}
  here: {nodes: [{name: here, embedded: 1MiB}]}
";

/// With a node that is dead and a file that is refused.
const FAULTS: [&str; 4] = [
    "RingwayNodeDown",
    "RingwayPoolFailsOpen",
    "RingwayErrorRateHigh",
    "RingwayConfigReloadFailed",
];

#[test]
fn dashboard_rules_and_alerts_find_what_they_ask_for() {
    let (node, found) = (Memcached::start(), Memcached::start());
    let directory = tempfile::tempdir().expect("a directory");
    let targets = directory.path().join("targets.json");
    let text = serde_json::json!([{ "targets": [found.address()] }]).to_string();
    fs::write(&targets, text).expect("written");
    let authority = Authority::new();
    let Pair { cert, key } = authority.pair("shown", &["localhost"]);
    let yaml = CONFIG
        .replace("NODE", &node.address())
        .replace("TARGETS", &targets.display().to_string())
        .replace("OTHER", &free_port().to_string())
        .replace("CERT", &cert.display().to_string())
        .replace("KEY", &key.display().to_string());
    let ringway = Ringway::start(&yaml);
    let file = deploy::deploy("prometheus/alerts.yml");
    let prometheus = Prometheus::scraping(ringway.admin, &format!("rule_files: ['{}']\n", file.display()));

    let alerts: BTreeMap<String, String> = deploy::rules("alert").collect();
    let recorded = deploy::rules("record").map(|(name, _)| name);
    let selectors = alerts.values().flat_map(|expression| selectors(expression));
    let all: BTreeSet<String> = dashboard::queries().chain(recorded).chain(selectors).collect();
    assert!(all.len() > 80, "{all:?}");
    let load = || {
        let mut client = ringway.client();
        for n in 0..20 {
            client.set(&format!("k{n}"), "v");
            client.get(&format!("k{n}"));
            client.ask(format!("delete k{n}\r\n"));
        }
    };
    all_answered(&prometheus, all, load);

    drop(node);
    ringway.reload("pools: {main: {nodes: []}}");
    all_answered(&prometheus, FAULTS.map(|alert| alerts[alert].clone()), load);
}

#[test]
fn the_alert_on_slow_requests_holds_once_a_node_was_slow() {
    let node = Memcached::start();
    let settings = ["request_timeout: 10s", "insight: {slow: 20ms}"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let prometheus = Prometheus::scraping(ringway.admin, "");
    let mut alerts = deploy::rules("alert");
    let (_, expression) = alerts
        .find(|(name, _)| name == "RingwayRequestsSlow")
        .expect("there is one");
    let slow_get = || {
        let mut client = ringway.client();
        node.signal("STOP");
        client.send("get k\r\n");
        sleep(Duration::from_millis(50));
        node.signal("CONT");
        client.expect("END\r\n");
    };
    all_answered(&prometheus, [expression], slow_get);
}

/// Waits until each of `queries` has found a number. Rates need two scrapes, and quotients of rates need requests
/// between them: those of `load`.
fn all_answered(prometheus: &Prometheus, queries: impl IntoIterator<Item = String>, load: impl Fn()) {
    let mut waiting: Vec<String> = queries.into_iter().collect();
    let end = Instant::now() + DEADLINE * 3;
    while !waiting.is_empty() {
        assert!(Instant::now() < end, "empty: {waiting:#?}");
        sleep(Duration::from_millis(200));
        load();
        waiting.retain(|query| !prometheus.samples(query).iter().any(|number| number.is_finite()));
    }
}

/// The selectors in an expression of an alert: metrics with the labels that they are asked by.
fn selectors(expression: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let starts = ["ringway", "process_", "up{"];
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = starts.iter().filter_map(|start| rest.find(start)).min() {
        let selector = &rest[start..];
        let name = selector.find(|c| !is_name(c)).unwrap_or(selector.len());
        let end = match selector[name..].strip_prefix('{') {
            Some(labels) => name + labels.find('}').expect("closed") + 2,
            None => name,
        };
        found.push(selector[..end].to_owned());
        rest = &selector[end..];
    }
    found
}
