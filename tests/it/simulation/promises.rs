//! Promises that have a time in them, each in one situation: nothing is left to chance, nor to the machine's speed.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep};

use super::node::{FAULTS, Node};
use super::random::Random;
use super::sidecar::{Sidecar, config, simulate};

/// What a request may take beyond its timeout: timers count in milliseconds.
const SLACK: Duration = Duration::from_millis(5);

#[test]
fn a_second_try_has_no_more_time_than_the_first_left() {
    simulate(1, async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("node");
        let requests = a_node_that_closes_late_and_then_is_silent(&path);
        let sidecar = Sidecar::start(config(&format!(
            "pools: {{main: {{nodes: ['unix:{}'], protocol: meta, request_timeout: 3s, \
             health: {{down_after: 1000, probe_interval: 1h}}}}}}",
            path.display()
        )));
        let begun = Instant::now();
        assert_eq!(ask(&mut sidecar.connect(), "get k\r\n").await, "END");
        let took = begun.elapsed();
        assert_eq!(requests.get(), 2);
        let limit = Duration::from_secs(3);
        assert!(took >= limit && took <= limit + SLACK, "{took:?}");
    });
}

/// A node that closes the connection of the first request two seconds after it came, and says nothing to any other.
/// Returns the number of requests that it saw.
fn a_node_that_closes_late_and_then_is_silent(path: &Path) -> Rc<Cell<u32>> {
    let listener = UnixListener::bind(path).expect("a socket");
    let requests = Rc::new(Cell::new(0));
    let seen = requests.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::task::spawn_local(serve(stream, seen.clone()));
        }
    });
    requests
}

async fn serve(stream: UnixStream, requests: Rc<Cell<u32>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "version" {
            let stream = lines.get_mut();
            stream
                .write_all(b"VERSION 1.6.18\r\n")
                .await
                .expect("Ringway reads");
        } else if line.starts_with("mg ") {
            requests.set(requests.get() + 1);
            if requests.get() == 1 {
                sleep(Duration::from_secs(2)).await;
                return;
            }
        }
    }
}

#[test]
fn with_manual_a_node_that_is_up_stays_out_of_its_ring_until_it_is_admitted() {
    simulate(1, async {
        let directory = tempfile::tempdir().expect("a directory");
        let random = Random::new(1);
        let stored = Rc::<RefCell<HashSet<String>>>::default();
        let nodes: Vec<Rc<Node>> = (0..3)
            .map(|n| {
                let path = directory.path().join(n.to_string());
                Node::start(path, &random, FAULTS.to_vec(), &stored)
            })
            .collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("'{}'", node.address())).collect();
        let sidecar = Sidecar::start(config(&format!(
            "pools: {{main: {{nodes: [{}], on_node_down: rehash, rejoin: manual, health: {{down_after: 2, \
             probe_interval: 100ms}}}}}}",
            addresses.join(", ")
        )));
        let in_ring = || sidecar.state.snapshot.load().pools["main"].targets.clone();
        let is_up = || sidecar.state.snapshot.load().nodes[1].state().takes_requests();
        sleep(Duration::from_secs(3)).await;
        assert_eq!(in_ring(), [0, 1, 2]);
        nodes[1].kill();
        sleep(Duration::from_secs(3)).await;
        assert!(!is_up());
        assert_eq!(in_ring(), [0, 2]);
        nodes[1].restart();
        sleep(Duration::from_secs(60)).await;
        assert!(is_up());
        assert_eq!(in_ring(), [0, 2]);
        sidecar.state.snapshot.load().nodes[1].admit();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(in_ring(), [0, 1, 2]);
    });
}

/// Sends a request, and reads one line.
async fn ask(client: &mut UnixStream, request: &str) -> String {
    client
        .write_all(request.as_bytes())
        .await
        .expect("the session reads");
    let line = BufReader::new(client).lines().next_line().await;
    line.expect("readable").expect("an answer")
}
