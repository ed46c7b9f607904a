//! Redis nodes that fail, refuse or lie: every request gets one answer, no value is older than a failed write, and the
//! reason can be seen.

use serde_json::Value;
use std::fs;

use crate::redis_nodes::before;
use crate::support::certificates::Authority;
use crate::support::diagnostics::diagnostics;
use crate::support::redis::{Redis, lying};
use crate::support::ringway::{Ringway, free_port, pool, wait_for};

const AOF: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
const SECRET: &str = "s3cret-of-the-nodes";

/// Quick probes, so that a node is down and up again soon.
const HEALTH: &str = "health: {probe_interval: 50ms, down_after: 2, up_after: 1}";

fn last_error(ringway: &Ringway) -> String {
    let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    nodes[0]["last_error"].as_str().unwrap_or_default().to_owned()
}

fn state(ringway: &Ringway) -> String {
    let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    nodes[0]["state"].as_str().expect("text").to_owned()
}

#[test]
fn a_server_that_cannot_be_used_is_down_and_says_why() {
    let cluster = Redis::start_with(&["--cluster-enabled", "yes"]);
    let asking = Redis::start_with(&["--requirepass", SECRET]);
    for (redis, reason) in [(&cluster, "Cluster"), (&asking, "set `auth` of the pool")] {
        let ringway = Ringway::start_unready(&pool(&[redis.address()], &[HEALTH]));
        wait_for("the node to be down", || state(&ringway) == "down");
        assert!(last_error(&ringway).contains(reason), "{}", last_error(&ringway));
        ringway
            .client()
            .expects("get k\r\nset k 0 0 1\r\nx\r\n", "END\r\nNOT_STORED\r\n");
    }
}

