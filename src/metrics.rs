//! The numbers that are counted: plain counters in one shard for each worker, summed when they are read.
//!
//! A shard has one writer, its worker, so counting is a load and a store, never a locked instruction.
//! Anyone may read. How the numbers are named and shown stands in `control/exposition.rs`.

use crate::counter::Counter;
use crate::histogram::Histogram;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply};

/// Operations grouped for the duration histograms, so that the series stay few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// get, gat.
    Read,
    /// set, add, replace, append, prepend, cas, incr, decr, touch.
    Write,
    /// delete, flush_all.
    Delete,
}

impl Class {
    /// Every class, in the order of their discriminants.
    pub const ALL: [Class; 3] = [Class::Read, Class::Write, Class::Delete];

    /// The class of an operation.
    #[inline]
    pub fn of(operation: Operation) -> Class {
        match operation {
            Operation::Get | Operation::Gat => Class::Read,
            Operation::Delete | Operation::FlushAll => Class::Delete,
            _ => Class::Write,
        }
    }

    /// The class's name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Write => "write",
            Class::Delete => "delete",
        }
    }
}

/// The protocol of a client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ClientProtocol {
    /// Classic text.
    Classic,
    /// Meta text.
    Meta,
    /// The binary protocol.
    Binary,
}

impl ClientProtocol {
    /// Every protocol, in the order of their discriminants.
    pub const ALL: [ClientProtocol; 3] = [
        ClientProtocol::Classic,
        ClientProtocol::Meta,
        ClientProtocol::Binary,
    ];

    /// The protocol's name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            ClientProtocol::Classic => "classic",
            ClientProtocol::Meta => "meta",
            ClientProtocol::Binary => "binary",
        }
    }
}

/// What one worker counts for one operation on one node.
#[derive(Debug, Default)]
pub struct OperationCounters {
    /// Requests answered or failed.
    pub requests: Counter,
    /// Of those, the ones that found their key (reads, incr, decr, delete, touch, cas).
    pub hits: Counter,
    /// Of those, the ones that did not.
    pub misses: Counter,
}

/// What one worker counts for one node. The shards of all workers stand side by side, so each begins on cache lines
/// of its own (processors fetch two at once): counting in one must not slow down the worker beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct NodeShard {
    /// By [`Operation`] discriminant: what requests do, whatever their protocol.
    pub operations: [OperationCounters; Operation::COUNT],
    /// Seconds from request to reply, by [`Class`] discriminant. Only of requests that were sent, and that the
    /// node answered or let time out.
    pub durations: [Histogram; Class::ALL.len()],
    /// Failures, by [`Failure`] discriminant.
    pub failures: [Counter; Failure::ALL.len()],
    /// cas that found another value than the one that it was to replace.
    pub cas_badval: Counter,
    /// Error lines that the node itself answered.
    pub error_replies: Counter,
    /// Bytes written to the node.
    pub bytes_written: Counter,
    /// Bytes read from the node.
    pub bytes_read: Counter,
    /// Requests that were sent once more because their connection broke.
    pub retries: Counter,
    /// Requests that await their reply now.
    pub in_flight: Counter,
    /// Links open now.
    pub links: Counter,
    /// Links ever opened.
    pub connects: Counter,
    /// Links that were opened anew: they were idle and gave no answer, or the node's name leads elsewhere.
    pub renewals: Counter,
}

impl NodeShard {
    /// Counts one request that was sent and what came of it, `micros` microseconds after it was read.
    #[inline]
    pub fn count(&self, operation: Operation, reply: &Reply, micros: u64) {
        let counters = &self.operations[operation as usize];
        match reply {
            // The node said nothing: how soon its connection broke tells nothing of how fast it is.
            Reply::Failed(failure @ (Failure::Closed | Failure::Desync)) => {
                return self.count_unsent(operation, *failure);
            }
            Reply::Failed(failure) => self.failures[*failure as usize].add(1),
            Reply::Error(_) => self.error_replies.add(1),
            _ if !operation.finds_key() => {}
            Reply::NotFound => counters.misses.add(1),
            Reply::Meta(reply) if reply.is_miss() => counters.misses.add(1),
            // As memcached counts it: of ma neither a hit nor a miss.
            reply if is_refused_cas(reply) => match operation {
                Operation::Cas => self.cas_badval.add(1),
                Operation::Delete => counters.misses.add(1),
                _ => {}
            },
            _ => counters.hits.add(1),
        }
        counters.requests.add(1);
        self.durations[Class::of(operation) as usize].record(micros);
    }

