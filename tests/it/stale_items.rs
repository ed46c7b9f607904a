//! Stale items, as `md k I` leaves them: the next meta reader wins the right to fill one anew. Classic and binary reads
//! know nothing of that, and leave it to the next meta reader, as in memcached.

use crate::support::binary::packet;
use crate::support::memcached::Memcached;
use crate::support::ringway::{Client, Ringway, pool, shown};

fn start(node: &Memcached) -> [Ringway; 2] {
    [
        Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"])),
        Ringway::start("pools: {main: {nodes: [{name: e, embedded: 8MiB}]}}\n"),
    ]
}

const STALE: &str = "ms k 1\r\nv\r\nmd k I\r\n";

/// Reads and touches in classic text, and what comes back.
const CLASSIC: &[(&str, &str)] = &[
    ("get k", "VALUE k 0 1\r\nv\r\nEND\r\n"),
    ("get k none k", "VALUE k 0 1\r\nv\r\nVALUE k 0 1\r\nv\r\nEND\r\n"),
    ("get a b c d e f g h k", "VALUE k 0 1\r\nv\r\nEND\r\n"),
    ("gat 100 k", "VALUE k 0 1\r\nv\r\nEND\r\n"),
    ("gat 0 none k none", "VALUE k 0 1\r\nv\r\nEND\r\n"),
    ("touch k 100", "TOUCHED\r\n"),
    ("touch none 100", "NOT_FOUND\r\n"),
    ("gat 0 none", "END\r\n"),
    ("get none", "END\r\n"),
];

fn is_won(client: &mut Client) -> bool {
    client.send("mg k v\r\n");
    let line = client.line();
    client.expect("v\r\n");
    assert!(line.starts_with("VA 1 ") && line.contains(" X"), "{line}");
    line.ends_with(" W")
}

#[test]
fn classic_reads_leave_the_token_to_the_next_meta_reader() {
    let (direct, node) = (Memcached::start(), Memcached::start());
    let ringways = start(&node);
    for &(line, wanted) in CLASSIC {
        let clients = [direct.client(), ringways[0].client(), ringways[1].client()];
        for mut client in clients {
            client.expects(STALE, "HD\r\nHD\r\n");
            client.expects([line, "\r\n"].concat(), wanted);
            client.send([line, "\r\n"].concat().repeat(3));
            client.expect(wanted.repeat(3));
            assert!(is_won(&mut client), "{line}");
            assert!(!is_won(&mut client), "only one wins");
        }
    }
    for mut client in [direct.client(), ringways[0].client(), ringways[1].client()] {
        client.send([STALE, "gets k\r\n"].concat());
        client.expect("HD\r\nHD\r\n");
        assert!(client.line().starts_with("VALUE k 0 1 "));
        client.expect("v\r\nEND\r\n");
        assert!(is_won(&mut client), "gets");
    }
}

#[test]
fn binary_reads_leave_the_token_to_the_next_meta_reader() {
    let (direct, node) = (Memcached::start(), Memcached::start());
    let ringways = start(&node);
    let ports = [direct.port(), ringways[0].port, ringways[1].port];
    for opcode in [0x00, 0x09, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x23, 0x24] {
        let extras: &[u8] = if opcode >= 0x1c { &[0, 0, 0, 100] } else { b"" };
        let mut heard = Vec::new();
        for port in ports {
            let mut text = Client::connect(port);
            text.expects(STALE, "HD\r\nHD\r\n");
            let mut binary = Client::connect(port);
            binary.send([packet(opcode, extras, "k", b""), packet(0x0a, b"", "", b"")].concat());
            let mut answer = binary.finish();
            answer[16..24].fill(0);
            heard.push(answer);
            assert!(is_won(&mut text), "{opcode:#x}");
        }
        assert!(
            heard[1] == heard[0],
            "{opcode:#x}: {} {}",
            shown(&heard[1]),
            shown(&heard[0])
        );
        assert!(
            heard[2] == heard[0],
            "{opcode:#x}: {} {}",
            shown(&heard[2]),
            shown(&heard[0])
        );
    }
}

#[test]
fn of_items_that_others_leave_stale_the_first_one_read_says_so() {
    let node = Memcached::start();
    let [ringway, _] = start(&node);
    let (mut direct, mut client) = (node.client(), ringway.client());
    for wins in [false, true, true] {
        direct.expects(STALE, "HD\r\nHD\r\n");
        client.expects("get k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n");
        assert_eq!(is_won(&mut client), wins);
    }
}