#[test]
fn a_replica_is_down_until_it_is_a_master() {
    let master = Redis::start();
    let replica = Redis::start_with(&[
        "--save",
        "",
        "--replicaof",
        "127.0.0.1",
        &master.port().to_string(),
    ]);
    let ringway = Ringway::start_unready(&pool(&[replica.address()], &[HEALTH]));
    wait_for("the node to be down", || state(&ringway) == "down");
    assert!(
        last_error(&ringway).contains("READONLY"),
        "{}",
        last_error(&ringway)
    );
    replica.ask("REPLICAOF NO ONE");
    wait_for("the node to be up", || state(&ringway) == "up");
    ringway.client().set("k", "v");
    // It becomes one again: writes are refused, and probes see it.
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    wait_for("the node to be down", || state(&ringway) == "down");
    ringway.client().expects("set k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
}

#[test]
fn a_server_without_memory_fails_writes_and_the_old_value_is_gone() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    client.set("k", "old");
    client.set("other", "stays");
    redis.ask("CONFIG SET maxmemory 1");
    client.expects("set k 0 0 3\r\nnew\r\n", "NOT_STORED\r\n");
    client.expects("append k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
    assert_eq!(client.get("other").as_deref(), Some(&b"stays"[..]));
    wait_for("the old value to be deleted", || redis.ask("EXISTS k") == "0");
    assert_eq!(client.get("k"), None);
    assert_eq!(
        ringway.metric("ringway_errors_total", &["kind=\"out_of_memory\""]),
        1.0
    );
    redis.ask("CONFIG SET maxmemory 0");
    wait_for("writes to be taken", || {
        client.ask("set k 0 0 1\r\nx\r\n") == "STORED"
    });
    assert_eq!(state(&ringway), "up");
}

#[test]
fn a_restarted_server_still_has_its_items_so_missed_writes_are_deleted() {
    let mut redis = Redis::start_with(&AOF);
    let ringway = Ringway::start(&pool(&[redis.address()], &[HEALTH]));
    let mut client = ringway.client();
    client.set("k", "old");
    client.set("other", "stays");
    redis.stop();
    client.expects("set k 0 0 3\r\nnew\r\nget other\r\n", "NOT_STORED\r\nEND\r\n");
    redis.resume();
    wait_for("the node to be back", || client.get("other").is_some());
    assert_eq!(client.get("k"), None, "it is older than a failed write");
    wait_for("the key to be deleted", || redis.ask("EXISTS k") == "0");
    assert_eq!(client.get("other").as_deref(), Some(&b"stays"[..]));
}

#[test]
fn a_stopped_server_costs_its_own_requests_and_shows_nothing_old() {
    let redis = Redis::start();
    let ringway = Ringway::start(&pool(&[redis.address()], &[HEALTH, "request_timeout: 200ms"]));
    let mut client = ringway.client();
    client.set("k", "old");
    redis.signal("STOP");
    client.expects("set k 0 0 3\r\nnew\r\nget k\r\n", "NOT_STORED\r\nEND\r\n");
    redis.signal("CONT");
    wait_for("the node to be back", || {
        assert_ne!(client.get("k").as_deref(), Some(&b"old"[..]));
        client.ask("set other 0 0 1\r\nx\r\n") == "STORED"
    });
    wait_for("the key to be deleted", || redis.ask("EXISTS k") == "0");
}

#[test]
fn what_no_server_would_say_closes_the_link_and_reaches_no_client() {
    for said in [
        &b"VALUE k 0 1\r\nx\r\nEND\r\n"[..],
        b"garbage\r\n",
        b":1\r\n",
        b"+OK\r\n",
        b"*1\r\n$1\r\nx\r\n",
        b"$1\r\nx\r\n$1\r\ny\r\n",
        b"$1\r\nxyz\r\n",
        b"$99999999999\r\n",
    ] {
        let node = lying(move |_| said.to_vec());
        let ringway = Ringway::start(&pool(&[node], &["request_timeout: 5s"]));
        let mut client = ringway.client();
        let answer = client.ask("get k\r\n");
        let is_whole = said.starts_with(b"$1\r\nx\r\n");
        let wanted = if is_whole { "VALUE k 0 1" } else { "END" };
        assert_eq!(answer, wanted, "{}", said.escape_ascii());
        wait_for("it to be counted", || {
            ringway.metric("ringway_errors_total", &["kind=\"desync\""]) >= 1.0
        });
    }
}

#[test]
fn a_multi_get_takes_as_many_values_as_it_asked_for() {
    for said in [
        &b"*2\r\n$1\r\nx\r\n$1\r\ny\r\n"[..],
        b"*4\r\n",
        b"*3\r\n$1\r\nx\r\n:1\r\n",
    ] {
        let node = lying(move |_| said.to_vec());
        let ringway = Ringway::start(&pool(&[node], &["request_timeout: 5s"]));
        let mut client = ringway.client();
        client.send("get a b c\r\n");
        let values = client.read_to("END");
        assert!(values.is_empty() || values == "VALUE a 0 1\r\nx\r\n", "{values}");
        assert!(
            ringway.metric("ringway_errors_total", &["kind=\"desync\""]) >= 1.0,
            "{}",
            said.escape_ascii()
        );
    }
}

#[test]
fn half_a_reply_times_out_and_its_rest_is_dropped() {
    let node = lying(|words| match &words[1][..] {
        b"slow" => b"$5\r\nab".to_vec(),
        b"next" => b"cde\r\n$1\r\nx\r\n".to_vec(),
        _ => b"$-1\r\n".to_vec(),
    });
    let ringway = Ringway::start(&pool(&[node], &["request_timeout: 300ms"]));
    let mut client = ringway.client();
    client.expects("get slow\r\n", "END\r\n");
    client.expects("get next\r\n", "VALUE next 0 1\r\nx\r\nEND\r\n");
    assert_eq!(ringway.metric("ringway_errors_total", &["kind=\"desync\""]), 0.0);
}

#[test]
fn refusals_of_the_node_fail_requests_and_take_it_down() {
    for error in [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MOVED 3999 127.0.0.1:6381",
        "MISCONF Redis is configured to save RDB snapshots",
        "BUSY Redis is busy running a script.",
    ] {
        let node = lying(move |_| format!("-{error}\r\n").into_bytes());
        let ringway = Ringway::start(&pool(&[node], &["health: {probe_interval: 60s, down_after: 1}"]));
        let mut client = ringway.client();
        client.expects(
            "get a\r\nget b c\r\nset a 0 0 1\r\nx\r\n",
            "END\r\nEND\r\nNOT_STORED\r\n",
        );
        wait_for("the node to be down", || state(&ringway) == "down");
        assert!(
            last_error(&ringway).starts_with(error),
            "{}",
            last_error(&ringway)
        );
        assert_eq!(
            ringway.metric("ringway_errors_total", &["kind=\"refused\""]),
            4.0,
            "{error}"
        );
    }
}

#[test]
fn an_unknown_error_reaches_the_client_in_one_line() {
    let node = lying(|_| b"-ERR \x1b[2J odd\r\n".to_vec());
    let ringway = Ringway::start(&pool(&[node], &["on_read_error: error"]));
    ringway
        .client()
        .expects("get a\r\nincr a 1\r\n", "SERVER_ERROR ERR ?[2J odd\r\n".repeat(2));
}

#[test]
fn users_and_passwords_reach_servers_that_ask_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    fs::write(&password, SECRET).expect("written");
    let auth = |user: &str| {
        format!(
            "auth: {{user: {user}, password: {{file: {}}}}}",
            password.display()
        )
    };
    let password_of_app = format!(">{SECRET}");
    let mut acl = vec!["--user", "app", "on", &password_of_app];
    acl.extend("~* +@read +@write +@scripting +@connection +flushdb +time --user default off".split(' '));
    let plain = Redis::start_with(&["--requirepass", SECRET]);
    let listed = Redis::start_with(&acl);
    for (redis, user) in [(&plain, "default"), (&listed, "app")] {
        let ringway = Ringway::start(&pool(&[redis.address()], &[&auth(user)]));
        let mut client = ringway.client();
        client.expects("set k 5 60 1\r\n1\r\nincr k 1\r\ngats 0 k\r\n", "STORED\r\n2\r\n");
        assert!(client.line().starts_with("VALUE k 5 1 "));
        client.expect("2\r\nEND\r\n");
        client.expects("flush_all\r\nget k\r\n", "OK\r\nEND\r\n");
        let said = ringway.get("/nodes").1 + &ringway.get("/config").1 + &ringway.log();
        assert!(!said.contains(SECRET));
    }
    let ringway = Ringway::start_unready(&pool(&[listed.address()], &[&auth("nobody"), HEALTH]));
    wait_for("the node to be down", || state(&ringway) == "down");
    let error = last_error(&ringway);
    assert!(
        error.contains("`auth` of the pool (WRONGPASS)") && !error.contains(SECRET),
        "{error}"
    );
}