    /// Counts one request that failed before it was sent: without a duration, so that a node that is not asked
    /// does not look like the fastest.
    #[cold]
    pub fn count_unsent(&self, operation: Operation, failure: Failure) {
        self.operations[operation as usize].requests.add(1);
        self.failures[failure as usize].add(1);
    }
}

/// Whether the item is there, with another cas id than the one that was asked for.
fn is_refused_cas(reply: &Reply) -> bool {
    match reply {
        Reply::Exists => true,
        Reply::Meta(reply) => reply.line().starts_with(b"EX"),
        _ => false,
    }
}

/// What one worker counts for itself, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerShard {
    /// Sessions open now.
    pub sessions: Counter,
    /// Sessions ever opened.
    pub sessions_total: Counter,
    /// Bytes read from clients.
    pub bytes_read: Counter,
    /// Bytes written to clients.
    pub bytes_written: Counter,
    /// Requests of clients, by [`ClientProtocol`] and [`Operation`] discriminants; a multi-get counts once for
    /// each key.
    pub requests: [[Counter; Operation::COUNT]; ClientProtocol::ALL.len()],
    /// Requests that were refused before any node was asked: bad lines, keys and values.
    pub bad_requests: Counter,
    /// Lines that were longer than any command.
    pub long_lines: Counter,
    /// Keys of clients that were longer than memcached takes, or than the way to a node can carry.
    pub long_keys: Counter,
    /// Values of clients that were larger than `max_value_size`.
    pub large_values: Counter,
    /// Sessions that ended because their client speaks HTTP.
    pub http_closed: Counter,
    /// Values that were left out because their client read too slowly, or because of `memory_limit`.
    pub dropped: Counter,
    /// Sessions closed because they were idle.
    pub idle_closed: Counter,
    /// Bytes that the buffers of sessions and links hold now.
    pub buffered: Counter,
    /// Requests that were refused because of `memory_limit`: storage commands, and long lines.
    pub out_of_memory: Counter,
    /// Requests that policies are at work on now.
    pub in_progress: Counter,
    /// Naps: sleeps before the worker waited for events.
    pub naps: Counter,
}

impl WorkerShard {
    /// Counts one request of a client.
    #[inline]
    pub fn count(&self, protocol: ClientProtocol, operation: Operation) {
        self.requests[protocol as usize][operation as usize].add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_and_answered_or_timed_out_has_a_duration() {
        let shard = NodeShard::default();
        let observed = |shard: &NodeShard| shard.durations[0].counts().iter().sum::<u64>();
        shard.count(Operation::Get, &Reply::NotFound, 5);
        shard.count(Operation::Get, &Reply::Failed(Failure::Timeout), 500_000);
        assert_eq!(observed(&shard), 2);
        for failure in [Failure::Closed, Failure::Desync] {
            shard.count(Operation::Get, &Reply::Failed(failure), 5);
        }
        for failure in Failure::ALL {
            shard.count_unsent(Operation::Get, failure);
        }
        assert_eq!(observed(&shard), 2);
        let counters = &shard.operations[Operation::Get as usize];
        let requests = 4 + Failure::ALL.len() as u64;
        assert_eq!((counters.requests.get(), counters.misses.get()), (requests, 1));
        assert_eq!(shard.failures[Failure::Timeout as usize].get(), 2);
    }

    #[test]
    fn no_two_workers_write_to_the_same_cache_line() {
        let shards: Box<[NodeShard]> = (0..3).map(|_| NodeShard::default()).collect();
        for shard in &shards {
            assert_eq!(std::ptr::from_ref(shard).addr() % 128, 0);
        }
        assert_eq!(align_of::<WorkerShard>(), 128);
    }
}
