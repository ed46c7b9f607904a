//! Where real peers put keys, Ringway finds them, and the other way round: nutcracker and libmemcached in
//! front of the same memcached processes.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, Ringway, free_port, pool, wait_for};

/// Keys each way.
const KEYS: usize = 600;

/// A running nutcracker in front of a pool; killed when it is dropped.
struct Nutcracker {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Nutcracker {
    /// Starts one with `servers` as its configuration has them, and settings beside them.
    fn start(servers: &[String], settings: &[&str]) -> Nutcracker {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("nutcracker.yml");
        for _ in 0..5 {
            let (port, stats) = (free_port(), free_port());
            let mut text =
                format!("main:\n  listen: 127.0.0.1:{port}\n  distribution: ketama\n  timeout: 10000\n");
            settings
                .iter()
                .for_each(|setting| text += &format!("  {setting}\n"));
            text += "  servers:\n";
            servers
                .iter()
                .for_each(|server| text += &format!("    - {server}\n"));
            fs::write(&config, text).expect("written");
            let mut child = program::start(
                Command::new(path_of("nutcracker"))
                    .arg("-c")
                    .arg(&config)
                    .args(["-a", "127.0.0.1", "-s", &stats.to_string()])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null()),
            );
            let mut is_gone = false;
            wait_for("nutcracker", || {
                let is_there = TcpStream::connect(("127.0.0.1", port)).is_ok();
                is_gone = child.try_wait().expect("a child").is_some();
                is_gone || is_there
            });
            if !is_gone {
                return Nutcracker {
                    child,
                    port,
                    _dir: dir,
                };
            }
        }
        panic!("nutcracker does not start with {servers:?}");
    }
}

