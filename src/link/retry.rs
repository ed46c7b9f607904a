//! Decides which requests of a broken connection are sent once more; the others fail.
//!
//! - A request of which not one byte was written is sent again, whatever it is. Its bytes are still on this
//!   side and are sent unchanged.
//! - A read that was written is sent again if a second answer is as good as the first: get, gets, me, and
//!   mg whose flags neither change the item nor report its use. But not if a change of the same key was
//!   written behind it, or the read would see the effect of a later request of its session.
//! - Any other request that was written fails: the node may have executed it.
//! - A request that was already sent a second time fails.
//! - Requests for which there is no memory fail.
//!
//! Requests are queued again in their original order, and so go before later ones.

use std::collections::HashMap;

use bytes::Bytes;

use crate::link::entry::Unanswered;
use crate::link::in_flight::InFlightQueue;
use crate::link::pending_reply::{Failing, PendingReply};
use crate::link::queued::{EncodedRequest, Queued, QueuedRequests};
use crate::net::outgoing::Outgoing;
use crate::node::missed::write::Write;
use crate::protocol::dialect::Dialect;
use crate::protocol::owned::OwnedRead;
use crate::protocol::{Command, Failure, meta};

/// Flags of mg that change nothing, and whose answer does not depend on earlier reads.
const PLAIN: &[u8] = b"bcfkqstuvOPL";

/// The state of a connection when it broke.
#[derive(Debug)]
pub struct Broken {
    /// Unanswered requests.
    pub in_flight: InFlightQueue,
    /// Unwritten bytes.
    pub outgoing: Outgoing,
    /// The dialect that it spoke.
    pub dialect: Dialect,
    /// The failure of requests that are not sent again.
    pub failure: Failure,
}

/// Moves the requests that may be sent again to `queued`, as long as that takes at most `room` bytes, and
/// fails the others. Returns the keys of writes that the node may still execute, including those abandoned
/// before.
pub fn partition(broken: Broken, queued: &mut QueuedRequests, room: usize, at: Failing<'_>) -> Vec<Bytes> {
    let Broken {
        mut in_flight,
        mut outgoing,
        dialect,
        failure,
    } = broken;
    // The kernel accepted everything before this offset; the node may have read it, even if no reply
    // came.
    let written = outgoing.start();
    let unanswered = in_flight.take_all();
    let changes = Changes::of(&unanswered, written);
    let mut on_their_way = Vec::new();
    let mut unanswered = unanswered.into_iter().enumerate().peekable();
    while let Some((index, mut request)) = unanswered.next() {
        let end = unanswered
            .peek()
            .map_or(outgoing.end(), |(_, next)| next.start_offset);
        let pieces = outgoing.take_until(end);
        // An abandoned request was answered before: there is nothing to retry, but its write may still
        // be executed.
        let Some(pending) = request.pending.take() else {
            at.shard.in_flight.sub(1);
            if request.write().changes() {
                on_their_way.push(request.words.shared_key());
            }
            continue;
        };
        // Only a request of which no byte was written is certain not to have been executed; one that
        // was written in part is treated as written.
        let is_begun = request.start_offset < written;
        let may_go = match request.is_repeatable() {
            true => !is_begun || !changes.come_after(index, request.words.key()),
            false => !is_begun,
        };
        if pending.is_retry || !may_go || queued.held() >= room {
            at.shard.in_flight.sub(1);
            // What is queued may be an earlier write of the same key.
            if pending.fail(request.write(), failure, is_begun || !queued.is_empty(), at) {
                on_their_way.push(request.words.shared_key());
            }
            continue;
        }
        let pending = PendingReply {
            is_retry: true,
            ..pending
        };
        queued.push(request.again(pieces, dialect), pending);
    }
    on_their_way
}

impl Unanswered {
    /// The request as it is sent once more; its bytes were `pieces`, in `dialect`.
    fn again(self, pieces: Vec<Bytes>, dialect: Dialect) -> Queued {
        match self.is_repeatable() {
            // A read is encoded anew, because the node may have been upgraded or replaced and speak
            // another dialect. Other requests keep their bytes, which include their value.
            true => Queued::Read(OwnedRead::new(self.command, self.words)),
            false => Queued::EncodedRequest(Box::new(EncodedRequest {
                dialect,
                command: self.command,
                key: self.words.shared_key(),
                expected: self.expected,
                is_in_line: self.is_in_line,
                answer: self.answer,
                pieces,
            })),
        }
    }

    fn write(&self) -> Write<'_> {
        Write {
            command: self.command,
            key: self.words.key(),
            flags: self.words.meta().map_or(b"", |meta| meta.flags),
        }
    }

    /// Whether a second attempt gives as good an answer as the first.
    fn is_repeatable(&self) -> bool {
        match self.command {
            Command::Get | Command::Gets => true,
            Command::MetaDebug => self.words.meta().is_some(),
            Command::MetaGet => self
                .words
                .meta()
                .is_some_and(|raw| meta::flags(raw.flags).all(|flag| PLAIN.contains(&flag[0]))),
            _ => false,
        }
    }
}

