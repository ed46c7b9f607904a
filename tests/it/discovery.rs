//! Pools whose nodes are discovered, from a file and from ElastiCache: who joins and who leaves, and when nothing does.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::load::Load;
use crate::support::memcached::Memcached;
use crate::support::program::{fed, ringway};
use crate::support::ringway::{Ringway, pool, wait_for};
use crate::support::scripted::{Act, Scripted};

/// A file of targets that a test rewrites.
struct Targets {
    dir: TempDir,
}

impl Targets {
    fn new(text: &str) -> Targets {
        let targets = Targets {
            dir: tempfile::tempdir().expect("a directory"),
        };
        targets.write(text);
        targets
    }

    fn of(addresses: &[String]) -> Targets {
        Targets::new(&groups(addresses))
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("nodes.yaml")
    }

    /// Replaces the file, as a tool does that writes it.
    fn write(&self, text: &str) {
        let draft = self.dir.path().join("draft");
        fs::write(&draft, text).expect("written");
        fs::rename(draft, self.path()).expect("renamed");
    }

    fn list(&self, addresses: &[String]) {
        self.write(&groups(addresses));
    }

    /// A configuration of a pool with these nodes; `more` are settings of `discover`.
    fn pool(&self, more: &str) -> String {
        discovering(&format!("file+{}", self.path().display()), more)
    }
}

fn groups(addresses: &[String]) -> String {
    serde_json::json!([{ "targets": addresses }]).to_string()
}

/// A configuration of a pool whose nodes come `from` somewhere, fast enough for a test. A busy machine fails no node that
/// lives: only refused connections do.
pub fn discovering(from: &str, more: &str) -> String {
    format!(
        "pools:\n  main:\n    request_timeout: 15s\n    connect_timeout: 15s\n    \
         health: {{down_after: 2, probe_interval: 100ms, probe_timeout: 15s, up_after: 1, max_probe_interval: 200ms}}\n    \
         discover: {{from: \"{from}\", interval: 1s, add_after: 0s, remove_after: 0s, {more}}}\n"
    )
}

/// What `GET /pools` says of the pool `main`.
pub fn main_pool(ringway: &Ringway) -> Value {
    let (_, body) = ringway.get("/pools");
    let pools: Value = serde_json::from_str(&body).expect("JSON");
    pools.as_array().expect("a list")[0].clone()
}

/// The nodes of the pool `main`, in order.
pub fn nodes(ringway: &Ringway) -> Vec<String> {
    let pool = main_pool(ringway);
    let nodes = pool["nodes"].as_array().expect("a list").iter();
    nodes
        .map(|node| node.as_str().expect("a name").to_owned())
        .collect()
}

pub fn wait_nodes(ringway: &Ringway, expected: &[String]) {
    let mut expected = expected.to_vec();
    expected.sort();
    wait_for("the nodes", || {
        let mut nodes = nodes(ringway);
        nodes.sort();
        nodes == expected
    });
}

fn addresses(nodes: &[Memcached]) -> Vec<String> {
    nodes.iter().map(Memcached::address).collect()
}

pub fn keys() -> Vec<String> {
    (0..200).map(|n| format!("key-{n}")).collect()
}

/// The node of each of `keys` if `addresses` were listed in a configuration.
pub fn places(addresses: &[String], keys: &[String]) -> Vec<String> {
    let mut arguments = vec!["explain", "--config", "-"];
    arguments.extend(keys.iter().map(String::as_str));
    let (code, out, err) = fed(&arguments, &pool(addresses, &[]));
    assert_eq!(code, Some(0), "{err}");
    let node = |line: &str| line.split(' ').nth(3).expect("a node").to_owned();
    out.lines().map(node).collect()
}

/// The node of each of `keys` in a running Ringway.
pub fn places_in(ringway: &Ringway, keys: &[String]) -> Vec<String> {
    let place = |key: &String| {
        let (_, body) = ringway.get(&format!("/explain?key={key}"));
        let explained: Value = serde_json::from_str(&body).expect("JSON");
        explained["node"].as_str().expect("a node").to_owned()
    };
    keys.iter().map(place).collect()
}

