//! Replies to the keys of multi-gets.

use std::rc::Rc;

use super::*;
use crate::link::entry::Framing;
use crate::link::pending_reply::Failing;
use crate::link::run_keys::NewKey;
use crate::protocol::OnError;
use crate::protocol::operation::Operation;
use crate::reply::keys::TakenReply;
use crate::reply::queue::ReplyQueue;

/// When keys are due.
const DUE: u64 = 10;

#[derive(Default)]
struct Connection {
    in_flight: InFlightQueue,
    shard: NodeShard,
    missed: Missed,
    buffer: BytesMut,
    /// Requests for keys with a smaller hash are noted.
    traced_below: u64,
    /// Whether every request took so long that it is noted.
    is_slow: bool,
}

impl Connection {
    fn failing(&self) -> Failing<'_> {
        Failing {
            now: DUE,
            shard: &self.shard,
            missed: &self.missed,
            teller: None,
        }
    }

    /// Sends a multi-get of `keys`; those in capitals are sampled. `framing` is that of the first.
    fn get(&mut self, session: &Rc<ReplyQueue>, keys: &str, mut framing: Framing) {
        session.begin_multi_get(Command::Get, OnError::SHOW);
        for key in keys.split(' ') {
            let new = NewKey {
                slot: (session, session.push_keys(1)),
                started: 0,
                deadline: DUE,
                is_sampled: key.chars().all(char::is_uppercase),
            };
            self.in_flight
                .push_key(Command::Get, key.as_bytes(), framing, new, 0);
            self.shard.in_flight.add(1);
            framing = Framing::SameLine;
        }
        session.end_multi_get();
    }

    fn receive(&mut self, bytes: &str) -> Result<bool, Desync> {
        self.buffer.extend_from_slice(bytes.as_bytes());
        let arrival = Arrival {
            now: 5,
            shard: &self.shard,
            noted_from: if self.is_slow { 0 } else { u64::MAX },
            traced_below: self.traced_below,
            end: 100,
            missed: &self.missed,
        };
        self.in_flight
            .receive(&mut self.buffer, Dialect::Meta, 100, &arrival)
    }
}

/// What the client of `session` reads.
fn read(session: &ReplyQueue) -> String {
    let mut text = String::new();
    while session.take_keys(|_, reply| match reply {
        TakenReply::Lines(lines) => text += std::str::from_utf8(lines.bytes).expect("text"),
        TakenReply::Other(reply) => text += &format!("{reply:?} "),
        TakenReply::Miss => {}
    }) {}
    text
}

#[test]
fn each_value_of_a_line_goes_to_its_key_and_the_others_are_misses() {
    let mut connection = Connection::default();
    let (one, other) = (Rc::default(), Rc::default());
    connection.get(&one, "a b c", Framing::NewLine);
    connection.get(&other, "b d", Framing::SameLine);
    connection.get(&one, "e f g", Framing::NewLine);
    assert_eq!(connection.in_flight.len(), 8);
    let line = "VALUE b 0 1\r\nB\r\nVALUE b 0 1\r\nb\r\nVALUE d 0 1\r\nD\r\nEND\r\n";
    assert_eq!(connection.receive(line), Ok(true));
    assert_eq!(connection.receive("VALUE g 0 1\r\nG\r\nEND\r\n"), Ok(true));
    assert_eq!(read(&one), "VALUE b 0 1\r\nB\r\nVALUE g 0 1\r\nG\r\n");
    assert_eq!(read(&other), "VALUE b 0 1\r\nb\r\nVALUE d 0 1\r\nD\r\n");
    assert!(connection.in_flight.is_empty() && one.is_empty() && other.is_empty());
    assert_eq!(connection.shard.in_flight.get(), 0);
    let counters = &connection.shard.operations[Operation::Get as usize];
    assert_eq!((counters.hits.get(), counters.misses.get()), (4, 4));
}

#[test]
fn a_value_of_the_next_line_is_out_of_step_until_the_line_before_has_ended() {
    // A key in capitals is sampled, and so received by itself.
    for last in ["c", "C"] {
        for is_split in [false, true] {
            let mut connection = Connection::default();
            let session = Rc::default();
            connection.get(&session, &format!("a {last}"), Framing::NewLine);
            connection.get(&session, "d e", Framing::NewLine);
            let own = format!("VALUE {last} 0 1\r\nC\r\n");
            let next = "VALUE d 0 1\r\nD\r\n";
            let received = match is_split {
                true => connection.receive(&own).and_then(|_| connection.receive(next)),
                false => connection.receive(&(own + next)),
            };
            assert_eq!(received, Err(Desync), "{last}, split: {is_split}");
        }
    }
}

