//! Keys that others stored in base64: memcached shows them so in every meta reply, and they are found all the same.

use crate::support::memcached::Memcached;
use crate::support::ringway::{Ringway, pool};

#[test]
fn a_key_that_another_client_stored_in_base64_is_read_by_its_plain_name() {
    let node = Memcached::start();
    node.client().expects("ms cGxhaW4= 5 b\r\nhello\r\n", "HD\r\n");
    let ringway = Ringway::start(&pool(&[node.address()], &[]));
    let mut client = ringway.client();
    client.expects("get plain\r\n", "VALUE plain 0 5\r\nhello\r\nEND\r\n");
    client.expects("append plain 0 0 1\r\n!\r\n", "STORED\r\n");
    client.expects("get none plain\r\n", "VALUE plain 0 6\r\nhello!\r\nEND\r\n");
    client.expects("delete plain\r\n", "DELETED\r\n");
    assert_eq!(ringway.metric("ringway_errors_total", &[]), 0.0);
}
