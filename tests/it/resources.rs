//! What runs out: file descriptors, the disk of the log, memory for clients that do not read, and connections that
//! come faster than anybody wants. Service goes on, and nothing is left behind.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, wait_for};

/// Waits until there are so many sessions.
fn wait_for_sessions(ringway: &Ringway, count: usize) {
    wait_for("sessions to be gone", || {
        ringway.metric("ringway_sessions", &[]) == count as f64
    });
}

/// The descriptors that it keeps: the fewest for a while, since one of a probe or of HTTP may be there for a moment.
fn kept_files(ringway: &Ringway) -> usize {
    let looks = (0..50).map(|_| {
        thread::sleep(Duration::from_millis(10));
        ringway.open_files()
    });
    looks.min().expect("looked")
}

/// Waits until it keeps as many descriptors as before, and not one more.
fn wait_for_files(ringway: &Ringway, before: usize) {
    let mut now = 0;
    wait_for("descriptors to be free again", || {
        now = kept_files(ringway);
        now <= before
    });
    assert_eq!(now, before);
}

/// Closes a connection at once, so that the kernel keeps nothing of it: thousands leave no port taken.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("a socket");
}

#[test]
fn without_a_free_file_descriptor_accepting_pauses_and_is_counted_and_those_who_are_there_stay() {
    let node = Memcached::start();
    let settings = ["health: {probe_interval: 50ms, down_after: 1}"];
    let yaml = pool(&[node.address()], &settings);
    let ringway = Ringway::start_by("ulimit -n 64; exec \"$@\"", &yaml);
    let mut early = ringway.client();
    early.set("k", "v");
    wait_for_sessions(&ringway, 1);
    let before = kept_files(&ringway);

    // The kernel completes these connections, whether they are accepted or not.
    let crowd: Vec<Client> = (0..100).map(|_| ringway.client()).collect();
    wait_for("no descriptor to be free", || {
        ringway.log().contains("cannot accept")
    });
    let full = Instant::now();
    while full.elapsed() < Duration::from_secs(2) {
        early.set("k", "v");
        assert_eq!(early.get("k").as_deref(), Some(&b"v"[..]), "who is there stays");
        thread::sleep(Duration::from_millis(5));
    }
    drop(crowd);
    let mut late = ringway.client();
    assert_eq!(late.get("k").as_deref(), Some(&b"v"[..]), "it recovers");
    drop(late);

    wait_for_sessions(&ringway, 1);
    let failed = ringway.metric("ringway_accept_errors_total", &[]);
    let tries = 2.0 + 20.0 * full.elapsed().as_secs_f64();
    assert!(failed >= 2.0, "counted {failed} times");
    assert!(
        failed <= tries,
        "it pauses between two tries: {failed} of at most {tries}"
    );
    let told = ringway.log().matches("cannot accept").count() as f64;
    let most = 2.0 + full.elapsed().as_secs_f64() / 10.0;
    assert!(
        told <= most,
        "the log says it every ten seconds: {told} times of at most {most}"
    );
    assert_eq!(
        ringway.metric("ringway_ejections_total", &[]),
        0.0,
        "the node did not fail"
    );
    wait_for_files(&ringway, before);
}

#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    for format in ["text", "json"] {
        let node = Memcached::start();
        let gone = Memcached::start();
        let settings = ["health: {probe_interval: 50ms, down_after: 1}"];
        let yaml = pool(&[node.address(), gone.address()], &settings);
        let shell = format!("RINGWAY_LOG=debug exec \"$@\" --log-format {format} >/dev/full 2>/dev/full");
        let mut ringway = Ringway::start_by(&shell, &yaml);
        let mut client = ringway.client();
        client.set("k", "v");

        // Each of these is logged: a node that goes down, a configuration that is refused, one that is taken.
        drop(gone);
        wait_for("the node to be down", || {
            ringway.metric("ringway_node_up", &[]) == 1.0
        });
        assert_eq!(ringway.reload("pools: {}\n").0, 422);
        assert_eq!(ringway.reload(&pool(&[node.address()], &settings)).0, 200);
        for client in [&mut client, &mut ringway.client()] {
            client.set("k", "w");
            assert_eq!(client.get("k").as_deref(), Some(&b"w"[..]));
        }
        ringway.signal("TERM");
        assert!(ringway.wait().success(), "it drains and ends well");
    }
}

