//! What a client reads where a node failed: that nothing was found and nothing was changed, or an error.
//!
//! To a client Ringway is its only server, and many a library shuts out a server that says `SERVER_ERROR`, with all of
//! its keys. So by default a failed request reads as one whose key is not there:
//!
//! | operation | reads as |
//! |---|---|
//! | get, gat | a miss |
//! | set, add, replace, append, prepend | not stored |
//! | cas, incr, decr, delete, touch | not found |
//! | flush_all | the error: memcached has no other word for it |
//!
//! cas is not found rather than not stored, which memcached never says to a cas and some clients do not know; a gets
//! of the same key is a miss, so the two agree. No failed write reads as a success, in quiet mode neither: memcached
//! hides only successes of writes there.
//!
//! What a node says itself is passed on, but for its `SERVER_ERROR` to a read. So are the words for a value that is too
//! large, which are memcached's own, and those for what the node's protocol cannot say: there no node failed.

use super::operation::Operation;
use super::{Failure, Reply};

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

/// What the client reads for `reply` to a request that did `operation`.
#[inline]
pub fn read_as(operation: Operation, on_error: OnError, reply: &Reply) -> &Reply {
    let is_read = operation.is_read();
    let is_hidden = match reply {
        Reply::Failed(Failure::Unsupported) => false,
        Reply::Failed(_) if is_read => on_error.read_is_miss,
        Reply::Error(line) if is_read => on_error.read_is_miss && line.starts_with(b"SERVER_ERROR"),
        Reply::Failed(Failure::TooLarge) => false,
        Reply::Failed(_) => on_error.write_is_not_stored,
        _ => false,
    };
    if is_hidden {
        without_node(operation).unwrap_or(reply)
    } else {
        reply
    }
}

/// What `operation` reads where its key is not there, or its condition did not hold.
fn without_node(operation: Operation) -> Option<&'static Reply> {
    use Operation::*;
    static NOT_FOUND: Reply = Reply::NotFound;
    static NOT_STORED: Reply = Reply::NotStored;
    match operation {
        Get | Gat | Cas | Incr | Decr | Delete | Touch => Some(&NOT_FOUND),
        Set | Add | Replace | Append | Prepend => Some(&NOT_STORED),
        FlushAll => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of every operation, what it reads where all is hidden.
    fn table() -> Vec<(Operation, Option<Reply>)> {
        let known = |operation| match operation {
            Operation::Get | Operation::Gat => Some(Reply::NotFound),
            Operation::Cas | Operation::Incr | Operation::Decr => Some(Reply::NotFound),
            Operation::Delete | Operation::Touch => Some(Reply::NotFound),
            Operation::FlushAll => None,
            _ => Some(Reply::NotStored),
        };
        let all = Operation::WORDS.iter().map(|(_, operation)| *operation);
        all.map(|operation| (operation, known(operation))).collect()
    }

    #[test]
    fn a_failure_reads_as_a_key_that_is_not_there_where_the_pool_hides_it() {
        let hidden = [
            Failure::Connect,
            Failure::Timeout,
            Failure::Closed,
            Failure::Down,
            Failure::Busy,
            Failure::Desync,
        ];
        for (operation, expected) in table() {
            for failure in hidden {
                let failed = Reply::Failed(failure);
                let expected = expected.as_ref().unwrap_or(&failed);
                assert_eq!(
                    read_as(operation, OnError::HIDE, &failed),
                    expected,
                    "{operation:?} {failure:?}"
                );
                assert_eq!(read_as(operation, OnError::SHOW, &failed), &failed);
            }
        }
    }

    #[test]
    fn reads_and_writes_are_hidden_each_by_its_own_setting() {
        let failed = Reply::Failed(Failure::Down);
        for (operation, expected) in table() {
            for (read_is_miss, write_is_not_stored) in [(true, false), (false, true)] {
                let on_error = OnError {
                    read_is_miss,
                    write_is_not_stored,
                };
                let is_hidden = if operation.is_read() {
                    read_is_miss
                } else {
                    write_is_not_stored
                };
                let expected = expected.as_ref().filter(|_| is_hidden).unwrap_or(&failed);
                assert_eq!(read_as(operation, on_error, &failed), expected, "{operation:?}");
            }
        }
    }

    #[test]
    fn what_no_node_failed_at_and_what_a_node_says_of_a_write_is_passed_on() {
        let unsupported = Reply::Failed(Failure::Unsupported);
        let too_large = Reply::Failed(Failure::TooLarge);
        let own = Reply::Error("SERVER_ERROR out of memory storing object".into());
        let wrong = Reply::Error("CLIENT_ERROR cannot increment or decrement non-numeric value".into());
        for (operation, _) in table() {
            let passed = |reply: &Reply| read_as(operation, OnError::HIDE, reply) == reply;
            assert!(passed(&unsupported) && passed(&wrong), "{operation:?}");
            assert_eq!(passed(&too_large), !operation.is_read(), "{operation:?}");
            assert_eq!(passed(&own), !operation.is_read(), "{operation:?}");
            for answer in [Reply::Done, Reply::Exists, Reply::Number(7), Reply::NotFound] {
                assert!(passed(&answer), "{operation:?}");
            }
        }
    }
}
