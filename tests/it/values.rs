//! Values of every size and of any bytes, and many of them at once: multi-gets over several nodes, and
//! pipelines longer than what a session may owe.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown};

const MAX: usize = 900 << 10;

/// Every byte, and what a text protocol could take for its own.
fn value(length: usize) -> Vec<u8> {
    let tricks = b"\r\nEND\r\nVALUE k 0 1\r\nx\r\nVA 1 kk\r\n\r\nEN\r\nSERVER_ERROR\r\n\0\n\r";
    let mut bytes: Vec<u8> = (0..=255)
        .chain(tricks.iter().copied())
        .cycle()
        .take(length)
        .collect();
    // A value that ends in a line end is the last thing a reader would expect.
    if let [.., last] = &mut bytes[..] {
        *last = b'\n';
    }
    bytes
}

fn start(nodes: usize, settings: &[&str]) -> (Vec<Memcached>, Ringway) {
    let nodes: Vec<Memcached> = (0..nodes).map(|_| Memcached::start()).collect();
    let addresses: Vec<String> = nodes.iter().map(Memcached::address).collect();
    let ringway = Ringway::start(&pool(&addresses, settings));
    (nodes, ringway)
}

fn store(client: &mut Client, line: &str, value: &[u8]) -> String {
    let line = format!("{line} {}\r\n", value.len());
    client.ask([line.as_bytes(), value, b"\r\n"].concat())
}

#[test]
fn values_of_every_size_come_back_as_they_were_stored() {
    for protocol in ["protocol: meta", "protocol: classic"] {
        let (nodes, ringway) = start(1, &["request_timeout: 10s", "max_value_size: 900KiB", protocol]);
        let (mut client, mut direct) = (ringway.client(), nodes[0].client());
        for length in [
            0,
            1,
            2,
            8191,
            8192,
            8193,
            16 << 10,
            64 << 10,
            65_537,
            900_000,
            MAX - 1,
            MAX,
        ] {
            let value = value(length);
            assert_eq!(store(&mut client, "set k 77 0", &value), "STORED", "{length}");
            for read in ["get k", "gat 0 k"] {
                let head = format!("VALUE k 77 {length}\r\n");
                client.send(format!("{read}\r\n"));
                client.expect([head.as_bytes(), &value, b"\r\nEND\r\n"].concat());
            }
            assert_eq!(direct.get("k"), Some(value), "{length}");
        }
        assert_eq!(
            store(&mut client, "set k 0 0", &value(MAX + 1)),
            "SERVER_ERROR object too large for cache"
        );
        // As memcached does, which would rather lose the old value than keep a stale one.
        assert!(client.get("k").is_none() && direct.get("k").is_none());
    }
}

#[test]
fn large_values_are_understood_in_whatever_pieces_they_come() {
    let (_nodes, ringway) = start(2, &["request_timeout: 10s"]);
    let mut client = ringway.client();
    let value = value(100_000);
    let bytes = [b"set k 0 0 100000\r\n", &value[..], b"\r\nget k\r\n"].concat();
    let answer = [b"STORED\r\nVALUE k 0 100000\r\n", &value[..], b"\r\nEND\r\n"].concat();
    for size in [999, 4096, 16 << 10, 65_535, 99_999, 100_017, 100_018, 100_019] {
        for piece in bytes.chunks(size) {
            client.send(piece);
        }
        client.expect(&answer);
    }
}

#[test]
fn what_is_stored_in_one_write_with_other_requests_is_stored_whole() {
    let (_nodes, ringway) = start(3, &["request_timeout: 10s"]);
    let mut client = ringway.client();
    let (mut bytes, mut answer) = (Vec::new(), Vec::new());
    for (i, length) in [10, 20_000, 0, 9000, 70_000, 1, 300_000, 8192]
        .into_iter()
        .enumerate()
    {
        let value = value(length);
        bytes.extend(format!("set k{i} 3 0 {length}\r\n").bytes());
        bytes.extend(&value);
        bytes.extend(format!("\r\nget k{i}\r\n").bytes());
        answer.extend(format!("STORED\r\nVALUE k{i} 3 {length}\r\n").bytes());
        answer.extend(&value);
        answer.extend(b"\r\nEND\r\n");
    }
    for _ in 0..5 {
        client.expects(&bytes, &answer);
    }
}

