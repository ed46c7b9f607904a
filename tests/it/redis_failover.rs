//! A replica that takes its master's place: requests follow, behind a name and behind an address, and no value is older
//! than a failed write.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::hosts::Hosts;
use crate::support::redis::Redis;
use crate::support::ringway::{Ringway, pool, wait_for};

const THERE: &str = "127.0.0.2";

/// Quick probes, so that a node is down and up again soon.
const HEALTH: &str = "health: {probe_interval: 50ms, down_after: 2, up_after: 1, max_probe_interval: 100ms}";

fn state(ringway: &Ringway) -> String {
    let nodes: Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    nodes[0]["state"].as_str().expect("text").to_owned()
}

/// A master, and a replica that has the master's `k`, which `client` sets.
fn replicated(master: &Redis, client: &mut Client) -> Redis {
    client.set("k", "old");
    client.set("other", "stays");
    let replica = master.start_replica(THERE);
    wait_for("replication", || replica.ask("GET other") == "stays");
    replica
}

/// The replica takes the master's place, which becomes its replica.
fn fail_over(master: &Redis, replica: &Redis) {
    replica.ask("REPLICAOF NO ONE");
    master.ask(&format!("REPLICAOF {THERE} {}", replica.port()));
}

/// Writes until that is read. What was there before a write failed is not read any more.
fn wait_written(client: &mut Client) {
    wait_for("writes to be taken", || {
        client.ask("set k 0 0 3\r\nnew\r\n");
        let found = client.get("k");
        assert_ne!(found.as_deref(), Some(&b"old"[..]));
        found.as_deref() == Some(b"new")
    });
    assert_eq!(client.get("other").as_deref(), Some(&b"stays"[..]));
}

#[test]
fn requests_follow_a_name_to_the_new_master() {
    let master = Redis::start();
    let hosts = Hosts::new("cache.test", &["127.0.0.1"]);
    let nodes = [format!("valkey://cache.test:{}", master.port())];
    let ringway = hosts.start(&pool(&nodes, &[HEALTH]));
    let mut client = ringway.client();
    let replica = replicated(&master, &mut client);
    fail_over(&master, &replica);
    client.expects("set k 0 0 3\r\nnew\r\n", "NOT_STORED\r\n");
    wait_for("the node to be down", || state(&ringway) == "down");
    hosts.set("cache.test", &[THERE]);
    wait_written(&mut client);
    assert_eq!(replica.ask("GET k"), "new");
    wait_for("the node to be up", || state(&ringway) == "up");
    wait_for("the links", || {
        let nodes = ringway.get("/nodes").1;
        nodes.contains(&format!("{THERE}:")) && !nodes.contains("\"127.0.0.1:")
    });
}

/// Carries each new connection to where it leads at that time, as a load balancer does. Those that exist stay.
fn balancer(to: &Arc<Mutex<SocketAddr>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let to = to.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let target = *to.lock().expect("no panics");
            let Ok(server) = TcpStream::connect(target) else {
                continue;
            };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let ends = (from.try_clone(), to.try_clone());
                let (Ok(mut from), Ok(mut to)) = ends else { return };
                thread::spawn(move || {
                    let _broken = io::copy(&mut from, &mut to);
                    let _closed = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    port
}

#[test]
fn links_to_a_replica_are_opened_anew_because_a_master_may_answer_at_the_same_address() {
    let master = Redis::start();
    let to = Arc::new(Mutex::new(SocketAddr::from(([127, 0, 0, 1], master.port()))));
    let nodes = [format!("redis://127.0.0.1:{}", balancer(&to))];
    // No request and no probe takes the node down.
    let settings = ["health: {probe_interval: 50ms, down_after: 1000000}"];
    let ringway = Ringway::start(&pool(&nodes, &settings));
    let mut client = ringway.client();
    let replica = replicated(&master, &mut client);
    fail_over(&master, &replica);
    *to.lock().expect("no panics") = SocketAddr::from(([127, 0, 0, 2], replica.port()));
    client.expects("set k 0 0 3\r\nnew\r\n", "NOT_STORED\r\n");
    wait_written(&mut client);
    assert_eq!(replica.ask("GET k"), "new");
}
