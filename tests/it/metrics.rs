//! What `/metrics` shows of a process that carried traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ringway::config;
use ringway::control::exposition::{Exposition, metrics};
use ringway::discovery::status::Status;
use ringway::metrics::{Class, ClientProtocol};
use ringway::protocol::operation::Operation;
use ringway::protocol::{Failure, Reply};
use ringway::snapshot::Snapshot;
use ringway::state::{Phase, State};

use crate::support::certificates::{Authority, Pair};
use crate::support::memcached::Memcached;
use crate::support::program::{self, fed};
use crate::support::ringway::{Ringway, full, pool};

const YAML: &str = "workers: 2\nmetrics: {nodes: full}\npools: {main: {nodes: ['127.0.0.1:1', {address: '127.0.0.1:2', name: 'b'}, \
                    {name: local, embedded: 1MiB}]}, moving: {nodes: ['127.0.0.1:3'], handover: {}, insight: {miss_ratio: true}}}\nroutes: {default: {failover: [main, main]}}";

/// A process of two workers, with traffic in the shards of both.
fn sample() -> Arc<State> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ringway.yaml");
    let authority = Authority::new();
    let Pair { cert, key } = authority.pair("shown", &["localhost"]);
    let (cert, key) = (cert.display(), key.display());
    std::fs::write(directory.path().join("users"), "user:password").unwrap();
    let tls = format!("listeners: [{{auth: {{users: users}}, tls: {{cert: {cert}, key: {key}}}}}]");
    std::fs::write(&path, format!("{tls}\n{YAML}")).unwrap();
    let config = config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let state = State::new(Snapshot::build(config, None));
    state.phase.send_replace(Phase::Serving);
    let snapshot = state.snapshot.load_full();
    for (worker, shard) in state.workers.iter().enumerate() {
        shard.bytes_read.add(100);
        (0..10).for_each(|_| shard.count(ClientProtocol::Classic, Operation::Get));
        let node = snapshot.nodes[1].shard(worker);
        node.operations[Operation::Get as usize].requests.add(10);
        node.operations[Operation::Get as usize].hits.add(7);
        node.operations[Operation::Get as usize].misses.add(3);
        node.operations[Operation::Touch as usize].requests.add(1);
        for micros in [10, 20, 1_000_000, u64::from(u32::MAX)] {
            node.durations[Class::Read as usize].record(micros);
        }
        node.failures[Failure::Timeout as usize].add(2);
        node.in_flight.add(3);
        node.in_flight.sub(1);
    }
    state
        .discovery
        .lock()
        .unwrap()
        .insert("main".into(), Status::default());
    (0..10).for_each(|_| snapshot.nodes[0].failed("test"));
    snapshot.listeners[0].counters.accepted.store(4, Relaxed);
    {
        let mut reloads = state.reloads.lock().unwrap();
        reloads.failed = 1;
        reloads.diagnostics = vec!["ringway.yaml:1:1: a mistake".into()];
    }
    Arc::new(state)
}

fn scrape() -> String {
    Exposition::new(sample()).render()
}

/// The value of a series, as it stands in the text.
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no series {series}"))
        .parse()
        .unwrap()
}

/// The kind of each family, by name.
fn families(text: &str) -> BTreeMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split_once(' ').unwrap()).collect()
}

#[test]
fn promtool_finds_no_fault() {
    let mut promtool = program::start(
        Process::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(scrape().as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn every_metric_of_the_table_is_shown_and_no_other() {
    let text = scrape();
    let shown: BTreeMap<&str, &str> = families(&text)
        .into_iter()
        .filter(|(name, _)| !name.starts_with("process_"))
        .collect();
    let table: BTreeMap<&str, &str> = metrics()
        .map(|metric| (metric.name, metric.kind.name()))
        .collect();
    assert_eq!(shown, table);
    assert_eq!(table.len(), metrics().count(), "no name stands twice");
    assert!(families(&text).contains_key("process_resident_memory_bytes"));
}

#[test]
fn every_series_has_the_labels_of_its_row_and_stands_once() {
    let text = scrape();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("ringway_")) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series), "twice: {series}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let is_part = |rest: &str| matches!(rest, "" | "_bucket" | "_sum" | "_count");
        let metric = metrics().find(|metric| name.strip_prefix(metric.name).is_some_and(is_part));
        let metric = metric.unwrap_or_else(|| panic!("no row for {series}"));
        let mut expected: Vec<&str> = metric.labels.to_vec();
        if name.ends_with("_bucket") {
            expected.push("le");
        }
        let found: Vec<&str> = labels
            .split('"')
            .step_by(2)
            .map(|part| part.trim_matches([',', '=', '}']))
            .collect();
        assert_eq!(found[..found.len() - 1], expected, "{series}");
    }
}

