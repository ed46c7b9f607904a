//! Connections that live long: names with dead addresses, connections that somebody on the way forgets, and names
//! that lead elsewhere after a while.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::support::hosts::Hosts;
use crate::support::memcached::Memcached;
use crate::support::relay::Relay;
use crate::support::ringway::{Ringway, pool, wait_for};

/// An address that drops what comes: its queue is full, and it never accepts. The sockets keep it so.
fn dropping(address: SocketAddr) -> Vec<Socket> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("made");
    listener.bind(&address.into()).expect("a free port");
    listener.listen(0).expect("listens");
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("made");
        client.set_nonblocking(true).expect("set");
        let _in_progress = client.connect(&address.into());
        sockets.push(client);
    }
    sockets
}

fn node(ringway: &Ringway) -> serde_json::Value {
    let (_, text) = ringway.get("/nodes");
    let nodes: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    nodes[0].clone()
}

#[test]
fn a_node_whose_first_address_drops_packets_is_up_while_idle_and_carries_requests() {
    let memcached = Memcached::start();
    let relay = Relay::start(memcached.port());
    let address: SocketAddr = relay.address().parse().expect("an address");
    let dead = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    let _full = dropping(dead);
    let hosts = Hosts::new("cache.test", &["127.0.0.1", &address.ip().to_string()]);
    let yaml = pool(
        &[format!("cache.test:{}", address.port())],
        &["health: {down_after: 1, probe_interval: 20ms}"],
    );
    let ringway = hosts.start(&yaml);
    wait_for("probes that are answered", || {
        node(&ringway)["version"].is_string() && node(&ringway)["state"] == "up"
    });
    assert_eq!(
        node(&ringway)["resolved"][0],
        dead.to_string(),
        "the dead one is first"
    );
    assert_eq!(ringway.metric("ringway_ejections_total", &[]), 0.0);
    ringway.client().set("k", "v");
}

/// The established connections of this machine as the kernel shows them: both ports, and which timer runs.
fn connections() -> Vec<(u16, u16, String)> {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let timer = words.get(5)?.split(':').next()?.to_owned();
        (*words.get(3)? == "01").then_some((port(words[1])?, port(words[2])?, timer))
    };
    table.lines().filter_map(row).collect()
}

#[test]
fn the_kernel_looks_after_sessions_links_and_probes() {
    const KEEPALIVE: &str = "02";
    let memcached = Memcached::start();
    let ringway = Ringway::start(&pool(&[memcached.address()], &[]));
    let mut client = ringway.client();
    client.set("k", "v");
    wait_for("a probe's connection beside the link", || {
        let to_node = |(_, to, _): &&(u16, u16, String)| *to == memcached.port();
        connections().iter().filter(to_node).count() == 2
    });
    let ours = |(from, to, _): &(u16, u16, String)| *from == ringway.port || *to == memcached.port();
    // Right after something was sent, the timer may be another one.
    wait_for("keepalive on all of them", || {
        let ours: Vec<_> = connections().into_iter().filter(ours).collect();
        ours.len() == 3 && ours.iter().all(|(_, _, timer)| timer == KEEPALIVE)
    });
}
