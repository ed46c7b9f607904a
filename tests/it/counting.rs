//! How requests are counted: by what they do, whatever their protocol, and with a duration only if they were sent.

use crate::support::binary::{packet, response};
use crate::support::client::Client;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, free_port, pool, wait_for};

/// What the node `node` counts of `command`: requests, hits, misses.
fn counted(ringway: &Ringway, command: &str) -> [f64; 3] {
    let label = format!("command=\"{command}\"");
    ["requests", "hits", "misses"].map(|what| ringway.metric(&format!("ringway_{what}_total"), &[&label]))
}

/// One of each in classic text; the key `k` is there before and after.
fn classic(client: &mut Client) {
    let exchanges = [
        ("set k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n"),
        ("get none\r\n", "END\r\n"),
        ("gat 0 k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n"),
        ("touch none 0\r\n", "NOT_FOUND\r\n"),
        ("incr k 1\r\n", "2\r\n"),
        ("decr none 1\r\n", "NOT_FOUND\r\n"),
        ("add k 0 0 1\r\n1\r\n", "NOT_STORED\r\n"),
        ("append k 0 0 1\r\n1\r\n", "STORED\r\n"),
        ("delete none\r\n", "NOT_FOUND\r\n"),
    ];
    for (request, answer) in exchanges {
        client.expects(request, answer);
    }
}

fn meta(client: &mut Client) {
    let exchanges = [
        ("ms k 1\r\n1\r\n", "HD\r\n"),
        ("mg k v\r\n", "VA 1\r\n1\r\n"),
        ("mg none v\r\n", "EN\r\n"),
        ("mg k v T0\r\n", "VA 1\r\n1\r\n"),
        ("mg none T0\r\n", "EN\r\n"),
        ("ma k\r\n", "HD\r\n"),
        ("ma none MD\r\n", "NF\r\n"),
        ("ms k 1 ME\r\n1\r\n", "NS\r\n"),
        ("ms k 1 MA\r\n1\r\n", "HD\r\n"),
        ("md none\r\n", "NF\r\n"),
    ];
    for (request, answer) in exchanges {
        client.expects(request, answer);
    }
}

fn binary(client: &mut Client) {
    let delta = |by: u8| {
        let mut extras = [0; 20];
        extras[7] = by;
        // It creates nothing.
        extras[16..].fill(0xff);
        extras
    };
    let packets = [
        packet(0x01, &[0; 8], "k", b"1"),
        packet(0x00, &[], "k", b""),
        packet(0x00, &[], "none", b""),
        packet(0x1d, &[0; 4], "k", b""),
        packet(0x1c, &[0; 4], "none", b""),
        packet(0x05, &delta(1), "k", b""),
        packet(0x06, &delta(1), "none", b""),
        packet(0x02, &[0; 8], "k", b"1"),
        packet(0x0e, &[], "k", b"1"),
        packet(0x04, &[], "none", b""),
    ];
    for packet in packets {
        client.send(packet);
        response(client);
    }
}

/// A protocol, and what a client says in it.
type Run = (&'static str, fn(&mut Client));

#[test]
fn a_request_counts_as_what_it_does_in_each_protocol() {
    let node = Memcached::start();
    let clients: [Run; 3] = [("classic", classic), ("meta", meta), ("binary", binary)];
    for (protocol, run) in clients {
        let ringway = Ringway::start(&pool(&[node.address()], &[]));
        run(&mut ringway.client());
        let expected = [
            ("get", [2.0, 1.0, 1.0]),
            ("gat", [1.0, 1.0, 0.0]),
            ("touch", [1.0, 0.0, 1.0]),
            ("incr", [1.0, 1.0, 0.0]),
            ("decr", [1.0, 0.0, 1.0]),
            ("set", [1.0, 0.0, 0.0]),
            ("add", [1.0, 0.0, 0.0]),
            ("append", [1.0, 0.0, 0.0]),
            ("delete", [1.0, 0.0, 1.0]),
        ];
        for (command, counts) in expected {
            assert_eq!(counted(&ringway, command), counts, "{protocol} {command}");
            let labels = [
                format!("protocol=\"{protocol}\""),
                format!("command=\"{command}\""),
            ];
            let labels = labels.each_ref().map(String::as_str);
            let of_clients = ringway.metric("ringway_client_requests_total", &labels);
            assert_eq!(of_clients, counts[0], "{protocol} {command}");
        }
        assert_eq!(
            ringway.metric("ringway_client_requests_total", &[]),
            10.0,
            "{protocol}"
        );
    }
}

#[test]
fn a_node_that_is_not_asked_has_no_durations_and_a_living_one_has_all() {
    let node = Memcached::start();
    let dead = format!("127.0.0.1:{}", free_port());
    let ringway = Ringway::start(&pool(
        &[node.address(), dead.clone()],
        &["health: {down_after: 1}"],
    ));
    let label = |node: &str| format!("node=\"{node}\"");
    wait_for("the node is down", || {
        ringway.metric("ringway_node_up", &[&label(&dead)]) == 0.0
    });
    let mut client = ringway.client();
    for n in 0..100 {
        client.get(&format!("key-{n}"));
    }
    let of = |name: &str, node: &str| ringway.metric(&format!("ringway_node_{name}"), &[&label(node)]);
    let asked = of("requests_total", &dead);
    assert!(asked > 10.0 && of("errors_total", &dead) == asked, "{asked}");
    assert_eq!(of("request_duration_seconds_count", &dead), 0.0);
    let living = of("requests_total", &node.address());
    assert_eq!(asked + living, 100.0);
    assert_eq!(of("request_duration_seconds_count", &node.address()), living);
}