/// For each key, the last position in the queue of a written request that may change its item.
#[derive(Debug, Default)]
struct Changes {
    by_key: HashMap<Bytes, usize>,
    of_all: Option<usize>,
}

impl Changes {
    fn of(unanswered: &[Unanswered], written: u64) -> Changes {
        let mut changes = Changes::default();
        for (index, request) in unanswered.iter().enumerate() {
            if request.start_offset >= written || request.is_repeatable() {
                continue;
            }
            match request.command {
                Command::FlushAll => changes.of_all = Some(index),
                _ => drop(changes.by_key.insert(request.words.shared_key(), index)),
            }
        }
        changes
    }

    fn come_after(&self, index: usize, key: &[u8]) -> bool {
        self.of_all.max(self.by_key.get(key).copied()) > Some(index)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::link::state::LinkState;
    use crate::metrics::NodeShard;
    use crate::node::missed::Missed;
    use crate::protocol::operation::Operation;
    use crate::protocol::{Meta, OnError, Reply, Request};
    use crate::reply::origin::{ReplyMode, RequestOrigin, WireFormat};
    use crate::reply::queue::ReplyQueue;
    use crate::reply::slot::ReplySlot;

    /// A connection that is about to break, and the queue of its replies.
    #[derive(Default)]
    struct Connection {
        state: LinkState,
        reply_queue: Rc<ReplyQueue>,
        shard: NodeShard,
        missed: Missed,
        are_retries: bool,
        /// The memory for queued requests; unlimited if `None`.
        room: Option<usize>,
    }

    impl Connection {
        fn failing(&self) -> Failing<'_> {
            Failing {
                now: 10,
                shard: &self.shard,
                missed: &self.missed,
                teller: None,
            }
        }

        fn ask(&mut self, request: &Request<'_>) {
            let origin = RequestOrigin {
                command: request.command,
                mode: ReplyMode::Single,
                on_error: OnError::SHOW,
                format: WireFormat::Classic,
            };
            let pending = PendingReply {
                slot: ReplySlot::queued(&self.reply_queue, self.reply_queue.push(origin, 1)),
                operation: Operation::of(request),
                started: 0,
                deadline: 10,
                is_retry: self.are_retries,
                is_sampled: false,
            };
            self.shard.in_flight.add(1);
            let sent = self.state.write(Dialect::Meta, request, pending);
            assert!(sent.is_ok());
        }

        fn ask_plainly(&mut self, origin: &[(Command, &str)]) {
            for (command, key) in origin {
                self.ask(&Request::new(*command, key.as_bytes()));
            }
        }

        /// Breaks the connection after `written` bytes. Returns the requests that are sent again (their
        /// bytes, or their words if they are encoded anew) and the number of those that failed.
        fn break_at(mut self, written: u64) -> (Vec<String>, usize) {
            let count = self.reply_queue.len();
            self.state.close_line();
            self.state.outgoing.take_until(written);
            let broken = Broken {
                in_flight: std::mem::take(&mut self.state.in_flight),
                outgoing: std::mem::take(&mut self.state.outgoing),
                dialect: Dialect::Meta,
                failure: Failure::Closed,
            };
            let mut queued = QueuedRequests::default();
            let room = self.room.unwrap_or(usize::MAX);
            for key in partition(broken, &mut queued, room, self.failing()) {
                self.missed.settle(&key, false);
            }
            let deletable = self.missed.take(None, usize::MAX).len();
            assert_eq!(deletable, self.missed.keys(), "nothing is on its way");
            assert_eq!(self.shard.in_flight.get(), queued.len() as u64);
            let mut again = Vec::new();
            while let Some(waiting) = queued.take() {
                assert!(waiting.pending.is_retry && waiting.pending.deadline == 10);
                let mut text = Vec::new();
                match waiting.request.request() {
                    Ok(request) => {
                        Dialect::Meta.write_line(&request, &mut |bytes| text.extend_from_slice(bytes));
                    }
                    Err(written) => text = written.pieces.concat(),
                }
                again.push(String::from_utf8(text).expect("text"));
                waiting.pending.answer(Reply::NotFound, 1, &self.shard);
            }
            assert_eq!(queued.bytes(), 0);
            let replies: Vec<Reply> =
                std::iter::from_fn(|| self.reply_queue.take(|_, reply| reply)).collect();
            assert_eq!(replies.len(), count, "each is answered once");
            let failed = replies
                .iter()
                .filter(|&reply| *reply == Reply::Failed(Failure::Closed));
            (again, failed.count())
        }
    }

    const ALL: u64 = u64::MAX;

    #[test]
    fn of_what_was_written_only_plain_reads_are_sent_once_more() {
        for command in Command::ALL.into_iter().filter(|command| !command.is_meta()) {
            let mut connection = Connection::default();
            connection.ask_plainly(&[(command, "k")]);
            let is_read = matches!(command, Command::Get | Command::Gets);
            let (again, failed) = connection.break_at(ALL);
            assert_eq!(
                (again.len(), failed),
                (is_read.into(), (!is_read).into()),
                "{command:?}"
            );
        }
    }

