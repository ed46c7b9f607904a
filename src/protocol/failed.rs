//! What a client reads where a node failed: that nothing was found and nothing was changed, or an error.
//!
//! To a client Ringway is its only server, and many a library shuts out a server that says `SERVER_ERROR`, with all of
//! its keys. So by default a failed request reads as one whose key is not there:
//!
//! | operation | reads as |
//! |---|---|
//! | get, gat | a miss |
//! | set, add, replace, append, prepend | not stored |
//! | cas | exists: somebody else was faster |
//! | incr, decr, delete, touch | not found |
//! | flush_all | a client error; in binary not stored |
//!
//! Which words those are was measured with real clients, see docs/clients.md. cas: to "not found" pylibmc raises, and
//! dalli takes it for success in binary; "not stored" is a word that memcached never says to it, and some clients
//! do not know it there. flush_all: memcached has no word for one that was not done. After `SERVER_ERROR` pylibmc and
//! others shut the server out, after `NOT_STORED` PHP's memcache does, after `CLIENT_ERROR` none does.
//! No failed write reads as a success, in quiet mode neither: memcached hides only successes of writes there.
//!
//! What a route says instead of a node ([`Reply::Refused`]) is the operator's word, and is never hidden.
//!
//! What a node says itself is passed on, but for its `SERVER_ERROR` to a read. So are the words for a value that is too
//! large, which are memcached's own, and those for what the node's protocol cannot say: there no node failed. A key in
//! classic text that it cannot say is never there, though: between the values of a multi-get a line of error is one
//! that clients do not get over, and memcached 1.6.45, which can say every key, answers a miss. In binary
//! both, and a node's `SERVER_ERROR` to a write, read as failures too: libmemcached shuts out a server for every status
//! but 0x00 to 0x03 and 0x05, so that what one node says would cost the keys of all.

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

/// How failures of a pool read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnError {
    /// Whether a failed read is a miss.
    pub read_is_miss: bool,
    /// Whether a failed write is not stored, or not found.
    pub write_is_not_stored: bool,
}

impl OnError {
    /// Clients see no failure.
    pub const HIDE: OnError = OnError {
        read_is_miss: true,
        write_is_not_stored: true,
    };
    /// Clients see each failure.
    pub const SHOW: OnError = OnError {
        read_is_miss: false,
        write_is_not_stored: false,
    };

    /// Hides what both hide.
    pub fn and(self, other: OnError) -> OnError {
        OnError {
            read_is_miss: self.read_is_miss && other.read_is_miss,
            write_is_not_stored: self.write_is_not_stored && other.write_is_not_stored,
        }
    }
}

/// What a client reads for `reply` to a request that does `operation`.
pub fn read_as(operation: Operation, on_error: OnError, read_in: ReadIn, reply: &Reply) -> &Reply {
    let is_binary = read_in == ReadIn::Binary;
    let is_read = operation.is_read();
    let is_failure = match reply {
        // Of classic text a node's protocol cannot say some keys, and so has nothing under them.
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

/// What `operation` reads if its node failed: nothing is found and nothing is changed.
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

/// What `operation` reads if its key is not there, or its condition did not hold.
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

    /// Every operation in every protocol, and what it reads if all is hidden.
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