/// Waits until the log tells all changes that led from the nodes `first` to those of `ringway` now: nodes may join one by
/// one. For each the log has the share of keys that `ringway diff` says.
pub fn check_changes(ringway: &Ringway, first: &[String]) {
    let part = |line: &str, name: &str| -> Vec<String> {
        let (_, rest) = line.split_once(&format!(" {name}=\"")).expect("a field");
        let value = rest.split('"').next().unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let mut expected = nodes(ringway);
    expected.sort();
    let mut changes = Vec::new();
    wait_for("the changes in the log", || {
        changes.clear();
        let (mut before, log) = (first.to_vec(), ringway.log());
        let lines = log
            .lines()
            .filter(|line| line.contains("discovered nodes changed"));
        for line in lines.skip(1).filter(|line| line.ends_with('"')) {
            let (added, removed) = (part(line, "added"), part(line, "removed"));
            let mut after = before.clone();
            after.retain(|node| !removed.contains(node));
            after.extend(added);
            after.sort();
            changes.push((before, after.clone(), part(line, "moved").concat()));
            before = after;
        }
        before == expected
    });
    assert!(!changes.is_empty());
    for (before, after, moved) in changes {
        assert_eq!(moved, diff(&before, &after), "{before:?} {after:?}");
    }
}

/// The share of keys that move between two lists, as `ringway diff` says it.
fn diff(old: &[String], new: &[String]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, nodes: &[String]| {
        let path = dir.path().join(name);
        fs::write(&path, pool(nodes, &[])).expect("written");
        path.display().to_string()
    };
    let (old, new) = (write("old", old), write("new", new));
    let output = ringway(&["diff", &old, &new]).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let line = out
        .lines()
        .find(|line| line.starts_with("main: "))
        .expect("a share");
    line.split(' ').nth(1).expect("a share").to_owned()
}

#[test]
fn nodes_of_a_file_have_the_keys_that_they_have_in_a_list_and_it_is_shown_where_they_came_from() {
    let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let all = addresses(&memcached);
    let targets = Targets::of(&all);
    let ringway = Ringway::start(&targets.pool(""));
    wait_nodes(&ringway, &all);
    assert_eq!(places_in(&ringway, &keys()), places(&all, &keys()));
    let from = format!("file+{}", targets.path().display());
    let shown = main_pool(&ringway);
    assert_eq!(shown["discover"]["from"], *from);
    assert_eq!(shown["discover"]["members"], 3);
    assert_eq!(shown["discover"]["last_error"], Value::Null);
    assert!(shown["discover"]["last_answer_age_seconds"].is_u64(), "{shown}");
    let (_, body) = ringway.get("/nodes");
    let shown: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(shown[0]["from"], *from);
    let (_, explained) = ringway.get("/explain?key=k");
    assert!(explained.contains(&from), "{explained}");
    assert_eq!(
        ringway.metric("ringway_discovery_members", &["pool=\"main\""]),
        3.0
    );
    assert!(ringway.metric("ringway_discovery_answers_total", &["result=\"ok\""]) >= 1.0);
    let (_, config) = ringway.get("/config");
    assert!(
        !config.contains(&all[0]),
        "what was discovered is no setting: {config}"
    );
}

#[test]
fn a_pool_grows_from_three_nodes_to_five_and_back_without_a_failed_request_of_those_that_live() {
    let mut memcached: Vec<Memcached> = (0..5).map(|_| Memcached::start()).collect();
    let all = addresses(&memcached);
    let targets = Targets::of(&all[..3]);
    let ringway = Ringway::start(&targets.pool(""));
    // Keys that are on the first three however many nodes there are.
    let places = places(&all, &keys()).into_iter();
    let kept = keys().into_iter().zip(places);
    let kept: Vec<String> = kept
        .filter(|(_, node)| all[..3].contains(node))
        .map(|(key, _)| key)
        .collect();
    let load = Load::start(ringway.port, kept);
    load.go_on();
    targets.list(&all);
    wait_nodes(&ringway, &all);
    check_changes(&ringway, &all[..3]);
    load.go_on();
    targets.list(&all[..3]);
    wait_for("the missing nodes are known", || {
        main_pool(&ringway)["discover"]["leaving"]
            .as_array()
            .map(Vec::len)
            == Some(2)
    });
    load.go_on();
    assert_eq!(nodes(&ringway).len(), 5, "nodes that answer probes stay");
    memcached.truncate(3);
    wait_nodes(&ringway, &all[..3]);
    load.go_on();
    load.end();
    assert_eq!(main_pool(&ringway)["discover"]["leaving"], serde_json::json!([]));
}

#[test]
fn lists_that_are_empty_broken_or_gone_change_nothing_and_it_is_said_why() {
    let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let all = addresses(&memcached);
    let targets = Targets::of(&all);
    let ringway = Ringway::start(&targets.pool("min_nodes: 2"));
    wait_nodes(&ringway, &all);
    drop(memcached);
    let error = |part: &str| {
        wait_for(part, || {
            let shown = main_pool(&ringway);
            let error = shown["discover"]["last_error"].as_str().unwrap_or("");
            error.contains(part)
        });
        assert_eq!(nodes(&ringway).len(), 3);
    };
    targets.write("[]");
    error("its list has 0 nodes, and min_nodes is 2");
    targets.list(&all[..1]);
    error("its list has 1 nodes, and min_nodes is 2");
    targets.write("- targets: [a]");
    error("[0]: \"a\" has no port");
    fs::remove_file(targets.path()).expect("removed");
    error("No such file");
    for result in ["too_few", "failed"] {
        let label = format!("result=\"{result}\"");
        assert!(
            ringway.metric("ringway_discovery_answers_total", &[&label]) >= 1.0,
            "{result}"
        );
    }
    targets.list(&all[..2]);
    wait_nodes(&ringway, &all[..2]);
    ringway.wait_logged("the list of nodes is there again");
}

#[test]
fn a_change_that_moves_too_many_keys_waits_for_an_operator() {
    let mut memcached: Vec<Memcached> = (0..6).map(|_| Memcached::start()).collect();
    let all = addresses(&memcached);
    let targets = Targets::of(&all);
    let ringway = Ringway::start(&targets.pool("max_moved: 40%"));
    wait_nodes(&ringway, &all);
    assert_eq!(ringway.post("/pools/main/accept").0, 409);
    assert_eq!(ringway.post("/pools/other/accept").0, 404);
    // Half of the nodes are gone at once, but they do not go down at once.
    targets.list(&all[..3]);
    memcached.truncate(5);
    wait_for("the change is held", || {
        ringway.metric("ringway_discovery_held", &["pool=\"main\""]) == 1.0
    });
    let held = main_pool(&ringway)["discover"]["held"].clone();
    assert_eq!(held["removed"].as_array().map(Vec::len), Some(3), "{held}");
    let moved = held["moved"].as_f64().expect("a share");
    assert_eq!(format!("{:.1}%", moved * 100.0), diff(&all, &all[..3]));
    assert_eq!(nodes(&ringway).len(), 6);
    ringway.wait_logged("a change of the discovered nodes is held");
    assert_eq!(ringway.post("/pools/main/accept").0, 200);
    wait_nodes(&ringway, &all[..5]);
    memcached.truncate(3);
    wait_nodes(&ringway, &all[..3]);
    wait_for("nothing is held", || {
        ringway.metric("ringway_discovery_held", &["pool=\"main\""]) == 0.0
    });
}

#[test]
fn without_a_first_list_it_serves_as_with_failing_nodes_and_says_what_it_waits_for() {
    let memcached = [Memcached::start()];
    let targets = Targets::new("");
    fs::remove_file(targets.path()).expect("removed");
    let ringway = Ringway::start_unready(&targets.pool(""));
    ringway.wait_logged("listening");
    let readiness = || ringway.get("/readyz");
    wait_for("the reason", || readiness().1.contains("No such file"));
    let (status, body) = readiness();
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("pool main has no nodes from file+"), "{body}");
    let mut client = ringway.client();
    assert_eq!(client.get("k"), None);
    client.expects("set k 0 0 1\r\nv\r\n", "NOT_STORED\r\n");
    targets.list(&addresses(&memcached));
    wait_for("ready", || readiness() == (200, "ready\n".to_owned()));
    client.set("k", "v");
}

