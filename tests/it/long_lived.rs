//! Connections that live long: names with dead addresses, connections that somebody on the way forgets, and names
//! that lead elsewhere after a while.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;
use std::{fs, io};

use socket2::{Domain, Socket, Type};

use crate::support::binary::packet;
use crate::support::forgetful::{Forgetful, Forgotten};
use crate::support::hosts::Hosts;
use crate::support::memcached::Memcached;
use crate::support::relay::Relay;
use crate::support::ringway::{Client, Ringway, free_port, pool, shown, wait_for};
use crate::support::scripted::{Scripted, say};

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

/// Longer than a link is trusted without a word.
const SILENCE: Duration = Duration::from_millis(1300);

/// Writes of every protocol and kind to keys that begin with `p`, each with what its answer begins with.
fn writes(p: &str, is_meta: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut writes: Vec<(String, String)> = [
        ("set P:k 0 0 1\r\nv\r\n", "STORED\r\n"),
        ("add P:a 0 0 1\r\nv\r\nincr P:n 1\r\n", "STORED\r\nNOT_FOUND\r\n"),
        (
            "set P:k 0 0 1 noreply\r\nw\r\nget P:k\r\n",
            "VALUE P:k 0 1\r\nw\r\nEND\r\n",
        ),
        (
            "set P:a 0 0 1\r\nv\r\ndelete P:a\r\nget P:a P:b P:c\r\n",
            "STORED\r\nDELETED\r\nEND\r\n",
        ),
        ("touch P:t 0\r\n", "NOT_FOUND\r\n"),
        ("ms P:k 1 c\r\nv\r\n", "HD c"),
        ("ms P:q 1 q\r\nv\r\nmd P:q q\r\nmg P:q\r\n", "EN\r\n"),
        ("ma P:n N0 J5 v\r\n", "VA 1\r\n5\r\n"),
    ]
    .iter()
    .take(if is_meta { usize::MAX } else { 5 })
    .map(|(request, answer)| (request.replace('P', p), answer.replace('P', p)))
    .collect();
    let text = writes
        .drain(..)
        .map(|(request, answer)| (request.into_bytes(), answer.into_bytes()));
    let mut writes: Vec<(Vec<u8>, Vec<u8>)> = text.collect();
    let key = format!("{p}:k");
    writes.push((
        packet(0x01, &[0; 8], &key, b"v"),
        vec![0x81, 0x01, 0, 0, 0, 0, 0, 0],
    ));
    writes.push((packet(0x04, &[], &key, b""), vec![0x81, 0x04, 0, 0, 0, 0, 0, 1]));
    writes
}

/// A pool for each of `count` prefixes, all with one node: each has links of its own.
fn pools(node: &str, count: usize, settings: &str) -> String {
    let mut text = "workers: 2\npools:\n".to_owned();
    for pool in 0..count {
        text += &format!("  q{pool}: {{nodes: ['{node}']{settings}}}\n");
    }
    text += "routes:\n  default:\n    else: q0\n    prefix:\n";
    for pool in 0..count {
        text += &format!("      'w{pool}:': q{pool}\n");
    }
    text
}

#[test]
fn no_write_fails_after_a_silence_in_which_its_connection_was_forgotten() {
    for manner in [Forgotten::Swallows, Forgotten::Resets] {
        for settings in ["", ", protocol: classic", ", connections: 2"] {
            let memcached = Memcached::start();
            let relay = Forgetful::start(memcached.port(), manner);
            let is_meta = !settings.contains("classic");
            let count = writes("", is_meta).len();
            let ringway = Ringway::start(&pools(&relay.address(), count, settings));
            // Two clients for each write, one at each worker, whose links are all open.
            let warm = |index: usize, client: &mut Client| {
                let get = format!("get w{index}:none\r\n");
                client.expects(get, "END\r\n");
            };
            let mut warming: Vec<Client> = (0..4).map(|_| ringway.client()).collect();
            for client in &mut warming {
                (0..count).for_each(|index| warm(index, client));
            }
            let mut clients: Vec<[Client; 2]> =
                (0..count).map(|_| [ringway.client(), ringway.client()]).collect();
            let opened = ringway.metric("ringway_link_connects_total", &[]);
            sleep(SILENCE);
            relay.forget();
            for (index, clients) in clients.iter_mut().enumerate() {
                let (request, answer) = writes(&format!("w{index}"), is_meta).swap_remove(index);
                for (turn, client) in clients.iter_mut().enumerate() {
                    let about = format!("{manner:?} {settings:?} {turn} {}", shown(&request));
                    memcached.client().send("flush_all noreply\r\n");
                    client.send(&request);
                    let got = client.exact(answer.len());
                    assert_eq!(shown(&got), shown(&answer), "{about}");
                }
            }
            let writes = 2.0 * count as f64;
            let reopened = ringway.metric("ringway_link_connects_total", &[]) - opened;
            assert!(
                reopened >= writes,
                "{reopened} of {writes} links were opened anew"
            );
            assert!(relay.lost() >= 2 * count, "they were asked in vain");
            assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0, "{manner:?}");
            assert_eq!(ringway.metric("ringway_ejections_total", &[]), 0.0, "{manner:?}");
        }
    }
}

