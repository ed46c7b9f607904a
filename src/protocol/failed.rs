//! Decides what a client reads if a node failed: an error, or an answer as if nothing were found or
//! changed.
//!
//! To a client Ringway is its only server, and many libraries shut out a server that answers
//! `SERVER_ERROR`, with all of its keys. So by default a failed request reads as if its key did not exist:
//!
//! | operation | reads as |
//! |---|---|
//! | get, gat | a miss |
//! | set, add, replace, append, prepend | not stored |
//! | cas | exists: changed by another client |
//! | incr, decr, delete, touch | not found |
//! | flush_all | a client error; in binary not stored |
//!
//! These answers were chosen by measuring real clients, see docs/clients.md. For cas, pylibmc raises on
//! "not found" and dalli takes it for success in binary; memcached never answers "not stored" to cas, and
//! some clients do not expect it. memcached has no answer for a flush_all that was not done: after
//! `SERVER_ERROR` pylibmc and others shut the server out, after `NOT_STORED` PHP's memcache does, after
//! `CLIENT_ERROR` none does. A failed write never reads as a success, not even in quiet mode, which hides
//! only successful writes.
//!
//! A refusal by a route ([`Reply::Refused`]) is the operator's wording and is never hidden.
//!
//! Errors from a node are passed on, except `SERVER_ERROR` to a read. So are memcached's own error for a
//! value that is too large and the error for a request that the node's protocol cannot express: in both
//! cases no node failed. There are two exceptions. A read of a key that the node's classic text cannot
//! express is a miss: clients cannot handle an error line between the values of a multi-get, and memcached
//! 1.6.45, which can express every key, answers a miss too. In binary both errors, and a node's
//! `SERVER_ERROR` to a write, are hidden as failures: libmemcached shuts out a server for every status
//! except 0x00 to 0x03 and 0x05, so one node's answer would cost the keys of all nodes.

use bytes::Bytes;

use super::operation::Operation;
use super::{Failure, Reply};

/// The protocol in which a client reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadIn {
    /// Classic text.
    Classic,
    /// Meta text.
    Meta,
    /// Binary.
    Binary,
}

/// How the failures of a pool are presented to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnError {
    /// Whether a failed read looks like a miss.
    pub read_is_miss: bool,
    /// Whether a failed write looks like "not stored" or "not found".
    pub write_is_not_stored: bool,
}

impl OnError {
    /// Hides every failure from clients.
    pub const HIDE: OnError = OnError {
        read_is_miss: true,
        write_is_not_stored: true,
    };
    /// Shows every failure to clients.
    pub const SHOW: OnError = OnError {
        read_is_miss: false,
        write_is_not_stored: false,
    };

    /// Returns the settings that hide only what both hide.
    pub fn and(self, other: OnError) -> OnError {
        OnError {
            read_is_miss: self.read_is_miss && other.read_is_miss,
            write_is_not_stored: self.write_is_not_stored && other.write_is_not_stored,
        }
    }
}

/// Returns what a client reads for `reply` to a request that performs `operation`.
pub fn read_as(operation: Operation, on_error: OnError, read_in: ReadIn, reply: &Reply) -> &Reply {
    let is_binary = read_in == ReadIn::Binary;
    let is_read = operation.is_read();
    let is_failure = match reply {
        // Such a key cannot exist on a node whose protocol cannot express it.
        Reply::Failed(Failure::Unsupported | Failure::LongKey)
            if read_in == ReadIn::Classic && operation.finds_key() =>
        {
            return without_key(operation);
        }
        Reply::Failed(Failure::Unsupported | Failure::LongKey) => is_binary,
        Reply::Failed(Failure::TooLarge) => is_read,
        Reply::Failed(_) => true,
        Reply::Error(line) if is_read || is_binary => {
            line.starts_with(b"SERVER_ERROR") && (is_read || !line.ends_with(b"too large for cache"))
        }
        _ => false,
    };
    let hides = if is_read {
        on_error.read_is_miss
    } else {
        on_error.write_is_not_stored
    };
    if is_failure && hides {
        without_node(operation, read_in)
    } else {
        reply
    }
}

/// Returns the answer to `operation` if its node failed: nothing is found and nothing is changed.
fn without_node(operation: Operation, read_in: ReadIn) -> &'static Reply {
    static EXISTS: Reply = Reply::Exists;
    static NOT_STORED: Reply = Reply::NotStored;
    static NOT_FLUSHED: Reply = Reply::Error(Bytes::from_static(b"CLIENT_ERROR a node was not flushed"));
    match operation {
        Operation::Cas => &EXISTS,
        Operation::FlushAll if read_in == ReadIn::Binary => &NOT_STORED,
        Operation::FlushAll => &NOT_FLUSHED,
        _ => without_key(operation),
    }
}