#[test]
fn what_is_not_memcached_never_becomes_a_node() {
    let memcached = [Memcached::start()];
    let exporter = Scripted::start("", |_| {
        vec![
            Act::Say(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec()),
            Act::Close,
        ]
    });
    let all = [memcached[0].address(), exporter.address()];
    let targets = Targets::of(&all);
    let ringway = Ringway::start(&targets.pool(""));
    wait_for("the exporter is seen", || {
        main_pool(&ringway)["discover"]["joining"] == serde_json::json!([exporter.address()])
    });
    assert_eq!(nodes(&ringway), all[..1]);
    let answers = || ringway.metric("ringway_discovery_answers_total", &["result=\"ok\""]);
    let before = answers();
    wait_for("more lists", || answers() >= before + 2.0);
    assert_eq!(nodes(&ringway), all[..1], "nor does it later");
}

#[test]
fn a_node_of_the_same_name_at_another_address_keeps_its_keys() {
    let memcached: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let all = addresses(&memcached);
    let named = |nodes: [&String; 3]| {
        let group = |(index, node): (usize, &&String)| {
            format!(
                "- {{targets: [\"{node}\"], labels: {{name: cache-{index}, weight: 2, zone: z{index}}}}}\n"
            )
        };
        nodes.iter().enumerate().map(group).collect::<String>()
    };
    let targets = Targets::new(&named([&all[0], &all[1], &all[2]]));
    let ringway = Ringway::start(&targets.pool("max_moved: 0%"));
    let before = places_in(&ringway, &keys());
    let kept = keys()
        .into_iter()
        .zip(&before)
        .filter(|(_, node)| *node != "cache-1");
    let load = Load::start(ringway.port, kept.map(|(key, _)| key).collect());
    load.go_on();
    targets.write(&named([&all[0], &all[3], &all[2]]));
    let shown = || -> Value { serde_json::from_str(&ringway.get("/nodes").1).expect("JSON") };
    wait_for("the new address", || shown()[1]["address"] == *all[3]);
    assert_eq!(shown()[1]["zone"], "z1");
    load.go_on();
    load.end();
    assert_eq!(places_in(&ringway, &keys()), before);
    let moved = keys()
        .into_iter()
        .zip(&before)
        .find(|(_, node)| *node == "cache-1");
    let (key, _) = moved.expect("a key of each node");
    ringway.client().set(&key, "v");
    assert_eq!(memcached[3].client().get(&key).as_deref(), Some(&b"v"[..]));
}

