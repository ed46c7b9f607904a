//! Probes against fake nodes, whose answers determine their state.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};

use super::*;
use crate::control::discovery::resolve_literals;
use crate::control::testing::{self, eventually};
use crate::health;
use crate::snapshot::Snapshot;

const HEALTH: &str = "health: {down_after: 2, probe_interval: 20ms, probe_timeout: 200ms, up_after: 2}";

/// How a fake node behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Answers(&'static [u8]),
    Hangs,
    ClosesAfterEachAnswer,
    HangsAfterEachAnswer,
}

/// Runs a fake node on `listener`. Returns the number of connections it saw.
fn serve(listener: TcpListener, manner: Manner) -> Arc<AtomicUsize> {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            tokio::spawn(answer(stream, manner));
        }
    });
    seen
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
        if line == "stats settings\r\n" {
            line.clear();
            stream
                .write_all(b"STAT maxconns 1024\r\nSTAT item_size_max 8388608\r\nEND\r\n")
                .await
                .unwrap();
            continue;
        }
        assert_eq!(line, "version\r\n");
        line.clear();
        match manner {
            Manner::Answers(bytes) => stream.write_all(bytes).await.unwrap(),
            Manner::Hangs => {}
            Manner::HangsAfterEachAnswer => {
                stream.write_all(b"VERSION 1.4.0\r\n").await.unwrap();
                return std::future::pending().await;
            }
            Manner::ClosesAfterEachAnswer => {
                stream.write_all(b"VERSION 1.4.0\r\n").await.unwrap();
                return;
            }
        }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn probing(address: &str) -> (Arc<State>, Arc<Node>) {
    let state = testing::state(&format!("pools: {{main: {{nodes: ['{address}'], {HEALTH}}}}}"));
    let node = state.snapshot.load().nodes[0].clone();
    resolve_literals(&state.snapshot.load());
    tokio::spawn(run(state.clone()));
    (state, node)
}

fn version(node: &Node) -> String {
    remote(node).unwrap().version.load().to_string()
}

#[tokio::test]
async fn a_node_that_answers_is_up_and_known_by_its_version_over_one_kept_connection() {
    let (listener, address) = listen().await;
    let seen = serve(listener, Manner::Answers(b"VERSION 1.6.18\r\n"));
    let (_state, node) = probing(&address.to_string());
    eventually("the version is known", || version(&node) == "1.6.18").await;
    let allows = || remote(&node).unwrap().item_size_max.load(SeqCst);
    eventually("the size of an item is known", || allows() == 8 << 20).await;
    (0..5).for_each(|_| node.failed("test"));
    assert_eq!(node.state(), health::State::Down);
    eventually("probes bring the node back", || node.state() == health::State::Up).await;
    assert_eq!(seen.load(SeqCst), 1);
}

#[tokio::test]
async fn a_node_that_does_not_answer_a_probe_goes_down() {
    let not_memcached = Manner::Answers(b"HTTP/1.1 400 Bad Request\r\n");
    let endless = Manner::Answers(&[b'x'; 4096]);
    for manner in [
        Manner::Hangs,
        not_memcached,
        endless,
        Manner::Answers(b"VERSION \r\n"),
    ] {
        let (listener, address) = listen().await;
        serve(listener, manner);
        let (_state, node) = probing(&address.to_string());
        eventually(&format!("{manner:?} is down"), || {
            node.state() == health::State::Down
        })
        .await;
        assert_eq!(version(&node), "", "{manner:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_takes_a_node_down_until_somebody_listens() {
    let (listener, address) = listen().await;
    drop(listener);
    let (_state, node) = probing(&address.to_string());
    eventually("nobody listens", || node.state() == health::State::Down).await;
    let listener = TcpListener::bind(address).await.unwrap();
    serve(listener, Manner::Answers(b"VERSION 1.6.18\r\n"));
    eventually("somebody does", || node.state() == health::State::Up).await;
}

#[tokio::test]
async fn a_connection_closed_or_forgotten_between_probes_is_no_failure() {
    for manner in [Manner::ClosesAfterEachAnswer, Manner::HangsAfterEachAnswer] {
        let (listener, address) = listen().await;
        let seen = serve(listener, manner);
        let (_state, node) = probing(&address.to_string());
        eventually("many connections", || {
            assert!(!matches!(
                node.state(),
                health::State::Suspect | health::State::Down
            ));
            seen.load(SeqCst) > 5
        })
        .await;
    }
}

#[tokio::test]
async fn a_unix_socket_is_probed_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, Manner::Answers(b"VERSION 1.5.6\r\n")).await;
    });
    let (_state, node) = probing(&format!("unix:{}", path.display()));
    eventually("the version is known", || version(&node) == "1.5.6").await;
}

