//! `ringway observe`: in front of one memcached without a configuration.

use std::process::Stdio;

use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::program::{self, ringway, said};
use crate::support::ringway::{free_port, http, wait_for};

#[test]
fn one_memcached_is_observed_without_a_configuration() {
    let node = Memcached::start();
    let (listen, admin) = (free_port(), free_port());
    let [clients, browser] = [listen, admin].map(|port| format!("127.0.0.1:{port}"));
    let arguments = [
        "observe",
        "--node",
        &node.address(),
        "--listen",
        &clients,
        "--admin",
        &browser,
    ];
    let mut observing = program::start(ringway(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()));
    wait_for("it to be ready", || {
        http(admin, "GET", "/readyz").is_some_and(|(status, _)| status == 200)
    });
    let mut client = Client::connect(listen);
    client.set("k", "value");
    assert_eq!(node.client().get("k"), Some(b"value".to_vec()));
    assert_eq!(client.get("k"), Some(b"value".to_vec()));
    let (_, status) = http(admin, "GET", "/status").expect("an answer");
    assert!(status.contains(&node.address()), "{status}");
    let top = program::output(&mut ringway(&["top", "--once", "--admin", &browser]));
    assert!(said(&top).1.contains("observed"), "{top:?}");
    let (_, reload) = http(admin, "POST", "/reload").expect("an answer");
    assert!(!reload.is_empty());
    let _ended_before = observing.kill();
    let (_, greeting, _) = said(&observing.wait_with_output().expect("it ended"));
    assert!(
        greeting.contains(&format!("Ringway observes {}.", node.address())) && greeting.contains(&clients),
        "{greeting}"
    );
}

#[test]
fn what_cannot_be_observed_is_refused_with_the_way_out() {
    let output = program::output(&mut ringway(&["observe", "--node", "127.0.0.1"]));
    let (code, _, err) = said(&output);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.starts_with("--node:"), "{err}");
    let node = Memcached::start();
    let taken = node.address();
    let admin = format!("127.0.0.1:{}", free_port());
    let arguments = [
        "observe",
        "--node",
        "127.0.0.1:9",
        "--listen",
        &taken,
        "--admin",
        &admin,
    ];
    let (code, _, err) = said(&program::output(&mut ringway(&arguments)));
    assert_eq!(code, Some(3), "{err}");
    assert!(
        err.contains("--listen and --admin choose other addresses"),
        "{err}"
    );
}