#[test]
fn three_hundred_nodes_in_one_list_are_taken_and_other_pools_and_reloads_keep_theirs() {
    let everywhere = Memcached::start_everywhere();
    let port = everywhere.port();
    let all: Vec<String> = (0..300)
        .map(|n| format!("127.0.{}.{}:{port}", n / 200, n % 200 + 1))
        .collect();
    let targets = Targets::of(&all[..2]);
    let yaml = targets.pool("max_moved: 100%");
    let ringway = Ringway::start(&yaml);
    targets.list(&all);
    wait_nodes(&ringway, &all);
    assert_eq!(
        nodes(&ringway)[9..11],
        ["127.0.0.10".to_owned(), "127.0.0.11".to_owned()].map(|ip| format!("{ip}:{port}"))
    );
    let load = Load::start(ringway.port, keys());
    load.go_on();
    let other = format!("{yaml}  other:\n    nodes: [\"{}\"]\n", all[0]);
    let other = format!("listeners:\n  - {{bind: 127.0.0.1:PORT, route: main}}\n{other}");
    let (status, body) = ringway.reload(&other);
    assert_eq!((status, body.as_str()), (200, "taken\n"));
    assert_eq!(nodes(&ringway).len(), 300);
    let (_, body) = ringway.reload(&other);
    assert_eq!(body, "taken, nothing changed\n");
    load.go_on();
    load.end();
}

