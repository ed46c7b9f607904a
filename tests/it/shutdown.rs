//! How the program ends: told to stop, it stays for a while, answers what it owes, and says how it went by
//! its exit code.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, DEADLINE, Ringway, pool, wait_for};
use crate::support::scripted::{Act, Scripted};

/// A node whose answers wait until the gate is open.
fn gated() -> Scripted {
    Scripted::start("1.6.18", |seen| vec![Act::Await("gate"), seen.hits("v")])
}

fn shutdown(settings: &str) -> String {
    format!("shutdown: {{{settings}}}\n")
}

#[test]
fn told_to_stop_it_is_not_ready_but_serves_for_the_delay_and_then_ends_well() {
    for signal in ["TERM", "INT"] {
        let node = Memcached::start();
        let yaml = shutdown("delay: 1s, drain: 15s") + &pool(&[node.address()], &[]);
        let mut ringway = Ringway::start(&yaml);
        let mut client = ringway.client();
        client.set("k", "v");
        ringway.signal(signal);
        wait_for("not ready", || ringway.get("/readyz").0 == 503);
        assert_eq!(ringway.get("/livez").0, 200, "it lives");
        assert_eq!(client.get("k").as_deref(), Some(&b"v"[..]), "it serves");
        assert_eq!(
            ringway.client().get("k").as_deref(),
            Some(&b"v"[..]),
            "new clients too"
        );
        assert_eq!(
            client.rest(),
            b"",
            "a session that owes nothing is closed when it drains"
        );
        assert_eq!(ringway.wait().code(), Some(0), "{}", ringway.log());
    }
}

/// An application that is told to end and uses its cache until it does: every request of it is answered, over
/// the connection it has and over new ones.
fn application_ends(ringway: &Ringway, client: &mut Client, takes: Duration) {
    let end = Instant::now() + takes;
    for number in 0.. {
        let value = format!("v{number}");
        client.set("last", &value);
        assert_eq!(
            ringway.client().get("last").as_deref(),
            Some(value.as_bytes()),
            "request {number}"
        );
        if Instant::now() > end {
            return;
        }
    }
}

#[test]
fn a_native_sidecar_serves_until_the_application_has_ended_and_then_ends_without_a_delay() {
    let node = Memcached::start();
    let yaml = shutdown("delay: 0s, drain: 15s") + &pool(&[node.address()], &[]);
    let mut ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    // The kubelet signals the application first, and the sidecar when it is gone.
    application_ends(&ringway, &mut client, Duration::from_secs(1));
    assert_eq!(ringway.get("/readyz").0, 200, "the sidecar knows of nothing yet");
    drop(client);
    ringway.signal("TERM");
    assert_eq!(ringway.wait().code(), Some(0), "{}", ringway.log());
}

#[test]
fn an_ordinary_container_that_is_told_to_stop_together_with_the_application_outlasts_it() {
    let node = Memcached::start();
    let yaml = shutdown("delay: 5s, drain: 15s") + &pool(&[node.address()], &[]);
    let mut ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    ringway.signal("TERM");
    wait_for("not ready", || ringway.get("/readyz").0 == 503);
    application_ends(&ringway, &mut client, Duration::from_secs(2));
    assert_eq!(ringway.get("/livez").0, 200, "no probe kills it meanwhile");
    drop(client);
    assert_eq!(ringway.wait().code(), Some(0), "{}", ringway.log());
}