/// Returns the answer to `operation` if its key does not exist or its condition did not hold.
fn without_key(operation: Operation) -> &'static Reply {
    use Operation::*;
    static NOT_FOUND: Reply = Reply::NotFound;
    static NOT_STORED: Reply = Reply::NotStored;
    match operation {
        Get | Gat | Cas | Incr | Decr | Delete | Touch => &NOT_FOUND,
        Set | Add | Replace | Append | Prepend | FlushAll => &NOT_STORED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: [ReadIn; 3] = [ReadIn::Classic, ReadIn::Meta, ReadIn::Binary];

    /// Every operation in every protocol, with its answer if everything is hidden.
    fn table() -> impl Iterator<Item = (Operation, ReadIn, Reply)> {
        use Operation::*;
        let of = |operation, read_in| match operation {
            Get | Gat | Incr | Decr | Delete | Touch => Reply::NotFound,
            Cas => Reply::Exists,
            FlushAll if read_in != ReadIn::Binary => {
                Reply::Error("CLIENT_ERROR a node was not flushed".into())
            }
            _ => Reply::NotStored,
        };
        let operations = Operation::WORDS.iter().map(|&(_, operation)| operation);
        operations.flat_map(move |operation| EACH.map(|read_in| (operation, read_in, of(operation, read_in))))
    }

    #[test]
    fn a_failure_reads_as_a_key_that_is_not_there_where_the_pool_hides_it() {
        use Failure::*;
        for (operation, read_in, expected) in table() {
            for failure in [Connect, Timeout, Closed, Down, Busy, Desync] {
                let failed = Reply::Failed(failure);
                let read = |on_error| read_as(operation, on_error, read_in, &failed);
                assert_eq!(read(OnError::HIDE), &expected, "{operation:?} {failure:?}");
                assert_eq!(read(OnError::SHOW), &failed, "{operation:?} {failure:?}");
            }
        }
    }

    #[test]
    fn reads_and_writes_are_hidden_each_by_its_own_setting() {
        let failed = Reply::Failed(Failure::Down);
        for (operation, read_in, expected) in table() {
            for read_is_miss in [false, true] {
                let on_error = OnError {
                    read_is_miss,
                    write_is_not_stored: !read_is_miss,
                };
                let is_hidden = operation.is_read() == read_is_miss;
                let expected = if is_hidden { &expected } else { &failed };
                assert_eq!(
                    read_as(operation, on_error, read_in, &failed),
                    expected,
                    "{operation:?}"
                );
            }
        }
    }

    #[test]
    fn what_no_node_failed_at_and_what_a_node_says_of_a_write_is_passed_on_but_not_in_binary() {
        let unsayable = [Failure::Unsupported, Failure::LongKey].map(Reply::Failed);
        let too_large = Reply::Failed(Failure::TooLarge);
        let own = Reply::Error("SERVER_ERROR out of memory storing object".into());
        let own_too_large = Reply::Error("SERVER_ERROR object too large for cache".into());
        let wrong = Reply::Error("CLIENT_ERROR cannot increment or decrement non-numeric value".into());
        let refused = Reply::Refused("SERVER_ERROR out of order".into());
        for (operation, read_in, _) in table() {
            let passed = |reply: &Reply| read_as(operation, OnError::HIDE, read_in, reply) == reply;
            let is_write = !operation.is_read();
            let is_binary = read_in == ReadIn::Binary;
            let is_never_there = read_in == ReadIn::Classic && operation.finds_key();
            for reply in &unsayable {
                assert_eq!(passed(reply), !(is_binary || is_never_there), "{operation:?}");
            }
            assert_eq!(passed(&own), is_write && !is_binary, "{operation:?}");
            assert_eq!(passed(&too_large), is_write, "{operation:?}");
            assert_eq!(passed(&own_too_large), is_write, "{operation:?}");
            for answer in [&wrong, &refused, &Reply::Done, &Reply::Exists, &Reply::Number(7)] {
                assert!(passed(answer), "{operation:?}");
            }
        }
        for reply in &unsayable {
            let of_a_key_that_cannot_be = read_as(Operation::Cas, OnError::HIDE, ReadIn::Classic, reply);
            assert_eq!(of_a_key_that_cannot_be, &Reply::NotFound);
        }
    }
}