#[test]
fn a_link_that_was_idle_and_answers_is_kept_and_a_busy_one_is_not_asked() {
    let lines: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
    let seen = lines.clone();
    let node = Scripted::start("", move |request| {
        seen.lock()
            .expect("no panics")
            .push((request.connection, request.line.clone()));
        match request.word(0) {
            "version" => say("VERSION 1.6.18\r\n"),
            _ => say(format!("HD k{}\r\n", request.word(1))),
        }
    });
    let settings = ["protocol: meta", "health: {probe_interval: 1h}"];
    let ringway = Ringway::start(&pool(&[node.address()], &settings));
    let mut client = ringway.client();
    client.expects("md a\r\nmd b\r\n", "HD\r\nHD\r\n");
    client.expects("md c\r\n", "HD\r\n");
    sleep(SILENCE);
    client.expects("md d\r\nmd e\r\n", "HD\r\nHD\r\n");
    let lines = lines.lock().expect("no panics");
    let word = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let link = lines
        .iter()
        .find(|(_, line)| line.starts_with("md"))
        .expect("a link")
        .0;
    let said: Vec<String> = lines
        .iter()
        .filter(|(connection, _)| *connection == link)
        .map(|(_, line)| word(line))
        .collect();
    assert_eq!(said, ["md a", "md b", "md c", "version", "md d", "md e"]);
    assert_eq!(ringway.metric("ringway_link_renewals_total", &[]), 0.0);
}

/// Where the links of the node lead, as `/nodes` shows them.
fn connected(ringway: &Ringway) -> Vec<String> {
    let node = node(ringway);
    let addresses = node["connected"].as_object().expect("a mapping").keys();
    addresses.cloned().collect()
}

#[test]
fn links_follow_a_name_to_its_new_address_though_the_old_one_still_answers() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let (old_way, new_way) = two_ways(&old, &new);
    let hosts = Hosts::new("cache.test", &[&old_way.ip().to_string()]);
    let nodes = [format!("cache.test:{}", old_way.port())];
    let yaml = format!("workers: 2\n{}", pool(&nodes, &["connections: 2"]));
    let ringway = hosts.start(&yaml);
    let mut clients: Vec<Client> = (0..8).map(|_| ringway.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.set(&format!("k{number}"), "old");
    }
    assert_eq!(connected(&ringway), [old_way.to_string()]);

    hosts.set("cache.test", &[&new_way.ip().to_string()]);
    // A reload keeps the node, and its links look at the name all the same.
    assert_eq!(ringway.reload(&(yaml + "    max_value_size: 2MiB\n")).0, 200);
    // One client asks all the while, the others are idle; no request fails and each reads what it wrote.
    let mut number = 0;
    wait_for("links to the new address only", || {
        number += 1;
        let value = number.to_string();
        clients[0].send(format!("set k 0 0 {}\r\n{value}\r\nget k\r\n", value.len()));
        clients[0].expect("STORED\r\n");
        let read = clients[0].line();
        // At the moment of the move the set is at the old address, and the get may be at the new one.
        if read != "END" {
            clients[0].expect(format!("{value}\r\nEND\r\n"));
        }
        connected(&ringway) == [new_way.to_string()]
    });
    for (number, client) in clients.iter_mut().enumerate() {
        client.set(&format!("k{number}"), "new");
    }
    for number in 0..8 {
        let key = format!("k{number}");
        assert_eq!(new.client().get(&key).as_deref(), Some(&b"new"[..]), "{key}");
        assert_eq!(old.client().get(&key).as_deref(), Some(&b"old"[..]), "{key}");
    }
    assert_eq!(connected(&ringway), [new_way.to_string()]);
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
    assert_eq!(ringway.metric("ringway_ejections_total", &[]), 0.0);
}

/// Two addresses with one port, which lead to one memcached each.
fn two_ways(old: &Memcached, new: &Memcached) -> (SocketAddr, SocketAddr) {
    let (one, other) = ([127, 0, 1, 1], [127, 0, 1, 2]);
    for _ in 0..20 {
        let port = free_port();
        let [one, other] = [one, other].map(|ip| SocketAddr::from((ip, port)));
        if let (Ok(first), Ok(second)) = (TcpListener::bind(one), TcpListener::bind(other)) {
            forward(first, old.port());
            forward(second, new.port());
            return (one, other);
        }
    }
    panic!("no port is free at both addresses");
}

/// Carries what comes to 127.0.0.1, for as long as the test runs.
fn forward(listener: TcpListener, to: u16) {
    spawn(move || {
        for front in listener.incoming().flatten() {
            let back = TcpStream::connect(("127.0.0.1", to)).expect("memcached listens");
            for (from, to) in [(&front, &back), (&back, &front)] {
                from.set_nodelay(true).expect("a socket");
                let (mut from, mut to) = (
                    from.try_clone().expect("a socket"),
                    to.try_clone().expect("a socket"),
                );
                spawn(move || {
                    let _closed = io::copy(&mut from, &mut to);
                    let _closed_before = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
}
