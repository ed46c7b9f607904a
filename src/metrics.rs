//! Counters, one shard for each worker, summed when they are read.
//!
//! A shard has one writer, its worker, so counting is a load and a store, never a locked instruction. Any
//! thread may read. Names and help texts are in `control/exposition`.

use crate::counter::Counter;
use crate::histogram::Histogram;
use crate::protocol::operation::Operation;
use crate::protocol::{Failure, Reply};

/// A class of operations in the duration histograms; classes keep the number of series low.
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

    /// Returns the class of an operation.
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

/// One worker's counters for one operation on one node.
#[derive(Debug, Default)]
pub struct OperationCounters {
    /// Requests answered or failed.
    pub requests: Counter,
    /// Requests that found their key (reads, incr, decr, delete, touch, cas).
    pub hits: Counter,
    /// Requests that did not find their key.
    pub misses: Counter,
}

/// One worker's counters for one node. The shards of all workers are adjacent, so each begins on its own
/// pair of cache lines (processors fetch two at once): counting in one must not slow down the neighbouring
/// worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct NodeShard {
    /// By [`Operation`] discriminant: independent of the request's protocol.
    pub operations: [OperationCounters; Operation::COUNT],
    /// Seconds from request to reply, by [`Class`] discriminant. Only requests that were sent, and that the
    /// node answered or let time out.
    pub durations: [Histogram; Class::ALL.len()],
    /// Of the requests that are timed: Ringway's own time, before the request was sent and after its reply, by [`Class`]
    /// discriminant.
    pub own_durations: [Histogram; Class::ALL.len()],
    /// Of the same requests: the time from the first byte sent to the reply.
    pub node_durations: [Histogram; Class::ALL.len()],
    /// Requests that took longer than the threshold of the slow log.
    pub slow: Counter,
    /// Failures, by [`Failure`] discriminant.
    pub failures: [Counter; Failure::ALL.len()],
    /// cas requests refused because the value had changed.
    pub cas_badval: Counter,
    /// Error lines from the node itself.
    pub error_replies: Counter,
    /// Bytes written to the node.
    pub bytes_written: Counter,
    /// Bytes read from the node.
    pub bytes_read: Counter,
    /// Requests sent a second time because their connection broke.
    pub retries: Counter,
    /// Requests that await their reply.
    pub in_flight: Counter,
    /// Open links.
    pub links: Counter,
    /// Links ever opened.
    pub connects: Counter,
    /// Links that were replaced: they were idle and did not answer, or the node's name resolves to another
    /// address.
    pub renewals: Counter,
}

impl NodeShard {
    /// Counts a request that was sent, with its reply, `micros` microseconds after it was read.
    #[inline]
    pub fn count(&self, operation: Operation, reply: &Reply, micros: u64) {
        let counters = &self.operations[operation as usize];
        match reply {
            // The node did not answer: how soon its connection broke says nothing about its speed.
            Reply::Failed(failure @ (Failure::Closed | Failure::Desync)) => {
                return self.count_unsent(operation, *failure);
            }
            Reply::Failed(failure) => self.failures[*failure as usize].add(1),
            Reply::Error(_) => self.error_replies.add(1),
            _ if !operation.finds_key() => {}
            Reply::NotFound => counters.misses.add(1),
            Reply::Meta(reply) if reply.is_miss() => counters.misses.add(1),
            // As memcached counts it: for ma neither a hit nor a miss.
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

    /// Counts reads that were sent and answered, `micros` microseconds after they were read.
    #[inline]
    pub fn count_reads(&self, operation: Operation, hits: u64, misses: u64, micros: u64) {
        let counters = &self.operations[operation as usize];
        counters.hits.add(hits);
        counters.misses.add(misses);
        counters.requests.add(hits + misses);
        self.durations[Class::of(operation) as usize].record_many(micros, hits + misses);
    }

    /// Counts a request that failed before it was sent. No duration is recorded, so that a node that gets
    /// no requests does not look like the fastest.
    #[cold]
    pub fn count_unsent(&self, operation: Operation, failure: Failure) {
        self.operations[operation as usize].requests.add(1);
        self.failures[failure as usize].add(1);
    }
}

/// Whether the item exists with another cas id than the request's.
fn is_refused_cas(reply: &Reply) -> bool {
    match reply {
        Reply::Exists => true,
        Reply::Meta(reply) => reply.line().starts_with(b"EX"),
        _ => false,
    }
}

/// A worker's counters for itself, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerShard {
    /// Open sessions.
    pub sessions: Counter,
    /// Sessions ever opened.
    pub sessions_total: Counter,
    /// Bytes read from clients.
    pub bytes_read: Counter,
    /// Bytes written to clients.
    pub bytes_written: Counter,
    /// Client requests, by [`ClientProtocol`] and [`Operation`] discriminants; a multi-get counts once for
    /// each key.
    pub requests: [[Counter; Operation::COUNT]; ClientProtocol::ALL.len()],
    /// Requests refused before reaching a node: bad lines, keys and values.
    pub bad_requests: Counter,
    /// Lines that were longer than any command.
    pub long_lines: Counter,
    /// Keys that were longer than memcached accepts, or than the node's protocol can carry.
    pub long_keys: Counter,
    /// Values that were larger than `max_value_size`.
    pub large_values: Counter,
    /// Sessions closed because their client speaks HTTP.
    pub http_closed: Counter,
    /// Values dropped because their client read too slowly, or because of `memory_limit`.
    pub dropped: Counter,
    /// Sessions closed because they were idle.
    pub idle_closed: Counter,
    /// Bytes in the buffers of sessions and links.
    pub buffered: Counter,
    /// Requests refused because of `memory_limit`: storage commands, and long lines.
    pub out_of_memory: Counter,
    /// Requests that policies are processing.
    pub in_progress: Counter,
    /// Adaptive batching: the number of times that the worker slept before it waited for events.
    pub batching_waits: Counter,
}

impl WorkerShard {
    /// Counts one client request.
    #[inline]
    pub fn count(&self, protocol: ClientProtocol, operation: Operation) {
        self.count_many(protocol, operation, 1);
    }

    /// Counts this many requests of clients.
    #[inline]
    pub fn count_many(&self, protocol: ClientProtocol, operation: Operation, count: u64) {
        self.requests[protocol as usize][operation as usize].add(count);
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