    #[test]
    fn a_meta_read_is_sent_once_more_as_it_was_typed_where_its_flags_change_nothing() {
        let table = [
            (Command::MetaGet, "v k f c s t u O1 q", true),
            (Command::MetaGet, "", true),
            (Command::MetaGet, "v T30", false),
            (Command::MetaGet, "v N30", false),
            (Command::MetaGet, "v R30", false),
            (Command::MetaGet, "v E7", false),
            (Command::MetaGet, "v h", false),
            (Command::MetaGet, "l", false),
            (Command::MetaGet, "v ?", false),
            (Command::MetaDebug, "", true),
            (Command::MetaDelete, "", false),
            (Command::MetaArithmetic, "", false),
            (Command::MetaSet, "", false),
        ];
        for (command, flags, may) in table {
            let request = Request {
                meta: Some(Meta {
                    key: b"typed",
                    flags: flags.as_bytes(),
                    is_binary: false,
                }),
                ..Request::new(command, b"plain")
            };
            let mut text = Vec::new();
            Dialect::Meta.write_line(&request, &mut |bytes| text.extend_from_slice(bytes));
            let mut connection = Connection::default();
            connection.ask(&Request::new(Command::Set, b"before"));
            connection.ask(&request);
            let wanted = if may {
                vec![String::from_utf8(text).expect("text")]
            } else {
                vec![]
            };
            assert_eq!(connection.break_at(ALL).0, wanted, "{command:?} {flags}");
        }
    }

    #[test]
    fn what_was_not_begun_is_sent_as_it_is_and_in_order() {
        let origin = [
            (Command::Incr, "a"),
            (Command::Delete, "b"),
            (Command::Get, "b"),
            (Command::Incr, "b"),
        ];
        let lines = [
            "ma a k v D0\r\n",
            "md b k\r\n",
            "mg b k f v\r\n",
            "ma b k v D0\r\n",
        ];
        let length: usize = lines.iter().map(|line| line.len()).sum();
        for written in 0..=length {
            let mut connection = Connection::default();
            connection.ask_plainly(&origin);
            let mut start_offset = 0;
            let mut wanted = Vec::new();
            for line in lines {
                // The read may be repeated unless the node may have incremented its key by now.
                let is_read_in_time = line.starts_with("mg") && written <= length - lines[3].len();
                if start_offset >= written || is_read_in_time {
                    wanted.push(line.to_owned());
                }
                start_offset += line.len();
            }
            let (again, failed) = connection.break_at(written as u64);
            assert_eq!(again, wanted, "{written} bytes written");
            assert_eq!(failed, 4 - wanted.len());
        }
    }

    #[test]
    fn a_read_is_not_sent_behind_a_change_that_its_session_asked_for_later() {
        let table: [(&[(Command, &str)], usize); 5] = [
            (&[(Command::Get, "k"), (Command::Set, "k")], 0),
            (&[(Command::Get, "k"), (Command::Set, "other")], 1),
            (&[(Command::Set, "k"), (Command::Get, "k")], 1),
            (
                &[(Command::Get, "k"), (Command::Get, "l"), (Command::FlushAll, "")],
                0,
            ),
            (
                &[(Command::Get, "k"), (Command::Touch, "k"), (Command::Get, "k")],
                1,
            ),
        ];
        for (origin, again) in table {
            let mut connection = Connection::default();
            connection.ask_plainly(origin);
            assert_eq!(connection.break_at(ALL).0.len(), again, "{origin:?}");
        }
    }

    #[test]
    fn nothing_is_sent_a_third_time() {
        let mut connection = Connection {
            are_retries: true,
            ..Connection::default()
        };
        connection.ask_plainly(&[(Command::Get, "k"), (Command::Delete, "k")]);
        assert_eq!(connection.break_at(0), (vec![], 2));
    }

    #[test]
    fn what_there_is_no_memory_to_keep_fails() {
        let mut connection = Connection {
            room: Some(10_000),
            ..Connection::default()
        };
        let key = "k".repeat(250);
        (0..100).for_each(|_| connection.ask_plainly(&[(Command::Get, &key)]));
        let (again, failed) = connection.break_at(ALL);
        assert!((10..40).contains(&again.len()), "{}", again.len());
        assert_eq!(again.len() + failed, 100);
    }

    #[test]
    fn what_nobody_waits_for_is_not_sent_once_more() {
        let mut connection = Connection::default();
        connection.ask_plainly(&[(Command::Get, "k"), (Command::Delete, "k")]);
        let mut in_flight = std::mem::take(&mut connection.state.in_flight);
        in_flight.expire(false, connection.failing());
        connection.state.in_flight = in_flight;
        connection.ask_plainly(&[(Command::Delete, "l")]);
        assert_eq!(connection.break_at(0), (vec!["md l k\r\n".to_owned()], 0));
    }
}
