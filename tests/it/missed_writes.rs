//! No value is read that is older than a write which failed at its node: what is remembered, what is answered
//! meanwhile, and how the nodes come clean. Most nodes are real; the faults are stopped and killed processes.

use std::time::{Duration, Instant};

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, wait_for};

/// Down after a few failures, and up again soon.
const QUICK: &str = "max_down: 100%\n    health: {down_after: 3, up_after: 1, probe_interval: 100ms, probe_timeout: 500ms, \
                     max_probe_interval: 100ms}";
/// Never down, so that each request meets the fault itself.
const STUBBORN: &str = "health: {down_after: 1000000, probe_timeout: 500ms}";
/// What a write answers that would depend on what is there.
const FAILS: &str = "SERVER_ERROR node missed an earlier write of the key\r\n";
const TIMEOUT: &str = "request_timeout: 100ms";

/// Writes that fail say so: what was not stored and what failed are told apart.
const TOLD: &str = "on_write_error: error";

fn over(node: &Memcached, settings: &[&str]) -> Ringway {
    Ringway::start(&pool(&[node.address()], &[&[TIMEOUT, TOLD], settings].concat()))
}

fn missed(ringway: &Ringway) -> f64 {
    ringway.metric("ringway_missed_writes", &[])
}

fn replayed(ringway: &Ringway) -> f64 {
    ringway.metric("ringway_missed_writes_replayed_total", &[])
}

fn wait_until_clean(ringway: &Ringway) {
    wait_for("all that was missed to be deleted", || {
        missed(ringway) == 0.0 && ringway.metric("ringway_missed_all", &[]) == 0.0
    });
}

fn wait_until_down(ringway: &Ringway, client: &mut Client) {
    wait_for("the node to be down", || {
        client.get("other");
        ringway.get("/nodes").1.contains("\"state\":\"down\"")
    });
}

/// Whatever a write is answered that failed.
fn fails(client: &mut Client, request: &str) {
    let line = client.ask(request);
    let is_failure = ["SERVER_ERROR", "NOT_STORED", "NOT_FOUND", "NS", "NF", "END", "EN"];
    assert!(
        is_failure.iter().any(|word| line.starts_with(word)),
        "{request:?}: {line}"
    );
}

#[test]
fn what_was_written_in_vain_while_a_node_was_down_is_gone_when_it_is_back() {
    let node = Memcached::start();
    let ringway = over(&node, &[QUICK]);
    let mut client = ringway.client();
    let writes = [
        ("set a 0 0 3\r\nnew\r\n", "a"),
        ("delete b\r\n", "b"),
        ("touch c 1\r\n", "c"),
        ("append d 0 0 3\r\nnew\r\n", "d"),
        ("add e 0 0 3\r\nnew\r\n", "e"),
        ("cas f 0 0 3 1\r\nnew\r\n", "f"),
        ("incr g 1\r\n", "g"),
        ("gat 5 h\r\n", "h"),
        ("ms i 3\r\nnew\r\n", "i"),
        ("md j\r\n", "j"),
        ("ma k\r\n", "k"),
        ("mg l v T30\r\n", "l"),
        ("md eCB5 b\r\n", ""),
    ];
    for (_, key) in &writes[..12] {
        client.set(key, "5");
    }
    for key in ["kept", "read"] {
        client.set(key, "old");
    }
    client.expects("ms eCB5 3 b\r\nold\r\n", "HD\r\n");
    node.signal("STOP");
    wait_until_down(&ringway, &mut client);
    let before = missed(&ringway);
    for (write, _) in &writes {
        fails(&mut client, write);
    }
    client.get("read");
    client.expects("mg read v\r\n", "EN\r\n");
    assert_eq!(
        missed(&ringway) - before,
        writes.len() as f64,
        "one for each write, none for reads"
    );
    assert!(
        ringway
            .get("/nodes")
            .1
            .contains(&format!("\"missed_writes\":{}", writes.len()))
    );
    node.signal("CONT");
    wait_until_clean(&ringway);
    for (write, key) in &writes[..12] {
        assert_eq!(client.get(key), None, "after {write:?}");
        assert_eq!(node.client().get(key), None, "after {write:?}");
    }
    client.expects("mg eCB5 b v\r\n", "EN\r\n");
    for key in ["kept", "read"] {
        assert_eq!(client.get(key).as_deref(), Some(&b"old"[..]));
    }
    assert_eq!(replayed(&ringway), writes.len() as f64);
}

