//! memccapable, libmemcached's own test of a server: what a bare memcached passes, Ringway passes in front of
//! four.

use std::process::Command;

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::redis::Redis;
use crate::support::ringway::{Ringway, pool};

/// The tests of one protocol that passed, and the lines of those that did not.
fn verdicts(port: u16, protocol: &str) -> (Vec<String>, Vec<String>) {
    let output = program::output(Command::new("memccapable").args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-t",
        "10",
        "-v",
        protocol,
    ]));
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let (mut passed, mut others) = (Vec::new(), Vec::new());
    for line in text.lines() {
        match line.strip_suffix("[pass]") {
            Some(name) => passed.push(name.trim().to_owned()),
            None => others.push(line.to_owned()),
        }
    }
    (passed, others)
}

#[test]
fn ringway_passes_it_in_front_of_redis() {
    let (bare, redis) = (Memcached::start(), Redis::start());
    let ringway = Ringway::start(&pool(&[redis.address()], &["request_timeout: 10s"]));
    for protocol in ["-a", "-b"] {
        let (wanted, _) = verdicts(bare.port(), protocol);
        let (passed, others) = verdicts(ringway.port, protocol);
        assert_eq!(passed, wanted, "{protocol}: {others:#?}");
    }
}

#[test]
fn ringway_passes_what_memcached_passes_of_memccapable() {
    let bare = Memcached::start();
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &["request_timeout: 10s"]));
    for protocol in ["-a", "-b"] {
        let (wanted, _) = verdicts(bare.port(), protocol);
        let (passed, others) = verdicts(ringway.port, protocol);
        assert!(wanted.len() >= 27, "memcached passes {wanted:?}");
        assert_eq!(passed, wanted, "{protocol}: {others:#?}");
    }
}
