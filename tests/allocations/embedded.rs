//! What an embedded node allocates.

use ringway::node::embedded::Embedded;
use ringway::protocol::{Command, Reply, Request};

/// Bytes that are allocated while `count` values of `part` bytes are added to one of `size` bytes.
pub fn while_it_grows(command: Command, size: usize, part: usize, count: usize) -> u64 {
    let (first, part) = (vec![b'v'; size], vec![b'x'; part]);
    while_it_changes(command, &first, &part, count)
}

/// Bytes that are allocated while a number of `size` bytes, most of them spaces, is counted `count` times.
pub fn while_it_counts(command: Command, size: usize, count: usize) -> u64 {
    while_it_changes(command, format!("{:<size$}", 10_000).as_bytes(), b"", count)
}

fn while_it_changes(command: Command, first: &[u8], part: &[u8], count: usize) -> u64 {
    let cache = Embedded::new(256 << 20);
    let request = |command, value| Request {
        value,
        ..Request::new(command, b"key")
    };
    assert_eq!(cache.execute(&request(Command::Set, first)), Reply::Done);
    let counted = allocation_counter::measure(|| {
        for _ in 0..count {
            let reply = cache.execute(&request(command, part));
            assert!(matches!(reply, Reply::Done | Reply::Number(_)), "{reply:?}");
        }
    });
    counted.bytes_total
}
