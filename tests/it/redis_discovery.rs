//! Pools whose Redis nodes are discovered, in DNS and from a file.

use std::fs;

use serde_json::Value;

use crate::discovery::{discovering, keys, main_pool, nodes, places, places_in, wait_nodes};
use crate::dns::{SERVICE, asking, service};
use crate::support::dns::Dns;
use crate::support::memcached::Memcached;
use crate::support::redis::Redis;
use crate::support::ringway::{Ringway, wait_for};

fn redis_nodes(count: usize) -> Vec<Redis> {
    (0..count).map(|_| Redis::start()).collect()
}

/// The number of keys in a database.
fn size(redis: &Redis, number: u32) -> u32 {
    let sizes = redis.ask("INFO keyspace");
    let line = sizes
        .lines()
        .find(|line| line.starts_with(&format!("db{number}:")));
    let count = line.and_then(|line| line.split(['=', ',']).nth(1));
    count.map_or(0, |count| count.parse().expect("a number"))
}

#[test]
fn a_service_of_redis_nodes_grows_and_shrinks() {
    for (word, scheme, number) in [("dnssrv", "redis", 0), ("dnssrvnoa", "valkey", 2)] {
        let mut redis = redis_nodes(3);
        let ports: Vec<u16> = redis.iter().map(Redis::port).collect();
        let end = match number {
            0 => String::new(),
            number => format!("/{number}"),
        };
        let names: Vec<String> = (0..3)
            .map(|at| format!("{scheme}://cache-{at}.cache.test:{}{end}", ports[at]))
            .collect();
        let mut dns = Dns::start(&service(&ports[..2]));
        let from = format!("{word}+{scheme}://{SERVICE}{end}");
        let ringway = Ringway::start(&asking(&dns, &from, "max_moved: 100%"));
        wait_nodes(&ringway, &names[..2]);
        assert_eq!(main_pool(&ringway)["discover"]["from"], *from);
        assert_eq!(places_in(&ringway, &keys()), places(&names[..2], &keys()));
        dns.set(&service(&ports));
        wait_nodes(&ringway, &names);
        let mut client = ringway.client();
        keys().iter().for_each(|key| client.set(key, "v"));
        assert!(redis.iter().all(|redis| size(redis, number) > 0));
        // A node that is missing leaves once it is down.
        drop(redis.pop());
        dns.set(&service(&ports[..2]));
        wait_nodes(&ringway, &names[..2]);
        keys().iter().for_each(|key| client.set(key, "v"));
    }
}

#[test]
fn every_address_of_a_name_is_a_redis_node() {
    let redis = Redis::start_with(&["--save", "", "--bind", "127.0.0.1 127.0.0.2"]);
    let port = redis.port();
    let mut dns = Dns::start(&["host-record=cache.test,127.0.0.1".to_owned()]);
    let from = format!("dns+valkey://cache.test:{port}/1");
    let ringway = Ringway::start(&asking(&dns, &from, "max_moved: 100%"));
    let node = |ip: &str| format!("valkey://{ip}:{port}/1");
    wait_nodes(&ringway, &[node("127.0.0.1")]);
    let mut client = ringway.client();
    client.set("k", "v");
    dns.set(&[
        "host-record=cache.test,127.0.0.1".to_owned(),
        "host-record=cache.test,127.0.0.2".to_owned(),
    ]);
    wait_nodes(&ringway, &[node("127.0.0.1"), node("127.0.0.2")]);
    // Both are the same server.
    assert_eq!(client.get("k").as_deref(), Some(&b"v"[..]));
    assert_eq!(size(&redis, 1), 1);
}

#[test]
fn a_file_lists_redis_nodes_and_what_is_none_never_becomes_one() {
    let redis = redis_nodes(3);
    let memcached = Memcached::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nodes.json");
    let write = |targets: &[String]| {
        let draft = folder.path().join("draft");
        fs::write(&draft, serde_json::json!([{ "targets": targets }]).to_string()).expect("written");
        fs::rename(draft, &path).expect("renamed");
    };
    let mut all: Vec<String> = redis
        .iter()
        .map(|redis| format!("{}/3", redis.address()))
        .collect();
    write(&all[..2]);
    let text = discovering(&format!("file+{}", path.display()), "max_moved: 100%");
    let ringway = Ringway::start(&text);
    wait_nodes(&ringway, &all[..2]);
    assert_eq!(places_in(&ringway, &keys()), places(&all[..2], &keys()));
    let impostor = format!("redis://{}", memcached.address());
    all.push(impostor.clone());
    write(&all);
    wait_nodes(&ringway, &all[..3]);
    let joining = || main_pool(&ringway)["discover"]["joining"].clone();
    wait_for("the memcached is seen", || {
        joining() == Value::from(vec![impostor.clone()])
    });
    let mut client = ringway.client();
    keys().iter().for_each(|key| client.set(key, "v"));
    assert!(redis.iter().all(|redis| size(redis, 3) > 0));
    assert_eq!(nodes(&ringway).len(), 3);
}
