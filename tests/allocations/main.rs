//! A plain request allocates nothing: once buffers and queues have grown to what the load needs, a worker carries
//! get, set and multi-get in all three protocols without asking the allocator for anything.
//!
//! A test of these is a worker: its own thread runs the event loop with a session and the links to real memcached
//! nodes, and what that thread allocates is counted. The client is another thread, which is not counted.

mod cluster;
mod embedded;
mod wire;

use cluster::Cluster;
use ringway::protocol::Command;
use wire::{Dialogue, Protocol};

/// Fails where `dialogue`, in any protocol and so many times in one write, allocates more than it may.
fn assert_none(depths: &[usize], dialogue: impl Fn(Protocol, usize) -> Dialogue) {
    let cluster = Cluster::new();
    let mut failures = Vec::new();
    for protocol in [Protocol::Classic, Protocol::Meta, Protocol::Binary] {
        for &depth in depths {
            let (allocated, most) = cluster.count(&dialogue(protocol, depth));
            if allocated > most {
                failures.push(format!(
                    "{protocol:?}, {depth} at a time: {allocated} allocations, not {most}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_get_allocates_nothing() {
    assert_none(&[1, 16], wire::gets);
}

#[test]
fn a_get_of_a_key_that_is_not_there_allocates_nothing() {
    assert_none(&[1, 16], wire::misses);
}

#[test]
fn a_set_allocates_nothing() {
    assert_none(&[1, 16], wire::sets);
}

#[test]
fn a_multi_get_of_a_hundred_keys_allocates_nothing() {
    // A turn of more than 128 requests looks at the clock, and if it is interrupted, what was read and not taken yet is
    // copied. Two at a time are more in meta and binary, and a slow machine would count that.
    assert_none(&[1], wire::multi_gets);
}

#[test]
fn a_large_value_that_grows_is_copied_a_few_times_and_not_once_for_each_addition() {
    let (size, part, count) = (100_000, 10, 20_000);
    for command in [Command::Append, Command::Prepend] {
        let allocated = embedded::while_it_grows(command, size, part, count);
        let grown = (size + part * count) as u64;
        assert!(
            allocated < 12 * grown,
            "{command:?}: {allocated} bytes for a value of {grown}"
        );
    }
}

#[test]
fn a_number_in_a_large_value_is_counted_without_a_copy_for_each_time() {
    let size = 60_000;
    for command in [Command::Incr, Command::Decr] {
        let allocated = embedded::while_it_counts(command, size, 1000);
        assert!(allocated < 4 * size as u64, "{command:?}: {allocated} bytes");
    }
}

#[test]
fn the_count_sees_what_a_session_and_its_links_allocate_when_they_begin() {
    let cluster = Cluster::new();
    let allocated = cluster.count_first(&wire::gets(Protocol::Classic, 1));
    assert!(allocated > 0, "a new link makes its queue");
}
