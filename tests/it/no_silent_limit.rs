//! No limit is silent: what each answers, that it is counted, and that it is logged, once.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use crate::support::binary::{packet, response};
use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::quiescence::wait_until_replies_stop;
use crate::support::ringway::{Client, DEADLINE, Ringway, http, pool, wait_for};
use crate::support::routes::{event_count, with_route};
use crate::support::scripted::{Act, Scripted};

/// Waits until the limit was reached `times` times and the log says so at `place`; one line for all that came.
fn is_told(ringway: &Ringway, limit: &str, times: u64, place: &str) {
    let label = format!("limit=\"{limit}\"");
    assert_eq!(
        ringway.metric("ringway_limits_total", &[&label]),
        times as f64,
        "{limit}"
    );
    let lines = || -> Vec<String> {
        let log = ringway.log();
        let reached = log.lines().filter(|line| line.contains("limit reached"));
        reached
            .filter(|line| line.contains(&label))
            .map(str::to_owned)
            .collect()
    };
    wait_for("a line in the log", || !lines().is_empty());
    let lines = lines();
    assert!(lines[0].contains(&format!("most_at=\"{place}\"")), "{lines:?}");
}

#[test]
fn clients_past_max_connections() {
    let yaml = "listeners:\n  - {bind: '127.0.0.1:PORT', max_connections: 1}\n".to_owned();
    let node = Memcached::start();
    let ringway = Ringway::start(&(yaml + &pool(&[node.address()], &[])));
    let mut first = ringway.client();
    first.set("k", "v");
    for _ in 0..3 {
        assert_eq!(ringway.client().rest(), b"ERROR Too many open connections\r\n");
    }
    is_told(&ringway, "connections", 3, &format!("127.0.0.1:{}", ringway.port));
    assert_eq!(first.get("k").as_deref(), Some(&b"v"[..]), "who is there stays");
}

#[test]
fn lines_and_values_that_are_too_long() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["max_value_size: 1KiB"]));
    let mut client = ringway.client();
    let large = format!("set k 0 0 2000\r\n{}\r\n", "x".repeat(2000));
    for _ in 0..2 {
        client.expects(&large, "SERVER_ERROR object too large for cache\r\n");
    }
    is_told(&ringway, "value_size", 2, "clients");
    client.send("x".repeat(3000));
    let _what_was_owed = client.rest();
    is_told(&ringway, "line_length", 1, "clients");
}

#[test]
fn keys_that_are_too_long() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = ringway.client();
    let key = "k".repeat(251);
    let refusal = "CLIENT_ERROR bad command line format\r\n";
    for asked in [
        format!("get {key}\r\n"),
        format!("get a {key} b\r\n"),
        format!("gat 0 {key}\r\n"),
        format!("set {key} 0 0 1\r\nx\r\n"),
        format!("ms {key} 1\r\nx\r\n"),
        format!("mg {key} v\r\n"),
        format!("md {key}\r\n"),
        format!("ma {key}\r\n"),
        format!("me {key}\r\n"),
        format!("delete {key}\r\n"),
        format!("incr {key} 1\r\n"),
        format!("touch {key} 1\r\n"),
    ] {
        client.expects(asked, refusal);
    }
    client.expects("get k\r\n", "END\r\n");
    // In base64, in which a zero byte travels.
    client.expects(format!("get {}\0\r\n", "k".repeat(186)), "END\r\n");
    let mut binary = ringway.client();
    let spaced = " ".repeat(188);
    binary.send([packet(0x00, b"", &spaced, b""), packet(0x00, b"", &key, b"")].concat());
    assert_eq!(response(&mut binary), "00 1 :Not found");
    assert_eq!(response(&mut binary), "00 4 :Invalid arguments");
    assert_eq!(binary.rest(), b"");
    is_told(&ringway, "key_length", 15, "clients");
}

#[test]
fn a_value_on_a_node_that_is_larger_than_the_pool_takes() {
    let node = Memcached::start_with(&["-I", "8m"]);
    node.client().set("k", "x".repeat(3 << 20));
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = ringway.client();
    for ask in ["get k\r\n", "mg k v\r\n"] {
        assert!(["END", "EN"].contains(&&client.ask(ask)[..]), "a miss");
    }
    is_told(&ringway, "value_on_node", 2, &format!("main/{}", node.address()));
    client.expects("get absent\r\n", "END\r\n");
}

