//! Answers of a configuration endpoint: bytes that come in pieces mean what they mean at once, and the nodes of an answer
//! are such that an endpoint that lists them is read the same.

use std::sync::Arc;

use ringway::config::{Address, Node, Origin};
use ringway::discovery::elasticache::{Cluster, Read, read};

/// The bytes are an answer.
pub fn check(bytes: &[u8]) {
    let origin = Arc::new(Origin {
        from: "elasticache+cfg:1".to_owned(),
        zone: None,
        resolver: None,
    });
    let whole = read(bytes, &origin);
    if let Ok(Read::Whole(cluster)) = &whole {
        for end in super::prefixes(bytes.len()) {
            assert_eq!(
                read(&bytes[..end], &origin),
                Ok(Read::Incomplete),
                "the first {end}"
            );
        }
        let again = answer(cluster);
        assert_eq!(
            read(again.as_bytes(), &origin).as_ref(),
            Ok(&Read::Whole(cluster.clone()))
        );
    }
    if whole == Ok(Read::Incomplete) {
        for end in super::prefixes(bytes.len()) {
            assert_eq!(
                read(&bytes[..end], &origin),
                Ok(Read::Incomplete),
                "the first {end}"
            );
        }
    }
}

/// What an endpoint says of `cluster`.
fn answer(cluster: &Cluster) -> String {
    let node = |node: &Node| match &node.address {
        Address::Tcp { host, port, .. } => format!("{host}||{port}"),
        other => panic!("{other} is not an address of a cluster"),
    };
    let nodes: Vec<String> = cluster.nodes.iter().map(node).collect();
    let list = format!("{}\n{}\n", cluster.version, nodes.join(" "));
    format!("CONFIG cluster 0 {}\r\n{list}\r\nEND\r\n", list.len())
}
