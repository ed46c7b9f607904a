//! What a node says in its lines: no control byte of it reaches a client, for a client that ends lines at them would
//! read one reply as two.

use crate::support::binary::packet;
use crate::support::ringway::{Ringway, pool, shown};
use crate::support::scripted::{Scripted, say};

/// What the client asks, what the node answers, and what the client reads.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "set k 0 0 1\r\nv\r\n",
        "SERVER_ERROR a\rSTORED\r\n",
        "SERVER_ERROR a?STORED\r\n",
    ),
    (
        "delete k\r\n",
        "CLIENT_ERROR \x00\x1b[2J\x7f\r\n",
        "CLIENT_ERROR ??[2J?\r\n",
    ),
    (
        "ms k 1\r\nv\r\n",
        "SERVER_ERROR a\rHD\r\n",
        "SERVER_ERROR a?HD\r\n",
    ),
    ("md k\r\n", "ERROR a\tb\r\n", "ERROR a?b\r\n"),
    // Such a line is no reply: the link closes, and nothing of it is read.
    ("mg k v f\r\n", "VA 1 f0\rx kk\r\nv\r\n", ""),
    ("mg k v f\r\n", "VA 1\r f0 kk\r\nv\r\n", ""),
    ("mg k v f\r\n", "VA 1 f0 kk X\rHD\r\nv\r\n", ""),
    ("mg k v c\r\n", "VA 1 c1\t kk\r\nv\r\n", ""),
    ("mg k v\r\n", "VA 1 kk\rHD\r\nv\r\n", ""),
    ("mg k s\r\n", "HD kk s1\rEN\r\n", ""),
    ("mg k O1\r\n", "HD kk O1\rEN\r\n", ""),
    ("mg aw0K b v k\r\n", "VA 1 kk\r\nv\r\n", ""),
    ("mg aw0K b v\r\n", "VA 1 kk\rHD b\r\nv\r\n", ""),
    ("md k\r\n", "HD kk\rHD\r\n", ""),
    ("md k\r\n", "HD kk \x07\r\n", ""),
    ("ma k v\r\n", "VA 1 kk \x1b\r\n1\r\n", ""),
    ("me k\r\n", "ME k exp=1\rEN\r\n", ""),
    ("get k\r\n", "VA 1 kk\rEND f0\r\nv\r\n", ""),
    ("get a b c d e f g h\r\n", "VALUE a 0 1\r2\r\nv\r\nEND\r\n", ""),
    ("get a b c d e f g h\r\n", "VALUE a\r 0 1\r\nv\r\nEND\r\n", ""),
    ("incr k 1\r\n", "1\r2\r\n", ""),
    ("incr k 1\r\n", "VA 3 kk\r\n1\r2\r\n", ""),
];

#[test]
fn no_control_byte_of_a_nodes_line_reaches_a_client() {
    for &(asked, said, wanted) in TABLE {
        let node = Scripted::start("1.6.18", move |_| say(said));
        let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 10s"]));
        let mut client = ringway.client();
        client.send([asked, "mn\r\n"].concat());
        let read = String::from_utf8_lossy(&client.finish()).into_owned();
        let (read, end) = read.split_at(read.len() - 4);
        assert_eq!(end, "MN\r\n", "{asked:?}, {said:?}");
        if !wanted.is_empty() {
            assert_eq!(read, wanted, "{asked:?}");
        }
        let bare = read.replace("\r\n", "");
        assert!(
            !bare.bytes().any(|byte| byte.is_ascii_control()),
            "{asked:?}, {said:?}: {}",
            shown(read.as_bytes())
        );
        assert!(
            read.matches("\r\n").count() <= 1,
            "one line: {}",
            shown(read.as_bytes())
        );
    }
}

/// What is told where no node has given its version.
const UNKNOWN: &str = "1.4.0";

#[test]
fn a_version_with_control_bytes_is_no_version() {
    for version in ["1.6.18\nSTORED", "1.6.18\rSTORED", "1.6\x1b[2J"] {
        let node = Scripted::start(version, |_| say("END\r\n"));
        let ringway = Ringway::start(&pool(&[node.address()], &["request_timeout: 500ms"]));
        let mut client = ringway.client();
        client.send("get k\r\nversion\r\n");
        client.expect("END\r\n");
        let line = client.ask("");
        assert_eq!(line, format!("VERSION {UNKNOWN}"), "{version:?}");
        let mut binary = ringway.client();
        binary.send(packet(0x0b, b"", "", b""));
        let length = usize::from(binary.exact(24)[11]);
        assert_eq!(binary.exact(length), UNKNOWN.as_bytes());
        let nodes: serde_json::Value = serde_json::from_str(&ringway.get("/nodes").1).expect("JSON");
        let shown = nodes[0]["version"].as_str().unwrap_or_default();
        assert_eq!(shown, "", "{version:?}");
    }
}
