//! `memory_limit`: what all buffers hold together, who is refused when it is reached, and how it is told.

use std::thread;

use crate::support::memcached::Memcached;
use crate::support::quiescence::wait_until_replies_stop;
use crate::support::ringway::{Client, Ringway, pool, wait_for};
use crate::support::scripted::{Act, Scripted};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 32 * MIB;
/// What the process may take beyond the limit: spare buffers, whole buffers of which a value is a part, and what
/// the allocator does not give back.
const OVERHEAD: u64 = 48 * MIB;
/// A large value, in bytes.
const LARGE: usize = 900_000;

fn start(nodes: &[&Memcached], settings: &[&str]) -> Ringway {
    let nodes: Vec<String> = nodes.iter().map(|node| node.address()).collect();
    Ringway::start(&(format!("memory_limit: {LIMIT}\n") + &pool(&nodes, settings)))
}

fn held(ringway: &Ringway) -> u64 {
    ringway.metric("ringway_buffer_bytes", &[]) as u64
}

fn refused(ringway: &Ringway) -> usize {
    ringway.metric("ringway_out_of_memory_total", &[]) as usize
}

fn wait_until_nothing_is_held(ringway: &Ringway) {
    wait_for("buffers to be given back", || held(ringway) < MIB);
}

/// Clients that ask for the value `big` again and again, and read nothing.
fn greedy(ringway: &Ringway, count: usize, asked: usize) -> Vec<Client> {
    let clients = (0..count).map(|_| {
        let mut client = ringway.client();
        client.send("get big\r\n".repeat(asked));
        client
    });
    let clients = clients.collect();
    wait_until_replies_stop(ringway);
    clients
}

/// A value that tells its key.
fn value(key: &str, size: usize) -> Vec<u8> {
    let mut value = key.as_bytes().repeat(size / key.len() + 1);
    value.truncate(size);
    value
}

#[test]
fn clients_that_never_read_share_the_limit_and_the_others_are_served_all_the_while() {
    const GREEDY: usize = 12;
    let nodes = [Memcached::start(), Memcached::start()];
    let ringway = start(&[&nodes[0], &nodes[1]], &["request_timeout: 15s"]);
    let mut first = ringway.client();
    first.set("big", value("big", LARGE));
    for size in [10, 5000, 60_000] {
        for i in 0..20 {
            let key = format!("key{i}-{size}");
            first.set(&key, value(&key, size));
        }
    }
    let before = ringway.resident();
    let mut greedy = greedy(&ringway, GREEDY, 150);
    assert!(ringway.metric("ringway_values_dropped_total", &[]) > 0.0);
    assert!(held(&ringway) > LIMIT / 2, "they hold as much as they may");

    let serve = || {
        let mut client = ringway.client();
        let (mut hits, mut misses) = ([0; 3], [0; 3]);
        for round in 0..20 {
            for i in 0..20 {
                for (index, size) in [10, 5000, 60_000].into_iter().enumerate() {
                    let key = format!("key{i}-{size}");
                    match client.get(&key) {
                        Some(found) => {
                            assert!(found == value(&key, size), "{key} in round {round}");
                            hits[index] += 1;
                        }
                        None => misses[index] += 1,
                    }
                }
            }
            client.set(&format!("new{round}"), "v");
        }
        assert!(
            misses[..2] == [0, 0] && misses[2] < 40,
            "{hits:?} hits, {misses:?} misses"
        );
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(serve);
        }
    });
    assert!(held(&ringway) <= LIMIT, "{} held", held(&ringway));
    let cost = ringway.resident().saturating_sub(before);
    assert!(cost < LIMIT + OVERHEAD, "{} MiB", cost / MIB);

    // One of them reads after all: each request has one answer, in order.
    let mut late = greedy.remove(0);
    let mut values = 0;
    for i in 0..150 {
        let line = late.line();
        if line == "END" {
            continue;
        }
        assert_eq!(line, format!("VALUE big 0 {LARGE}"), "answer {i}");
        assert!(late.exact(LARGE) == value("big", LARGE));
        late.expect("\r\nEND\r\n");
        values += 1;
    }
    assert!(values > 0);
    assert_eq!(
        ringway.metric("ringway_sessions", &[]),
        (GREEDY + 1) as f64,
        "nobody was closed"
    );
    drop(greedy);
    wait_until_nothing_is_held(&ringway);
    assert!(first.get("big") == Some(value("big", LARGE)));
    first.set("big", value("other", LARGE));
    assert!(first.get("big") == Some(value("other", LARGE)));
}

/// Begins a storage command in some protocol and sends a part of the value's bytes.
struct Storing {
    client: Client,
    key: String,
    protocol: &'static str,
}

const SENT: usize = 20_000;

fn packet(opcode: u8, key: &str, extras: usize, value: usize) -> Vec<u8> {
    let body = (extras + key.len() + value) as u32;
    let mut head = vec![0x80, opcode, 0, key.len() as u8, extras as u8, 0, 0, 0];
    head.extend_from_slice(&body.to_be_bytes());
    head.resize(24 + extras, 0);
    [&head[..], key.as_bytes()].concat()
}

