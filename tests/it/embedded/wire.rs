//! An embedded node behind clients: keys in base64 come back once, and values stay within the pool's limit.

use crate::support::binary::packet;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown};

const EMBEDDED: &str = "pools: {main: {nodes: [{name: e, embedded: 8MiB}]}}\n";

#[test]
fn a_key_in_base64_comes_back_once_and_as_it_was_typed() {
    let node = Memcached::start();
    let remote = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
    let embedded = Ringway::start(EMBEDDED);
    // In base64: line ends in it, spaces, one control character.
    for key in ["YQ0KYg==", "YSBi", "AQ=="] {
        for (asked, wanted) in [
            ("mg K b k v", "EN kK b"),
            ("mg K k b v q|mn", "MN"),
            ("ms K 1 b k O1|v", "HD kK b O1"),
            ("ms K 1 b O1 k|v", "HD O1 kK b"),
            ("mg K b k v", "VA 1 kK b|v"),
            ("mg K k b v f", "VA 1 kK b f0|v"),
            ("mg K b v", "VA 1|v"),
            ("mg K b s k", "HD s1 kK b"),
            ("mg K b s k O7 f", "HD s1 kK b O7 f0"),
            ("ms K 1 b MA k|w", "HD kK b"),
            ("md K b k I", "HD kK b"),
            ("mg K b k v", "VA 2 kK b X W|vw"),
            ("md K b k", "HD kK b"),
            ("md K b k", "NF kK b"),
            ("ma K b k N0 J5 v", "VA 1 kK b|5"),
            ("ma K k b v", "VA 1 kK b|6"),
            ("mg K b k", "HD kK b"),
            ("md K b q|mn", "MN"),
        ] {
            let line = |text: &str| format!("{}\r\n", text.replace('K', key).replace('|', "\r\n"));
            for ringway in [&remote, &embedded] {
                let mut client = ringway.client();
                client.send(line(asked));
                let got = client.finish();
                let wanted = line(wanted);
                assert!(
                    got == wanted.as_bytes(),
                    "{asked} of {key}: {}, wanted {}",
                    shown(&got),
                    shown(wanted.as_bytes())
                );
            }
        }
    }
}

fn grows(client: &mut Client, command: &str) -> bool {
    let answer = client.ask([command, "\r\n", &"x".repeat(1000), "\r\n"].concat());
    match answer.as_str() {
        "STORED" | "HD" => true,
        "NOT_STORED" | "NS" => false,
        other => panic!("{command}: {other}"),
    }
}

#[test]
fn no_command_makes_a_value_larger_than_the_pool_takes() {
    let yaml = |limit: &str| {
        format!("pools: {{main: {{nodes: [{{name: e, embedded: 64MiB}}], max_value_size: {limit}}}}}\n")
    };
    let ringway = Ringway::start(&yaml("4000"));
    for command in [
        "append k 0 0 1000",
        "prepend k 0 0 1000",
        "ms k 1000 MA",
        "ms k 1000 MP N0",
    ] {
        let mut client = ringway.client();
        client.set("k", "y".repeat(1000));
        let growths = (0..5).filter(|_| grows(&mut client, command)).count();
        assert_eq!(growths, 3, "{command}");
        assert_eq!(client.get("k").map(|value| value.len()), Some(4000));
    }
    let mut binary = ringway.client();
    for opcode in [0x0e, 0x0f] {
        binary.send(packet(opcode, b"", "k", b"x"));
        assert_eq!(binary.exact(24)[7], 5, "not stored");
        binary.exact("Not stored.".len());
    }
    // The limit follows a reload.
    assert_eq!(ringway.reload(&yaml("5000")).0, 200);
    let mut client = ringway.client();
    assert!(grows(&mut client, "append k 0 0 1000"));
    assert!(!grows(&mut client, "append k 0 0 1000"));
}