#[test]
fn every_request_that_was_received_is_answered_before_the_end() {
    let node = gated();
    let yaml = shutdown("drain: 15s") + &pool(&[node.address()], &["request_timeout: 15s"]);
    let mut ringway = Ringway::start(&yaml);
    let mut clients: Vec<_> = (0..10).map(|_| ringway.client()).collect();
    for client in &mut clients {
        client.send("get a\r\nget b\r\nget c d\r\nverbosity 1\r\nget e\r\n");
    }
    wait_for("all to be received", || {
        ringway.metric("ringway_in_flight", &[]) == 50.0
    });
    ringway.signal("TERM");
    wait_for("the listener to be closed", || {
        TcpStream::connect(("127.0.0.1", ringway.port)).is_err()
    });
    node.open("gate");
    for client in &mut clients {
        for key in ["a", "b"] {
            client.expect(format!("VALUE {key} 0 1\r\nv\r\nEND\r\n"));
        }
        client.expect("VALUE c 0 1\r\nv\r\nVALUE d 0 1\r\nv\r\nEND\r\nOK\r\n");
        client.expect("VALUE e 0 1\r\nv\r\nEND\r\n");
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(ringway.wait().code(), Some(0), "{}", ringway.log());
}

#[test]
fn a_drain_that_runs_out_of_time_ends_well_and_says_what_was_cut() {
    let node = gated();
    let yaml = shutdown("drain: 200ms") + &pool(&[node.address()], &["request_timeout: 15s"]);
    let mut ringway = Ringway::start(&yaml);
    let mut client = ringway.client();
    client.send("get a\r\nget b\r\nget c\r\n");
    wait_for("all to be received", || {
        ringway.metric("ringway_in_flight", &[]) == 3.0
    });
    ringway.signal("TERM");
    assert_eq!(ringway.wait().code(), Some(0));
    let log = ringway.log();
    let line = log.lines().find(|line| line.contains("out of time"));
    let line = line.unwrap_or_else(|| panic!("no word of it in:\n{log}"));
    assert!(line.contains("requests=3"), "{line}");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for settings in ["delay: 1h", "drain: 1h"] {
        let node = gated();
        let yaml = shutdown(settings) + &pool(&[node.address()], &["request_timeout: 1h"]);
        let mut ringway = Ringway::start(&yaml);
        let mut client = ringway.client();
        client.send("get a\r\n");
        node.wait_seen(1);
        ringway.signal("TERM");
        wait_for("the first to be heard", || ringway.log().contains("told to stop"));
        assert!(ringway.is_running(), "it waits");
        ringway.signal("TERM");
        assert!(ringway.wait().code().is_some(), "it ends of itself");
    }
}

#[test]
fn it_drains_though_a_client_is_in_the_middle_of_a_request_or_does_not_read() {
    let node = Memcached::start();
    let yaml = shutdown("drain: 500ms") + &pool(&[node.address()], &["request_timeout: 15s"]);
    let mut ringway = Ringway::start(&yaml);
    let mut other = ringway.client();
    other.set("big", vec![b'x'; 900_000]);
    let mut half = ringway.client();
    half.send("set k 0 0 100\r\nhalf of it");
    let mut deaf = ringway.client();
    deaf.send("get big\r\n".repeat(50));
    wait_for("both to be there", || {
        ringway.metric("ringway_client_requests_total", &[]) >= 2.0
    });
    ringway.signal("TERM");
    assert_eq!(ringway.wait().code(), Some(0));
}

/// The exit code of the program with these arguments, and what it said.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = String::new();
    let end = std::time::Instant::now() + DEADLINE;
    while child.try_wait().expect("a child").is_none() {
        if std::time::Instant::now() > end {
            child.kill().expect("killed");
            panic!("{arguments:?} did not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut stderr = child.stderr.take().expect("piped above");
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    (child.wait().expect("ended").code(), said)
}

#[test]
fn the_exit_code_says_what_was_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound");
    let node = "pools: {main: {nodes: ['127.0.0.1:1']}}\n";
    let bad = file("bad.yaml", "pools: {main: {nodez: []}}\n");
    let empty = file("empty.yaml", "");
    let missing = dir.path().join("missing.yaml").display().to_string();
    let listener = file(
        "listener.yaml",
        &format!("{node}listeners: [{{bind: '{taken}'}}]\nadmin: {{bind: '127.0.0.1:0'}}\n"),
    );
    let admin = file(
        "admin.yaml",
        &format!(
            "{node}listeners: [{{bind: 'unix:{}/s'}}]\nadmin: {{bind: '{taken}'}}\n",
            dir.path().display()
        ),
    );
    let good = file("good.yaml", node);
    for (arguments, code, says) in [
        (&["check", &good][..], 0, ""),
        (&["check", &bad], 1, "nodez"),
        (&["--config", &bad], 1, "bad.yaml:1:"),
        (&["--config", &empty], 1, "empty.yaml"),
        (&["--config", &missing], 1, "missing.yaml"),
        (&["--no-such-flag"], 2, "--no-such-flag"),
        (&["no-such-command"], 2, "no-such-command"),
        (&["explain", "-c", &good], 2, "KEYS"),
        (&["--config", &listener], 3, &taken.to_string()),
        (&["--config", &admin], 3, &taken.to_string()),
    ] {
        let (got, said) = run(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?} says {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
