//! `ringway top`: what it shows of a running Ringway under load, as a table and as JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::Value;

use crate::support::memcached::Memcached;
use crate::support::program::{self, ringway, said};
use crate::support::ringway::{Ringway, free_port, pool};

/// A Ringway with a good node and one that refuses connections, whose name is longer than a line.
fn cluster(node: &Memcached) -> Ringway {
    let gone = format!(
        "{{address: '127.0.0.1:{}', name: '{}'}}",
        free_port(),
        "gone".repeat(30)
    );
    let settings = [
        "distribution: ringway",
        "health: {down_after: 1, probe_interval: 100ms}",
    ];
    Ringway::start(&pool(&[node.address(), gone], &settings))
}

/// Says at its end, also that of a test which fails, that the load may stop.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `work` while a client reads keys of both nodes without pause.
fn under_load<T>(running: &Ringway, work: impl FnOnce() -> T) -> T {
    let (is_done, mut client) = (AtomicBool::new(false), running.client());
    thread::scope(|scope| {
        let _stop = Stop(&is_done);
        scope.spawn(|| {
            while !is_done.load(Relaxed) {
                for n in 0..20 {
                    client.get(&format!("k{n}"));
                }
            }
        });
        work()
    })
}

#[test]
fn a_table_has_the_nodes_with_a_problem_first_and_fits_80_columns() {
    let node = Memcached::start();
    let running = cluster(&node);
    crate::support::ringway::wait_for("the node to be down", || {
        running.metric("ringway_node_up", &["gone"]) == 0.0
    });
    let admin = running.admin.to_string();
    let output = under_load(&running, || {
        program::output(&mut ringway(&["top", "--once", "--admin", &admin]))
    });
    let (code, out, err) = said(&output);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(!out.contains('\x1b'), "no terminal, no colours: {out:?}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    let start = |text: &str| {
        let found = out.lines().position(|line| line.starts_with(text));
        found.unwrap_or_else(|| panic!("no line begins with {text}:\n{out}"))
    };
    assert_eq!(start("ringway "), 0);
    assert!(
        start("POOL ") < start("main ") && start("main ") < start("NODE "),
        "{out}"
    );
    assert!(
        start("NODE ") < start("gonegone") && start("gonegone") < start("127.0.0.1:"),
        "{out}"
    );
    let cells = |text: &str| {
        out.lines()
            .nth(start(text))
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    let main = cells("main ").expect("a line");
    assert_eq!(main[1], "1/2");
    assert_ne!(main[2], "0", "requests: {out}");
    assert!(main[5].ends_with('s'), "p50: {out}");
    assert_eq!(cells("gonegone").expect("a line")[1], "down");
}

#[test]
fn json_is_a_line_each_time_and_one_line_with_once() {
    let node = Memcached::start();
    let running = cluster(&node);
    let admin = running.admin.to_string();
    under_load(&running, || {
        let output = program::output(&mut ringway(&["top", "--once", "--json", "--admin", &admin]));
        let (code, out, err) = said(&output);
        assert_eq!((code, err.as_str(), out.lines().count()), (Some(0), "", 1));
        check(&out);

        let mut top = program::start(ringway(&["top", "--json", "--admin", &admin]).stdout(Stdio::piped()));
        let lines = BufReader::new(top.stdout.take().expect("piped")).lines();
        let lines: Vec<String> = lines.take(2).map(|line| line.expect("text")).collect();
        let _ended_before = top.kill();
        let _status = top.wait();
        assert_eq!(lines.len(), 2);
        lines.iter().for_each(|line| check(line));
    });
}

fn check(line: &str) {
    let view: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (&view["ready"], &view["pools"][0]["pool"]),
        (&true.into(), &"main".into())
    );
    let node = &view["nodes"][0];
    for figure in ["requests_per_second", "p50_seconds", "p99_seconds"] {
        assert!(
            node[figure].as_f64().is_some_and(|number| number > 0.0),
            "{figure}: {line}"
        );
    }
    assert!(
        node["hit_ratio"].as_f64().is_some_and(|ratio| ratio < 1.0),
        "{line}"
    );
}

#[test]
fn without_an_answer_it_says_so() {
    let output = program::output(&mut ringway(&["top", "--admin", &free_port().to_string()]));
    let (code, out, err) = said(&output);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("cannot reach 127.0.0.1:"), "{err}");
}

#[test]
fn an_order_and_a_filter_choose_what_scripts_read() {
    let nodes = [Memcached::start(), Memcached::start()];
    let text = pool(
        &nodes.each_ref().map(|node| node.address()),
        &["distribution: ringway"],
    );
    let route = "listeners: [{bind: '127.0.0.1:PORT', route: {failover: [main, main]}}]\n";
    let running = Ringway::start(&(route.to_owned() + &text));
    let admin = running.admin.to_string();
    let top = |options: &[&str]| -> Value {
        let arguments = [&["top", "--once", "--json", "--admin", &admin], options].concat();
        let output = under_load(&running, || program::output(&mut ringway(&arguments)));
        let (code, out, err) = said(&output);
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str(&out).expect("JSON")
    };
    let names = |view: &Value| -> Vec<String> {
        let nodes = view["nodes"].as_array().expect("a list").iter();
        nodes
            .map(|node| node["node"].as_str().expect("a name").to_owned())
            .collect()
    };
    let mut sorted = nodes.each_ref().map(|node| node.address());
    sorted.sort();
    assert_eq!(names(&top(&["--sort", "name"])), sorted);
    let filtered = top(&["--filter", &sorted[1]]);
    assert_eq!(names(&filtered), [sorted[1].clone()]);
    assert_eq!(filtered["pools"][0]["pool"], "main");
    let all = top(&[]);
    let policy = &all["routes"][0];
    assert_eq!(policy["policy"], "failover");
    assert!(
        policy["requests_per_second"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0),
        "{policy}"
    );
}

#[test]
fn on_a_terminal_keys_sort_filter_pause_and_end_it() {
    let node = Memcached::start();
    let running = cluster(&node);
    let command = format!("{} top --admin {}", env!("CARGO_BIN_EXE_ringway"), running.admin);
    let mut script = program::start(
        std::process::Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let mut keys = script.stdin.take().expect("piped");
    let mut screen = script.stdout.take().expect("piped");
    let mut shown = String::new();
    let mut wait_until = |text: &str| {
        let mut bytes = [0; 4096];
        while !shown.contains(text) {
            let count = screen.read(&mut bytes).expect("a screen");
            assert!(count > 0, "it ended before {text:?} was shown:\n{shown}");
            shown += &String::from_utf8_lossy(&bytes[..count]);
        }
        // What follows is shown after this.
        shown.clear();
    };
    wait_until("s sort: problems  / filter  p pause  q quit");
    for (pressed, text) in [
        ("s", "s sort: requests"),
        ("/", "filter: _"),
        ("gone", "filter: gone_"),
        ("\r", "/ filter: gone  p pause"),
        ("p", "PAUSED"),
    ] {
        keys.write_all(pressed.as_bytes()).expect("pressed");
        wait_until(text);
    }
    keys.write_all(b"q").expect("pressed");
    assert!(script.wait().expect("it ends").success());
}