#[test]
fn requests_that_are_noted_are_answered_like_all_others() {
    let line = "VALUE a 0 1\r\nA\r\nVALUE c 0 1\r\nC\r\nVALUE d 0 1\r\nD\r\nEND\r\n";
    let of_c = hash(b"c") + 1;
    for (traced_below, is_slow) in [(0, false), (of_c, false), (u64::MAX, false), (0, true)] {
        let mut connection = Connection {
            traced_below,
            is_slow,
            ..Connection::default()
        };
        let session = Rc::default();
        connection.get(&session, "a b c d e", Framing::NewLine);
        assert_eq!(connection.receive(line), Ok(true));
        let text = read(&session);
        for value in ["A", "C", "D"] {
            assert!(text.contains(value), "{text}");
        }
        assert!(session.is_empty());
        let mut noted = 0;
        connection.in_flight.notes.drain(|_, _| noted += 1);
        let is_noted = |key: &&u8| is_slow || hash(&[**key]) < traced_below;
        assert_eq!(noted, b"abcde".iter().filter(is_noted).count());
        let counters = &connection.shard.operations[Operation::Get as usize];
        assert_eq!((counters.hits.get(), counters.misses.get()), (3, 2));
    }
}

#[test]
fn a_key_of_another_line_or_one_that_was_passed_is_out_of_step() {
    for stranger in ["x", "a", "d"] {
        let mut connection = Connection::default();
        let session = Rc::default();
        connection.get(&session, "a b c", Framing::NewLine);
        connection.get(&session, "d e f", Framing::NewLine);
        let bytes = format!("VALUE b 0 1\r\nB\r\nVALUE {stranger} 0 1\r\nX\r\n");
        assert_eq!(connection.receive(&bytes), Err(Desync));
        let failing = Failing {
            now: DUE,
            shard: &connection.shard,
            missed: &connection.missed,
            teller: None,
        };
        connection.in_flight.fail_all(Failure::Desync, failing);
        assert_eq!(
            read(&session),
            format!("VALUE b 0 1\r\nB\r\n{}", "Failed(Desync) ".repeat(4))
        );
        assert_eq!(connection.shard.in_flight.get(), 0);
    }
}

#[test]
fn keys_that_are_due_fail_and_their_late_values_are_dropped() {
    let mut connection = Connection::default();
    let session = Rc::default();
    connection.get(&session, "a b c", Framing::NewLine);
    assert_eq!(connection.receive("VALUE a 0 1\r\nA\r\n"), Ok(true));
    let mut in_flight = std::mem::take(&mut connection.in_flight);
    assert_eq!(in_flight.expire(false, connection.failing()), 2);
    assert_eq!((in_flight.len(), in_flight.abandoned()), (2, 2));
    connection.in_flight = in_flight;
    connection.get(&session, "d e f", Framing::NewLine);
    assert_eq!(connection.receive("VALUE c 0 1\r\nC\r\nEND\r\n"), Ok(false));
    assert_eq!(connection.receive("VALUE e 0 1\r\nE\r\nEND\r\n"), Ok(true));
    assert_eq!(
        read(&session),
        "VALUE a 0 1\r\nA\r\nFailed(Timeout) Failed(Timeout) VALUE e 0 1\r\nE\r\n"
    );
    assert_eq!(
        (connection.in_flight.len(), connection.in_flight.abandoned()),
        (0, 0)
    );
}

#[test]
fn the_keys_of_a_broken_connection_are_outstanding_one_by_one() {
    let mut connection = Connection::default();
    let (one, other) = (Rc::default(), Rc::default());
    connection.get(&one, "a b c", Framing::NewLine);
    connection.get(&other, "d e", Framing::NewLine);
    assert_eq!(connection.receive("VALUE b 0 1\r\nB\r\n"), Ok(true));
    let keys: Vec<String> = connection
        .in_flight
        .take_all()
        .into_iter()
        .map(|request| {
            let key = String::from_utf8_lossy(request.words.key()).into_owned();
            let pending = request.pending.expect("nobody gave it up");
            pending.answer(Reply::NotFound, 0, &connection.shard);
            key
        })
        .collect();
    assert_eq!(keys, ["c", "d", "e"]);
    assert_eq!(
        (read(&one), read(&other)),
        ("VALUE b 0 1\r\nB\r\n".into(), String::new())
    );
    assert!(one.is_empty() && other.is_empty());
}

#[test]
fn a_value_that_is_too_large_fails_its_key_only() {
    let mut connection = Connection::default();
    let session = Rc::default();
    connection.get(&session, "a b c", Framing::NewLine);
    let large = format!("VALUE b 0 101\r\n{}\r\n", "v".repeat(101));
    assert_eq!(connection.receive(&large), Ok(true));
    assert_eq!(connection.receive("VALUE c 0 1\r\nC\r\nEND\r\n"), Ok(true));
    assert_eq!(read(&session), "Failed(TooLarge) VALUE c 0 1\r\nC\r\n");
}

#[test]
fn a_sampled_key_is_noted_and_its_neighbours_are_not() {
    let mut connection = Connection::default();
    let session = Rc::default();
    connection.get(&session, "a B c d", Framing::NewLine);
    let line = "VALUE a 0 1\r\nA\r\nVALUE B 0 3\r\nBBB\r\nVALUE d 0 1\r\nD\r\nEND\r\n";
    assert_eq!(connection.receive(line), Ok(true));
    let mut noted = Vec::new();
    connection
        .in_flight
        .notes
        .drain(|key, note| noted.push((key.to_vec(), note.read, note.sent)));
    assert_eq!(noted, [(b"B".to_vec(), 3, 2)]);
}