/// A configuration endpoint that answers byte for byte as AWS documents it.
struct Endpoint {
    list: Arc<Mutex<String>>,
    scripted: Scripted,
}

impl Endpoint {
    /// `is_old`: it knows only the question of before engine 1.4.14.
    fn start(list: String, is_old: bool) -> Endpoint {
        let list = Arc::new(Mutex::new(list));
        let answered = list.clone();
        let scripted = Scripted::start("1.4.14", move |seen| {
            let head = match seen.line.as_str() {
                "config get cluster" if is_old => return vec![Act::Say(b"ERROR\r\n".to_vec())],
                "config get cluster" => "CONFIG cluster",
                "get AmazonElastiCache:cluster" => "VALUE AmazonElastiCache:cluster",
                other => panic!("{other} is no question to an endpoint"),
            };
            let list = answered.lock().expect("no panics").clone();
            let answer = format!("{head} 0 {}\r\n{list}\r\nEND\r\n", list.len());
            // Answers come in pieces.
            let (one, two) = answer.split_at(answer.len() / 2);
            [one, two].map(|part| Act::Say(part.as_bytes().to_vec())).into()
        });
        Endpoint { list, scripted }
    }

    fn say(&self, list: String) {
        *self.list.lock().expect("no panics") = list;
    }
}

