//! `single_flight` on the wire: what clients of each protocol read, and what the node sees.

use crate::support::binary::packet;
use crate::support::load::while_others_read;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, wait_for};
use crate::support::routes::{event_count, with_route};
use crate::support::scripted::{Act, Scripted, say};

const ROUTE: &str = "{single_flight: b}";

/// A node that answers reads of `hot` only once its gate `open` is there.
fn gated() -> Scripted {
    Scripted::start("1.6.18", |seen| {
        let key = seen.word(1);
        let reply = match seen.word(0) {
            "get" => format!("VALUE {key} 0 3\r\nhot\r\nEND\r\n"),
            "mg" if seen.line.contains(" c") => format!("VA 3 k{key} f0 c7\r\nhot\r\n"),
            "mg" => format!("VA 3 k{key}\r\nhot\r\n"),
            _ => format!("HD k{key}\r\n"),
        };
        match (seen.word(0), key) {
            ("get" | "mg", "hot") => [vec![Act::Await("open")], say(reply)].concat(),
            _ => say(reply),
        }
    })
}

fn start(node: &Scripted) -> Ringway {
    Ringway::start(&with_route(&[node.address(), node.address()], ROUTE))
}

fn reads_of_hot(node: &Scripted) -> usize {
    let lines = node.lines();
    lines
        .iter()
        .filter(|line| line.starts_with("mg hot") || *line == "get hot")
        .count()
}

#[test]
fn clients_that_read_one_key_at_the_same_moment_ask_the_node_once() {
    for (ask, answer) in [
        (
            "get hot\r\n".as_bytes().to_vec(),
            &b"VALUE hot 0 3\r\nhot\r\nEND\r\n"[..],
        ),
        (b"mg hot v\r\n".to_vec(), b"VA 3\r\nhot\r\n"),
        (
            b"get cold hot\r\n".to_vec(),
            b"VALUE cold 0 3\r\nhot\r\nVALUE hot 0 3\r\nhot\r\nEND\r\n",
        ),
    ] {
        let node = gated();
        let ringway = start(&node);
        let mut clients: Vec<Client> = (0..10).map(|_| ringway.client()).collect();
        for client in &mut clients {
            client.send(&ask);
        }
        wait_for("the others to join the first", || {
            event_count(&ringway, "joined") >= 9.0
        });
        node.open("open");
        for client in &mut clients {
            assert_eq!(client.exact(answer.len()), answer);
        }
        assert_eq!(reads_of_hot(&node), 1);
    }
}

#[test]
fn binary_clients_share_a_read_and_each_gets_its_own_opaque() {
    let node = gated();
    let ringway = start(&node);
    let mut clients: Vec<Client> = (0..4).map(|_| ringway.client()).collect();
    for (opaque, client) in clients.iter_mut().enumerate() {
        let mut get = packet(0x00, b"", "hot", b"");
        get[15] = opaque as u8;
        client.send(get);
    }
    wait_for("the others to join the first", || {
        event_count(&ringway, "joined") >= 3.0
    });
    node.open("open");
    for (opaque, client) in clients.iter_mut().enumerate() {
        let head = client.exact(24);
        assert_eq!((head[0], head[7], head[15]), (0x81, 0, opaque as u8));
        assert_eq!(client.exact(4 + 3)[4..], *b"hot");
    }
    assert_eq!(reads_of_hot(&node), 1);
}

#[test]
fn a_client_reads_what_it_wrote_on_another_connection() {
    let node = Memcached::start();
    let yaml =
        with_route(&[node.address(), node.address()], ROUTE).replacen("pools:", "workers: 2\npools:", 1);
    let ringway = Ringway::start(&yaml);
    let (mut writer, mut reader) = (ringway.client(), ringway.client());
    // Others keep the key in flight all the while.
    while_others_read(&ringway, "k", || {
        for round in 0..2000 {
            let value = round.to_string();
            writer.set("k", &value);
            assert_eq!(reader.get("k"), Some(value.into_bytes()));
        }
    });
    assert!(event_count(&ringway, "joined") > 0.0, "reads were shared");
    writer.expects("flush_all\r\n", "OK\r\n");
    assert_eq!(reader.get("k"), None);
}
