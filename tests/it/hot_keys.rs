//! Hot keys: what `GET /hotkeys`, the metrics and `/status` say about a load whose exact counts are known.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool, wait_for};

const KEYS: usize = 1000;
const CLIENTS: u64 = 2;
const BATCH: usize = 100;
/// Each client sends this many batches, and more until [`LOAD`] is over.
const BATCHES: usize = 1500;
/// What workers have counted is merged once a second.
const LOAD: Duration = Duration::from_millis(2500);

fn key(rank: usize) -> String {
    format!("item{}:{rank}", rank % 2)
}

/// The size of a value: the first keys by bytes are others than those by requests.
fn size(rank: usize) -> usize {
    if rank.is_multiple_of(3) { 1000 } else { 100 }
}

/// Has clients read keys whose popularity follows Zipf's law. Returns how often each was read.
fn load(running: &Ringway) -> HashMap<usize, u64> {
    let weights: Vec<f64> = (1..=KEYS).map(|rank| (rank as f64).powf(-1.5)).collect();
    let sums: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let mut client = running.client();
    for rank in 0..KEYS {
        client.set(&key(rank), "v".repeat(size(rank)));
    }
    let start = Instant::now();
    let counts = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (sums, mut client) = (&sums, running.client());
                scope.spawn(move || {
                    let (mut random, mut counts) =
                        (fastrand::Rng::with_seed(seed), HashMap::<usize, u64>::new());
                    let mut batches = 0;
                    while batches < BATCHES || start.elapsed() < LOAD {
                        batches += 1;
                        let (mut asks, mut expected) = (String::new(), 0);
                        for _ in 0..BATCH {
                            let drawn = random.f64() * sums[KEYS - 1];
                            let rank = sums.partition_point(|&sum| sum < drawn);
                            let (key, size) = (key(rank), size(rank));
                            asks += &format!("get {key}\r\n");
                            expected += format!("VALUE {key} 0 {size}\r\n\r\nEND\r\n").len() + size;
                            *counts.entry(rank).or_default() += 1;
                        }
                        client.send(&asks);
                        client.exact(expected);
                    }
                    counts
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("no panic"))
            .collect::<Vec<_>>()
    });
    let mut sum = HashMap::<usize, u64>::new();
    for (rank, count) in counts.into_iter().flatten() {
        *sum.entry(rank).or_default() += count;
    }
    sum
}