#[tokio::test]
async fn a_name_that_is_not_known_yet_at_the_start_is_no_failure() {
    let (listener, address) = listen().await;
    serve(listener, Manner::Answers(b"VERSION 1.6.18\r\n"));
    let (_state, node) = probing(&format!("localhost:{}", address.port()));
    eventually("the version is known", || {
        assert_eq!(node.state(), health::State::Up);
        version(&node) == "1.6.18"
    })
    .await;
}

#[tokio::test]
async fn a_name_without_an_address_is_a_failure() {
    let address = Address::memcached("nowhere".into(), 1);
    let dialed = ProbeConnection::dial(&address, &[], &Protection::default(), Duration::from_secs(9)).await;
    let error = dialed.err().unwrap();
    assert!(error.to_string().contains("no known address"));
}

#[tokio::test]
async fn a_node_is_probed_at_the_second_address_of_its_name_if_the_first_drops_packets() {
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(0).unwrap();
    let dead = full.local_addr().unwrap();
    let _waiting: Vec<_> = (0..4).map(|_| tokio::spawn(TcpStream::connect(dead))).collect();
    let (listener, good) = listen().await;
    serve(listener, Manner::Answers(b"VERSION 1.6.18\r\n"));
    let state = testing::state(&format!("pools: {{main: {{nodes: ['name:1'], {HEALTH}}}}}"));
    let node = state.snapshot.load().nodes[0].clone();
    remote(&node).unwrap().resolved.store(Arc::new(vec![dead, good]));
    (0..5).for_each(|_| node.failed("test"));
    tokio::spawn(run(state.clone()));
    eventually("probes bring the node back", || node.state() == health::State::Up).await;
}

#[tokio::test]
async fn the_connection_is_dropped_when_the_name_leads_elsewhere() {
    let ((old, old_address), (new, new_address)) = (listen().await, listen().await);
    serve(old, Manner::Answers(b"VERSION 1.0.0\r\n"));
    serve(new, Manner::Answers(b"VERSION 2.0.0\r\n"));
    let (_state, node) = probing(&old_address.to_string());
    eventually("the old address answers", || version(&node) == "1.0.0").await;
    remote(&node).unwrap().resolved.store(Arc::new(vec![new_address]));
    eventually("the new one does", || version(&node) == "2.0.0").await;
}

#[tokio::test]
async fn probes_stop_with_the_node_and_begin_with_a_new_one() {
    let ((old, old_address), (new, new_address)) = (listen().await, listen().await);
    drop(old);
    let seen = serve(new, Manner::Answers(b"VERSION 1.6.18\r\n"));
    let (state, node) = probing(&old_address.to_string());
    let next = testing::config(&format!(
        "pools: {{main: {{nodes: ['{new_address}'], {HEALTH}}}}}"
    ));
    let next = Snapshot::build(next, Some(&state.snapshot.load()));
    resolve_literals(&next);
    state.publish(next);
    eventually("the new node is probed", || seen.load(SeqCst) == 1).await;
    eventually("nobody holds the old node", || Arc::strong_count(&node) == 1).await;
}
