//! `ringway import`: what was a configuration of nutcracker finds every key where nutcracker has it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::memcached::Memcached;
use crate::support::program;
use crate::support::ringway::{Client, Ringway, free_port, wait_for};

/// What an import printed: the file, and what it says was lost; and how it ended.
pub struct Printed {
    pub text: String,
    pub lost: String,
    pub code: Option<i32>,
}

/// Imports `text`, which is called `name`.
pub fn import(name: &str, text: &str) -> Printed {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(name), text).expect("written");
    let output = program::output(
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .current_dir(dir.path())
            .args(["import", name]),
    );
    Printed {
        text: String::from_utf8(output.stdout).expect("UTF-8"),
        lost: String::from_utf8(output.stderr).expect("UTF-8"),
        code: output.status.code(),
    }
}

/// A running nutcracker; killed when it is dropped.
struct Nutcracker(Child);

impl Nutcracker {
    /// Starts one with the configuration `text`, which listens on `ports`. `None`: somebody else is there.
    fn start(text: &str, ports: &[u16], dir: &Path) -> Option<Nutcracker> {
        let file = dir.join("nutcracker.yml");
        fs::write(&file, text).expect("written");
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let child = program::start(
            Command::new("nutcracker")
                .env("PATH", path)
                .arg("-c")
                .arg(&file)
                .args(["-a", "127.0.0.1", "-s", &free_port().to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let mut nutcracker = Nutcracker(child);
        let mut is_gone = false;
        for port in ports {
            wait_for("nutcracker", || {
                let is_there = TcpStream::connect(("127.0.0.1", *port)).is_ok();
                is_gone = nutcracker.0.try_wait().expect("a child").is_some();
                is_gone || is_there
            });
        }
        (!is_gone).then_some(nutcracker)
    }
}

impl Drop for Nutcracker {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A pool of nutcracker: what it says beside its nodes, and what stands behind each node's port.
struct Case {
    settings: Vec<String>,
    servers: [&'static str; 4],
}

const HASHES: [&str; 12] = [
    "one_at_a_time",
    "md5",
    "crc16",
    "crc32",
    "crc32a",
    "fnv1_64",
    "fnv1a_64",
    "fnv1_32",
    "fnv1a_32",
    "hsieh",
    "murmur",
    "jenkins",
];

fn cases(distribution: &str) -> Vec<Case> {
    let weighted = [":1", ":3", ":2", ":10"];
    let named = [":5 cache-d", ":1 c", ":1 cache-bb", ":2 a:11211"];
    let mut cases = vec![
        Case {
            settings: vec![format!("distribution: {distribution}")],
            servers: [":1"; 4],
        },
        Case {
            settings: vec![
                format!("distribution: {distribution}"),
                "hash_tag: \"{}\"".to_owned(),
            ],
            servers: named,
        },
    ];
    for (index, hash) in HASHES.iter().enumerate() {
        cases.push(Case {
            settings: vec![format!("distribution: {distribution}"), format!("hash: {hash}")],
            servers: if index % 2 == 0 { weighted } else { named },
        });
    }
    cases
}

/// Keys of which some have a hash tag and some bytes above 127.
fn keys(prefix: &str) -> Vec<String> {
    let key = |i: usize| match i % 4 {
        0 => format!("{prefix}:{{user{}}}:{i}", i / 12),
        1 => format!("{prefix}{{}}{i}"),
        2 => format!("{prefix}ключ{i}"),
        _ => format!("{prefix}:{i}"),
    };
    (0..200).map(key).collect()
}

/// Stores through one and finds through the other.
fn pass(from: &mut Client, to: &mut Client, prefix: &str, what: &str) {
    let keys = keys(prefix);
    keys.iter()
        .for_each(|key| from.set(key, format!("{key}'s value")));
    for key in keys {
        assert_eq!(
            to.get(&key),
            Some(format!("{key}'s value").into_bytes()),
            "{key}: {what}"
        );
    }
}

/// nutcracker's pools on free ports, a server each for `nodes`.
fn nutcracker_yml(cases: &[Case], nodes: &[Memcached]) -> (String, Vec<u16>) {
    let (mut text, mut ports) = (String::new(), Vec::new());
    for (index, case) in cases.iter().enumerate() {
        let port = free_port();
        ports.push(port);
        let settings = case.settings.join("\n  ");
        text += &format!(
            "pool-{index}:\n  listen: 127.0.0.1:{port}\n  timeout: 10000\n  {settings}\n  servers:\n"
        );
        for (node, server) in nodes.iter().zip(case.servers) {
            text += &format!("    - {}{server}\n", node.address());
        }
    }
    (text, ports)
}

/// What was imported with one of its listeners, on a port that the test chooses.
fn with_one_listener(imported: &str, port: u16) -> String {
    let own = format!("bind: 127.0.0.1:{port},");
    let lines = imported
        .lines()
        .filter(|line| !line.contains("bind:") || line.contains(&own));
    let text: Vec<&str> = lines.collect();
    text.join("\n").replace(&own, "bind: 127.0.0.1:PORT,")
}

fn side_by_side(distribution: &str) {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let cases = cases(distribution);
    let dir = tempfile::tempdir().expect("a directory");
    let mut tries = (0..5).map(|_| {
        let (text, ports) = nutcracker_yml(&cases, &nodes);
        Some((Nutcracker::start(&text, &ports, dir.path())?, text, ports))
    });
    let (_nutcracker, text, ports) = tries
        .find_map(|started| started)
        .expect("nutcracker finds free ports");
    let printed = import("nutcracker.yml", &text);
    assert_eq!(
        (printed.code, printed.lost.as_str()),
        (Some(0), ""),
        "{}",
        printed.text
    );
    for (index, case) in cases.iter().enumerate() {
        let ringway = Ringway::start(&with_one_listener(&printed.text, ports[index]));
        let (mut theirs, mut ours) = (Client::connect(ports[index]), ringway.client());
        let what = format!("{:?} {:?}", case.settings, case.servers);
        pass(&mut theirs, &mut ours, &format!("a{index}"), &what);
        pass(&mut ours, &mut theirs, &format!("b{index}"), &what);
    }
}

#[test]
fn an_imported_nutcracker_ketama_finds_what_nutcracker_stored_for_each_hash() {
    side_by_side("ketama");
}

#[test]
fn an_imported_nutcracker_modula_finds_what_nutcracker_stored_for_each_hash() {
    side_by_side("modula");
}

/// The addresses of the nodes that `keys` go to by the configuration `text`.
fn places(text: &str, keys: &[String]) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("written");
    let output = program::output(
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["explain", "--json", "-c"])
            .arg(file.path())
            .arg("--")
            .args(keys),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = |line: &str| {
        let shown: serde_json::Value = serde_json::from_str(line).expect("JSON");
        shown["address"].as_str().expect("an address").to_owned()
    };
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(line)
        .collect()
}

/// Where libmemcached itself places `keys` by `options`.
fn libmemcached_places(options: &str, keys: &[String]) -> Vec<String> {
    let python = std::env::var("RINGWAY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = program::output(
        Command::new(python)
            .arg("tests/clients/python/libmemcached_places.py")
            .arg(options)
            .args(keys),
    );
    assert!(
        output.status.success(),
        "{options}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn imported_options_of_libmemcached_place_keys_where_libmemcached_does() {
    let equal =
        "--SERVER=10.0.0.3:11212 --SERVER=10.0.0.1 --SERVER=cache.example.com:11211 --SERVER=10.0.0.2:5";
    let weighted =
        "--SERVER=10.0.0.3:11212/?2 --SERVER=10.0.0.1 --SOCKET=\"/run/m.sock\"/?5 --SERVER=10.0.0.2:5/?1";
    let keys: Vec<String> = ["a", "b"].iter().flat_map(|prefix| self::keys(prefix)).collect();
    for options in [
        equal.to_owned(),
        weighted.to_owned(),
        format!("{equal} --SORT-HOSTS"),
        format!("{equal} --HASH=MD5"),
        format!("{equal} --distribution=modula --hash=crc"),
        format!("{equal} --HASH=FNV1A_64 --BINARY-PROTOCOL --TCP-NODELAY"),
        format!("{equal} --HASH=JENKINS"),
        format!("{equal} --HASH=MURMUR"),
        format!("{equal} --HASH=FNV1_32 --NAMESPACE=\"app\" --HASH-WITH-NAMESPACE"),
        format!("{equal} --DISTRIBUTION=consistent"),
        format!("{equal} --DISTRIBUTION=consistent,MD5"),
        format!("--HASH=MD5 {equal} --DISTRIBUTION=consistent"),
        format!("--HASH=MD5 --DISTRIBUTION=consistent,CRC {equal}"),
        format!("--DISTRIBUTION=consistent --HASH=MURMUR {equal} --REMOVE-FAILED-SERVERS=3"),
        format!("{equal} --DISTRIBUTION=consistent --SORT-HOSTS --CONNECT-TIMEOUT=100 --POLL-TIMEOUT=300"),
        format!("{weighted} --DISTRIBUTION=consistent"),
        format!("--DISTRIBUTION=consistent {weighted}"),
        format!("--DISTRIBUTION=consistent {weighted} --HASH=MD5"),
        format!("--HASH=FNV1_64 {weighted} --DISTRIBUTION=consistent"),
    ] {
        let printed = import("options", &options);
        assert_eq!(
            (printed.code, printed.lost.as_str()),
            (Some(0), ""),
            "{options}\n{}",
            printed.text
        );
        // libmemcached puts the prefix before a key when it sends it.
        let prefix = if options.contains("--NAMESPACE") {
            "app"
        } else {
            ""
        };
        let sent: Vec<String> = keys.iter().map(|key| format!("{prefix}{key}")).collect();
        let (ours, theirs) = (places(&printed.text, &sent), libmemcached_places(&options, &keys));
        for (key, (ours, theirs)) in keys.iter().zip(ours.iter().zip(&theirs)) {
            assert_eq!(ours, theirs, "{key} by {options}");
        }
        assert_eq!(ours.len(), keys.len());
    }
}

#[test]
fn what_libmemcached_says_and_ringway_cannot_is_told_with_its_place() {
    let server = "--SERVER=10.0.0.1 --SERVER=10.0.0.2";
    for (options, says) in [
        (
            format!("{server} --DISTRIBUTION=random"),
            "options:1:37: DISTRIBUTION: keys that go to any node are found on none",
        ),
        (
            format!("{server} --DISTRIBUTION=consistent --HASH=MD5"),
            "options:1:63: HASH: libmemcached hashes points with one_at_a_time and keys with md5",
        ),
        (
            format!("{server}\n--NUMBER-OF-REPLICAS=1"),
            "options:2:1: NUMBER-OF-REPLICAS: ",
        ),
        (
            format!("{server} --NAMESPACE=app:"),
            "options:1:37: NAMESPACE: libmemcached does not hash the prefix",
        ),
        (
            format!("{server} --TYPO"),
            "options:1:37: TYPO: libmemcached has no such option",
        ),
        (
            format!("{server} --HASH=none"),
            "options:1:37: HASH: libmemcached has no such hash",
        ),
        (
            format!("{server} --SERVER=10.0.0.3:x"),
            "options:1:37: SERVER: no host:port/?weight",
        ),
        (
            format!("{server} --SERVER=10.0.0.1:11211"),
            "options:1:37: pools.main.nodes[2]: Ringway would refuse this: ",
        ),
    ] {
        let printed = import("options", &options);
        assert_eq!(printed.code, Some(1), "{options}");
        assert!(
            printed.lost.starts_with(says) && printed.lost.lines().count() == 1,
            "{options}: {}",
            printed.lost
        );
    }
}

#[test]
fn an_imported_mcrouter_configuration_reads_as_its_route_handles() {
    let text = r#"{
  // Two pools, and a spare one.
  "macros": {"host": {"type": "macroDef", "params": ["n"], "result": "10.0.0.%n%:11211"}},
  "pools": {
    "A": {"servers": ["@host(1)", "@host(2)", "10.0.0.3:11211:ascii:plain"], "server_timeout": 200},
    "B": {"servers": ["[::1]:11211", "10.0.1.2:11211"], "weights": [0.25, 1]}, /* weighted */
    "spare": {"servers": ["10.0.9.1:11211"]}
  },
  "route": {
    "type": "PrefixSelectorRoute",
    "policies": {
      "u:": {"type": "PoolRoute", "pool": "A", "hash": {"hash_func": "Crc32", "salt": "s"}},
      "v:": "PoolRoute|B"
    },
    "wildcard": {"type": "FailoverRoute", "children": ["PoolRoute|A", "PoolRoute|spare"], "failover_exptime": 30}
  }
}"#;
    let printed = import("mcrouter.json", text);
    let expected = r#"# Imported from mcrouter.json.
# Values above 1MiB: if nodes run with memcached's -I, set max_value_size of their pool as large.
pools:
  A:
    distribution: {preset: mcrouter-crc32, salt: s}
    request_timeout: 200ms
    connect_timeout: 200ms
    nodes:
      - 10.0.0.1:11211
      - 10.0.0.2:11211
      - 10.0.0.3:11211
  B:
    distribution: {preset: mcrouter-weighted, full_weight: 100}
    nodes:
      - {address: "[::1]:11211", weight: 25}
      - {address: 10.0.1.2:11211, weight: 100}
  A-2:
    distribution: mcrouter
    request_timeout: 200ms
    connect_timeout: 200ms
    nodes:
      - 10.0.0.1:11211
      - 10.0.0.2:11211
      - 10.0.0.3:11211
  spare:
    distribution: mcrouter
    nodes:
      - 10.0.9.1:11211
routes:
  default:
    prefix: {"u:": A, "v:": B}
    else: {failover: {to: [A-2, spare], expiry: 30s}}
"#;
    assert_eq!(printed.text, expected);
}

#[test]
fn each_hash_function_of_mcrouter_becomes_its_preset() {
    let servers = r#""servers": ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]"#;
    for (pool, hash, expected) in [
        ("", "\"Ch3\"", "    distribution: mcrouter\n"),
        ("", "{}", "    distribution: mcrouter\n"),
        ("", "\"Crc32\"", "    distribution: mcrouter-crc32\n"),
        (
            "",
            "{\"salt\": \"x\"}",
            "    distribution: {preset: mcrouter, salt: x}\n",
        ),
        (
            "",
            "{\"hash_func\": \"WeightedCh3\", \"weights\": [1, 0.5]}",
            "full_weight: 10}\n    nodes:\n      - {address: 10.0.0.1:1, weight: 10}\n      - {address: 10.0.0.2:1, weight: 5}\n      - {address: 10.0.0.3:1, weight: 5}\n",
        ),
        (", \"weights\": [1, 1, 0.125]", "{}", "full_weight: 1000}\n"),
        (
            ", \"weights\": [1, 1, 0.125]",
            "\"Ch3\"",
            "    distribution: mcrouter\n",
        ),
        (
            ", \"tags\": [\"a\", \"b\", \"c\"]",
            "\"Rendezvous\"",
            "    distribution: mcrouter-rendezvous\n    nodes:\n      - {address: 10.0.0.1:1, name: a}\n",
        ),
    ] {
        let text = format!(
            r#"{{"pools": {{"A": {{{servers}{pool}}}}}, "route": {{"type": "PoolRoute", "pool": "A", "hash": {hash}}}}}"#
        );
        let printed = import("mcrouter.json", &text);
        assert_eq!(
            (printed.code, printed.lost.as_str()),
            (Some(0), ""),
            "{text}\n{}",
            printed.text
        );
        assert!(printed.text.contains(expected), "{text}\n{}", printed.text);
    }
}

#[test]
fn what_mcrouter_says_and_ringway_cannot_is_told_with_its_place() {
    let text = r#"{
  "pools": {"A": {"servers": ["10.0.0.1:1", "10.0.0.2:1:caret"], "qos": {"class": 1}, "weights": [0, 1]}},
  "typo": 1,
  "route": {"type": "PrefixSelectorRoute",
    "policies": {"a": {"type": "PoolRoute", "pool": "A", "hash": "ConstShard", "rates": {"odd": 1}},
                 "b": {"type": "SomethingRoute"},
                 "c": "PoolRoute|none"},
    "wildcard": "@import(x)"}
}"#;
    let printed = import("m.json", text);
    assert_eq!(printed.code, Some(1));
    let lost: Vec<&str> = printed.lost.lines().collect();
    for start in [
        "m.json:2:45: pools.A.servers: caret",
        "m.json:2:73: pools.A.qos: ",
        "m.json:3:11: typo: ",
        "m.json:5:66: pools.A: ConstShard",
        "m.json:5:97: odd: ",
        "m.json:6:32: route: the route handle SomethingRoute",
        "m.json:7:23: route: there is no pool none",
        "m.json:8:17: another file is imported here",
    ] {
        assert!(
            lost.iter().any(|line| line.starts_with(start)),
            "{start} is not in\n{}",
            printed.lost
        );
    }
}

#[test]
fn what_nutcracker_says_and_ringway_cannot_is_told_with_its_line() {
    let printed = import(
        "nutcracker.yml",
        "a:\n  listen: /run/a.sock 0666\n  preconnect: true\n  servers:\n  - 10.0.0.1:11211:1\n  - 10.0.0.2\nb:\n  listen: cache:1\n  distribution: random\n  typo: 1\n  servers:\n  - 10.0.0.1:11211:1\n  - 10.0.0.1:11211:2 other\nc:\n  listen: 127.0.0.1:3\n  redis: true\n  servers:\n  - 10.0.0.3:6379:1\n",
    );
    assert_eq!(printed.code, Some(1));
    let starts = [
        "nutcracker.yml:6:5: a.servers[1]:",
        "nutcracker.yml:8:11: listeners[1].bind: Ringway would refuse this:",
        "nutcracker.yml:9:17: b.distribution:",
        "nutcracker.yml:10:3: b.typo:",
        "nutcracker.yml:13:5: pools.b.nodes[1].address: Ringway would refuse this:",
        "nutcracker.yml:16:10: c.redis: Ringway speaks memcached, not Redis: the pool is left out",
    ];
    assert_eq!(printed.lost.lines().count(), starts.len(), "{}", printed.lost);
    for (line, start) in printed.lost.lines().zip(starts) {
        assert!(line.starts_with(start), "{line} is not {start}");
    }
    assert!(printed.text.contains("- 10.0.0.1:11211"), "{}", printed.text);
    let listener = "- {bind: unix:/run/a.sock, mode: \"0666\", route: a}";
    assert!(printed.text.contains(listener), "{}", printed.text);
}
