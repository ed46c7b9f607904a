//! The HTTP contract, tested over real connections.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::control::{self, testing};
use crate::protocol::Failure;
use crate::protocol::operation::Operation;
use crate::state::Phase;

const YAML: &str = "pools: {main: {nodes: ['127.0.0.1:1', {address: '127.0.0.1:2', name: b, weight: 3}, \
                    {name: local, embedded: 1MiB}]}, spare: {nodes: ['127.0.0.1:9']}}\nroutes: {default: main}\n\
                    listeners: [{bind: '127.0.0.1:11211', route: default}]";

struct Bench {
    directory: tempfile::TempDir,
    state: Arc<State>,
    address: SocketAddr,
}

/// Returns a serving process with the configuration file `YAML`.
fn bench() -> Bench {
    bench_with(YAML, ANSWER)
}

/// Like [`bench`], with another file, and with `limit` for clients to read an answer.
fn bench_with(yaml: &str, limit: Duration) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ringway.yaml");
    std::fs::write(&path, yaml).unwrap();
    let state = testing::state(yaml);
    state.phase.send_replace(Phase::Serving);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Listening::Tcp(listener);
    let reloader = Arc::new(Reloader::new(Some(path), state.clone()));
    let mut server = AdminServer::new(listener, state.clone(), reloader).unwrap();
    server.limit = limit;
    tokio::spawn(server.run());
    Bench {
        directory,
        state,
        address,
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Bench {
    async fn ask(&self, method: &str, path: &str) -> Reply {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).await
    }

    async fn json(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.head.contains("content-type: application/json"), "{path}");
        serde_json::from_str(&reply.body).unwrap()
    }

    fn write(&self, yaml: &str) {
        std::fs::write(self.directory.path().join("ringway.yaml"), yaml).unwrap();
    }
}

