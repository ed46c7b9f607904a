//! What an embedded node allocates.

use ringway::node::embedded::Embedded;
use ringway::protocol::{Command, Reply, Request};

/// Bytes that are allocated while `count` values of `part` bytes are added to one of `size` bytes.
pub fn while_it_grows(command: Command, size: usize, part: usize, count: usize) -> u64 {
    let cache = Embedded::new(256 << 20);
    let request = |command, value| Request {
        value,
        ..Request::new(command, b"key")
    };
    let (first, part) = (vec![b'v'; size], vec![b'x'; part]);
    assert_eq!(cache.execute(&request(Command::Set, &first)), Reply::Done);
    let counted = allocation_counter::measure(|| {
        for _ in 0..count {
            assert_eq!(cache.execute(&request(command, &part)), Reply::Done);
        }
    });
    counted.bytes_total
}