impl Storing {
    fn begin(ringway: &Ringway, protocol: &'static str, key: String) -> Storing {
        let mut client = ringway.client();
        let head = match protocol {
            "text" => format!("set {key} 0 0 {LARGE}\r\n").into_bytes(),
            "meta" => format!("ms {key} {LARGE} q\r\n").into_bytes(),
            _ => packet(1, &key, 8, LARGE),
        };
        client.send([&head[..], &value(&key, LARGE)[..SENT]].concat());
        Storing {
            client,
            key,
            protocol,
        }
    }

    /// Sends the rest and one request more. Returns true if the value was stored; false if it was refused for want
    /// of memory.
    fn end(&mut self) -> bool {
        let Storing {
            client,
            key,
            protocol,
        } = self;
        client.send(&value(key, LARGE)[SENT..]);
        if *protocol == "binary" {
            client.send(packet(0x0a, "", 0, 0));
            let answer = client.exact(24);
            let body =
                client.exact(u32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]) as usize);
            let is_stored = answer[6..8] == [0, 0];
            assert!(
                is_stored || (answer[7], &body[..]) == (0x05, b"Out of memory"),
                "{answer:?}"
            );
            assert_eq!(client.exact(24)[..2], [0x81, 0x0a], "the stream is in step");
            return is_stored;
        }
        client.send(if *protocol == "text" {
            "\r\nget small\r\n"
        } else {
            "\r\nmn\r\nget small\r\n"
        });
        let line = client.line();
        let is_stored = match (line.as_str(), *protocol) {
            ("STORED", "text") | ("MN", "meta") => true,
            (line, protocol) => {
                assert_eq!(line, "SERVER_ERROR out of memory storing object", "{protocol}");
                if protocol == "meta" {
                    assert_eq!(client.line(), "MN");
                }
                false
            }
        };
        client.expect("VALUE small 0 1\r\nv\r\nEND\r\n");
        is_stored
    }
}

#[test]
fn large_values_that_are_begun_and_stall_are_refused_past_the_limit_in_each_protocol() {
    const CLIENTS: usize = 60;
    let node = Memcached::start_with(&["-m", "256"]);
    for protocol in ["text", "meta", "binary"] {
        let ringway = start(&[&node], &["request_timeout: 15s"]);
        let mut other = ringway.client();
        other.set("small", "v");
        // A value that is refused takes the old one with it.
        for i in 0..CLIENTS {
            other.set(&format!("{protocol}{i}"), "old");
        }
        let mut storing: Vec<Storing> = (0..CLIENTS)
            .map(|i| Storing::begin(&ringway, protocol, format!("{protocol}{i}")))
            .collect();
        wait_for("all to have begun", || {
            ringway.metric("ringway_client_bytes_read_total", &[]) >= (CLIENTS * SENT) as f64
        });
        let refused = refused(&ringway);
        assert!((25..CLIENTS - 10).contains(&refused), "{refused} refused");
        assert!(held(&ringway) <= LIMIT, "{} held", held(&ringway));
        assert_eq!(other.get("small").as_deref(), Some(&b"v"[..]));
        other.set("small", "v");

        // What was let in is stored whole, whatever the others hold.
        let stored: Vec<bool> = storing.iter_mut().map(Storing::end).collect();
        let mut direct = node.client();
        for (storing, stored) in storing.iter().zip(&stored) {
            let wanted = stored.then(|| value(&storing.key, LARGE));
            assert!(direct.get(&storing.key) == wanted, "{}: {stored}", storing.key);
        }
        let failed = stored.iter().filter(|stored| !**stored).count();
        assert_eq!(failed, refused, "each that was refused was told so");
        assert_eq!(ringway.metric("ringway_sessions", &[]), (CLIENTS + 1) as f64);
        wait_until_nothing_is_held(&ringway);
        other.set("big", value("big", LARGE));
    }
}

#[test]
fn a_value_that_was_let_in_is_stored_though_memory_runs_out_meanwhile() {
    let node = Memcached::start();
    let ringway = start(&[&node], &["request_timeout: 15s"]);
    let mut other = ringway.client();
    other.set("small", "v");
    other.set("big", value("big", LARGE));
    let mut storing = Storing::begin(&ringway, "text", "late".to_owned());
    wait_for("it to be let in", || held(&ringway) >= LARGE as u64);
    let _greedy = greedy(&ringway, 8, 150);
    let mut late: Vec<Storing> = (0..10)
        .map(|i| Storing::begin(&ringway, "text", format!("late{i}")))
        .collect();
    wait_for("others to be refused", || refused(&ringway) >= 5);
    assert!(storing.end());
    assert!(!late.iter_mut().all(Storing::end));
    // The node is asked: Ringway may have no room for the value now.
    assert!(node.client().get("late") == Some(value("late", LARGE)));
}