#[test]
fn for_a_key_whose_write_is_on_its_way_the_node_counts_as_down() {
    let node = Memcached::start();
    let ringway = over(&node, &[STUBBORN]);
    let (mut client, mut other) = (ringway.client(), ringway.client());
    client.set("k", "5");
    node.signal("STOP");
    fails(&mut client, "set k 0 0 1\r\n6\r\n");
    assert_eq!(missed(&ringway), 1.0);
    // Nothing of this is sent: the node does not answer, and these are answered for another reason.
    for (request, answer) in [
        ("get k\r\n", "END\r\n"),
        ("gets k\r\n", "END\r\n"),
        ("gat 5 k\r\n", "END\r\n"),
        ("get k k\r\n", "END\r\n"),
        ("mg k v\r\n", "EN\r\n"),
        ("mg k v N30 Oabc\r\n", "EN Oabc\r\n"),
        ("me k\r\n", "EN\r\n"),
        ("set k 0 0 1\r\n7\r\n", FAILS),
        ("add k 0 0 1\r\n7\r\n", FAILS),
        ("replace k 0 0 1\r\n7\r\n", FAILS),
        ("append k 0 0 1\r\n7\r\n", FAILS),
        ("prepend k 0 0 1\r\n7\r\n", FAILS),
        ("cas k 0 0 1 1\r\n7\r\n", FAILS),
        ("incr k 1\r\n", FAILS),
        ("decr k 1\r\n", FAILS),
        ("touch k 1\r\n", FAILS),
        ("delete k\r\n", FAILS),
        ("ma k v\r\n", FAILS),
        ("md k\r\n", FAILS),
        ("ms k 1 ME Oabc\r\n7\r\n", FAILS),
        ("ms k 1 C5\r\n7\r\n", FAILS),
        ("ms k 1\r\n7\r\n", FAILS),
    ] {
        other.expects(request, answer);
    }
    assert_eq!(missed(&ringway), 1.0);
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"missed\""]), 23.0);
    node.signal("CONT");
    wait_until_clean(&ringway);
    assert_eq!(other.get("k"), None);
    other.set("k", "8");
    assert_eq!(other.get("k").as_deref(), Some(&b"8"[..]), "all is as before");
}

#[test]
fn a_set_or_a_delete_that_is_carried_out_after_the_failure_serves_as_well() {
    let node = Memcached::start();
    let port = node.port();
    // Nobody probes it, so nobody else clears it while it counts as down.
    let ringway = over(&node, &["max_down: 100%", STUBBORN]);
    let mut client = ringway.client();
    client.set("first", "old");
    drop(node);
    wait_for("the link to be gone", || {
        client
            .ask("set a 0 0 1\r\n1\r\n")
            .ends_with("cannot connect to node")
    });
    fails(&mut client, "set b 0 0 1\r\n1\r\n");
    let mut node = None;
    wait_for("the port to be free", || {
        node = Memcached::start_on(port);
        node.is_some()
    });
    wait_for("writes to succeed", || {
        client.ask("set b 0 0 3\r\nnew\r\n") == "STORED"
    });
    assert_eq!(
        client.get("b").as_deref(),
        Some(&b"new"[..]),
        "it need not be deleted"
    );
    assert_eq!(client.ask("set b 0 0 5\r\nnewer\r\n"), "STORED");
    assert_eq!(client.get("b").as_deref(), Some(&b"newer"[..]));
}

#[test]
fn a_write_that_arrives_after_it_failed_takes_nobodys_place() {
    let node = Memcached::start();
    let ringway = over(&node, &[STUBBORN, "protocol: meta"]);
    let mut client = ringway.client();
    client.set("k", "old");
    node.signal("STOP");
    fails(&mut client, "set k 0 0 4\r\nlate\r\n");
    // The link is given up, and the write waits in the node's own buffer.
    wait_for("the link to break", || {
        client.get("other");
        ringway.metric("ringway_link_connects_total", &[]) > 1.0
    });
    node.signal("CONT");
    wait_for("the late write to be carried out", || {
        node.client().get("k").as_deref() == Some(b"late")
    });
    wait_for("a newer one", || {
        let answer = client.ask("set k 0 0 3\r\nnew\r\n");
        let value = client.get("k");
        let expected = (answer == "STORED").then_some(&b"new"[..]);
        assert_eq!(value.as_deref(), expected, "{answer}");
        answer == "STORED"
    });
}

#[test]
fn a_flush_that_failed_is_made_up_for_and_all_keys_are_missing_until_then() {
    let nodes = [Memcached::start(), Memcached::start()];
    let addresses = nodes.each_ref().map(Memcached::address);
    let ringway = Ringway::start(&pool(&addresses, &[TIMEOUT, QUICK]));
    let mut client = ringway.client();
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    keys.iter().for_each(|key| client.set(key, "old"));
    nodes[0].signal("STOP");
    let _any_answer = client.ask("flush_all\r\n");
    assert_eq!(ringway.metric("ringway_missed_all", &[]), 1.0);
    nodes[0].signal("CONT");
    keys.iter().for_each(|key| assert_eq!(client.get(key), None));
    wait_until_clean(&ringway);
    keys.iter().for_each(|key| assert_eq!(client.get(key), None));
    assert_eq!(ringway.metric("ringway_missed_writes_overflows_total", &[]), 0.0);
}

