//! Policies over Redis nodes: they see a node that knows leases and tokens, as memcached has them.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::lazy_fill::{COMMANDS, COUNTERS, EndOnDrop, World, replies};
use crate::support::memcached::Memcached;
use crate::support::redis::Redis;
use crate::support::ringway::{Ringway, wait_for};
use crate::support::routes::with_route;

/// How many faults there are.
const TURNS: usize = 8;

#[test]
fn every_command_is_answered_as_by_one_memcached_while_redis_is_filled_and_back() {
    const KEYS: usize = 12;
    let plain = Memcached::start();
    let (memcached, redis) = (Memcached::start(), Redis::start());
    let there = [redis.address(), memcached.address()];
    let back = [memcached.address(), redis.address()];
    let routes = [
        (&there, "{lazy_fill: {to: a, from: b}}"),
        (&back, "{lazy_fill: {to: a, from: b}}"),
        (&there, "{layers: {near: a, far: b, near_expiry: 100s}}"),
        (&back, "{failover: [b, a]}"),
        (&there, "{single_flight: a}"),
    ];
    for (number, (nodes, route)) in routes.into_iter().enumerate() {
        // Pool `a` is filled from what is in `b`.
        let ringway = Ringway::start(&with_route(nodes, "b"));
        let (mut client, mut reference) = (ringway.client(), plain.client());
        let first = if route.contains("single_flight") { "a" } else { "b" };
        assert_eq!(ringway.reload(&with_route(nodes, first)).0, 200);
        let keys = || (0..COMMANDS.len() * KEYS).map(|key| format!("{number}:{key}"));
        for (_, key) in keys()
            .enumerate()
            .filter(|(at, _)| (at / COMMANDS.len()).is_multiple_of(2))
        {
            let set = format!("set {key} {} 0 2\r\n10\r\n", number % 2 * 7);
            client.expects(&set, "STORED\r\n");
            reference.expects(&set, "STORED\r\n");
        }
        assert_eq!(ringway.reload(&with_route(nodes, route)).0, 200);
        for (at, key) in keys().enumerate() {
            let command = COMMANDS[at % COMMANDS.len()];
            assert_eq!(
                replies(&mut client, command, &key),
                replies(&mut reference, command, &key),
                "{route} of {nodes:?}: {command} of {key}"
            );
        }
    }
}

#[test]
fn a_value_moves_from_memcached_to_redis_with_its_flags_and_the_time_it_has_left() {
    let (memcached, redis) = (Memcached::start(), Redis::start());
    let nodes = [redis.address(), memcached.address()];
    let ringway = Ringway::start(&with_route(&nodes, "{lazy_fill: {to: a, from: b}}"));
    let (mut client, mut old) = (ringway.client(), memcached.client());
    old.expects(
        "set k 77 100 5\r\nhello\r\nset plain 0 0 1\r\nx\r\n",
        "STORED\r\nSTORED\r\n",
    );
    client.expects(
        "get k\r\nget plain\r\n",
        "VALUE k 77 5\r\nhello\r\nEND\r\nVALUE plain 0 1\r\nx\r\nEND\r\n",
    );
    // A copy that a busy machine was too slow for is made by the next read.
    wait_for("the copies", || {
        assert_eq!(client.get("plain").as_deref(), Some(&b"x"[..]));
        assert!(client.ask("mg k\r\n").starts_with("HD"));
        redis.ask("STRLEN plain") == "1" && redis.ask("STRLEN k") == "22"
    });
    assert_eq!(
        (redis.ask("GET plain"), redis.ask("TTL plain")),
        ("x".into(), "-1".into())
    );
    let left: u64 = redis.ask("TTL k").parse().expect("a number");
    assert!((90..=100).contains(&left), "{left}");
    client.expects(
        "set k 3 0 1\r\ny\r\nget k\r\n",
        "STORED\r\nVALUE k 3 1\r\ny\r\nEND\r\n",
    );
    old.expects("get k\r\n", "END\r\n");
}

#[test]
fn of_all_clients_of_two_ringways_one_computes_the_value_and_the_others_read_it() {
    let redis = Redis::start();
    let start = || {
        let nodes = [redis.address(), redis.address()];
        Ringway::start(&with_route(&nodes, "{stampede: {to: b, wait: 10s, stale: 30s}}"))
    };
    let sidecars = [start(), start()];
    let computed = AtomicUsize::new(0);
    let ask_all = |value: &str| {
        scope(|threads| {
            for client in 0..20 {
                let (sidecar, computed) = (&sidecars[client % 2], &computed);
                threads.spawn(move || {
                    let mut client = sidecar.client();
                    if client.get("k").is_none() {
                        computed.fetch_add(1, SeqCst);
                        sleep(Duration::from_millis(200));
                        client.set("k", value);
                    }
                });
            }
        });
    };
    ask_all("first");
    assert_eq!(computed.load(SeqCst), 1);
    assert_eq!(redis.ask("GET k"), "first", "it is a plain string again");
    // A deleted value is stale, and one client computes it anew while the others read the old one.
    sidecars[0].client().expects("delete k\r\n", "DELETED\r\n");
    ask_all("second");
    assert_eq!(computed.load(SeqCst), 2);
    assert_eq!(redis.ask("GET k"), "second");
}

#[test]
fn no_old_value_comes_back_while_redis_is_filled_and_fails() {
    let (memcached, mut redis) = (
        Memcached::start(),
        Redis::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]),
    );
    let text = format!(
        "workers: 2\npools:\n  a: {{nodes: ['{}'], request_timeout: 250ms, on_read_error: error, on_write_error: error, \
         health: {{down_after: 1000000}}}}\n  b: {{nodes: ['{}'], request_timeout: 5s}}\n",
        redis.address(),
        memcached.address()
    );
    let before = Ringway::start(&format!("{text}routes: {{default: b}}\n"));
    let world = World::begin(&mut before.client(), COUNTERS);
    let route = format!("{text}routes: {{default: {{lazy_fill: {{to: a, from: b}}}}}}\n");
    let sidecars = [Ringway::start(&route), Ringway::start(&route)];
    scope(|clients| {
        for client in 0..6 {
            let (world, sidecar) = (&world, &sidecars[(client % 2) as usize]);
            clients.spawn(move || {
                let _ends_all = EndOnDrop(world);
                world.run(sidecar, client + 1);
            });
        }
        let _ends_all = EndOnDrop(&world);
        for turn in (0..TURNS).take_while(|_| !world.is_over.load(SeqCst)) {
            if turn % 2 == 0 {
                redis.signal("STOP");
                sleep(Duration::from_millis(400));
                redis.signal("CONT");
            } else {
                redis.restart();
            }
            sleep(Duration::from_millis(200));
        }
    });
    let written = world.values.load(SeqCst);
    assert!(written > 20, "only {written} writes");
}
