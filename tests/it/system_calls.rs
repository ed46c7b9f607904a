//! What a worker asks of the kernel in steady state: one read and one write for each batch on either side, and nothing
//! else but the wait for events. Seen by strace. Adaptive batching is turned off for that.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, Ringway, pool, signal, wait_for};

/// Requests of a batch; memcached gives a connection at most 20 in a turn, and writes once a turn.
const DEPTH: usize = 16;
/// Batches of each client.
const BATCHES: usize = 100;

/// The system calls of one worker, a line each.
struct Trace {
    lines: Vec<String>,
}

impl Trace {
    /// How many calls with this name there were, to the connections with this port at either end.
    fn count(&self, names: &[&str], port: u16) -> usize {
        let at = format!(":{port}");
        let is_at = |line: &str| {
            let (file, _) = line.split_once(']').unwrap_or_default();
            file.contains(&format!("{at}->")) || file.ends_with(&at)
        };
        let wanted = |line: &&String| names.contains(&name(line)) && is_at(line);
        self.lines.iter().filter(wanted).count()
    }

    fn reads(&self, port: u16) -> usize {
        self.count(&["read", "readv", "recvfrom", "recvmsg"], port)
    }

    fn writes(&self, port: u16) -> usize {
        self.count(&["write", "writev", "sendto", "sendmsg"], port)
    }

    /// Calls that are neither a read or write that moved bytes, nor the wait for events.
    fn needless(&self) -> Vec<&str> {
        let moves = [
            "read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg",
        ];
        let is_needed = |line: &str| match name(line) {
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "restart_syscall" => true,
            // The heap may still grow in the first batches; that requests allocate nothing is shown elsewhere.
            "brk" | "mmap" | "munmap" | "mprotect" | "madvise" => true,
            name => moves.contains(&name) && !line.contains("EAGAIN"),
        };
        let lines = self.lines.iter().map(String::as_str);
        lines.filter(|line| !is_needed(line)).collect()
    }

    fn shown(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().take(40).map(String::as_str).collect();
        lines.join("\n")
    }
}

fn name(line: &str) -> &str {
    line.split('(').next().unwrap_or_default()
}

/// Traces the only worker of `ringway` during `load`. `None`: this machine forbids to trace.
fn trace(ringway: &Ringway, load: impl FnOnce()) -> Option<Trace> {
    let worker = task(ringway, "worker-0");
    let output = ringway.path("trace");
    let mut strace = program::start(
        Command::new("strace")
            .args([
                "-ff",
                "-yy",
                "-s",
                "0",
                "-o",
                output.to_str().expect("a path in UTF-8"),
            ])
            .args(["-p", &ringway.id().to_string()])
            .stderr(Stdio::piped()),
    );
    if !attaches(&mut strace, ringway, &worker) {
        return None;
    }
    load();
    signal(&strace, "INT");
    strace.wait().expect("a child");
    let lines = fs::read_to_string(format!("{}.{worker}", output.display())).expect("a trace of the worker");
    // The call during which it was attached, and the last one, are cut.
    let is_whole = |line: &&str| line.contains(" = ") && !line.contains("resuming interrupted");
    Some(Trace {
        lines: lines.lines().filter(is_whole).map(str::to_owned).collect(),
    })
}

/// Waits until strace traces the worker. False: it may not.
fn attaches(strace: &mut Child, ringway: &Ringway, worker: &str) -> bool {
    let status = format!("/proc/{}/task/{worker}/status", ringway.id());
    let mut is_refused = false;
    wait_for("strace to attach", || {
        is_refused = strace.try_wait().expect("a child").is_some();
        let status = fs::read_to_string(&status).expect("a worker");
        is_refused || !status.contains("TracerPid:\t0\n")
    });
    if is_refused {
        program::skip("this machine forbids strace to trace a process (ptrace)");
    }
    !is_refused
}

/// The number of the thread with this name.
fn task(ringway: &Ringway, name: &str) -> String {
    let tasks = fs::read_dir(format!("/proc/{}/task", ringway.id())).expect("it runs");
    let mut paths = tasks.map(|task| task.expect("a task").path());
    let is_named = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let path = paths.find(is_named).expect("a thread of that name");
    path.file_name().expect("a number").to_string_lossy().into_owned()
}