#[test]
fn servers_are_reached_over_unix_sockets_with_a_database_and_a_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, password) = (folder.path().join("redis.sock"), folder.path().join("password"));
    fs::write(&password, SECRET).expect("written");
    let path = socket.to_str().expect("UTF-8");
    let password_of_app = format!(">{SECRET}");
    let mut words = vec!["--unixsocket", path, "--user", "app", "on", &password_of_app];
    words.extend("~* +@all --user default on nopass ~* +@all".split(' '));
    let redis = Redis::start_with(&words);
    let auth = format!("auth: {{user: app, password: {{file: {}}}}}", password.display());
    let address = format!("redis+unix:{path}?db=3");
    let ringway = Ringway::start(&pool(
        std::slice::from_ref(&address),
        &[&auth, "request_timeout: 10s", HEALTH],
    ));
    let mut client = ringway.client();
    client.expects("set k 5 0 1\r\n1\r\nincr k 1\r\n", "STORED\r\n2\r\n");
    let clients = redis.ask("CLIENT LIST");
    let count = |word| clients.matches(word).count();
    assert!(
        count(" db=3 ") > 0 && count(" db=3 ") == count(" user=app "),
        "{clients}"
    );
    assert!(redis.ask("INFO keyspace").contains("db3:keys=1"));
    assert_eq!(state(&ringway), "up");
    let nodes = ringway.get("/nodes").1;
    assert!(nodes.contains(&address), "{nodes}");
    // The ring places keys as that of a memcached at this path does.
    let place = |address: &str| {
        let ringway = Ringway::start_unready(&pool(
            &[address.to_owned(), "10.0.0.1:1".to_owned()],
            &["distribution: ringway"],
        ));
        let explained = |key: u32| ringway.get(&format!("/explain?key=k{key}")).1.contains(path);
        (0..50).map(explained).collect::<Vec<bool>>()
    };
    assert_eq!(place(&address), place(&format!("unix:{path}")));
}

#[test]
fn servers_are_reached_over_tls_by_their_names() {
    let authority = Authority::new();
    let pair = authority.pair("node", &["localhost"]);
    let redis = Redis::start_tls(&pair, &authority.ca());
    let tls = format!("tls: {{ca: {}}}", authority.ca().display());
    let address = format!("valkeys://localhost:{}", redis.port());
    let ringway = Ringway::start(&pool(&[address], &[&tls, "request_timeout: 5s"]));
    let mut client = ringway.client();
    let large = "v".repeat(300_000);
    client.set("large", &large);
    client.expects(
        "set k 5 0 1\r\n1\r\nincr k 1\r\nget k none\r\n",
        "STORED\r\n2\r\nVALUE k 5 1\r\n2\r\nEND\r\n",
    );
    assert_eq!(client.get("large"), Some(large.into_bytes()));
}