/// A list as an endpoint has it, of nodes with a host name and an address.
fn cluster(version: u64, nodes: &[Memcached]) -> String {
    let nodes = nodes
        .iter()
        .map(|node| format!("localhost|127.0.0.1|{}", node.port()));
    format!("{version}\n{}\n", nodes.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_nodes_of_a_cluster_are_those_that_its_endpoint_names_by_their_host_names() {
    for is_old in [false, true] {
        let memcached: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
        let names: Vec<String> = memcached
            .iter()
            .map(|node| format!("localhost:{}", node.port()))
            .collect();
        let endpoint = Endpoint::start(cluster(12, &memcached[..2]), is_old);
        let from = format!("elasticache+{}", endpoint.scripted.address());
        let ringway = Ringway::start(&discovering(&from, ""));
        wait_nodes(&ringway, &names[..2]);
        let load = Load::start(ringway.port, {
            let places = places(&names, &keys());
            let kept = keys()
                .into_iter()
                .zip(places)
                .filter(|(_, node)| *node != names[2]);
            kept.map(|(key, _)| key).collect()
        });
        load.go_on();
        endpoint.say(cluster(13, &memcached));
        wait_nodes(&ringway, &names);
        load.go_on();
        load.end();
        endpoint.say(cluster(12, &memcached[..1]));
        wait_for("the old list is refused", || {
            let error = main_pool(&ringway)["discover"]["last_error"].to_string();
            error.contains("its list has version 12, after 13")
        });
        assert_eq!(nodes(&ringway).len(), 3);
    }
}

#[test]
fn an_endpoint_that_is_silent_or_something_else_keeps_the_nodes() {
    let memcached = [Memcached::start()];
    let endpoint = Endpoint::start(cluster(1, &memcached), false);
    let from = format!("elasticache+{}", endpoint.scripted.address());
    let ringway = Ringway::start(&discovering(&from, ""));
    assert_eq!(nodes(&ringway).len(), 1);
    endpoint.say("x\na|b\n".to_owned());
    wait_for("the reason", || {
        let error = main_pool(&ringway)["discover"]["last_error"].to_string();
        error.contains("its version is")
    });
    drop(endpoint);
    wait_for("nobody is there", || {
        let error = main_pool(&ringway)["discover"]["last_error"].to_string();
        error.contains("refused") || error.contains("closed")
    });
    assert_eq!(nodes(&ringway).len(), 1);
    ringway.client().set("k", "v");
}

#[test]
fn a_source_that_makes_no_sense_is_told_at_its_line() {
    let cases = [
        ("from: fil+/a", "is not a source of nodes, did you mean \"file\"?"),
        (
            "from: /etc/nodes.yaml",
            "write dns+HOST:PORT, dnssrv+NAME[:PORT], dnssrvnoa+NAME[:PORT], elasticache+HOST:PORT, file+PATH",
        ),
        ("from: file+", "name a file"),
        ("from: elasticache+cluster", "has no port"),
        ("from: file+/a, max_moved: 50", "not a share"),
        ("from: file+/a, min_nodes: 0", "out of range"),
        ("from: file+/a, add_afer: 1s", "did you mean \"add_after\"?"),
        ("from: dnssrv+_m._tcp.a.b:port", "is not a port"),
        ("from: dns+cache.example", "has no port"),
        ("from: 'dns+[::1]:11211'", "write dns+HOST:PORT"),
        ("from: dnsrv+a", "did you mean \"dnssrv\"?"),
        (
            "from: file+/a, resolver: dns.example",
            "write an IP address and a port",
        ),
        ("interval: 1s", "the source of the nodes is missing"),
    ];
    for (settings, expected) in cases {
        let (code, _, err) = fed(
            &["check", "-"],
            &format!("pools:\n  main:\n    discover: {{{settings}}}\n"),
        );
        assert_eq!(code, Some(1), "{settings}");
        assert!(
            err.contains(expected) && err.starts_with("stdin:3:"),
            "{settings}: {err}"
        );
    }
    let (code, ..) = fed(
        &["check", "-"],
        "pools: {main: {nodes: [a:1], discover: {from: file+/a}}}",
    );
    assert_eq!(code, Some(0));
}

#[test]
fn check_live_and_explain_live_ask_the_source() {
    let memcached = Memcached::start();
    let named = format!(
        "- {{targets: ['{}'], labels: {{name: a, weight: 2, zone: z}}}}\n- targets: ['127.0.0.1:1']\n",
        memcached.address()
    );
    let targets = Targets::new(&named);
    let yaml = targets.pool("");
    let (code, out, err) = fed(&["check", "--live", "-"], &yaml);
    let expected = format!(
        "stdin: ok: 1 pool (1 with discovery), 0 nodes, 1 listener\n\
         main: 2 nodes, 2 of them from file+{}\n  \
         127.0.0.1:1: cannot be used: Connection refused (os error 111)\n  \
         a at {}, weight 2, zone z: version ",
        targets.path().display(),
        memcached.address()
    );
    assert!(out.starts_with(&expected), "{out}");
    assert_eq!((code, err.as_str()), (Some(1), "1 of 2 nodes cannot be used\n"));
    let (code, out, err) = fed(&["explain", "--live", "--config", "-", "key"], &yaml);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains(&format!("from file+{}", targets.path().display())),
        "{out}"
    );
    fs::write(
        targets.path(),
        named.split_inclusive('\n').next().expect("a line"),
    )
    .expect("written");
    let (code, out, err) = fed(&["check", "--live", "-"], &yaml);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with("\n1 node answered\n"), "{out}");
    let (code, _, err) = fed(&["check", "--live", "-"], &targets.pool("min_nodes: 3"));
    assert_eq!(code, Some(1));
    assert!(err.contains("main: min_nodes is 3"), "{err}");
    fs::remove_file(targets.path()).expect("removed");
    let (code, _, err) = fed(&["check", "--live", "-"], &yaml);
    assert_eq!(code, Some(1));
    assert!(err.contains("main: no list of nodes from file+"), "{err}");
}