/// A client for whom the kernel keeps little: what it does not read waits in the program.
fn narrow_client(port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a socket");
    // The kernel's buffer on the other side grows with the size of a segment, which is large over loopback.
    socket.set_tcp_mss(1460).expect("a socket");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    socket.connect(&address.into()).expect("somebody listens");
    socket.into()
}

#[test]
fn a_thousand_clients_that_do_not_read_cost_a_bounded_amount_and_delay_nobody() {
    const SIZE: usize = 300_000;
    const CLIENTS: usize = 1000;
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 15s"]));
    let mut other = ringway.client();
    other.set("big", vec![b'x'; SIZE]);
    other.set("small", "v");
    let (before, files) = (ringway.resident(), kept_files(&ringway));
    let mut highest = 0;
    let slow: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut client = narrow_client(ringway.port);
            client.write_all(b"get big\r\n").expect("sent");
            assert_eq!(
                other.get("small").as_deref(),
                Some(&b"v"[..]),
                "others are served"
            );
            highest = highest.max(ringway.resident());
            client
        })
        .collect();
    wait_for_sessions(&ringway, CLIENTS + 1);
    for _ in 0..100 {
        assert_eq!(
            other.get("small").as_deref(),
            Some(&b"v"[..]),
            "others are served"
        );
    }
    highest = highest.max(ringway.resident());
    let (cost, asked) = (highest.saturating_sub(before), (CLIENTS * SIZE) as u64);
    assert!(
        cost < 3 * asked,
        "{} MiB for clients that do not read",
        cost >> 20
    );

    slow.into_iter().for_each(reset);
    wait_for_sessions(&ringway, 1);
    wait_for("their memory to be free again", || {
        ringway.resident().saturating_sub(before) >> 20 < 64
    });
    wait_for_files(&ringway, files);
}

#[test]
fn a_gigabyte_without_a_line_end_is_closed_or_swallowed_and_memory_stays_flat() {
    const GIGABYTE: usize = 1 << 30;
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut other = ringway.client();
    other.set("k", "v");
    let before = ringway.resident();
    let mut highest = 0;
    // A line without an end; a key, a list of keys and a meta request without one; a value that is too large.
    let large = format!("set large 0 0 {GIGABYTE}\r\n");
    for start in ["", "set ", "get k ", "mg k ", &large] {
        let mut endless = ringway.client();
        endless.send(start);
        let chunk = vec![b'a'; 1 << 20];
        for count in 0..GIGABYTE / chunk.len() {
            if endless.stream.write_all(&chunk).is_err() {
                break;
            }
            if count % 64 == 0 {
                assert_eq!(other.get("k").as_deref(), Some(&b"v"[..]), "others are served");
                highest = highest.max(ringway.resident());
            }
        }
        if start == large {
            let answer = "SERVER_ERROR object too large for cache\r\n";
            endless.expects("\r\nversion\r\n", answer);
            assert!(endless.line().starts_with("VERSION "), "in step again");
        } else {
            endless.rest();
        }
    }
    let cost = highest.saturating_sub(before) >> 20;
    assert!(cost < 64, "{cost} MiB for bytes that mean nothing");
}

#[test]
fn connections_opened_and_dropped_by_the_thousand_leave_nothing_behind() {
    let node = Memcached::start();
    let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 15s"]));
    let mut other = ringway.client();
    other.set("k", "v");
    wait_for_sessions(&ringway, 1);
    let before = kept_files(&ringway);
    let end = Instant::now() + Duration::from_secs(4);
    let opened: usize = thread::scope(|scope| {
        let openers: Vec<_> = ["", "get k\r\n", "set k 0 0 100\r\nhalf", "get"]
            .map(|start| {
                let port = ringway.port;
                scope.spawn(move || {
                    let mut opened = 0;
                    while Instant::now() < end {
                        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
                        let _reset_meanwhile = stream.write_all(start.as_bytes());
                        reset(stream);
                        opened += 1;
                    }
                    opened
                })
            })
            .into();
        while Instant::now() < end {
            assert_eq!(other.get("k").as_deref(), Some(&b"v"[..]), "others are served");
        }
        openers
            .into_iter()
            .map(|opener| opener.join().expect("no panic"))
            .sum()
    });
    assert!(opened > 1000, "only {opened} connections");
    wait_for_sessions(&ringway, 1);
    wait_for_files(&ringway, before);
    assert_eq!(other.get("k").as_deref(), Some(&b"v"[..]));
}
