//! Reloads while clients are at work: no error, no lost reply, no closed session; and what a bad file does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, Ringway, free_port, http, pool, wait_for};
use crate::support::scripted::{Act, Scripted};

/// Clients that set and get without pause, and check every answer.
pub struct Load {
    is_over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(port: u16, clients: usize) -> Load {
        let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |number: usize| {
            let (is_over, done) = (is_over.clone(), done.clone());
            thread::spawn(move || {
                let mut client = Client::connect(port);
                for round in 0.. {
                    if is_over.load(Relaxed) {
                        return;
                    }
                    work(&mut client, number, round % 200);
                    done.fetch_add(1, Relaxed);
                }
            })
        };
        Load {
            clients: (0..clients).map(client).collect(),
            is_over,
            done,
        }
    }

    /// Waits until every client has had time to do more.
    fn go_on(&self) {
        let enough = self.done.load(Relaxed) + 20 * self.clients.len() as u64;
        wait_for("the clients to go on", || {
            assert!(
                !self.clients.iter().any(JoinHandle::is_finished),
                "a client gave up"
            );
            self.done.load(Relaxed) >= enough
        });
    }

    /// Ends the clients; fails where one of them read something that was wrong.
    fn end(self) {
        self.is_over.store(true, Relaxed);
        for client in self.clients {
            client.join().expect("every client read what it should");
        }
    }
}

/// A value is made from its key alone: a key that moved to another node may be a miss, never another value.
fn work(client: &mut Client, number: usize, round: usize) {
    let key = |index: usize| format!("key-{number}-{}", (round + index) % 200);
    let value = |key: &str| format!("value of {key} {}", "x".repeat(key.len() * 7));
    client.set(&key(0), value(&key(0)));
    if let Some(found) = client.get(&key(0)) {
        assert_eq!(found, value(&key(0)).as_bytes());
    }
    let keys: Vec<String> = (0..10).map(key).collect();
    client.send(format!("get {}\r\n", keys.join(" ")));
    loop {
        let line = client.line();
        if line == "END" {
            return;
        }
        let found = line
            .split(' ')
            .nth(1)
            .filter(|found| keys.iter().any(|key| key == found));
        let found = found.unwrap_or_else(|| panic!("a value of a key that was asked, not {line:?}"));
        client.expect(format!("{}\r\n", value(found)));
    }
}

fn reloads(ringway: &Ringway) -> f64 {
    ringway.metric("ringway_config_reloads_total", &["result=\"taken\""])
}

/// Nodes that listen, and the configurations that a fleet goes through with them.
fn fleet() -> (Vec<Memcached>, Vec<String>) {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let address: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let weighted = |node: &str, weight| format!("{{address: {node}, weight: {weight}}}");
    let other = format!("  other:\n    nodes:\n      - {}\n", address[3]);
    let extra_port = free_port();
    let listeners = format!(
        "listeners:\n  - {{bind: 127.0.0.1:PORT, route: main}}\n  - {{bind: 127.0.0.1:{extra_port}, route: other}}\n"
    );
    let steps = vec![
        pool(&address[..2], &[]),
        pool(&address[..3], &[]),
        pool(&address[1..4], &[]),
        pool(
            &[address[1].clone(), weighted(&address[2], 3), address[3].clone()],
            &[],
        ),
        pool(
            &address[1..4],
            &["connections: 3", "request_timeout: 2s", "distribution: twemproxy"],
        ),
        listeners + &pool(&address[1..3], &[]) + &other,
        pool(&address, &["on_node_down: rehash", "protocol: classic"]),
        pool(&address[..1], &[]),
    ];
    (nodes, steps)
}

#[test]
fn reloads_under_load_lose_nothing() {
    let (_nodes, steps) = fleet();
    for workers in [1, 3] {
        let with_workers = |yaml: &str| format!("workers: {workers}\n{yaml}");
        let ringway = Ringway::start(&with_workers(&steps[0]));
        let load = Load::start(ringway.port, 6);
        load.go_on();
        for step in steps.iter().cycle().skip(1).take(2 * steps.len()) {
            let (status, body) = ringway.reload(&with_workers(step));
            assert_eq!(status, 200, "{body}");
            load.go_on();
        }
        load.end();
        let errors = ringway.metric("ringway_errors_total", &[]);
        assert_eq!(errors, 0.0, "no request failed in Ringway either");
    }
}