#[test]
fn requests_past_max_in_flight() {
    let node = Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("v")]);
    let settings = ["request_timeout: 15s", "max_in_flight: 1"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let mut first = ringway.client();
    first.send("get k\r\n");
    node.wait_seen(1);
    let mut late = ringway.client();
    assert_eq!(late.ask("get k\r\n"), "END", "a read misses");
    assert_eq!(late.ask("set k 0 0 1\r\nx\r\n"), "NOT_STORED");
    is_told(&ringway, "in_flight", 2, &format!("main/{}", node.address()));
    node.open("gate");
    first.expect("VALUE k 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn requests_past_the_rate_of_a_route() {
    let node = Memcached::start();
    let route = "routes:\n  default: {limit: {to: main, rate: 1, burst: 1}}\n";
    let ringway = Ringway::start(&(pool(&[node.address()], &[]) + route));
    let mut client = ringway.client();
    for _ in 0..20 {
        assert_eq!(client.ask("touch k 0\r\n"), "NOT_FOUND");
    }
    let limited = ringway.metric("ringway_route_events_total", &["event=\"limited\""]);
    assert!(limited > 0.0, "{}", ringway.log());
    is_told(&ringway, "rate", limited as u64, "default/limit");
}

#[test]
fn requests_that_a_failovers_budget_does_not_cover() {
    let gutter = Memcached::start();
    gutter.client().set("k", "v");
    let route = "{failover: {to: [a, b], budget: 1%}}";
    let ringway = Ringway::start(&with_route(&["127.0.0.1:1".to_owned(), gutter.address()], route));
    let mut client = ringway.client();
    let misses = (0..300).filter(|_| client.get("k").is_none()).count();
    assert!(misses > 100, "{misses}");
    assert_eq!(event_count(&ringway, "over_budget"), misses as f64);
    is_told(&ringway, "budget", misses as u64, "default/failover");
}

#[test]
fn copies_for_a_canary_that_is_silent() {
    let canary = Scripted::start("1.6.18", |_| vec![]);
    let main = Memcached::start();
    let nodes = ["127.0.0.1:1".to_owned(), main.address(), canary.address()];
    let ringway = Ringway::start(&with_route(&nodes, "{shadow: {of: b, to: c}}"));
    let mut client = ringway.client();
    client.send("get k\r\n".repeat(1500) + "mn\r\n");
    assert_eq!(
        client.read_to("MN"),
        "END\r\n".repeat(1500),
        "the original is sent"
    );
    let dropped = event_count(&ringway, "dropped");
    assert!(dropped >= 476.0, "{dropped}");
    is_told(&ringway, "shadow", dropped as u64, "default/shadow");
}

#[test]
fn more_writes_than_are_remembered_of_a_node() {
    let node = Memcached::start();
    let settings = ["request_timeout: 100ms", "health: {down_after: 1000000}"];
    let yaml = "missed_writes: {max: 10}\n".to_owned() + &pool(&[node.address()], &settings);
    let ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    client.set("k0", "v");
    node.signal("STOP");
    for number in 0..12 {
        assert_eq!(client.ask(format!("delete k{number}\r\n")), "NOT_FOUND");
    }
    is_told(&ringway, "missed_writes", 1, &format!("main/{}", node.address()));
    node.signal("CONT");
    wait_for("the node to be flushed", || node.client().get("k0").is_none());
}

#[test]
fn more_copies_than_are_remembered_of_a_fallback_node() {
    let nodes = [Memcached::start(), Memcached::start()].map(|node| (node.address(), node));
    let addresses = nodes.each_ref().map(|(address, _)| address.clone());
    let yaml = "missed_writes: {max: 2}\n".to_owned() + &pool(&addresses, &[]);
    let ringway = Ringway::start(&yaml);
    assert_eq!(ringway.post(&format!("/nodes/{}/drain", addresses[0])).0, 200);
    let mut client = ringway.client();
    let requests = (0..40).map(|number| format!("set k{number} 0 0 1\r\nv\r\n"));
    client.expects(requests.collect::<String>(), "STORED\r\n".repeat(40));
    let overflows = ringway.metric("ringway_fallback_copies_overflows_total", &[]);
    assert!(overflows > 0.0);
    let place = format!("main/{}", addresses[1]);
    is_told(&ringway, "fallback_copies", overflows as u64, &place);
}

#[test]
fn replies_that_a_client_does_not_read() {
    let node = Memcached::start();
    let yaml = "memory_limit: 32MiB\n".to_owned() + &pool(&[node.address()], &["request_timeout: 15s"]);
    let ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    client.set("big", "v".repeat(900_000));
    client.send("get big\r\n".repeat(100) + "mn\r\n");
    wait_until_replies_stop(&ringway);
    let left_out = ringway.metric("ringway_values_dropped_total", &[]);
    is_told(&ringway, "unread", left_out as u64, "clients");
    let (mut values, mut lines) = (0, 0);
    loop {
        match client.line().as_str() {
            "MN" => break,
            "END" => lines += 1,
            line if line.starts_with("VALUE") => values += 1,
            _ => {}
        }
    }
    let misses = lines - values;
    assert!(
        misses as f64 >= left_out && left_out > 0.0,
        "{misses} misses, {left_out}"
    );
}

#[test]
fn values_that_memory_is_short_of() {
    let node = Memcached::start();
    let yaml = "memory_limit: 32MiB\n".to_owned() + &pool(&[node.address()], &["request_timeout: 15s"]);
    let ringway = Ringway::start(&yaml);
    // Each begins a value, and is not heard of again.
    let mut stalled: Vec<Client> = Vec::new();
    let refused = || ringway.metric("ringway_out_of_memory_total", &[]);
    wait_for("memory to be short", || {
        let mut client = ringway.client();
        client.expects("mn\r\nset k 0 0 900000\r\nvv", "MN\r\n");
        stalled.push(client);
        refused() > 0.0
    });
    is_told(&ringway, "memory", 1, "clients");
    let last = stalled.last_mut().expect("it was refused");
    last.expect("SERVER_ERROR out of memory storing object\r\n");
    last.send("v".repeat(899_998) + "\r\n");
    last.expects("get k\r\n", "END\r\n");
}

#[test]
fn connections_without_a_free_descriptor() {
    let node = Memcached::start();
    let ringway = Ringway::start_by("ulimit -n 64; exec \"$@\"", &pool(&[node.address()], &[]));
    let mut early = ringway.client();
    early.set("k", "v");
    let crowd: Vec<Client> = (0..100).map(|_| ringway.client()).collect();
    wait_for("a line in the log", || {
        ringway.log().contains("limit=\"descriptors\"")
    });
    assert_eq!(early.get("k").as_deref(), Some(&b"v"[..]), "who is there stays");
    drop(crowd);
    assert_eq!(ringway.client().get("k").as_deref(), Some(&b"v"[..]));
    let counted = ringway.metric("ringway_limits_total", &["limit=\"descriptors\""]);
    assert!(counted >= 1.0 && counted == ringway.metric("ringway_accept_errors_total", &[]));
}

#[test]
fn lines_of_a_log_that_nobody_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("log");
    let made = program::output(Command::new("mkfifo").arg(&pipe));
    assert!(made.status.success());
    // The program holds both ends, so that the pipe stays and nobody reads it.
    let shell = format!("exec 3<> '{}'; exec \"$@\" 2>&3", pipe.display());
    let one = "listeners: [{bind: '127.0.0.1:PORT', route: main}]\npools:\n  main: {nodes: [{name: e, embedded: 1MiB}]}\n";
    let ringway = Ringway::start_by(&shell, one);
    // Each pool that no route leads to is a line.
    let many: String = (0..3000)
        .map(|number| format!("  p{number}: {{nodes: ['127.0.0.1:1']}}\n"))
        .collect();
    assert_eq!(ringway.reload(&format!("{one}{many}")).0, 200);
    let lost = ringway.metric("ringway_limits_total", &["limit=\"log\""]);
    assert!(lost > 0.0, "it waits for nobody");

    let (told, is_told) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(File::open(pipe).expect("a pipe")).lines();
        let is_it = |line: &String| line.contains("limit reached") && line.contains("limit=\"log\"");
        // Fails if the test has failed meanwhile.
        let _unheard = told.send(lines.map_while(Result::ok).find(is_it));
    });
    let line = is_told
        .recv_timeout(3 * DEADLINE)
        .expect("whoever reads again is told");
    assert!(line.is_some_and(|line| line.contains("most_at=\"stderr\"")));
}