#[test]
fn a_node_that_missed_more_than_is_remembered_is_flushed() {
    let node = Memcached::start();
    let text = pool(&[node.address()], &[TIMEOUT, QUICK]);
    let ringway = Ringway::start(&("missed_writes: {max: 10}\n".to_owned() + &text));
    let mut client = ringway.client();
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    keys.iter().for_each(|key| client.set(key, "old"));
    node.signal("STOP");
    wait_until_down(&ringway, &mut client);
    keys[..10]
        .iter()
        .for_each(|key| fails(&mut client, &format!("delete {key}\r\n")));
    assert_eq!(missed(&ringway), 10.0);
    keys[10..12]
        .iter()
        .for_each(|key| fails(&mut client, &format!("delete {key}\r\n")));
    assert_eq!(
        (missed(&ringway), ringway.metric("ringway_missed_all", &[])),
        (0.0, 1.0)
    );
    node.signal("CONT");
    wait_until_clean(&ringway);
    keys.iter()
        .for_each(|key| assert_eq!(node.client().get(key), None));
    assert_eq!(ringway.metric("ringway_missed_writes_overflows_total", &[]), 1.0);
    wait_for("the log to say so", || {
        ringway.log().contains("limit reached limit=\"missed_writes\"")
    });
}

#[test]
fn with_manual_a_node_that_missed_too_much_answers_misses_until_an_operator_admits_it() {
    let node = Memcached::start();
    let text = pool(&[node.address()], &[TIMEOUT, QUICK, "rejoin: manual"]);
    let ringway = Ringway::start(&("missed_writes: {max: 1}\n".to_owned() + &text));
    let mut client = ringway.client();
    ["a", "b", "c"].iter().for_each(|key| client.set(key, "old"));
    node.signal("STOP");
    wait_until_down(&ringway, &mut client);
    ["a", "b"]
        .iter()
        .for_each(|key| fails(&mut client, &format!("delete {key}\r\n")));
    node.signal("CONT");
    wait_for("the node to be up", || {
        ringway.get("/nodes").1.contains("\"state\":\"up\"")
    });
    assert_eq!(client.get("c"), None);
    assert_eq!(
        node.client().get("c").as_deref(),
        Some(&b"old"[..]),
        "it was not flushed"
    );
    let (status, body) = ringway.post(&format!("/nodes/{}/admit", node.address()));
    assert_eq!(status, 200, "{body}");
    wait_for("a link to the node", || {
        client.get("c").as_deref() == Some(b"old")
    });
}

#[test]
fn a_node_that_was_restarted_needs_no_deletes() {
    let node = Memcached::start();
    let port = node.port();
    let ringway = over(&node, &[QUICK]);
    let mut client = ringway.client();
    client.set("k", "old");
    drop(node);
    wait_until_down(&ringway, &mut client);
    fails(&mut client, "delete k\r\n");
    assert_eq!(missed(&ringway), 1.0);
    // memcached's uptime is up to three seconds ahead: a shorter outage tells nothing.
    let until = Instant::now() + Duration::from_secs(5);
    wait_for("an outage long enough to tell", || Instant::now() > until);
    let node = Memcached::start_on(port).expect("its port is still free");
    wait_until_clean(&ringway);
    assert_eq!((replayed(&ringway), node.client().get("k")), (0.0, None));
}

#[test]
fn a_node_that_gets_another_address_in_the_file_keeps_what_it_missed() {
    let node = Memcached::start();
    let named = |address: &str| {
        format!(
            "pools:\n  main:\n    nodes: [{{name: a, address: \"{address}\"}}]\n    {TIMEOUT}\n    {TOLD}\n    {QUICK}\n"
        )
    };
    let ringway = Ringway::start(&named(&node.address()));
    let mut client = ringway.client();
    client.set("k", "old");
    node.signal("STOP");
    wait_until_down(&ringway, &mut client);
    fails(&mut client, "delete k\r\n");
    let other = node.address().replace("127.0.0.1", "localhost");
    let (status, body) = ringway.reload(&named(&other));
    assert_eq!(status, 200, "{body}");
    assert!(missed(&ringway) > 0.0);
    node.signal("CONT");
    wait_until_clean(&ringway);
    assert_eq!(node.client().get("k"), None);
    assert_eq!(client.get("k"), None);
}
