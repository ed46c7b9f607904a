//! `ringway warm`: what moves in a handover is copied to its new nodes, as it is, and nothing else.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::scope;

use crate::handover::{end, next, paused, phase};
use crate::support::certificates::Authority;
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::program::{self, ringway, said};
use crate::support::ringway::{Ringway, pool, wait_for};
use crate::support::scripted::{Scripted, say};

/// Runs `ringway warm` to its end; its exit code, stdout and stderr.
fn warm(running: &Ringway, more: &[&str]) -> (Option<i32>, String, String) {
    let admin = running.admin.to_string();
    let arguments = [&["warm", "--admin", &admin], more].concat();
    said(&program::output(&mut ringway(&arguments)))
}

/// Starts `ringway warm` with this many keys a second.
fn begin(running: &Ringway, rate: &str) -> Child {
    let admin = running.admin.to_string();
    let mut command = ringway(&["warm", "--admin", &admin, "--rate", rate]);
    program::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// The number of items of `node`.
fn items(node: &Memcached) -> u64 {
    let mut client = node.client();
    client.send("stats\r\n");
    let stats = client.read_to("END");
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("STAT curr_items "));
    line.expect("a figure").trim().parse().expect("a number")
}

/// The answer to `mg KEY FLAGS v`, with its value.
fn value(client: &mut Client, key: &str, flags: &str) -> Option<(String, Vec<u8>)> {
    let line = client.ask(format!("mg {key} {flags} v\r\n"));
    let rest = line.strip_prefix("VA ")?;
    let (size, flags) = rest.split_once(' ').unwrap_or((rest, ""));
    let data = client.exact(size.parse().expect("a length"));
    client.expect("\r\n");
    Some((flags.to_owned(), data))
}