#[test]
fn counters_are_summed_over_all_workers() {
    let text = scrape();
    let cases = [
        ("ringway_client_bytes_read_total", 200.0),
        (
            r#"ringway_client_requests_total{protocol="classic",command="get"}"#,
            20.0,
        ),
        (
            r#"ringway_requests_total{pool="main",node="b",command="get"}"#,
            20.0,
        ),
        (r#"ringway_hits_total{pool="main",node="b",command="get"}"#, 14.0),
        (r#"ringway_misses_total{pool="main",node="b",command="get"}"#, 6.0),
        (
            r#"ringway_errors_total{pool="main",node="b",kind="timeout"}"#,
            4.0,
        ),
        (r#"ringway_in_flight{pool="main",node="b"}"#, 4.0),
        (r#"ringway_node_up{pool="main",node="b"}"#, 1.0),
        (r#"ringway_node_up{pool="main",node="127.0.0.1:1"}"#, 0.0),
        (r#"ringway_ejections_total{pool="main",node="127.0.0.1:1"}"#, 1.0),
        (r#"ringway_sessions_total{listener="127.0.0.1:11211"}"#, 4.0),
        (r#"ringway_config_reloads_total{result="refused"}"#, 1.0),
        ("ringway_config_last_reload_successful", 0.0),
        ("ringway_workers", 2.0),
        ("ringway_ready", 1.0),
    ];
    for (series, expected) in cases {
        assert_eq!(value(&text, series), expected, "{series}");
    }
}

#[test]
fn durations_are_cumulated_in_buckets_of_seconds() {
    let text = scrape();
    let of = |part: &str, le: &str| {
        let labels = r#"pool="main",node="b",class="read""#;
        value(
            &text,
            &format!("ringway_request_duration_seconds_{part}{{{labels}{le}}}"),
        )
    };
    let cases = [
        ("0.000016", 2.0),
        ("0.000032", 4.0),
        ("0.524288", 4.0),
        ("1.048576", 6.0),
        ("8.388608", 6.0),
    ];
    for (bound, expected) in cases {
        assert_eq!(of("bucket", &format!(",le=\"{bound}\"")), expected, "{bound}");
    }
    assert_eq!(of("bucket", ",le=\"+Inf\""), 8.0);
    assert_eq!(of("count", ""), 8.0);
    assert!((of("sum", "") - 2.0 * (1.00003 + f64::from(u32::MAX) / 1e6)).abs() < 1e-6);
}

/// What is shown of a pool of 100 nodes, all of which were asked for everything, did not answer in every way, and lack
/// writes; `settings` are those of `metrics`.
fn scrape_of_100(settings: &str) -> String {
    let nodes: Vec<String> = (0..100).map(|n| format!("'10.0.0.{n}:11211'")).collect();
    let text = format!(
        "metrics: {{{settings}}}\npools: {{main: {{nodes: [{}]}}}}",
        nodes.join(", ")
    );
    let config = config::parse(&text, "test").unwrap_or_else(|error| panic!("{error}"));
    let state = State::new(Snapshot::build(config, None));
    for protocol in ClientProtocol::ALL {
        Operation::all().for_each(|operation| state.workers[0].count(protocol, operation));
    }
    for node in &state.snapshot.load().nodes {
        let shard = node.shard(0);
        for operation in Operation::all() {
            shard.count(operation, &Reply::NotFound, 700);
        }
        for failure in Failure::ALL {
            shard.count_unsent(Operation::Get, failure);
        }
    }
    Exposition::new(Arc::new(state)).render()
}

fn count_series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn a_pool_of_100_nodes_has_at_most_2000_series_unless_all_are_asked_for() {
    let [basic, off, full, few] = ["", "nodes: off", "nodes: full", "nodes: full, buckets: 5"]
        .map(|settings| count_series(&scrape_of_100(settings)));
    let counts = format!("basic {basic}, off {off}, full {full}, of 5 buckets {few}");
    println!("{counts}");
    assert!(basic <= 2000, "{counts}");
    assert!(off <= 400, "{counts}");
    assert!(full > 10_000 && few < full - 4000, "{counts}");
}

#[test]
fn what_nodes_have_no_series_for_is_summed_over_the_pool() {
    let (basic, off) = (scrape_of_100(""), scrape_of_100("nodes: off"));
    for text in [&basic, &off] {
        for (series, expected) in [
            (r#"ringway_requests_total{pool="main",command="set"}"#, 100.0),
            (r#"ringway_misses_total{pool="main",command="gat"}"#, 100.0),
            (r#"ringway_errors_total{pool="main",kind="timeout"}"#, 100.0),
            (
                r#"ringway_request_duration_seconds_count{pool="main",class="read"}"#,
                200.0,
            ),
            (
                r#"ringway_request_duration_seconds_bucket{pool="main",class="read",le="0.000512"}"#,
                0.0,
            ),
            (
                r#"ringway_request_duration_seconds_bucket{pool="main",class="read",le="0.001024"}"#,
                200.0,
            ),
            (r#"ringway_node_suspect{pool="main"}"#, 0.0),
        ] {
            assert_eq!(value(text, series), expected, "{series}");
        }
    }
    let of_node = |name: &str| format!("{name}{{pool=\"main\",node=\"10.0.0.7:11211\"}}");
    let requests = (Operation::COUNT + Failure::ALL.len()) as f64;
    for (name, expected) in [
        ("ringway_node_up", 1.0),
        ("ringway_node_requests_total", requests),
        ("ringway_node_errors_total", Failure::ALL.len() as f64),
        (
            "ringway_node_request_duration_seconds_count",
            Operation::COUNT as f64,
        ),
        ("ringway_links", 0.0),
    ] {
        assert_eq!(value(&basic, &of_node(name)), expected, "{name}");
    }
    assert!(!off.contains("node="), "{off}");
    assert_eq!(value(&off, r#"ringway_links{pool="main"}"#), 0.0);
}

#[test]
fn a_reload_gives_each_node_its_series_and_what_was_counted_stays() {
    let node = Memcached::start();
    let yaml = pool(&[node.address()], &[]);
    let ringway = Ringway::start(&yaml);
    ringway.client().set("k", "v");
    let label = format!("node=\"{}\"", node.address());
    let of_node = || ringway.metric("ringway_requests_total", &[&label, "command=\"set\""]);
    assert_eq!(of_node(), 0.0, "there is no such series");
    assert_eq!(
        ringway.metric("ringway_requests_total", &["command=\"set\""]),
        1.0
    );
    assert_eq!(ringway.reload(&full(&yaml)).0, 200);
    assert_eq!(of_node(), 1.0);
    assert_eq!(
        ringway.metric("ringway_requests_total", &["command=\"set\""]),
        1.0
    );
}

#[test]
fn what_metrics_may_be_is_said_at_its_line() {
    let cases = [
        ("nodes: some", "\"some\" is not a valid value"),
        ("buckets: 0", "metrics.buckets: "),
        ("buckets: 21", "metrics.buckets: "),
        ("node: full", "did you mean \"nodes\"?"),
    ];
    for (settings, expected) in cases {
        let (code, _, err) = fed(
            &["check", "-"],
            &format!("pools: {{main: {{nodes: [a:1]}}}}\nmetrics: {{{settings}}}\n"),
        );
        assert_eq!(code, Some(1), "{settings}");
        assert!(
            err.starts_with("stdin:2:") && err.contains(expected),
            "{settings}: {err}"
        );
    }
}

#[test]
fn a_command_that_nobody_sent_has_no_series_and_one_that_somebody_sent_has_it_on_every_node() {
    let text = scrape();
    assert!(!text.contains(r#"ringway_requests_total{pool="main",node="b",command="decr"}"#));
    for node in ["127.0.0.1:1", "local"] {
        for command in ["get", "set", "delete", "touch"] {
            let series =
                format!("ringway_requests_total{{pool=\"main\",node=\"{node}\",command=\"{command}\"}}");
            assert_eq!(value(&text, &series), 0.0, "{series}");
        }
    }
    assert!(
        !text.contains(r#"ringway_hits_total{pool="main",node="b",command="set"}"#),
        "a set finds no key"
    );
}