#[test]
fn a_multi_get_brings_hits_in_the_order_of_the_keys_with_duplicates_and_without_misses() {
    let (nodes, ringway) = start(4, &["request_timeout: 10s"]);
    let mut client = ringway.client();
    let mut wanted = String::new();
    let mut keys = String::new();
    for i in 0..100 {
        // Every third key is not there, and some are asked twice.
        let key = format!("k{i}");
        if i % 3 != 0 {
            client.set(&key, format!("value of {i}"));
        }
        let times = if i % 10 == 7 { 2 } else { 1 };
        for _ in 0..times {
            keys += &format!(" {key}");
            if i % 3 != 0 {
                let value = format!("value of {i}");
                wanted += &format!("VALUE {key} 0 {}\r\n{value}\r\n", value.len());
            }
        }
    }
    wanted += "END\r\n";
    for read in ["get", "gat 0", "gat 1000"] {
        client.expects(format!("{read}{keys}\r\n"), &wanted);
    }
    for read in ["gets", "gats 0"] {
        client.send(format!("{read}{keys}\r\n"));
        let got = client.read_to("END");
        let without_cas = got
            .lines()
            .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                ["VALUE", key, flags, length, _] => format!("VALUE {key} {flags} {length}\r\n"),
                _ => format!("{line}\r\n"),
            })
            .collect::<String>();
        assert_eq!(without_cas + "END\r\n", wanted, "{read}");
    }
    for node in &nodes {
        let mut direct = node.client();
        direct.send("stats\r\n");
        let stats = direct.read_to("END");
        assert!(!stats.contains("STAT curr_items 0\r\n"), "each node has its part");
    }
}

#[test]
fn a_multi_get_of_five_thousand_keys_is_answered_whole() {
    let (_nodes, ringway) = start(3, &["request_timeout: 10s"]);
    let mut client = ringway.client();
    let (mut stores, mut keys, mut wanted) = (String::new(), String::new(), String::new());
    for i in 0..5000 {
        keys += &format!(" key:{i}");
        if i % 5 != 0 {
            stores += &format!("set key:{i} {i} 0 6 noreply\r\n{i:06}\r\n");
            wanted += &format!("VALUE key:{i} {i} 6\r\n{i:06}\r\n");
        }
    }
    client.send(stores);
    client.expects("verbosity 1\r\n", "OK\r\n");
    // noreply says nothing of its end, but a request behind it on each key is carried out behind it.
    for _ in 0..3 {
        client.expects(
            format!("get{keys}\r\nverbosity 1\r\n"),
            format!("{wanted}END\r\nOK\r\n"),
        );
    }
}

#[test]
fn ten_thousand_requests_are_answered_in_order_though_nobody_reads_before_the_last_is_sent() {
    let (_nodes, ringway) = start(3, &["request_timeout: 10s"]);
    let mut client = ringway.client();
    let (mut bytes, mut wanted) = (String::new(), String::new());
    for i in 0..10_000 {
        let (request, answer) = match i % 5 {
            0 => (format!("set k{i} 0 0 5\r\n{i:05}\r\n"), "STORED\r\n".to_owned()),
            1 => (
                format!("get k{}\r\n", i - 1),
                format!("VALUE k{} 0 5\r\n{:05}\r\nEND\r\n", i - 1, i - 1),
            ),
            2 => (format!("incr k{} 1\r\n", i - 2), format!("{}\r\n", i - 1)),
            3 => (format!("delete k{}\r\n", i - 3), "DELETED\r\n".to_owned()),
            _ => (format!("touch k{} 0\r\n", i - 4), "NOT_FOUND\r\n".to_owned()),
        };
        bytes += &request;
        wanted += &answer;
    }
    client.send(&bytes);
    let got = client.exact(wanted.len());
    let differs = got
        .iter()
        .zip(wanted.as_bytes())
        .position(|(got, wanted)| got != wanted);
    if let Some(at) = differs {
        let from = at.saturating_sub(100);
        panic!(
            "at {at}: got {}\nwanted {}",
            shown(&got[from..]),
            shown(&wanted.as_bytes()[from..])
        );
    }
}
