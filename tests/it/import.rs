//! `ringway import`: what was a configuration of nutcracker finds every key where nutcracker has it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, free_port, wait_for};

/// What an import printed: the file, and what it says was lost; and how it ended.
struct Printed {
    text: String,
    lost: String,
    code: Option<i32>,
}

/// Imports `text`, which is called `name`.
fn import(name: &str, text: &str) -> Printed {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(name), text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .current_dir(dir.path())
        .args(["import", name])
        .output()
        .expect("the program runs");
    Printed {
        text: String::from_utf8(output.stdout).expect("UTF-8"),
        lost: String::from_utf8(output.stderr).expect("UTF-8"),
        code: output.status.code(),
    }
}

/// A running nutcracker; killed when it is dropped.
struct Nutcracker(Child);

impl Nutcracker {
    /// Starts one with the configuration `text`, which listens on `ports`.
    fn start(text: &str, ports: &[u16], dir: &Path) -> Nutcracker {
        let file = dir.join("nutcracker.yml");
        fs::write(&file, text).expect("written");
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("nutcracker")
            .env("PATH", path)
            .arg("-c")
            .arg(&file)
            .args(["-a", "127.0.0.1", "-s", &free_port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nutcracker is installed: apt-get install nutcracker");
        for port in ports {
            wait_for("nutcracker", || TcpStream::connect(("127.0.0.1", *port)).is_ok());
        }
        Nutcracker(child)
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

fn side_by_side(distribution: &str) {
    let nodes: Vec<Memcached> = (0..4).map(|_| Memcached::start()).collect();
    let cases = cases(distribution);
    let mut text = String::new();
    let mut ports = Vec::new();
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
    let printed = import("nutcracker.yml", &text);
    assert_eq!(
        (printed.code, printed.lost.as_str()),
        (Some(0), ""),
        "{}",
        printed.text
    );
    let dir = tempfile::tempdir().expect("a directory");
    let _nutcracker = Nutcracker::start(&text, &ports, dir.path());
    let mut ours = printed.text;
    let mut moved = Vec::new();
    for port in &ports {
        let other = free_port();
        ours = ours.replace(
            &format!("bind: 127.0.0.1:{port},"),
            &format!("bind: 127.0.0.1:{other},"),
        );
        moved.push(other);
    }
    let _ringway = Ringway::start(&ours);
    for (index, case) in cases.iter().enumerate() {
        let (mut theirs, mut ours) = (Client::connect(ports[index]), Client::connect(moved[index]));
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
fn what_nutcracker_says_and_ringway_cannot_is_told_with_its_line() {
    let printed = import(
        "nutcracker.yml",
        "a:\n  listen: /run/a.sock 0666\n  redis: true\n  preconnect: true\n  servers:\n  - 10.0.0.1:11211:1\n  - 10.0.0.2\nb:\n  listen: cache:1\n  distribution: random\n  typo: 1\n  servers:\n  - 10.0.0.1:11211:1\n  - 10.0.0.1:11211:2 other\n",
    );
    assert_eq!(printed.code, Some(1));
    let starts = [
        "nutcracker.yml:2:11: a.listen:",
        "nutcracker.yml:3:10: a.redis:",
        "nutcracker.yml:4:15: a.preconnect:",
        "nutcracker.yml:7:5: a.servers[1]:",
        "nutcracker.yml:9:11: listeners[1].bind: Ringway would refuse this:",
        "nutcracker.yml:10:17: b.distribution:",
        "nutcracker.yml:11:3: b.typo:",
        "nutcracker.yml:14:5: pools.b.nodes[1].address: Ringway would refuse this:",
    ];
    assert_eq!(printed.lost.lines().count(), starts.len(), "{}", printed.lost);
    for (line, start) in printed.lost.lines().zip(starts) {
        assert!(line.starts_with(start), "{line} is not {start}");
    }
    assert!(printed.text.contains("- 10.0.0.1:11211"), "{}", printed.text);
}