/// A batch of gets with its answer; every other request is a set.
fn batch() -> (String, String) {
    (0..DEPTH / 2)
        .map(|n| {
            (
                format!("set key{n} 0 0 5\r\nvalue\r\nget key{n}\r\n"),
                format!("STORED\r\nVALUE key{n} 0 5\r\nvalue\r\nEND\r\n"),
            )
        })
        .unzip()
}

/// Every client sends a batch, then every client reads its answer, again and again.
fn talk(clients: &mut [Client], batches: usize) {
    let (asks, reads) = batch();
    for _ in 0..batches {
        clients.iter_mut().for_each(|client| client.send(&asks));
        clients.iter_mut().for_each(|client| client.expect(&reads));
    }
}

fn assert_at_most(what: &str, calls: usize, batches: usize, trace: &Trace) {
    // TCP promises no boundaries: a batch may arrive in two pieces once in a while.
    let most = batches + batches / 20;
    assert!(calls > 0, "{what}: none seen\n{}", trace.shown());
    assert!(
        calls <= most,
        "{what}: {calls} for {batches} batches\n{}",
        trace.shown()
    );
}

/// A pool of `nodes` on a worker that makes no call to gather events.
fn without_batching(nodes: &[String]) -> String {
    String::from("batching: never\n") + &pool(nodes, &["request_timeout: 15s"])
}

#[test]
fn a_batch_costs_one_read_and_one_write_on_either_side_and_no_other_call() {
    let node = Memcached::start();
    let ringway = Ringway::start(&without_batching(&[node.address()]));
    let mut clients = [ringway.client()];
    talk(&mut clients, 10);
    let Some(trace) = trace(&ringway, || talk(&mut clients, BATCHES)) else {
        return;
    };
    for (side, port) in [("client", ringway.port), ("node", node.port())] {
        assert_at_most(
            &format!("reads from the {side}"),
            trace.reads(port),
            BATCHES,
            &trace,
        );
        assert_at_most(
            &format!("writes to the {side}"),
            trace.writes(port),
            BATCHES,
            &trace,
        );
    }
    let needless = trace.needless();
    assert!(needless.is_empty(), "needless calls:\n{}", needless.join("\n"));
}

#[test]
fn many_clients_over_many_nodes_cost_no_call_more_than_a_batch_each() {
    let nodes = [Memcached::start(), Memcached::start()];
    // By name, or with some ports one node has all keys of the batch.
    let named = |(name, node): (&str, &Memcached)| format!("{{name: {name}, address: '{}'}}", node.address());
    let named: Vec<String> = ["a", "b"].into_iter().zip(&nodes).map(named).collect();
    let ringway = Ringway::start(&without_batching(&named));
    let mut clients: Vec<Client> = (0..8).map(|_| ringway.client()).collect();
    talk(&mut clients, 10);
    let Some(trace) = trace(&ringway, || talk(&mut clients, BATCHES)) else {
        return;
    };
    let batches = BATCHES * clients.len();
    assert_at_most("reads from clients", trace.reads(ringway.port), batches, &trace);
    // The replies of one node may be there before those of the other are.
    let most = batches * nodes.len();
    assert_at_most("writes to clients", trace.writes(ringway.port), most, &trace);
    for node in &nodes {
        assert_at_most("reads from a node", trace.reads(node.port()), batches, &trace);
        assert_at_most("writes to a node", trace.writes(node.port()), batches, &trace);
    }
    let needless = trace.needless();
    assert!(needless.is_empty(), "needless calls:\n{}", needless.join("\n"));
}

#[test]
fn a_busy_worker_makes_no_wait_if_batching_is_never() {
    let node = Memcached::start();
    let ringway = Ringway::start(&without_batching(&[node.address()]));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = ringway.client();
                (0..2_000).for_each(|_| client.expects("get absent\r\n", "END\r\n"));
            });
        }
    });
    assert_eq!(ringway.metric("ringway_worker_batching_waits_total", &[]), 0.0);
}