#[tokio::test]
async fn it_is_ready_only_while_it_serves_and_alive_always() {
    let bench = bench();
    let phases = [
        (Phase::Starting, 503, "starting"),
        (Phase::Serving, 200, "ready"),
        (Phase::Leaving, 503, "leaving"),
        (Phase::Draining, 503, "draining"),
    ];
    for (phase, status, reason) in phases {
        bench.state.phase.send_replace(phase);
        for path in ["/readyz", "/healthz"] {
            let reply = bench.get(path).await;
            assert_eq!(reply.status, status, "{path} {phase:?}");
            assert!(reply.body.starts_with(reason), "{path} {phase:?} {}", reply.body);
        }
        assert_eq!(bench.get("/livez").await.status, 200, "{phase:?}");
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_refused() {
    let bench = bench();
    let cases = [
        ("GET", "/nowhere", 404, ""),
        ("POST", "/nowhere", 404, ""),
        ("GET", "/livez/", 404, ""),
        ("POST", "/livez", 405, "allow: get, head"),
        ("DELETE", "/nodes", 405, "allow: get, head"),
        ("GET", "/reload", 405, "allow: post"),
        ("HEAD", "/reload", 405, "allow: post"),
    ];
    for (method, path, status, allow) in cases {
        let reply = bench.ask(method, path).await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.head.contains(allow), "{method} {path}: {}", reply.head);
    }
    let succeeded = bench.state.reloads.lock().unwrap().succeeded;
    assert_eq!(succeeded, 0, "nothing was reloaded");
}

#[tokio::test]
async fn a_field_that_is_not_known_changes_nothing() {
    let bench = bench();
    for (method, path, says) in [
        (
            "POST",
            "/pools/main/handover/next?form=serve",
            "no field \"form\" here, known here: from",
        ),
        (
            "POST",
            "/pools/main/handover/next?from=serve&from=finish",
            "from is there twice",
        ),
        ("POST", "/pools/main/accept?pool=main", "this request has none"),
        (
            "POST",
            "/nodes/a/drain?pools=main",
            "no field \"pools\" here, known here: pool",
        ),
        ("POST", "/reload?pool=main", "this request has none"),
        (
            "POST",
            "/tap?second=1",
            "known here: seconds, one_in, prefix, pool, node, command",
        ),
        ("POST", "/tap/1?seconds=1", "this request has none"),
        ("GET", "/hotkeys?foo=1", "known here: pool, by, n"),
        ("GET", "/slow?by=bytes", "known here: pool, n"),
        ("GET", "/explain?key=k&key=l", "key is there twice"),
        (
            "GET",
            "/explain?key=k&alive=1",
            "known here: key, route, listener, live",
        ),
    ] {
        let reply = bench.ask(method, path).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.body.contains(says), "{path}: {}", reply.body);
    }
    for path in [
        "/readyz?verbose",
        "/metrics?x=1",
        "/?x",
        "/nodes?x=1",
        "/hotkeys?n=1&",
    ] {
        assert_ne!(bench.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn the_index_lists_every_path_that_answers() {
    let bench = bench();
    let index = bench.get("/").await.body;
    for path in [
        "/livez",
        "/readyz",
        "/healthz",
        "/metrics",
        "/nodes",
        "/config",
        "/explain?key=k",
    ] {
        assert_eq!(bench.get(path).await.status, 200, "{path}");
        let head = bench.ask("HEAD", path).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {path}");
        let name = path.split('?').next().unwrap();
        assert!(index.contains(name), "{name}");
    }
    assert!(index.contains("POST /reload"));
}

#[tokio::test]
async fn nodes_show_their_health_and_their_counters() {
    let bench = bench();
    let nodes = bench.state.snapshot.load().nodes.clone();
    let shard = nodes[1].shard(0);
    shard.operations[Operation::Get as usize].requests.add(5);
    shard.operations[Operation::Get as usize].hits.add(3);
    shard.operations[Operation::Delete as usize].misses.add(2);
    shard.failures[Failure::Timeout as usize].add(4);
    shard.links.add(1);
    (0..10).for_each(|_| nodes[1].failed("test"));
    let shown = bench.json("/nodes").await;
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), 4);
    let b = &shown[1];
    let expected = [
        ("pool", Value::from("main")),
        ("node", "b".into()),
        ("address", "127.0.0.1:2".into()),
        ("weight", 3.into()),
        ("state", "down".into()),
        ("in_ring", true.into()),
        ("ejections", 1.into()),
        ("links", 1.into()),
        ("requests", 5.into()),
        ("hits", 3.into()),
        ("misses", 2.into()),
        ("errors", 4.into()),
        ("kind", "memcached".into()),
        ("version", Value::Null),
    ];
    for (field, value) in expected {
        assert_eq!(b[field], value, "{field}");
    }
    assert_eq!(shown[0]["state"], "up");
    assert_eq!(shown[2]["kind"], "embedded");
    assert_eq!(shown[3]["pool"], "spare");
}

#[tokio::test]
async fn keys_are_explained() {
    let bench = bench();
    let explained = bench.json("/explain?key=user%3A7").await;
    assert_eq!(explained["key"], "user:7");
    assert_eq!(explained["route"], "default");
    assert_eq!(explained["pool"], "main");
    let snapshot = bench.state.snapshot.load_full();
    let index = snapshot.pools["main"].pick(b"user:7");
    assert_eq!(explained["node"], snapshot.nodes[index].label);
    assert_eq!(explained["address"], snapshot.nodes[index].address.to_string());
    let spare = bench.json("/explain?key=k&route=spare").await;
    assert_eq!(spare["pool"], "spare");
    assert_eq!(spare["node"], "127.0.0.1:9");
    let by_listener = bench.json("/explain?key=k&listener=127.0.0.1:11211").await;
    assert_eq!(by_listener["route"], "default");
}

#[tokio::test]
async fn what_cannot_be_explained_is_a_bad_request() {
    let bench = bench();
    let long = format!("key={}", "k".repeat(251));
    let queries = [
        "",
        "key=",
        "key=a%20b",
        "key=a%0d%0ab",
        "key=%zz",
        "key=k&route=nowhere",
        "key=k&listener=127.0.0.1:1",
        &long,
    ];
    for query in queries {
        let reply = bench.get(&format!("/explain?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(!reply.body.trim().is_empty(), "{query} has a reason");
    }
    assert_eq!(bench.get("/explain").await.status, 400);
}

#[tokio::test]
async fn a_reload_is_answered_with_its_outcome_and_a_refused_one_is_told_by_readyz() {
    let bench = bench();
    bench.write("pools: {main: {nodes: [}");
    let reply = bench.ask("POST", "/reload").await;
    assert_eq!(reply.status, 422);
    let diagnostics = bench.state.reloads.lock().unwrap().diagnostics.clone();
    assert_eq!(reply.body.trim_end(), diagnostics.join("\n"));
    let ready = bench.get("/readyz").await;
    assert_eq!(ready.status, 200, "the configuration before it serves");
    assert!(ready.body.contains(&diagnostics[0]), "{}", ready.body);
    bench.write("pools: {main: {nodes: ['127.0.0.1:5']}}");
    let reply = bench.ask("POST", "/reload").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "taken\n"));
    assert_eq!(bench.state.snapshot.load().nodes[0].label, "127.0.0.1:5");
    let reply = bench.ask("POST", "/reload").await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "taken, nothing changed\n")
    );
    assert_eq!(bench.get("/readyz").await.body, "ready\n");
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_hash() {
    let bench = bench();
    let shown = bench.json("/config").await;
    let snapshot = bench.state.snapshot.load();
    assert_eq!(shown["hash"], snapshot.config.hash());
    assert_eq!(shown["config"], crate::config::show(&snapshot.config));
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_a_body_does_not_disturb_it() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let one = "POST /livez HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 5\r\n\r\nhello";
    let two = "GET /livez HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{one}{two}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_or_no_http_closes_the_connection() {
    let bench = bench();
    let large = format!(
        "GET /livez HTTP/1.1\r\nhost: [::1]\r\nx: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let fields = format!(
        "GET /livez HTTP/1.1\r\nhost: [::1]\r\n{}\r\n",
        "x: y\r\n".repeat(1000)
    );
    for sent in [large.as_str(), &fields, "get foo\r\n\r\n", "\x16\x03\x01\0\0"] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        // The server may close before it has read everything.
        let _ = stream.write_all(sent.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    }
    assert_eq!(bench.get("/livez").await.status, 200, "others are served");
}

