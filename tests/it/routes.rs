//! Routes on the wire: what clients of each protocol read and what the nodes of each pool see, while policies decide.

use std::io::Write;

use crate::support::binary::packet;
use crate::support::echo_node::{echo_node, echo_reply};
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, free_port, wait_for};
use crate::support::routes::with_route;
use crate::support::scripted::{Act, Scripted, say};

#[test]
fn where_the_first_pool_is_silent_the_second_answers_clients_of_every_protocol() {
    let silent = Scripted::start("1.6.18", |_| vec![]);
    let gutter = echo_node("gutter");
    let route = "{failover: {to: [a, b], expiry: 60s}}";
    let ringway = Ringway::start(&with_route(&[silent.address(), gutter.address()], route));
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 0 6\r\ngutter\r\nEND\r\n");
    client.expects(
        "gets k l\r\n",
        "VALUE k 0 6 9223372036854775807\r\ngutter\r\nVALUE l 0 6 9223372036854775807\r\ngutter\r\nEND\r\n",
    );
    client.expects("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    client.expects(
        "set k 0 10 1 noreply\r\nv\r\nmg k v c\r\n",
        "VA 6 f0 c9223372036854775807\r\ngutter\r\n",
    );
    client.expects("delete k\r\n", "NOT_FOUND\r\n");
    client.expects("incr k 1\r\n", "NOT_FOUND\r\n");
    let mut binary = ringway.client();
    binary.send(packet(0x00, &[], "k", b""));
    let answer = binary.exact(24 + 4 + 6);
    assert_eq!((answer[0], answer[7], &answer[28..]), (0x81, 0, &b"gutter"[..]));
    let seen = gutter.lines();
    assert_eq!(seen[3], "ms k 1 k T60", "{seen:?}");
    assert_eq!(seen[4], "ms k 1 k T10", "{seen:?}");
    assert_eq!(
        ringway.metric(
            "ringway_route_events_total",
            &["route=\"default\"", "event=\"failover\""]
        ),
        7.0
    );
    assert_eq!(
        ringway.metric("ringway_route_requests_total", &["policy=\"failover\""]),
        9.0
    );
    assert_eq!(ringway.metric("ringway_route_requests_in_progress", &[]), 0.0);
}

#[test]
fn two_requests_of_one_session_to_one_key_stay_in_order_while_a_policy_is_at_work() {
    let silent = Scripted::start("1.6.18", |_| vec![]);
    let cache = Memcached::start();
    let nodes = [silent.address(), cache.address()];
    // What is read at once would be what was there before.
    let route = "{by_command: {reads: b}, else: {failover: [a, b]}}";
    let ringway = Ringway::start(&with_route(&nodes, route));
    let mut client = ringway.client();
    let (mut bytes, mut wanted) = (String::new(), String::new());
    for value in 0..5 {
        bytes += &format!("set k 0 0 1\r\n{value}\r\nget k\r\nget other\r\n");
        wanted += &format!("STORED\r\nVALUE k 0 1\r\n{value}\r\nEND\r\nEND\r\n");
    }
    client.expects(bytes, wanted);
}

#[test]
fn a_flush_waits_for_what_was_asked_before_and_reaches_every_pool() {
    let full = Scripted::start("1.6.18", |seen| match seen.word(0) {
        "flush_all" => say("OK\r\n"),
        _ => vec![
            Act::Await("gate"),
            Act::Say(b"SERVER_ERROR out of memory\r\n".into()),
        ],
    });
    let other = echo_node("other");
    let ringway = Ringway::start(&with_route(
        &[full.address(), other.address()],
        "{failover: [a, b]}",
    ));
    let mut client = ringway.client();
    client.send("set k 0 0 1\r\nv\r\nflush_all\r\nset k 0 0 1\r\nw\r\n");
    full.wait_seen(1);
    assert_eq!(other.lines(), [""; 0]);
    full.open("gate");
    client.expect("STORED\r\nOK\r\nSTORED\r\n");
    assert_eq!(other.lines(), ["ms k 1 k", "flush_all", "ms k 1 k"]);
    assert_eq!(full.lines(), ["ms k 1 k", "flush_all", "ms k 1 k"]);
}

