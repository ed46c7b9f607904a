//! The Python clients of every tutorial, unmodified, through Ringway over several real nodes: their scripts in
//! `tests/clients/python` run to their ends.

use std::path::Path;
use std::process::Command;

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool};

/// The scripts that run here; `tests/clients/run` runs those of other libraries too.
const SCRIPTS: [&str; 3] = [
    "with_pylibmc.py",
    "with_pymemcache.py",
    "with_python_memcached.py",
];

/// Runs every script against `port` of 127.0.0.1.
fn run_all(port: u16) {
    let python = std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python");
    for script in SCRIPTS.map(|name| folder.join(name)) {
        let port = port.to_string();
        let output = program::output(Command::new(&python).arg(&script).args(["127.0.0.1", &port]));
        assert!(
            output.status.success(),
            "{} did not pass (tests/run installs the clients and sets RINGWAY_PYTHON):\n{}{}",
            script.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn python_clients_work_over_several_memcached_nodes() {
    let nodes: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&format!(
        "workers: 2\n{}",
        pool(&addresses, &["request_timeout: 10s"])
    ));
    run_all(ringway.port);
    assert_eq!(
        ringway.metric("ringway_bad_requests_total", &[]),
        0.0,
        "nothing was refused"
    );
}

#[test]
fn python_clients_work_over_nodes_that_get_classic_text() {
    let nodes: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let settings = ["request_timeout: 10s", "protocol: classic", "connections: 2"];
    run_all(Ringway::start(&pool(&addresses, &settings)).port);
}

#[test]
fn python_clients_work_over_embedded_nodes() {
    let nodes = ["{name: a, embedded: 64MiB}", "{name: b, embedded: 64MiB}"];
    let ringway = Ringway::start(&format!("workers: 2\n{}", pool(&nodes.map(str::to_owned), &[])));
    run_all(ringway.port);
}