#[tokio::test]
async fn a_connection_that_says_nothing_ends_with_its_life() {
    let state = testing::state(YAML);
    let reloader = Arc::new(Reloader::new(None, state.clone()));
    let exposition = Exposition::new(state.clone());
    let context = Arc::new(AdminContext {
        state,
        reloader,
        exposition,
        shares: shares::Known::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (place, _) = Arc::new(Places::default()).take(Instant::now()).expect("a place");
    let short = Duration::from_millis(50);
    let deadline = Duration::from_secs(10);
    let stream = Stream::Tcp(stream);
    timeout(deadline, serve_connection(stream, context, place, short, ANSWER))
        .await
        .expect("ends");
    let read = timeout(deadline, client.read(&mut [0; 8])).await.expect("closed");
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn a_foreign_host_is_refused_and_a_listed_one_is_not_and_that_is_counted() {
    let bench = bench_with(
        &format!("{YAML}\nadmin: {{hosts: [Ringway.example.com]}}"),
        ANSWER,
    );
    let cases = [
        ("GET /nodes", "ringway.example.com:9155", "", "200"),
        ("GET /livez", "evil.example", "", "403"),
        ("POST /nodes/b/drain", "evil.example", "", "403"),
        (
            "POST /nodes/b/drain",
            "127.0.0.1",
            "origin: https://evil.example\r\n",
            "403",
        ),
        (
            "POST /reload",
            "127.0.0.1",
            "sec-fetch-site: cross-site\r\n",
            "403",
        ),
        ("POST /nodes/b/drain", "127.0.0.1", "", "200"),
    ];
    for (what, host, fields, status) in cases {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        let sent = format!("{what} HTTP/1.1\r\nhost: {host}\r\n{fields}connection: close\r\n\r\n");
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(&answer[9..12], status, "{sent}{answer}");
    }
    assert!(
        bench
            .get("/metrics")
            .await
            .body
            .contains("ringway_admin_refused_total{reason=\"foreign\"} 4")
    );
}

#[tokio::test]
async fn five_hundred_slow_readers_and_five_hundred_slow_heads_keep_no_probe_waiting() {
    let bench = bench();
    for sent in ["GET /metrics HTTP/1.1\r\nhost: [::1]\r\n\r\n", "GET /metrics HTT"] {
        let mut held = Vec::new();
        for _ in 0..500 {
            let mut stream = TcpStream::connect(bench.address).await.unwrap();
            // It may have been closed for another already.
            let _ = stream.write_all(sent.as_bytes()).await;
            held.push(stream);
            if held.len() % 100 == 65 {
                assert_eq!(bench.get("/livez").await.status, 200, "{} {sent}", held.len());
            }
        }
        assert_eq!(bench.get("/readyz").await.status, 200);
    }
    let displaced = bench.state.admin.displaced.load(Relaxed);
    assert!(displaced >= 2 * (500 - places::ORDINARY as u64), "{displaced}");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let bench = bench_with(YAML, Duration::from_millis(50));
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: [::1]\r\n\r\n";
    // Until all buffers are full, and then until it is closed.
    while stream.write_all(request).await.is_ok() {}
    assert_eq!(bench.state.admin.late.load(Relaxed), 1);
    assert_eq!(bench.get("/livez").await.status, 200);
}

#[tokio::test]
async fn while_all_places_are_busy_probes_are_answered_and_nothing_else() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = silent.local_addr().unwrap();
    let yaml = format!("pools: {{main: {{nodes: ['{node}'], request_timeout: 1h}}}}");
    let bench = bench_with(&yaml, ANSWER);
    control::discovery::resolve_new(&bench.state.snapshot.load_full(), Duration::from_secs(10)).await;
    let mut held = Vec::new();
    for _ in 0..places::ORDINARY {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        let asked = "GET /explain?key=k&live=1 HTTP/1.1\r\nhost: [::1]\r\n\r\n";
        stream.write_all(asked.as_bytes()).await.unwrap();
        // Its node is being asked, so it is busy.
        held.push((stream, silent.accept().await.unwrap()));
    }
    let refused = bench.get("/metrics").await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (503, "too many requests at once\n")
    );
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(bench.get(path).await.status, 200, "{path}");
    }
    drop(held);
}