fn hot_keys(running: &Ringway, query: &str) -> Value {
    let (status, body) = running.get(&format!("/hotkeys{query}"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[test]
fn the_hottest_keys_of_a_real_load_are_found_with_their_shares() {
    let (mut found, mut errors) = (0, Vec::new());
    for workers in [1, 2] {
        let nodes = [Memcached::start(), Memcached::start()];
        let pools = pool(
            &nodes.each_ref().map(|node| node.address()),
            &["distribution: ringway"],
        );
        let running = Ringway::start(&format!("workers: {workers}\n{pools}"));
        let counts = load(&running);
        for (by, weight) in [
            ("requests", (|_| 1) as fn(usize) -> u64),
            ("bytes", |rank| (key(rank).len() + size(rank)) as u64),
        ] {
            let mut exact: Vec<(u64, usize)> = counts
                .iter()
                .map(|(&rank, count)| (count * weight(rank), rank))
                .collect();
            exact.sort_unstable_by(|one, other| other.cmp(one));
            let total: u64 = exact.iter().map(|(count, _)| count).sum();
            let shown = hot_keys(&running, &format!("?pool=main&by={by}&n=10"));
            let shown = shown["keys"].as_array().expect("keys");
            assert_eq!(shown.len(), 10);
            // Keys that are as hot as the tenth, but for the error of a rate, may stand in for each other.
            let least = exact[9].0 - exact[9].0 / 10;
            for (count, rank) in exact.iter().take_while(|(count, _)| *count >= least) {
                let Some(hot) = shown.iter().find(|hot| hot["key"] == key(*rank)) else {
                    continue;
                };
                found += 1;
                let share = *count as f64 / total as f64;
                errors.push((hot["share"].as_f64().expect("a number") / share - 1.0).abs());
                let (_, explained) = running.get(&format!("/explain?key={}", key(*rank)));
                let node = hot["node"].as_str().expect("a name");
                assert!(explained.contains(node), "{node}: {explained}");
            }
        }
        let share = running.metric("ringway_hottest_key_share", &["main", "requests"]);
        assert!((0.3..0.5).contains(&share), "{share}");
        assert!(running.metric("ringway_hot_keys", &["main"]) >= 5.0);
    }
    assert!(found >= 38, "{found} of 40");
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(mean <= 0.1, "{mean}: {errors:?}");
}

/// Reads and writes through each protocol and a multi-get.
fn ask_in_all_protocols(running: &Ringway) {
    let mut client = running.client();
    client.set("user:1", "v");
    for _ in 0..300 {
        client.expects("get user:1 user:2\r\n", "VALUE user:1 0 1\r\nv\r\nEND\r\n");
        client.expects("mg user:1 v\r\n", "VA 1\r\nv\r\n");
        client.expects("ms user:3 1\r\nv\r\n", "HD\r\n");
    }
    let mut binary = running.client();
    for _ in 0..300 {
        binary.send([&[0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 6][..], &[0; 12], b"user:4"].concat());
        let head = binary.exact(24);
        binary.exact(head[11].into());
    }
}

#[test]
fn every_protocol_counts_with_reads_and_writes_apart_on_both_kinds_of_node() {
    let node = Memcached::start();
    let remote = pool(&[node.address()], &[]);
    let embedded = "pools: {main: {nodes: [{name: here, embedded: 1MiB}]}}\n".to_owned();
    for pools in [remote, embedded] {
        let running = Ringway::start(&pools);
        ask_in_all_protocols(&running);
        wait_for("a ranking", || {
            hot_keys(&running, "")["keys"]
                .as_array()
                .is_some_and(|keys| keys.len() >= 4)
        });
        let shown = hot_keys(&running, "");
        let keys = shown["keys"].as_array().expect("keys");
        let rate = |key: &str, field: &str| {
            let hot = keys.iter().find(|hot| hot["key"] == key);
            hot.unwrap_or_else(|| panic!("{key}: {shown}"))[field]
                .as_f64()
                .expect("a number")
        };
        assert_eq!(keys[0]["key"], "user:1", "{shown}");
        assert!(rate("user:2", "reads_per_second") > 0.0 && rate("user:4", "reads_per_second") > 0.0);
        assert_eq!(rate("user:2", "writes_per_second"), 0.0);
        assert!(rate("user:3", "writes_per_second") > 0.0 && rate("user:3", "reads_per_second") == 0.0);
        assert_eq!(shown["prefixes"][0]["key"], "user:");
        let (_, status) = running.get("/status");
        let status: Value = serde_json::from_str(&status).expect("JSON");
        assert_eq!(status["hot_keys"][0]["key"], "user:1");
    }
}

#[test]
fn keys_are_hashed_unless_the_admin_listens_on_loopback_or_shows_them() {
    let pools = "pools: {main: {nodes: [{name: here, embedded: 1MiB}]}}\n";
    for (admin, is_shown) in [
        ("bind: 127.0.0.1:ADMIN", true),
        ("bind: 0.0.0.0:ADMIN", false),
        ("bind: 0.0.0.0:ADMIN\n  show_keys: true", true),
        ("bind: 127.0.0.1:ADMIN\n  show_keys: false", false),
    ] {
        let running = Ringway::start(&format!("admin:\n  {admin}\n  key_delimiter: false\n{pools}"));
        let mut client = running.client();
        (0..200).for_each(|_| client.set("secret:1", "v"));
        wait_for("a ranking", || !hot_keys(&running, "")["keys"][0].is_null());
        let shown = hot_keys(&running, "");
        assert_eq!(shown["keys"][0]["key"] == "secret:1", is_shown, "{shown}");
        assert_eq!(shown["keys"][0]["hash"].is_null(), is_shown, "{shown}");
        for path in ["/hotkeys", "/status", "/metrics"] {
            let has_key = running.get(path).1.contains("secret");
            assert_eq!(has_key, is_shown && path != "/metrics", "{path}");
        }
        assert_eq!(shown["prefixes"].as_array().map(Vec::len), Some(0), "{shown}");
    }
}

#[test]
fn a_query_that_is_wrong_is_refused_with_the_way_out() {
    let running = Ringway::start("pools: {main: {nodes: [{name: here, embedded: 1MiB}]}}\n");
    for (query, reason) in [
        ("?pool=cach", "no pool \"cach\"; GET /pools lists them\n"),
        (
            "?by=keys",
            "by: \"keys\" is not an order, choose requests or bytes\n",
        ),
        ("?n=0", "n: \"0\" is not a number from 1 to 256\n"),
        ("?n=1e9", "n: \"1e9\" is not a number from 1 to 256\n"),
        ("?pool=%4", "pool: % must be followed by two hexadecimal digits\n"),
    ] {
        assert_eq!(running.get(&format!("/hotkeys{query}")), (400, reason.to_owned()));
    }
}
