//! One node of four in trouble, seen by real client libraries: what they ask of the other nodes never fails, and what
//! they ask of that node reads as for a key that is not there. No library shuts Ringway out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Ringway, pool};

/// As `tests/clients/python/outage.py` calls them.
const LIBRARIES: &[&str] = &[
    "pylibmc",
    "pylibmc-binary",
    "python-memcached",
    "pymemcache",
    "django-pymemcache",
    "django-pylibmc",
];
/// Keys of each client on nodes that work: with 30 rounds of a set and a get each, 1440 operations.
const LIVING: usize = 24;
const DEAD: usize = 8;
const ABSENT: usize = 1;
const REHASH: &str = "on_node_down: rehash";

/// A client library at work in a process of its own.
struct Library {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Library {
    fn start(name: &'static str, ringway: &Ringway, dead: &str) -> Library {
        let python = std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python/outage.py");
        let mut child = program::start(
            Command::new(&python)
                .args([script, name, "127.0.0.1", &ringway.port.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        );
        let mut stdin = child.stdin.take().expect("a pipe");
        writeln!(stdin, "{}", keys(name, ringway, dead)).expect("it reads its keys");
        Library {
            name,
            stdin,
            stdout: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    fn wait_until(&mut self, word: &str) {
        if self.line() != word {
            self.fail();
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("it waits for this");
    }

    /// Waits until it has found that all holds.
    fn finish(mut self) {
        if !self.line().starts_with("ok ") {
            self.fail();
        }
        assert!(self.child.wait().expect("a child").success(), "{}", self.name);
    }

    fn fail(&mut self) -> ! {
        let mut stderr = self.child.stderr.take().expect("a pipe");
        let mut said = String::new();
        let _as_far_as_it_goes = std::io::Read::read_to_string(&mut stderr, &mut said);
        panic!(
            "{} (tests/run installs the clients and sets RINGWAY_PYTHON): {said}",
            self.name
        );
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Keys of the client called `name`, by whether they live on the node at `dead`, as JSON.
fn keys(name: &str, ringway: &Ringway, dead: &str) -> serde_json::Value {
    let (mut living, mut lost) = (Vec::new(), Vec::new());
    for number in 0.. {
        let key = format!("{name}-{number}");
        let place = ringway.get(&format!("/explain?key={key}")).1;
        match place.contains(dead) {
            true => lost.push(key),
            false => living.push(key),
        }
        if living.len() >= LIVING + ABSENT && lost.len() >= DEAD {
            break;
        }
    }
    lost.truncate(DEAD);
    let absent = living.split_off(LIVING);
    serde_json::json!({ "living": living, "dead": lost, "absent": absent[..ABSENT] })
}

/// All libraries at once, before whose eyes `trouble` is made with the last of four nodes.
fn all_go_on(settings: &[&str], is_before: bool, trouble: impl FnOnce(Memcached) -> Option<Memcached>) {
    let mut nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let moves = settings.contains(&REHASH);
    let settings = [settings, &["request_timeout: 2s"]].concat();
    let ringway = Ringway::start(&pool(&addresses, &settings));
    let start = |name: &&'static str| Library::start(name, &ringway, &addresses[3]);
    let victim = nodes.pop().expect("four");
    let (mut libraries, _kept): (Vec<Library>, _);
    if is_before {
        libraries = LIBRARIES.iter().map(start).collect();
        wait_until(&mut libraries, "ready");
        _kept = trouble(victim);
    } else {
        _kept = trouble(victim);
        libraries = LIBRARIES.iter().map(start).collect();
        wait_until(&mut libraries, "ready");
    }
    say(&mut libraries, if moves { "go rehash" } else { "go" });
    wait_until(&mut libraries, "used");
    say(&mut libraries, "flush");
    wait_until(&mut libraries, "flushed");
    say(&mut libraries, "go on");
    libraries.into_iter().for_each(Library::finish);
}

fn wait_until(libraries: &mut [Library], word: &str) {
    libraries.iter_mut().for_each(|library| library.wait_until(word));
}

fn say(libraries: &mut [Library], line: &str) {
    libraries.iter_mut().for_each(|library| library.say(line));
}

fn kill(node: Memcached) -> Option<Memcached> {
    drop(node);
    None
}

fn stop(node: Memcached) -> Option<Memcached> {
    node.signal("STOP");
    Some(node)
}

#[test]
fn no_client_loses_the_keys_of_the_others_where_a_node_is_dead() {
    all_go_on(&[], false, kill);
}

#[test]
fn no_client_loses_the_keys_of_the_others_where_a_node_hangs() {
    all_go_on(&[], true, stop);
}

#[test]
fn no_client_loses_the_keys_of_the_others_in_the_seconds_after_a_kill() {
    all_go_on(&[], true, kill);
}

#[test]
fn no_client_loses_the_keys_of_the_others_while_they_take_over_those_of_a_node() {
    all_go_on(&[REHASH], true, kill);
}

#[test]
fn no_client_loses_the_keys_of_the_others_where_one_of_the_nodes_that_know_no_meta_is_dead() {
    all_go_on(&["protocol: classic"], false, kill);
}