#[test]
fn what_moves_is_copied_as_it_is_and_nothing_else() {
    let nodes: Vec<Memcached> = (0..3).map(|_| Memcached::start()).collect();
    let (before, after) = (
        paused(&[&nodes[0], &nodes[1]], "0s"),
        paused(&[&nodes[0], &nodes[1], &nodes[2]], "0s"),
    );
    let ringway = Ringway::start(&before);
    let mut client = ringway.client();
    for number in 0..300 {
        client.expects(
            format!("set key-{number} {number} 1000 3\r\nold\r\n"),
            "STORED\r\n",
        );
    }
    ringway.reload(&after);
    let (code, out, err) = warm(&ringway, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let copied = items(&nodes[2]);
    let moved: Vec<u32> = (0..300)
        .filter(|number| value(&mut nodes[2].client(), &format!("key-{number}"), "f").is_some())
        .collect();
    assert!((60..140).contains(&moved.len()), "a third moves: {out}");
    // Its mark, a fresh id or two that tell of a restart, and the note that leftovers are removed.
    assert!(
        copied <= moved.len() as u64 + 4,
        "and Ringway's own notes: {copied}"
    );
    let count = moved.len();
    assert_eq!(
        out,
        format!("main: {count} keys move: {count} copied, 0 were there already, 0 gone, 0 failed\n")
    );
    for number in &moved {
        let (flags, data) = value(&mut nodes[2].client(), &format!("key-{number}"), "f t").expect("copied");
        let (flag, ttl) = flags.split_once(' ').expect("two");
        assert_eq!((flag, &data[..]), (format!("f{number}").as_str(), &b"old"[..]));
        let ttl: u32 = ttl[1..].parse().expect("seconds");
        assert!((900..=1000).contains(&ttl), "{flags}");
    }
    // Nothing is read from an old node any more.
    let before = ringway.metric("ringway_handover_reads_total", &["found=\"old\""]);
    for number in 0..300 {
        assert_eq!(
            client.get(&format!("key-{number}")).as_deref(),
            Some(&b"old"[..]),
            "{number}"
        );
    }
    assert_eq!(
        ringway.metric("ringway_handover_reads_total", &["found=\"old\""]),
        before
    );
    let again = format!("main: {count} keys move: 0 copied, {count} were there already, 0 gone, 0 failed\n");
    assert_eq!(warm(&ringway, &[]), (Some(0), again, String::new()));
}

#[test]
fn odd_keys_and_large_values_are_copied_and_what_is_newer_stays() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let ringway = Ringway::start(&paused(&[&old], "0s"));
    let large = vec![b'x'; 900_000];
    let mut client = ringway.client();
    client.set("large", &large);
    // A key with a space, one with a percent sign, one in UTF-8, and one of 250 bytes.
    client.expects("ms YSBi 3 b\r\nodd\r\n", "HD\r\n");
    client.set("100%41", "percent");
    client.set("clé", "utf-8");
    client.set(&"k".repeat(250), "long");
    client.set("empty", "");
    client.set("left", "value");
    client.set("newer", "old");
    client.set("deleted", "old");
    // Left there by an earlier ring.
    new.client().set("left", "left over");
    ringway.reload(&paused(&[&new], "0s"));
    client.expects(
        "set newer 0 0 3\r\nnew\r\ndelete deleted\r\n",
        "STORED\r\nDELETED\r\n",
    );
    let (code, out, err) = warm(&ringway, &["--pool", "main", "--connections", "2"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(
        out,
        "main: 7 keys move: 7 copied, 0 were there already, 0 gone, 0 failed\n"
    );
    let mut there = new.client();
    let long = "k".repeat(250);
    for (key, data) in [
        ("large", &large[..]),
        ("100%41", b"percent"),
        ("clé", b"utf-8"),
        (&long, b"long"),
        ("empty", b""),
        ("left", b"value"),
        ("newer", b"new"),
    ] {
        assert_eq!(there.get(key).as_deref(), Some(data), "{key}");
    }
    let (_, odd) = value(&mut there, "YSBi", "b k").expect("copied");
    assert_eq!(odd, b"odd");
    assert_eq!(there.get("deleted"), None);
}

#[test]
fn it_may_be_killed_and_run_again() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let ringway = Ringway::start(&paused(&[&old], "0s"));
    let mut client = ringway.client();
    (0..200).for_each(|number| client.set(&format!("key-{number}"), "5"));
    ringway.reload(&paused(&[&new], "0s"));
    let mut first = begin(&ringway, "100");
    wait_for("some copies", || items(&new) > 10);
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    let (code, out, _) = warm(&ringway, &["--rate", "10000"]);
    assert_eq!(code, Some(0), "{out}");
    let words: Vec<&str> = out.split(' ').collect();
    let [copied, there]: [u64; 2] = [words[4], words[6]].map(|count| count.parse().expect("a number"));
    assert_eq!(copied + there, 200, "{out}");
    assert!(copied > 0 && there > 0, "{out}");
    assert!((0..200).all(|number| new.client().get(&format!("key-{number}")).as_deref() == Some(b"5")));
}

#[test]
fn it_copies_in_serve_only() {
    let (old, new) = (Memcached::start(), Memcached::start());
    let ringway = Ringway::start(&paused(&[&old], "1h"));
    let mut client = ringway.client();
    (0..500).for_each(|number| client.set(&format!("key-{number}"), "5"));
    let (code, _, err) = warm(&ringway, &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no pool is in a handover"), "{err}");

    ringway.reload(&paused(&[&new], "1h"));
    let waiting = begin(&ringway, "50");
    scope(|threads| {
        let waited = threads.spawn(|| waiting.wait_with_output().expect("it ends"));
        wait_for("the handover", || phase(&ringway).as_deref() == Some("prepare"));
        let before = items(&new);
        next(&ringway);
        wait_for("some copies", || items(&new) > before + 5);
        next(&ringway);
        let (code, out, err) = said(&waited.join().expect("no panic"));
        assert_eq!(code, Some(1), "{out}");
        assert!(err.contains("the handover went on to finish"), "{err}");
        assert!(err.contains("keys were not looked at"), "{err}");
        assert!(out.contains("500 keys move"), "{out}");
    });
    let (code, _, err) = warm(&ringway, &["--pool", "main"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no more values may be copied"), "{err}");
    end(&ringway);
    assert_eq!(warm(&ringway, &["--pool", "other"]).0, Some(1));
}

#[test]
fn a_node_that_lists_nothing_or_knows_no_leases_is_named() {
    for silent in [Memcached::start_with(&["-o", "no_lru_crawler"]), {
        let node = Memcached::start();
        node.client().expects("lru_crawler disable\r\n", "OK\r\n");
        node
    }] {
        let new = Memcached::start();
        let ringway = Ringway::start(&paused(&[&silent], "0s"));
        ringway.client().set("k", "5");
        ringway.reload(&paused(&[&new], "0s"));
        let (code, out, err) = warm(&ringway, &[]);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        let said = format!("{}: the node does not list its items", silent.address());
        assert!(err.starts_with(&said), "{err}");
        assert_eq!(ringway.client().get("k").as_deref(), Some(&b"5"[..]));
    }
    // It lists its items, but is too old to give them with what a copy needs.
    let old = Scripted::start("1.5.22", |seen| match seen.word(0) {
        "lru_crawler" => say("key=k exp=-1 la=1 cas=1 fetch=no cls=1 size=61\r\nEND\r\n"),
        _ => say("END\r\n"),
    });
    let new = Memcached::start();
    let config = |node: &str| pool(&[node.to_owned()], &["handover: {prepare: 0s, serve: 1h}"]);
    let ringway = Ringway::start(&config(&old.address()));
    ringway.reload(&config(&new.address()));
    let (code, _, err) = warm(&ringway, &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("knows no leases"), "{err}");
}

#[test]
fn the_newest_keys_are_copied_first() {
    let old = Scripted::start("1.6.18", |seen| match (seen.word(0), seen.word(1)) {
        ("lru_crawler", _) => say(
            "key=b exp=-1 la=20 cas=1 fetch=no cls=1 size=61\r\nkey=a exp=-1 la=30 cas=2 fetch=no cls=1 size=61\r\n\
             key=over exp=40 la=40 cas=3 fetch=no cls=1 size=61\r\nkey=c exp=-1 la=10 cas=4 fetch=no cls=1 size=61\r\nEND\r\n",
        ),
        ("mg", key) => say(format!("VA 1 k{key} t-1 f0\r\n5\r\n")),
        _ => say("EN\r\n"),
    });
    let new = Memcached::start();
    let config = |node: &str| pool(&[node.to_owned()], &["handover: {prepare: 0s, serve: 1h}"]);
    let ringway = Ringway::start(&config(&old.address()));
    ringway.reload(&config(&new.address()));
    // Slowly enough that one copy is done before the next begins.
    let (code, out, err) = warm(&ringway, &["--rate", "5"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let read = old.lines().into_iter().filter(|line| line.starts_with("mg "));
    let read: Vec<String> = read.map(|line| line[3..4].to_owned()).collect();
    assert_eq!(read, ["a", "b", "c"]);
}

#[test]
fn nodes_that_want_tls_and_a_password_are_warmed_too() {
    let authority = Authority::new();
    let pair = authority.pair("node", &["localhost"]);
    let folder = authority.folder();
    fs::write(folder.join("users"), "ringway:secret\n").expect("written");
    fs::write(folder.join("password"), "secret\n").expect("written");
    let start = || {
        let [chain, key] = [("chain_cert", &pair.cert), ("key", &pair.key)]
            .map(|(name, path)| format!("ssl_{name}={}", path.display()));
        let users = folder.join("users");
        let users = users.to_str().expect("UTF-8");
        Memcached::start_with(&["-Z", "-o", &chain, "-o", &key, "-Y", users])
    };
    let (old, new) = (start(), start());
    let ring_of = |node: &Memcached| {
        let settings = [
            "handover: {prepare: 0s, serve: 1h}".to_owned(),
            format!("tls: {{ca: {}}}", authority.ca().display()),
            format!(
                "auth: {{user: ringway, password: {{file: {}}}}}",
                folder.join("password").display()
            ),
        ];
        let settings = settings.each_ref().map(String::as_str);
        pool(&[format!("localhost:{}", node.port())], &settings)
    };
    let ringway = Ringway::start(&ring_of(&old));
    let mut client = ringway.client();
    for number in 0..50 {
        client.set(&format!("key-{number}"), number.to_string());
    }
    ringway.reload(&ring_of(&new));
    let (code, out, err) = warm(&ringway, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    drop(old);
    for number in 0..50 {
        let value = client.get(&format!("key-{number}"));
        assert_eq!(value, Some(number.to_string().into_bytes()), "{out}");
    }
}