#[test]
fn a_delayed_flush_takes_what_was_stored_before_it() {
    let redis = Redis::start();
    let ringway = before(&redis);
    let mut client = ringway.client();
    client.set("k", "v");
    client.expects("flush_all 1\r\n", "OK\r\n");
    wait_for("the flush", || client.get("k").is_none());
    wait_for("the server to be empty", || redis.ask("DBSIZE") == "0");
}

#[test]
fn a_delayed_flush_is_made_even_if_operators_admit_nodes() {
    let redis = Redis::start();
    let settings = ["on_node_down: rehash", "rejoin: manual"];
    let ringway = Ringway::start(&pool(&[redis.address()], &settings));
    let mut client = ringway.client();
    client.set("k", "v");
    client.expects("flush_all 1\r\n", "OK\r\n");
    wait_for("the server to be empty", || redis.ask("DBSIZE") == "0");
    wait_for("the node to take writes", || {
        client.ask("set k 0 0 3\r\nnew\r\n") == "STORED"
    });
    assert_eq!(client.get("k"), Some(b"new".to_vec()));
}

#[test]
fn a_delayed_flush_takes_its_time_although_another_node_is_out() {
    let redis = Redis::start();
    let gone = format!("127.0.0.1:{}", free_port());
    let ringway = Ringway::start(&pool(&[redis.address(), gone], &["on_node_down: rehash", HEALTH]));
    let mut client = ringway.client();
    wait_for("the other node to be out", || {
        (0..30).all(|key| client.ask(format!("set {key} 0 0 1\r\nv\r\n")) == "STORED")
    });
    client.expects("flush_all 1000\r\n", "CLIENT_ERROR a node was not flushed\r\n");
    assert_eq!(redis.ask("DBSIZE"), "30");
    client.expects("flush_all\r\n", "CLIENT_ERROR a node was not flushed\r\n");
    assert_eq!(redis.ask("DBSIZE"), "0");
}

#[test]
fn mistakes_in_addresses_have_a_way_out() {
    let cases = [
        (
            "redis://a:b@cache:6379",
            "",
            "an address has no user and no password",
        ),
        (
            "valkey://cache:6379/x",
            "",
            "\"x\" is not the number of a database",
        ),
        ("valkey://cache", "", "did you mean cache:6379?"),
        (
            "redis:///run/r.sock",
            "",
            "for a unix socket write \"redis+unix:/run/r.sock\"",
        ),
        ("redis+unix:///run/r.sock", "", "write \"redis+unix:/run/r.sock\""),
        ("valkey+unix:/run/v.sock", "tls: true", "TLS is for TCP"),
        ("valkey+unix:/run/v.sock?db=3", "", "fine"),
        (
            "valkeys://cache:6379",
            "",
            "\"valkeys://cache:6379\" needs the pool's `tls`, add `tls: true`, or write valkey://",
        ),
        (
            "redis://cache:6379",
            "tls: true",
            "is written without TLS, write rediss:// for nodes of a pool with `tls`",
        ),
        ("valkey://cache:6379", "handover: {prepare: 1m}", "fine"),
        (
            "valkey://cache:6379",
            "auth: {password: {env: X}}",
            "`default` if they ask for a password alone",
        ),
        ("rediss://cache:6379", "tls: true", "fine"),
    ];
    for (address, setting, wanted) in cases {
        let told = diagnostics(&pool(&[address.to_owned()], &[setting]));
        assert!(told.contains(wanted), "{address} {setting}:\n{told}");
    }
    let sockets = ["valkey+unix:/s", "redis+unix:/s?db=0"].map(str::to_owned);
    let twice = diagnostics(&pool(&sockets, &[]));
    assert!(twice.contains("nodes[0] has the address"), "{twice}");
    let twice = diagnostics(&pool(&["valkey://a:1".to_owned(), "redis://A:1".to_owned()], &[]));
    assert!(twice.contains("nodes[0] has the address"), "{twice}");
    let apart = diagnostics(&pool(
        &["valkey://a:1/1".to_owned(), "redis://a:1/2".to_owned()],
        &[],
    ));
    assert_eq!(apart, "fine");
}