impl Drop for Nutcracker {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Where a program is; Debian keeps some where only root looks.
fn path_of(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.exists() { sbin } else { name.into() }
}

/// Runs a program to its end; fails if it did not end well.
fn run(command: &mut Command, hint: &str) -> String {
    let output = program::output(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}; {hint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn store_all(client: &mut Client, keys: &[String]) {
    for key in keys {
        client.set(key, format!("{key}'s value"));
    }
}

fn find_all(client: &mut Client, keys: &[String], who: &str) {
    for key in keys {
        let wanted = format!("{key}'s value").into_bytes();
        assert_eq!(client.get(key), Some(wanted), "{key}, found by {who}");
    }
}

/// Fails unless each node has a part of what was stored.
fn each_has_some(nodes: &[Memcached]) {
    for node in nodes {
        let mut client = node.client();
        client.send("stats\r\n");
        let stats = client.read_to("END");
        assert!(!stats.contains("STAT curr_items 0\r\n"), "a node is empty");
    }
}

fn fleet(count: usize) -> Vec<Memcached> {
    (0..count).map(|_| Memcached::start()).collect()
}

/// Keys of which many have a hash tag, some a broken one, and some bytes above 127.
fn tagged_keys(prefix: &str) -> Vec<String> {
    let key = |i: usize| match i % 6 {
        0 => format!("{prefix}:{{user{}}}:{i}", i / 12),
        1 => format!("{{{}}}{prefix}{i}", i / 12),
        2 => format!("{prefix}{{}}{i}"),
        3 => format!("{prefix}}}{i}{{"),
        4 => format!("{prefix}ключ{i}"),
        _ => format!("{prefix}:{i}"),
    };
    (0..KEYS).map(key).collect()
}

#[test]
fn nutcracker_and_ringway_find_what_the_other_stored() {
    struct Case {
        title: &'static str,
        weights: [u32; 4],
        names: [&'static str; 4],
        /// Lines of nutcracker's configuration and of the pool's.
        settings: (&'static [&'static str], &'static [&'static str]),
    }
    let plain = (&["hash: fnv1a_64"][..], &["distribution: twemproxy"][..]);
    for case in [
        Case {
            title: "equal nodes",
            weights: [1; 4],
            names: [""; 4],
            settings: plain,
        },
        Case {
            title: "weights",
            weights: [1, 2, 3, 10],
            names: [""; 4],
            settings: plain,
        },
        Case {
            title: "names and weights",
            weights: [5, 1, 1, 2],
            names: ["cache-d", "c", "cache-bb", "a:11211"],
            settings: plain,
        },
        Case {
            title: "hash tags",
            weights: [1; 4],
            names: ["one", "two", "three", "four"],
            settings: (
                &["hash: fnv1a_64", "hash_tag: \"{}\""],
                &["distribution: twemproxy", "hash_tag: \"{}\""],
            ),
        },
        Case {
            title: "another hash",
            weights: [1, 1, 1, 2],
            names: [""; 4],
            settings: (
                &["hash: murmur"],
                &["distribution: {preset: twemproxy, hash: murmur}"],
            ),
        },
    ] {
        let nodes = fleet(4);
        let mut servers = Vec::new();
        let mut ours = Vec::new();
        for ((node, weight), name) in nodes.iter().zip(case.weights).zip(case.names) {
            let address = node.address();
            servers.push(format!("{address}:{weight} {name}").trim_end().to_owned());
            let name = if name.is_empty() {
                String::new()
            } else {
                format!(", name: '{name}'")
            };
            ours.push(format!("{{address: '{address}', weight: {weight}{name}}}"));
        }
        let nutcracker = Nutcracker::start(&servers, case.settings.0);
        let settings = [case.settings.1, &["request_timeout: 10s"]].concat();
        let ringway = Ringway::start(&pool(&ours, &settings));
        let (mut theirs, mut ours) = (Client::connect(nutcracker.port), ringway.client());
        let (first, second) = (tagged_keys("first"), tagged_keys("second"));
        store_all(&mut theirs, &first);
        find_all(&mut ours, &first, &format!("ringway with {}", case.title));
        store_all(&mut ours, &second);
        find_all(&mut theirs, &second, &format!("nutcracker with {}", case.title));
        each_has_some(&nodes);
    }
}

#[test]
fn libmemcached_and_ringway_find_what_the_other_stored() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/keys_of_pylibmc.py");
    let pylibmc = |what: &str, prefix: &str, servers: &[String]| {
        let mut command = python();
        command
            .arg(&script)
            .args([what, prefix, &KEYS.to_string()])
            .args(servers);
        run(&mut command, "pylibmc is needed: tests/run installs it");
    };
    for weights in [[1, 1, 1, 1], [1, 2, 3, 10]] {
        let nodes = fleet(4);
        let weighted = || nodes.iter().zip(weights);
        let servers: Vec<String> = weighted()
            .map(|(node, weight)| format!("{}:{weight}", node.address()))
            .collect();
        let ours: Vec<String> = weighted()
            .map(|(node, weight)| format!("{{address: '{}', weight: {weight}}}", node.address()))
            .collect();
        let settings = ["distribution: ketama", "request_timeout: 10s"];
        let ringway = Ringway::start(&pool(&ours, &settings));
        let mut client = ringway.client();
        let keys = |prefix: &str| (0..KEYS).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
        pylibmc("store", "first", &servers);
        find_all(&mut client, &keys("first"), "ringway");
        store_all(&mut client, &keys("second"));
        pylibmc("find", "second", &servers);
        each_has_some(&nodes);
    }
}

/// The Python that has the client libraries.
fn python() -> Command {
    Command::new(std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "python3".to_owned()))
}

#[test]
fn libmemcacheds_own_tools_work_through_ringway() {
    let nodes = fleet(3);
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, &["request_timeout: 10s"]));
    let server = format!("--servers=127.0.0.1:{}", ringway.port);
    let tool = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(path_of(name));
        command.arg(&server).args(arguments);
        run(&mut command, "apt-get install libmemcached-tools")
    };
    for i in 0..10 {
        let (name, text) = (format!("file{i}"), format!("text {i}\n").repeat(1 + i * 1000));
        let path = ringway.path(&name);
        fs::write(&path, &text).expect("written");
        tool("memccp", &[path.to_str().expect("text")]);
        assert_eq!(
            tool("memccat", &["--file=/dev/stdout", &name]).trim_end(),
            text.trim_end()
        );
        assert_eq!(ringway.client().get(&name), Some(text.into_bytes()));
        tool("memcexist", &[&name]);
        tool("memctouch", &["--expire=100", &name]);
        tool("memcrm", &[&name]);
        assert_eq!(ringway.client().get(&name), None);
    }
    tool("memcflush", &[]);
}
