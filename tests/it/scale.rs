//! Many of everything: sessions, nodes, and reloads of a pool of a thousand nodes while others are served.
//!
//! How long these things take is printed by `tests/bench/scale/run`; here it is that they work.

use std::fmt::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, Ringway, free_port, pool, wait_for};

/// One memcached that listens on every address of 127.0.0.0/8, so that it stands for a thousand nodes.
struct Everywhere {
    child: Child,
    port: u16,
}

impl Everywhere {
    fn start() -> Everywhere {
        let port = free_port();
        let child = program::start(
            Command::new("memcached")
                .args(["-u", "root", "-U", "0", "-t", "1", "-c", "8192", "-l", "0.0.0.0"])
                .args(["-p", &port.to_string()])
                .stdin(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_for("memcached", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Everywhere { child, port }
    }

    fn address(&self, number: usize) -> String {
        format!("127.9.{}.{}:{}", number / 250, number % 250 + 1, self.port)
    }
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A large pool behind the first listener, a small one behind a second.
fn two_pools(large: &[String], small: &str, other_port: u16, timeout: &str) -> String {
    let mut text = format!(
        "listeners:\n  - {{bind: 127.0.0.1:PORT, route: main}}\n  - {{bind: 127.0.0.1:{other_port}, route: small}}\n"
    );
    text += &pool(large, &[&format!("request_timeout: {timeout}")]);
    writeln!(text, "  small: {{nodes: ['{small}'], request_timeout: 15s}}").expect("a string takes all");
    text
}

#[test]
fn a_thousand_nodes_take_keys_and_their_reloads_disturb_no_client_of_another_pool() {
    let everywhere = Everywhere::start();
    let small = Memcached::start();
    let nodes: Vec<String> = (0..1000).map(|number| everywhere.address(number)).collect();
    let other_port = free_port();
    let ringway = Ringway::start(&two_pools(&nodes, &small.address(), other_port, "15s"));

    let mut client = ringway.client();
    for number in 0..2000 {
        client.set(&format!("key-{number}"), "v");
    }
    for number in 0..2000 {
        assert_eq!(client.get(&format!("key-{number}")).as_deref(), Some(&b"v"[..]));
    }
    let links = ringway.metric("ringway_links", &["pool=\"main\""]);
    assert!(links > 800.0, "keys go to {links} of a thousand nodes");

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let pings = scope.spawn(|| {
            let mut other = Client::connect(other_port);
            let mut pings = 0;
            while !is_over.load(Relaxed) {
                other.set("k", pings.to_string());
                assert_eq!(other.get("k"), Some(pings.to_string().into_bytes()));
                pings += 1;
            }
            pings
        });
        for count in [999, 1000, 500, 1000] {
            let text = two_pools(&nodes[..count], &small.address(), other_port, "14s");
            assert_eq!(ringway.reload(&text).0, 200);
            client.set("after", count.to_string());
            assert_eq!(client.get("after"), Some(count.to_string().into_bytes()));
        }
        is_over.store(true, Relaxed);
        assert!(pings.join().expect("every ping is answered") > 0);
    });
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
}

#[test]
fn ten_thousand_sessions_are_served_over_one_link_to_each_node() {
    const SESSIONS: usize = 10_000;
    let nodes = [Memcached::start(), Memcached::start()];
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let text = "listeners:\n  - {bind: 127.0.0.1:PORT, max_connections: 20000}\n".to_owned();
    let ringway = Ringway::start(&(text + &pool(&addresses, &["request_timeout: 15s"])));
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| ringway.client()).collect();
    // All ask before anybody reads.
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("set k{number} 0 0 1\r\nv\r\nget k{number}\r\n"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(format!("STORED\r\nVALUE k{number} 0 1\r\nv\r\nEND\r\n"));
    }
    assert_eq!(ringway.metric("ringway_sessions", &[]), SESSIONS as f64);
    assert_eq!(ringway.metric("ringway_links", &[]), 2.0);
    drop(clients);
    wait_for("the sessions to be gone", || {
        ringway.metric("ringway_sessions", &[]) == 0.0
    });
}