#[test]
fn a_write_that_has_begun_goes_on_to_its_end_though_its_client_goes_away() {
    let silent = Scripted::start("1.6.18", |_| vec![]);
    let other = echo_node("other");
    let slow = Scripted::start("1.6.18", |seen| {
        vec![
            Act::Await("gate"),
            Act::Say(echo_reply(seen, "slow").into_bytes()),
        ]
    });
    let nodes = [silent.address(), other.address(), slow.address()];
    let route = "{by_command: {reads: c}, else: {failover: [a, b]}}";
    let mut ringway = Ringway::start(&with_route(&nodes, route).replace("400ms", "4s"));
    let client = ringway.client();
    let mut stream = &client.stream;
    stream
        .write_all(b"version\r\nget slow\r\nset k 0 0 1\r\nv\r\n")
        .expect("sent");
    silent.wait_seen(1);
    slow.wait_seen(1);
    // A client that leaves with something unread breaks its connection off: the next answer finds nobody.
    stream.peek(&mut [0]).expect("the answer to version");
    drop(client);
    slow.open("gate");
    wait_for("the session's end", || {
        ringway.metric("ringway_sessions", &[]) == 0.0
    });
    assert_eq!(ringway.metric("ringway_route_requests_in_progress", &[]), 1.0);
    assert_eq!(other.lines(), [""; 0], "the first pool may still answer");
    // Not even the end of the process cuts it.
    ringway.signal("TERM");
    other.wait_seen(1);
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn a_reload_to_a_plain_pool_lets_nothing_overtake_a_policy() {
    let (silent, cache) = (Scripted::start("1.6.18", |_| vec![]), Memcached::start());
    let nodes = [silent.address(), cache.address()];
    let ringway = Ringway::start(&with_route(&nodes, "{failover: [a, b]}"));
    let mut client = ringway.client();
    client.send("set k 0 0 1\r\nv\r\n");
    silent.wait_seen(1);
    assert_eq!(ringway.reload(&with_route(&nodes, "b")).0, 200);
    client.expects("get k\r\n", "STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn a_value_stored_while_the_first_pool_was_away_is_read_again_until_its_expiry() {
    let (port, gutter) = (free_port(), Memcached::start());
    let nodes = [format!("127.0.0.1:{port}"), gutter.address()];
    let ringway = Ringway::start(&with_route(&nodes, "{failover: {to: [a, b], expiry: 6s}}"));
    let mut client = ringway.client();
    client.set("k", "v");
    assert_eq!(client.get("k").as_deref(), Some(&b"v"[..]));
    assert_eq!(gutter.client().get("k").as_deref(), Some(&b"v"[..]));
    wait_for("the end of its time", || client.get("k").is_none());
    let _back = Memcached::start_on(port).expect("the port is free");
    wait_for("the first pool", || {
        client.ask("set k 0 0 1\r\nw\r\n") == "STORED" && gutter.client().get("k").is_none()
    });
    assert_eq!(client.get("k").as_deref(), Some(&b"w"[..]));
}

#[test]
fn a_reload_that_takes_a_pool_away_ends_no_request_in_the_middle() {
    let silent = Scripted::start("1.6.18", |_| vec![]);
    let (old, new) = (echo_node("old"), echo_node("new"));
    let nodes = [silent.address(), old.address(), new.address()];
    let ringway = Ringway::start(&with_route(&nodes[..2], "{failover: [a, b]}"));
    let mut client = ringway.client();
    client.send("get k\r\n");
    silent.wait_seen(1);
    let text = with_route(&[nodes[0].clone(), nodes[2].clone()], "{failover: [b, a]}");
    assert_eq!(ringway.reload(&text).0, 200);
    client.expect("VALUE k 0 3\r\nnew\r\nEND\r\n");
    client.expects("get k\r\n", "VALUE k 0 3\r\nnew\r\nEND\r\n");
    assert_eq!(old.lines(), [""; 0]);
}

#[test]
fn a_key_goes_where_its_longest_prefix_says_and_nodes_know_it_by_its_short_name() {
    let nodes = [echo_node("a"), echo_node("b"), echo_node("c")];
    let addresses: Vec<String> = nodes.iter().map(Scripted::address).collect();
    let route = "{prefix: {\"user:\": b, \"user:x:\": c}, else: a, strip: true}";
    let ringway = Ringway::start(&with_route(&addresses, route));
    let mut client = ringway.client();
    client.expects(
        "get user:1 user:x:2 user other\r\n",
        "VALUE user:1 0 1\r\nb\r\nVALUE user:x:2 0 1\r\nc\r\nVALUE user 0 1\r\na\r\nVALUE other 0 1\r\na\r\nEND\r\n",
    );
    client.expects("mg user:1 k v\r\n", "VA 1 kuser:1 f0 c7\r\nb\r\n");
    client.expects("mg dXNlcjox b k v\r\n", "VA 1 kdXNlcjox b f0 c7\r\nb\r\n");
    client.expects("get user:\r\n", "CLIENT_ERROR the route makes no key of this\r\n");
    assert_eq!(nodes[1].lines()[..2], ["mg 1 k f v", "mg 1 k v"]);
    assert_eq!(nodes[1].lines()[2], "mg MQ== b k v");
    assert_eq!(nodes[2].lines(), ["mg 2 k f v"]);
}

#[test]
fn what_a_route_refuses_no_node_sees() {
    let node = echo_node("a");
    let route = "{deny: {to: {read_only: a}, commands: [touch]}}";
    let ringway = Ringway::start(&with_route(&[node.address()], route));
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 0 1\r\na\r\nEND\r\n");
    client.expects("set k 0 0 1\r\nv\r\n", "CLIENT_ERROR set not allowed\r\n");
    client.expects("touch k 1\r\n", "CLIENT_ERROR touch not allowed\r\n");
    client.expects("gat 1 k\r\n", "CLIENT_ERROR gat not allowed\r\n");
    client.expects("mg k v N10\r\n", "CLIENT_ERROR get not allowed\r\n");
    client.expects("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n");
    assert_eq!(node.lines(), ["mg k k f v"]);
    assert_eq!(
        ringway.metric("ringway_route_events_total", &["event=\"denied\""]),
        4.0
    );
}

#[test]
fn stand_ins_answer_without_a_node() {
    let node = echo_node("a");
    let route =
        "{prefix: {\"m\": {miss: {}}, \"e\": {error: out of order}, \"b\": {blackhole: 50ms}}, else: a}";
    let ringway = Ringway::start(&with_route(&[node.address()], route));
    let mut client = ringway.client();
    client.expects(
        "get m\r\nset m 0 0 1\r\nv\r\ndelete m\r\n",
        "END\r\nNOT_STORED\r\nNOT_FOUND\r\n",
    );
    client.expects(
        "set e 0 0 1\r\nv\r\nmd e\r\n",
        "SERVER_ERROR out of order\r\nSERVER_ERROR out of order\r\n",
    );
    client.expects("set b 0 0 1\r\nv\r\nmn\r\n", "NOT_STORED\r\nMN\r\n");
    wait_for("the version of the only node", || {
        client.ask("version\r\n") == "VERSION 1.6.18"
    });
    assert_eq!(node.lines(), [""; 0]);
}

#[test]
fn each_listener_has_its_own_way_and_a_route_may_stand_at_it() {
    let nodes = [echo_node("a"), echo_node("b")];
    let addresses: Vec<String> = nodes.iter().map(Scripted::address).collect();
    let other = free_port();
    let text = format!(
        "listeners:\n  - bind: 127.0.0.1:PORT\n  - bind: 127.0.0.1:{other}\n    route: {{read_only: default}}\n{}",
        with_route(
            &addresses,
            &format!("{{by_listener: {{\"127.0.0.1:{other}\": b}}, else: a}}")
        )
    );
    let ringway = Ringway::start(&text);
    ringway
        .client()
        .expects("get k\r\n", "VALUE k 0 1\r\na\r\nEND\r\n");
    let mut client = Client::connect(other);
    client.expects("get k\r\n", "VALUE k 0 1\r\nb\r\nEND\r\n");
    client.expects("set k 0 0 1\r\nv\r\n", "CLIENT_ERROR set not allowed\r\n");
}

#[test]
fn explain_shows_the_tree_that_a_key_takes() {
    let nodes = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    let route = "{prefix: {\"user:\": {failover: {to: [a, b], expiry: 60s}}}, else: {by_command: {reads: a}, else: b}}";
    let ringway = Ringway::start(&with_route(&nodes, route));
    let (status, body) = ringway.get("/explain?key=user:1");
    assert_eq!(status, 200);
    let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&shown["pool"], &shown["node"]),
        (&"a".into(), &"127.0.0.1:1".into())
    );
    let failover = &shown["tree"]["routes"][0];
    assert_eq!(failover["policy"], "failover");
    assert_eq!(failover["options"]["expiry"], "1m");
    assert_eq!(failover["routes"][1]["pool"], "b");
    let file = ringway.path("ringway.yaml");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["explain", "-c", file.to_str().expect("UTF-8"), "k"])
        .output()
        .expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "k default a 127.0.0.1:1\n  prefix\n    by_command\n      reads: a 127.0.0.1:1\n      else: b 127.0.0.1:2\n"
    );
}