/// Each row of the page has a test above that reaches it.
#[test]
fn every_limit_that_is_documented_is_reached_here() {
    let page = include_str!("../../docs/limits.md");
    let tests = include_str!("no_silent_limit.rs");
    let names = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let names: Vec<&str> = names.map(|(name, _)| name).collect();
    assert!(names.len() >= 14, "{names:?}");
    for name in names {
        let is_reached =
            tests.contains(&format!("\"{name}\", ")) || tests.contains(&format!("limit=\\\"{name}\\\""));
        assert!(is_reached, "{name}");
    }
}

#[test]
fn http_connections_that_do_not_read() {
    let ringway = Ringway::start("pools: {main: {nodes: ['127.0.0.1:1']}}\n");
    let idle: Vec<_> = (0..80)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", ringway.admin)).expect("it listens"))
        .collect();
    wait_for("the oldest to make way", || {
        ringway.metric("ringway_limits_total", &["limit=\"admin\""]) > 0.0
    });
    wait_for("a line in the log", || ringway.log().contains("limit=\"admin\""));
    let (status, _) = http(ringway.admin, "GET", "/livez").expect("an answer");
    assert_eq!(status, 200);
    drop(idle);
}

#[test]
fn a_node_that_allows_larger_values_than_its_pool_is_told_of_before_one_is_missed() {
    let large = Memcached::start_with(&["-I", "8m"]);
    let usual = Memcached::start();
    let ringway = Ringway::start(&pool(&[large.address(), usual.address()], &[]));
    let shown = |size: &str| {
        ringway
            .get("/nodes")
            .1
            .contains(&format!("\"item_size_max\":{size}"))
    };
    wait_for("both sizes", || shown("8388608") && shown("1048576"));
    ringway.wait_logged("allows larger values");
    let log = ringway.log();
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("allows larger values"))
        .collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains(&large.address()), "{}", told[0]);
    assert!(
        told[0].contains("item_size_max=8388608 max_value_size=1048576"),
        "{}",
        told[0]
    );
}
