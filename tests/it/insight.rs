//! The slow log and the split of the time: a node that is stopped for a while makes requests slow.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::support::binary::{packet, response};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool, wait_for};

/// How long a node stands still: longer than a busy machine makes other requests wait.
const STILL: Duration = Duration::from_millis(500);

/// A Ringway whose requests are slow from 20 ms on, before a node that is never down.
fn patient(node: &Memcached, settings: &[&str]) -> Ringway {
    let patience = [
        "connect_timeout: 10s",
        "health: {down_after: 1000}",
        "insight: {slow: 20ms}",
    ];
    let running = Ringway::start(&pool(&[node.address()], &[&patience, settings].concat()));
    wait_for("the threshold to be known", || {
        slow(&running, "")["thresholds"][0]["seconds"] == 0.02
    });
    running
}

fn slow(running: &Ringway, query: &str) -> Value {
    let (status, body) = running.get(&format!("/slow{query}"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Waits until requests that took as long as the node stood still are listed, `count` of them, and returns them. On a busy
/// machine others may be slow, too.
fn slow_requests(running: &Ringway, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    wait_for("slow requests to be listed", || {
        let list = slow(running, "");
        let is_long = |request: &&Value| seconds(request, "seconds") >= STILL.as_secs_f64();
        let requests = list["requests"].as_array().expect("a list").iter();
        found = requests.filter(is_long).cloned().collect();
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:?}");
    found
}

/// Lets the node go on after a while in which `count` requests wait for it.
fn go_on(node: &Memcached, running: &Ringway, count: usize) {
    wait_for("requests to be in flight", || {
        running.metric("ringway_in_flight", &["main"]) == count as f64
    });
    sleep(STILL);
    node.signal("CONT");
}

fn seconds(request: &Value, part: &str) -> f64 {
    request[part]
        .as_f64()
        .unwrap_or_else(|| panic!("{part}: {request}"))
}

#[test]
fn requests_to_a_node_that_stands_still_are_listed_in_all_protocols_with_their_time_at_the_node() {
    let node = Memcached::start();
    let running = patient(&node, &["request_timeout: 10s"]);
    let [mut classic, mut meta, mut binary, mut writer] = [(); 4].map(|()| running.client());
    classic.set("slow:classic", "four");
    node.signal("STOP");
    classic.send("get slow:classic\r\n");
    meta.send("mg slow:meta v\r\n");
    binary.send(packet(0, b"", "slow:binary", b""));
    writer.send("set slow:write 0 0 1000\r\n".to_owned() + &"v".repeat(1000) + "\r\n");
    go_on(&node, &running, 4);
    classic.expect("VALUE slow:classic 0 4\r\nfour\r\nEND\r\n");
    meta.expect("EN\r\n");
    assert_eq!(response(&mut binary), "00 1 :Not found");
    writer.expect("STORED\r\n");

    let listed = slow_requests(&running, 4);
    for (key, command, outcome, bytes) in [
        ("slow:classic", "get", "hit", 4..=4),
        ("slow:meta", "get", "miss", 0..=0),
        ("slow:binary", "get", "miss", 0..=0),
        ("slow:write", "set", "ok", 1000..=1100),
    ] {
        let request = listed.iter().find(|request| request["key"] == key);
        let request = request.unwrap_or_else(|| panic!("{key}: {listed:?}"));
        assert_eq!(
            (&request["command"], &request["outcome"]),
            (&command.into(), &outcome.into())
        );
        assert!(
            bytes.contains(&request["bytes"].as_u64().expect("a number")),
            "{request}"
        );
        assert_eq!(request["node"], node.address());
        let [total, own, queue, at_node] =
            ["seconds", "own_seconds", "queue_seconds", "node_seconds"].map(|part| seconds(request, part));
        assert!(
            at_node >= STILL.as_secs_f64() && at_node > own + queue,
            "{request}"
        );
        assert!((total - own - queue - at_node).abs() < 1e-9, "{request}");
    }
    assert!(running.metric("ringway_slow_requests_total", &["main"]) >= 4.0);
    let (_, status) = running.get("/status");
    assert!(status.contains("slow:binary"), "{status}");
}

#[test]
fn what_waits_for_a_link_to_open_waits_in_a_queue() {
    let node = Memcached::start();
    node.signal("STOP");
    let running = patient(&node, &["request_timeout: 10s"]);
    let mut client = running.client();
    client.send("get k\r\n");
    go_on(&node, &running, 1);
    client.expect("END\r\n");
    let request = &slow_requests(&running, 1)[0];
    assert!(
        seconds(request, "queue_seconds") >= STILL.as_secs_f64()
            && seconds(request, "queue_seconds")
                > seconds(request, "own_seconds") + seconds(request, "node_seconds"),
        "{request}"
    );
}

#[test]
fn a_request_that_times_out_is_listed_once() {
    let node = Memcached::start();
    let running = patient(&node, &["request_timeout: 600ms"]);
    let mut client = running.client();
    assert_eq!(client.get("k"), None);
    node.signal("STOP");
    assert_eq!(client.get("late"), None);
    node.signal("CONT");
    // Its late reply has arrived when a later request is answered.
    assert_eq!(client.get("k"), None);
    let request = &slow_requests(&running, 1)[0];
    assert_eq!(
        (&request["key"], &request["outcome"]),
        (&"late".into(), &"timeout".into())
    );
    assert!(seconds(request, "node_seconds") >= 0.6, "{request}");
}

#[test]
fn keys_are_hashed_as_hot_keys_are_unless_they_may_be_shown() {
    let node = Memcached::start();
    let shown = "admin: {bind: '127.0.0.1:ADMIN', show_keys: false}\n";
    let yaml = pool(
        &[node.address()],
        &["request_timeout: 10s", "insight: {slow: 20ms}"],
    );
    let running = Ringway::start(&(shown.to_owned() + &yaml));
    let mut client = running.client();
    wait_for("the threshold to be known", || {
        slow(&running, "")["thresholds"][0]["seconds"] == 0.02
    });
    (0..1000).for_each(|_| assert_eq!(client.get("secret"), None));
    node.signal("STOP");
    client.send("get secret\r\n");
    go_on(&node, &running, 1);
    client.expect("END\r\n");
    let request = &slow_requests(&running, 1)[0];
    assert!(request["key"].is_null(), "{request}");
    wait_for("the key to be hot, with the same hash", || {
        let (_, hot) = running.get("/hotkeys");
        let hot: Value = serde_json::from_str(&hot).expect("JSON");
        request["hash"].is_string() && request["hash"] == hot["keys"][0]["hash"]
    });
}

#[test]
fn a_query_is_checked_and_chooses_a_pool_and_a_number() {
    let node = Memcached::start();
    let pools = pool(&[node.address()], &["request_timeout: 10s"]);
    let other = "  other: {nodes: [{name: here, embedded: 1MiB}], insight: {slow: \"off\"}}\n";
    let running = Ringway::start(&format!("{}{pools}{other}", one_route()));
    wait_for("thresholds to be known", || {
        slow(&running, "")["thresholds"][0]["seconds"] == 0.01
    });
    let found = slow(&running, "?pool=other&n=256");
    assert_eq!(
        found["thresholds"],
        serde_json::json!([{"pool": "other", "seconds": null}])
    );
    for (query, reason) in [
        ("?pool=none", "no pool \"none\"; GET /pools lists them\n"),
        ("?n=257", "n: \"257\" is not a number from 1 to 256\n"),
        ("?n=x", "n: \"x\" is not a number from 1 to 256\n"),
        ("?pool=%", "pool: % must be followed by two hexadecimal digits\n"),
    ] {
        assert_eq!(
            running.get(&format!("/slow{query}")),
            (400, reason.to_owned()),
            "{query}"
        );
    }
    assert_eq!(running.post("/slow").0, 405);
}

fn one_route() -> &'static str {
    "listeners: [{bind: '127.0.0.1:PORT', route: main}]\n"
}

#[test]
fn one_request_in_64_is_timed_on_both_sides_and_a_node_that_stands_still_is_not_ringways_time() {
    const REQUESTS: usize = 6400;
    let node = Memcached::start();
    let running = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let mut client = running.client();
    for n in 0..REQUESTS {
        assert_eq!(client.get(&format!("k{n}")), None);
    }
    let count = |side: &str| running.metric(&format!("ringway_{side}_duration_seconds_count"), &["read"]);
    let timed = count("own");
    assert!((50.0..200.0).contains(&timed), "{timed}");
    assert_eq!(count("node"), timed);
    let sum = |side: &str| running.metric(&format!("ringway_{side}_duration_seconds_sum"), &["read"]);
    let before = [sum("own"), sum("node")];
    node.signal("STOP");
    client.send("get k\r\n".repeat(200));
    go_on(&node, &running, 200);
    client.expect("END\r\n".repeat(200));
    wait_for("the node's time to have grown", || {
        sum("node") - before[1] >= STILL.as_secs_f64()
    });
    assert!(sum("own") - before[0] < sum("node") - before[1]);
}