#[test]
fn large_values_and_embedded_nodes_pass_policies_too() {
    let cache = Memcached::start();
    let text = format!(
        "pools:\n  a: {{nodes: [\"{}\"]}}\n  b: {{nodes: [{{name: near, embedded: 8MiB}}]}}\nroutes:\n  default: {{failover: [a, b]}}\n",
        cache.address()
    );
    let ringway = Ringway::start(&text);
    let mut client = ringway.client();
    let value = vec![b'x'; 900_000];
    client.set("k", &value);
    assert_eq!(client.get("k"), Some(value.clone()));
    drop(cache);
    client.set("k", &value);
    assert_eq!(client.get("k"), Some(value));
    assert_eq!(ringway.metric("ringway_route_requests_in_progress", &[]), 0.0);
}

#[test]
fn a_late_reply_of_the_first_pool_is_nobodys() {
    let late = Scripted::start("1.6.18", |seen| {
        let reply = echo_reply(seen, "late");
        match seen.word(1) {
            "k" => vec![Act::Await("gate"), Act::Say(reply.into_bytes())],
            _ => say(reply),
        }
    });
    let other = echo_node("other");
    let ringway = Ringway::start(&with_route(
        &[late.address(), other.address()],
        "{failover: [a, b]}",
    ));
    let mut client = ringway.client();
    client.expects("get k\r\n", "VALUE k 0 5\r\nother\r\nEND\r\n");
    late.open("gate");
    client.expects("get l\r\n", "VALUE l 0 4\r\nlate\r\nEND\r\n");
}