#[test]
fn a_line_of_many_keys_that_goes_on_and_on_is_refused_where_memory_is_short() {
    let node = Memcached::start();
    let ringway = start(&[&node], &["request_timeout: 15s"]);
    let mut other = ringway.client();
    other.set("small", "v");
    // Spaces are as long as keys, and ask the node for nothing.
    let keys = " ".repeat(200_000);
    // Each waits in the middle of its line; they hold more than there is.
    let mut endless: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = ringway.client();
            client.send(format!("get {keys}"));
            client
        })
        .collect();
    wait_for("all lines to have begun", || {
        let read = ringway.metric("ringway_client_bytes_read_total", &[]);
        read >= (endless.len() * keys.len()) as f64
    });
    let refused = refused(&ringway);
    assert!((1..200).contains(&refused), "{refused}");
    assert!(held(&ringway) <= LIMIT, "{} held", held(&ringway));
    assert_eq!(other.get("small").as_deref(), Some(&b"v"[..]));
    let mut told = 0;
    for client in &mut endless {
        client.send("small\r\nget small\r\n");
        let mut line = client.line();
        if line == "SERVER_ERROR out of memory reading request" {
            told += 1;
            line = client.line();
        } else {
            assert_eq!(line, "VALUE small 0 1");
            client.expect("v\r\nEND\r\n");
            line = client.line();
        }
        assert_eq!(line, "VALUE small 0 1", "the stream is in step");
        client.expect("v\r\nEND\r\n");
    }
    assert_eq!(told, refused);
    wait_until_nothing_is_held(&ringway);
}

#[test]
fn values_for_nodes_that_take_nothing_stay_within_the_limit() {
    let nodes: Vec<Scripted> = (0..3)
        .map(|_| Scripted::start("1.6.18", |_| vec![Act::Await("gate")]))
        .collect();
    let addresses: Vec<String> = nodes.iter().map(Scripted::address).collect();
    let yaml = format!("memory_limit: {LIMIT}\n") + &pool(&addresses, &["request_timeout: 15s"]);
    // The ones are refused by the session before they are whole, the others by the link.
    for size in [LARGE, 20_000] {
        let ringway = Ringway::start(&yaml);
        let before = ringway.resident();
        let text = "x".repeat(size);
        let set = format!("set KEY 0 0 {size} noreply\r\n{text}\r\n");
        let count = 150_000_000 / size;
        // A session owes no more than so many answers.
        let mut clients: Vec<Client> = (0..count.div_ceil(1000)).map(|_| ringway.client()).collect();
        for i in 0..count {
            clients[i / 1000].send(set.replacen("KEY", &format!("k{i}"), 1));
        }
        wait_for("all to be taken", || {
            ringway.metric("ringway_client_bytes_read_total", &[]) >= (count * size) as f64
        });
        assert!(held(&ringway) <= LIMIT, "{} held", held(&ringway));
        let cost = ringway.resident().saturating_sub(before);
        assert!(cost < LIMIT + OVERHEAD, "{} MiB", cost / MIB);
        let busy = ringway.metric("ringway_errors_total", &["kind=\"busy\""]) as usize;
        assert!(busy + refused(&ringway) > count / 2, "most were refused");
    }
}

#[test]
fn clients_that_were_busy_once_keep_little_of_the_memory_that_it_took() {
    let node = Memcached::start();
    let ringway = start(&[&node], &["request_timeout: 15s"]);
    let mut client = ringway.client();
    client.set("k", value("k", 200));
    let answer = [&b"VALUE k 0 200\r\n"[..], &value("k", 200), b"\r\nEND\r\n"].concat();
    let clients: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = ringway.client();
            client.send("get k\r\n".repeat(1000));
            for _ in 0..1000 {
                client.expect(&answer);
            }
            client
        })
        .collect();
    assert!(held(&ringway) <= LIMIT / 4 + MIB, "{} held", held(&ringway));
    drop(clients);
    wait_until_nothing_is_held(&ringway);
}

#[test]
fn a_reload_changes_the_limit() {
    let node = Memcached::start();
    let ringway = start(&[&node], &["request_timeout: 15s"]);
    ringway.client().set("small", "v");
    assert_eq!(ringway.metric("ringway_memory_limit_bytes", &[]), LIMIT as f64);
    let mut begun: Vec<Storing> = (0..60)
        .map(|i| Storing::begin(&ringway, "text", format!("k{i}")))
        .collect();
    wait_for("some to be refused", || refused(&ringway) > 20);
    wait_for("all to have begun", || {
        ringway.metric("ringway_client_bytes_read_total", &[]) >= (60 * SENT) as f64
    });
    let before = refused(&ringway);
    let yaml = pool(&[node.address()], &["request_timeout: 15s"]);
    assert_eq!(ringway.reload(&yaml).0, 200);
    assert_eq!(
        ringway.metric("ringway_memory_limit_bytes", &[]),
        (256 * MIB) as f64
    );
    let mut more: Vec<Storing> = (0..60)
        .map(|i| Storing::begin(&ringway, "text", format!("more{i}")))
        .collect();
    assert!(more.iter_mut().all(Storing::end), "there is room for all of them");
    assert_eq!(refused(&ringway), before);
    let stored = begun
        .iter_mut()
        .map(Storing::end)
        .filter(|stored| *stored)
        .count();
    assert_eq!(stored, begun.len() - before, "what was let in before goes on");
}
