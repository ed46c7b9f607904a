//! The command line, as an operator types it: what it prints and how it exits.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool};
use crate::support::scripted::{Scripted, say};

fn ringway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_says_what_a_good_file_has_and_every_mistake_of_a_bad_one() {
    for (file, content) in [
        ("config/minimal.yaml", "1 pool, 3 nodes, 1 listener"),
        (
            "config/full.yaml",
            "5 pools (1 with discovery), 10 nodes, 5 listeners",
        ),
    ] {
        let expected = format!("{file}: ok: {content}\n");
        assert_eq!(
            said(&ringway(&["check", file])),
            (Some(0), expected, String::new())
        );
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bad.yaml");
    std::fs::write(
        &file,
        "workers: 0\npools:\n  main:\n    nodes: [\"10.0.0.1\"]\n    conections: 2\n",
    )
    .expect("written");
    let (code, out, err) = said(&ringway(&["check", file.to_str().expect("UTF-8")]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let name = file.display();
    for start in [
        format!("{name}:1:10: workers: "),
        format!("{name}:4:13: pools.main.nodes[0]: "),
        format!("{name}:5:5: pools.main.conections: "),
    ] {
        assert!(
            err.lines().any(|line| line.starts_with(&start)),
            "{start} in {err}"
        );
    }
    assert!(err.contains("did you mean \"connections\""), "{err}");
}

#[test]
fn the_version_says_how_it_was_built() {
    let (code, out, err) = said(&ringway(&["--version"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(concat!("ringway ", env!("CARGO_PKG_VERSION"))));
    let facts: Vec<&str> = lines.filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(facts, ["commit", "features", "build"], "{out}");
    let (_, short, _) = said(&ringway(&["-V"]));
    assert!(
        short.starts_with(concat!("ringway ", env!("CARGO_PKG_VERSION"))),
        "{short}"
    );
    assert_eq!(short.lines().count(), 1, "{short}");
}

#[test]
fn explain_prints_a_line_for_each_key() {
    let (code, out, err) = said(&ringway(&[
        "explain",
        "-c",
        "config/several-pools.yaml",
        "one",
        "two",
    ]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(
        words
            .iter()
            .map(|words| (words[0], words.len()))
            .collect::<Vec<_>>(),
        [("one", 4), ("two", 4)]
    );
}

#[test]
fn explain_tells_each_step_and_asks_the_node_if_it_is_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ringway.yaml");
    let node = Memcached::start();
    let text = format!(
        "pools: {{main: {{nodes: ['{}', '127.0.0.1:1'], hash_tag: '{{}}', distribution: {{preset: twemproxy, hash: md5}}}}}}",
        node.address()
    );
    std::fs::write(&file, text).expect("written");
    let explain = |more: &[&str], key: &str| {
        let file = file.to_str().expect("UTF-8");
        let (code, out, err) = said(&ringway(&[&["explain", "-c", file], more, &["--", key]].concat()));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        out
    };
    let keys: Vec<String> = (0..100).map(|n| format!("user:{{{n}}}:name")).collect();
    let goes_to = |address: &str| {
        keys.iter()
            .find(|key| explain(&[], key).ends_with(&format!(" {address}\n")))
    };
    let key = goes_to(&node.address()).expect("one of a hundred");
    let steps = explain(&["--steps"], key);
    let lines: Vec<&str> = steps.lines().collect();
    let tag = key.split(['{', '}']).nth(1).expect("a tag");
    let starts = [
        format!("{key} main main {}", node.address()),
        "  route main".to_owned(),
        "  pool main: twemproxy, 2 nodes".to_owned(),
        format!("  of the key counts {tag}"),
        "  hash md5: ".to_owned(),
        "  point ".to_owned(),
        format!("  node {}: weight 1", node.address()),
        "  if it fails: read miss, write not_stored".to_owned(),
    ];
    assert_eq!(lines.len(), starts.len(), "{steps}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(&start), "{line} is not {start}");
    }
    let live = |key: &str| {
        explain(&["--live"], key)
            .lines()
            .last()
            .expect("a line")
            .to_owned()
    };
    assert_eq!(live(key), "  live: it answers, and does not have the key");
    node.client().set(key, "v");
    assert_eq!(live(key), "  live: it answers, and has the key");
    let dead = goes_to("127.0.0.1:1").expect("one of a hundred");
    assert!(live(dead).starts_with("  live: no answer: "), "{}", live(dead));
    let json: serde_json::Value = serde_json::from_str(&explain(&["--json", "--live"], key)).expect("JSON");
    assert_eq!(
        (json["key"].as_str(), json["steps"][3]["function"].as_str()),
        (Some(key.as_str()), Some("md5"))
    );
    assert_eq!(
        (
            json["steps"][7]["step"].as_str(),
            json["steps"][7]["holds"].as_bool()
        ),
        (Some("live"), Some(true))
    );
}

#[test]
fn a_node_that_knows_no_meta_commands_is_asked_for_a_key_by_a_get() {
    let node = Scripted::start("1.4.0", |seen| match (seen.word(0), seen.word(1)) {
        ("get", "there") => vec![seen.hits("v")],
        ("get", _) => say("END\r\n"),
        _ => say("ERROR\r\n"),
    });
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ringway.yaml");
    std::fs::write(
        &file,
        format!("pools: {{main: {{nodes: ['{}']}}}}", node.address()),
    )
    .expect("written");
    let live = |key: &str| {
        let (_, out, _) = said(&ringway(&[
            "explain",
            "--live",
            "-c",
            file.to_str().expect("UTF-8"),
            key,
        ]));
        out.lines().last().expect("a line").to_owned()
    };
    assert_eq!(live("there"), "  live: it answers, and has the key");
    assert_eq!(live("elsewhere"), "  live: it answers, and does not have the key");
}

#[test]
fn a_running_ringway_explains_each_step_and_asks_its_nodes() {
    let ringway_runs =
        Ringway::start("pools: {main: {nodes: [{name: a, embedded: 1MiB}, {name: b, embedded: 1MiB}]}}");
    let admin = format!("127.0.0.1:{}", ringway_runs.admin);
    let last = |key: &str| {
        let (code, out, err) = said(&ringway(&["explain", "--admin", &admin, "--live", key]));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        out.lines().last().expect("a line").to_owned()
    };
    assert_eq!(last("k"), "  live: it answers, and does not have the key");
    ringway_runs.client().set("k", "v");
    assert_eq!(last("k"), "  live: it answers, and has the key");
    let (status, body) = ringway_runs.get("/explain?key=k");
    let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, shown["pool"].as_str(), shown["steps"][0]["step"].as_str()),
        (200, Some("main"), Some("route"))
    );
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    for (arguments, code, says) in [
        (&["--config", "no/such/file.yaml"][..], 1, "no/such/file.yaml"),
        (&["check", "no/such/file.yaml"], 1, "no/such/file.yaml"),
        (&["explain", "key"], 2, "--config"),
        (&["--no-such-flag"], 2, "--no-such-flag"),
        (&["--log", "debugg"], 2, "no such level"),
        (&["health", "--admin", "127.0.0.1:1"], 1, "127.0.0.1:1"),
    ] {
        let (got, _, err) = said(&ringway(arguments));
        assert_eq!(got, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}

#[test]
fn another_server_at_the_admin_address_is_told_from_a_ringway() {
    let node = Memcached::start();
    let running = Ringway::start(&pool(&[node.address()], &[]));
    let http = http_without_body();
    let client_port = format!("127.0.0.1:{}", running.port);
    for (admin, says) in [
        (node.address(), "no HTTP answer: is this the admin address?"),
        (client_port, "no HTTP answer: is this the admin address?"),
        (http, "it answers with HTTP status 404 and nothing else"),
    ] {
        for command in [
            &["health"][..],
            &["nodes"],
            &["top", "--once"],
            &["warm"],
            &["warm", "--pool", "main"],
            &["tap"],
            &["explain", "k"],
        ] {
            let arguments = [command, &["--admin", &admin]].concat();
            let (code, _, err) = said(&ringway(&arguments));
            assert_eq!(code, Some(1), "{arguments:?}: {err}");
            assert!(err.contains(says), "{arguments:?}: {err}");
            assert!(
                err.contains(&admin) || command == ["explain", "k"],
                "{arguments:?}: {err}"
            );
        }
    }
}

/// Starts a server that refuses every request without a reason.
fn http_without_body() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                head.extend(byte);
            }
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\n\r\n")
                .expect("a reader");
        }
    });
    address
}

#[test]
fn the_log_shows_what_its_filter_admits_in_either_format() {
    let embedded = "pools: {main: {nodes: [{name: a, embedded: 1MiB}]}}";
    for (options, shows) in [
        ("--log info", true),
        ("--log 'warn, ringway::app=info'", true),
        ("--log ringway=info --log-format json", true),
        ("--log info,ringway::app=warn", false),
        ("--log warn --log-format json", false),
    ] {
        let mut ringway = Ringway::start_by(&format!("exec \"$@\" {options}"), embedded);
        ringway.signal("TERM");
        assert!(ringway.wait().success());
        // Everything is written before the end.
        let log = ringway.log();
        let is_shown = log.contains("INFO ready version=") || log.contains("\"message\":\"ready\"");
        assert_eq!(is_shown, shows, "{options}: {log}");
    }
}