#[test]
fn a_file_is_taken_by_itself_however_it_changes() {
    let (_nodes, steps) = fleet();
    let ringway = Ringway::start(&steps[0]);
    let load = Load::start(ringway.port, 2);
    let path = ringway.path("ringway.yaml");
    let whole = |step: &str| {
        let (port, admin) = (ringway.port, ringway.admin);
        format!("listeners: [{{bind: '127.0.0.1:{port}'}}]\nadmin: {{bind: '127.0.0.1:{admin}'}}\n{step}")
    };
    let is_taken = |what: &str, before: f64| wait_for(what, || reloads(&ringway) > before);

    let before = reloads(&ringway);
    fs::write(&path, whole(&steps[1])).expect("written");
    is_taken("a file that was written in place", before);
    load.go_on();

    let before = reloads(&ringway);
    let aside = path.with_extension("new");
    fs::write(&aside, whole(&steps[2])).expect("written");
    fs::rename(&aside, &path).expect("renamed");
    is_taken("a file that was renamed over the old one", before);
    load.go_on();
    load.end();
}

/// Ringway on a file that is mounted as Kubernetes mounts a ConfigMap.
struct Mounted {
    child: Child,
    admin: u16,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

fn mount(dir: &Path, version: &str, text: &str) {
    fs::create_dir(dir.join(version)).expect("made");
    fs::write(dir.join(version).join("ringway.yaml"), text).expect("written");
    symlink(version, dir.join("..data_tmp")).expect("linked");
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("swapped");
}

#[test]
fn a_config_map_that_is_swapped_is_taken() {
    let node = Memcached::start();
    let dir = tempfile::tempdir().expect("a directory");
    let (port, admin) = (free_port(), free_port());
    let text = |timeout: &str| {
        let bind =
            format!("listeners: [{{bind: '127.0.0.1:{port}'}}]\nadmin: {{bind: '127.0.0.1:{admin}'}}\n");
        bind + &pool(&[node.address()], &[&format!("request_timeout: {timeout}")])
    };
    mount(dir.path(), "..2026_01", &text("1s"));
    symlink("..data/ringway.yaml", dir.path().join("ringway.yaml")).expect("linked");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command
        .arg("-c")
        .arg(dir.path().join("ringway.yaml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mounted = Mounted {
        child: program::start(&mut command),
        admin,
    };
    let runs_with = |timeout: &str| {
        wait_for(&format!("request_timeout {timeout}"), || {
            let answer = http(mounted.admin, "GET", "/config");
            answer.is_some_and(|(_, config)| config.contains(&format!("\"{timeout}\"")))
        });
    };
    runs_with("1s");
    for (version, timeout) in [("..2026_02", "2s"), ("..2026_03", "3s")] {
        mount(dir.path(), version, &text(timeout));
        runs_with(timeout);
    }
}

#[test]
fn hangup_reloads() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let before = reloads(&ringway);
    ringway.signal("HUP");
    wait_for("the reload", || reloads(&ringway) > before);
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let node = Memcached::start();
    let good = pool(&[node.address()], &[]);
    let ringway = Ringway::start(&good);
    let mut client = ringway.client();
    client.set("k", "v");

    let (status, body) = ringway.reload("pools:\n  main:\n    nodes: []\n    requst_timeout: 1s\n");
    assert_eq!(status, 422);
    for mistake in ["pools.main.nodes", "requst_timeout", "request_timeout"] {
        assert!(body.contains(mistake), "{mistake} in {body}");
    }
    assert_eq!(
        client.get("k").as_deref(),
        Some(&b"v"[..]),
        "the last good configuration serves"
    );
    let (status, detail) = ringway.get("/readyz");
    assert_eq!(status, 200, "still ready");
    assert!(detail.contains("requst_timeout"), "{detail}");
    assert_eq!(ringway.metric("ringway_config_last_reload_successful", &[]), 0.0);
    assert!(ringway.log().contains("requst_timeout"), "{}", ringway.log());

    assert_eq!(ringway.reload(&good).0, 200);
    assert_eq!(ringway.metric("ringway_config_last_reload_successful", &[]), 1.0);
    assert!(!ringway.get("/readyz").1.contains("requst_timeout"));
}

/// The figure of a node in `/nodes`, whose label is its address.
fn figure(ringway: &Ringway, node: &str, name: &str) -> u64 {
    let nodes: serde_json::Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
    let nodes = nodes.as_array().expect("a list");
    let node = nodes
        .iter()
        .find(|known| known["node"] == node)
        .expect("the node");
    node[name].as_u64().unwrap_or_else(|| panic!("{name} in {node}"))
}

#[test]
fn a_node_that_stays_keeps_its_links_and_its_counters() {
    let (kept, removed, added) = (Memcached::start(), Memcached::start(), Memcached::start());
    let ringway = Ringway::start(&pool(&[kept.address(), removed.address()], &[]));
    let mut client = ringway.client();
    for key in 0..50 {
        client.set(&format!("k{key}"), "v");
    }
    let before = ["connects", "requests"].map(|name| figure(&ringway, &kept.address(), name));
    assert_eq!(before[0], 1);

    let yaml = pool(&[kept.address(), added.address()], &["connect_timeout: 300ms"]);
    assert_eq!(ringway.reload(&yaml).0, 200);
    for key in 0..50 {
        client.set(&format!("k{key}"), "v");
    }
    let after = ["connects", "requests"].map(|name| figure(&ringway, &kept.address(), name));
    assert_eq!(after[0], 1, "the link that was open is used on");
    assert!(after[1] > before[1], "the counters go on from {}", before[1]);
    let mut stats = removed.client();
    wait_for("the removed node to lose its links", || {
        stats.send("stats\r\n");
        let text = stats.read_to("END");
        text.contains("STAT curr_connections 1\r\n") // this client's own
    });
}

#[test]
fn what_is_owed_by_a_removed_node_or_listener_is_still_answered() {
    let slow = Scripted::start("1.6.18", |seen| vec![Act::Await("answer"), seen.hits("hello")]);
    let other = Memcached::start();
    let patient = ["request_timeout: 20s"];
    let ringway = Ringway::start(&pool(&[slow.address()], &patient));
    let mut client = ringway.client();
    client.send("get slow\r\n");
    slow.wait_seen(1);

    let elsewhere = format!("listeners:\n  - bind: 127.0.0.1:{}\n", free_port());
    assert_eq!(
        ringway
            .reload(&(elsewhere + &pool(&[other.address()], &patient)))
            .0,
        200
    );
    slow.open("answer");
    client.expect("VALUE slow 0 5\r\nhello\r\nEND\r\n");
    assert_eq!(
        client.rest(),
        b"",
        "then the session of a listener that is gone ends"
    );
}

#[test]
fn a_request_that_came_before_its_listener_was_removed_is_answered() {
    let node = Scripted::start("1.6.18", |seen| vec![Act::Await("answer"), seen.hits("hello")]);
    let nodes = pool(&[node.address()], &["request_timeout: 20s"]);
    let ringway = Ringway::start(&nodes);
    let mut client = ringway.client();
    client.send("get first\r\nget sec");
    node.wait_seen(1);
    let elsewhere = format!("listeners:\n  - bind: 127.0.0.1:{}\n", free_port());
    assert_eq!(ringway.reload(&(elsewhere + &nodes)).0, 200);
    client.send("ond\r\n");
    node.open("answer");
    for key in ["first", "second"] {
        client.expect(format!("VALUE {key} 0 5\r\nhello\r\nEND\r\n"));
    }
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_listener_can_be_added_and_removed() {
    let node = Memcached::start();
    let nodes = pool(&[node.address()], &[]);
    let ringway = Ringway::start(&nodes);
    let port = free_port();
    let both = format!(
        "listeners:\n  - bind: 127.0.0.1:PORT\n  - bind: 127.0.0.1:{port}\n  - bind: unix:DIR/clients\n{nodes}"
    );
    assert_eq!(ringway.reload(&both).0, 200);
    wait_for("the new listeners", || ringway.path("clients").exists());
    Client::connect(port).set("k", "v");
    assert_eq!(ringway.reload(&nodes).0, 200);
    wait_for("the listener to close", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
    });
    wait_for("the unix socket to leave no file behind", || {
        !ringway.path("clients").exists()
    });
    assert_eq!(ringway.client().get("k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_listener_whose_address_is_taken_refuses_the_whole_file() {
    let node = Memcached::start();
    let nodes = pool(&[node.address()], &[]);
    let ringway = Ringway::start(&nodes);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let both = format!("listeners:\n  - bind: 127.0.0.1:PORT\n  - bind: {address}\n{nodes}");
    let (status, body) = ringway.reload(&both);
    assert_eq!(status, 422);
    assert!(body.contains(&format!("cannot listen on {address}")), "{body}");
    assert!(ringway.get("/readyz").1.contains(&address.to_string()));

    // Another test that starts a process may hold a copy of the socket for a moment.
    drop(taken);
    wait_for("the address to be free", || ringway.reload(&both).0 == 200);
    wait_for("the new listener", || {
        std::net::TcpStream::connect(address).is_ok()
    });
    assert_eq!(ringway.get("/readyz"), (200, "ready\n".to_owned()));
}

#[test]
fn a_listener_that_is_in_the_way_of_another_one_is_named() {
    let node = Memcached::start();
    let nodes = pool(&[node.address()], &[]);
    let ringway = Ringway::start(&nodes);
    let (status, body) = ringway.reload(&format!("listeners: [{{bind: '0.0.0.0:PORT'}}]\n{nodes}"));
    assert_eq!(status, 422);
    assert!(body.contains("this process listens on 127.0.0.1:"), "{body}");
    assert_eq!(ringway.client().get("k"), None, "it still does");
}

#[test]
fn a_reload_names_what_needs_a_restart() {
    let node = Memcached::start();
    let nodes = pool(&[node.address()], &[]);
    let ringway = Ringway::start(&nodes);
    let (status, body) = ringway.reload(&format!("workers: 2\n{nodes}"));
    assert_eq!(
        (status, body.contains("`workers` needs a restart")),
        (200, true),
        "{body}"
    );
}

#[test]
fn a_file_that_is_gone_shows_until_it_is_back() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let path = ringway.path("ringway.yaml");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::remove_file(&path).expect("removed");
    wait_for("the loss to show", || {
        ringway.get("/readyz").1.contains("ringway.yaml")
    });
    assert_eq!(ringway.get("/readyz").0, 200, "what runs goes on");
    fs::write(&path, text).expect("written");
    wait_for("its return to show", || ringway.get("/readyz").1 == "ready\n");
}

#[test]
fn a_pipe_a_device_or_a_folder_in_the_place_of_the_file_is_refused_and_holds_nothing_up() {
    let node = Memcached::start();
    let mut ringway = Ringway::start(&pool(&[node.address()], &[]));
    let path = ringway.path("ringway.yaml");
    let put = |kind: &str| {
        let script = match kind {
            "pipe" => "rm -rf \"$0\" && mkfifo \"$0.new\" && mv \"$0.new\" \"$0\"",
            "device" => "rm -rf \"$0\" && ln -s /dev/zero \"$0\"",
            _ => "rm -rf \"$0\" && mkdir \"$0\"",
        };
        let put = program::output(Command::new("sh").args(["-c", script]).arg(&path));
        assert!(put.status.success());
    };
    for kind in ["pipe", "device", "folder"] {
        put(kind);
        let (status, told) = ringway.post("/reload");
        assert_eq!(status, 422, "{kind}: {told}");
        assert!(told.contains("not a regular file"), "{kind}: {told}");
        ringway.signal("HUP");
        assert_eq!(ringway.get("/livez").0, 200, "{kind}");
        ringway.client().set(kind, "v");
    }
    put("pipe");
    assert!(ringway.resident() < 256 << 20);
    ringway.signal("TERM");
    assert!(ringway.wait().success(), "it drains and ends");
}

#[test]
fn a_shorter_timeout_holds_although_an_earlier_request_waits_for_longer() {
    let node = Scripted::start("1.6.18", |seen| vec![Act::Await("reply"), seen.hits("x")]);
    let with = |timeout: &str| pool(&[node.address()], &[&format!("request_timeout: {timeout}")]);
    let ringway = Ringway::start(&with("10m"));
    let mut first = ringway.client();
    first.send("get a\r\n");
    node.wait_seen(1);
    assert_eq!(ringway.reload(&with("300ms")).0, 200);
    for _ in 0..3 {
        ringway.client().expects("get b\r\nget c d\r\n", "END\r\nEND\r\n");
    }
    node.open("reply");
    first.expect("VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_flush_that_waits_for_a_pool_flushes_the_nodes_that_another_one_has_by_then() {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let address = |index: usize| format!("'{}'", nodes[index].address());
    let config = |main: &[usize]| {
        let main: Vec<String> = main.iter().map(|&index| address(index)).collect();
        let more = "request_timeout: 10s";
        format!(
            "pools: {{main: {{nodes: [{}], {more}}}, gutter: {{nodes: [{}], {more}}}}}\n\
             routes: {{default: {{failover: [main, gutter]}}}}\n",
            main.join(", "),
            address(3)
        )
    };
    let ringway = Ringway::start(&config(&[1, 2]));
    let mut client = ringway.client();
    for node in &nodes[..3] {
        node.client().set("old", "v");
    }
    nodes[3].signal("STOP");
    client.send("flush_all\r\n");
    wait_for("the flush to be sent", || {
        ringway.metric("ringway_in_flight", &["gutter"]) > 0.0
    });
    assert_eq!(ringway.reload(&config(&[0, 1, 2])).0, 200);
    nodes[3].signal("CONT");
    client.expect("OK\r\n");
    for node in &nodes[..3] {
        assert_eq!(node.client().get("old"), None, "{}", node.address());
    }
}
