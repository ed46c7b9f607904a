//! A link: what a client asks, what a node answers, and what of it the client reads.
//!
//! The first line holds options, letter by letter; requests follow up to a line `--`, and behind it stands
//! what the node says to them.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use ringway::link::entry::Framing;
use ringway::link::in_flight::InFlightQueue;
use ringway::link::pending_reply::{Failing, PendingReply};
use ringway::link::receive::{Arrival, Desync};
use ringway::link::run_keys::NewKey;
use ringway::metrics::NodeShard;
use ringway::node::missed::Missed;
use ringway::protocol::classic::downgrade::downgrade;
use ringway::protocol::dialect::Dialect;
use ringway::protocol::operation::Operation;
use ringway::protocol::{Command, Failure, OnError, Reply, Request};
use ringway::reply::keys::TakenReply;
use ringway::reply::origin::RequestOrigin;
use ringway::reply::queue::ReplyQueue;
use ringway::reply::slot::ReplySlot;

use super::{answers, client};

const SEPARATOR: &[u8] = b"--\r\n";
const SMALL: usize = 8;

/// When requests are due, and when they are late.
const DUE: u64 = 10;

#[derive(Clone, Copy)]
struct Options {
    /// `c`: the node knows only classic text.
    dialect: Dialect,
    /// `s`: values are too large soon.
    max_value: usize,
    /// `m`: where the node fails, reads are misses. `w`: and writes are not stored.
    on_error: OnError,
    /// `x`: requests are abandoned before the node says anything.
    expires: bool,
    /// `l`: gets that follow each other stand in one line, of classic text.
    joins: bool,
    /// `k`: gets are keys of multi-gets, which share what is kept of them.
    are_keys: bool,
}

/// What came of it.
#[derive(Debug, PartialEq)]
struct Outcome {
    is_broken: bool,
    /// Requests that are still owed.
    left: usize,
    abandoned: usize,
    /// By request, which is shown; of keys of multi-gets only those that failed.
    replies: Vec<(String, Reply)>,
    /// The values of keys of multi-gets.
    values: Vec<Bytes>,
}

/// The bytes are options, requests and replies.
pub fn check(data: &[u8]) {
    let Some(end) = data.iter().position(|&byte| byte == b'\n') else {
        return;
    };
    let (letters, rest) = data.split_at(end + 1);
    let Some(end) = rest
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR)
    else {
        return;
    };
    let (requests, replies) = (&rest[..end], &rest[end + SEPARATOR.len()..]);
    let has = |letter| letters.contains(&letter);
    let options = Options {
        dialect: if has(b'c') {
            Dialect::Classic
        } else {
            Dialect::Meta
        },
        max_value: if has(b's') { SMALL } else { 1 << 20 },
        on_error: OnError {
            read_is_miss: has(b'm'),
            write_is_not_stored: has(b'w'),
        },
        expires: has(b'x'),
        joins: has(b'l'),
        are_keys: has(b'k'),
    };
    let at_once = carry(options, requests, &[replies]);
    let bytes: Vec<&[u8]> = replies.chunks(1).collect();
    assert_eq!(carry(options, requests, &bytes), at_once, "byte by byte");
    let (one, other) = replies.split_at(replies.len() / 2);
    assert_eq!(carry(options, requests, &[one, other]), at_once, "in halves");

    for (_, reply) in &at_once.replies {
        let is_abandoned = options.expires && *reply != Reply::Failed(Failure::Unsupported);
        assert!(!is_abandoned || *reply == Reply::Failed(Failure::Timeout));
    }
}

/// Owes the requests as a link does, and receives the replies in pieces.
fn carry(options: Options, requests: &[u8], pieces: &[&[u8]]) -> Outcome {
    let slots = Rc::new(ReplyQueue::default());
    let (shard, missed) = (NodeShard::default(), Missed::default());
    let failing = |now| Failing {
        now,
        shard: &shard,
        missed: &missed,
        teller: None,
    };
    let mut in_flight = InFlightQueue::default();
    let mut line = None;
    client::requests(requests, &mut |request, asked| {
        let asked = RequestOrigin {
            on_error: options.on_error,
            ..asked
        };
        let may_be_in_line = place(options, request.command) == Framing::NewLine;
        if options.are_keys && may_be_in_line && matches!(request.command, Command::Get | Command::Gets) {
            shard.in_flight.add(1);
            return owe_key(&mut in_flight, options, &mut line, request, &slots);
        }
        let slot = ReplySlot::queued(&slots, slots.push(asked, 1));
        match owe(&mut in_flight, options, &mut line, request, slot) {
            Ok(()) => shard.in_flight.add(1),
            Err(slot) => slot.fill(Reply::Failed(Failure::Unsupported)),
        }
    });
    let owed = in_flight.len();
    if options.expires {
        assert_eq!(in_flight.expire(false, failing(DUE - 1)), 0);
        assert_eq!(in_flight.expire(false, failing(DUE)), owed);
        assert_eq!((in_flight.len(), in_flight.abandoned()), (owed, owed));
    }
    let is_broken = receive(&mut in_flight, options, pieces, &shard).is_err();
    let (left, abandoned) = (in_flight.len(), in_flight.abandoned());
    assert_eq!(shard.in_flight.get(), left as u64);
    assert_eq!(abandoned, if options.expires { left } else { 0 });
    let late = in_flight.take_late();
    let broken = in_flight.fail_all(Failure::Closed, failing(DUE));
    late.iter()
        .chain(&broken)
        .for_each(|key| missed.settle(key, false));
    let deletable = missed.take(None, usize::MAX).len();
    assert_eq!(
        deletable,
        missed.keys(),
        "each write that failed is on its way no more"
    );
    assert_eq!((shard.in_flight.get(), in_flight.len()), (0, 0));
    let (mut replies, mut values) = (Vec::new(), Vec::new());
    let answered = |asked: &RequestOrigin<'_>, reply: Reply| {
        answers::check(asked, &reply);
        (format!("{asked:?}"), reply)
    };
    loop {
        replies.extend(std::iter::from_fn(|| slots.take(answered)));
        let is_over = !slots.take_keys(|asked, reply| match reply {
            TakenReply::Lines(lines) => values.push(Bytes::copy_from_slice(lines.bytes)),
            TakenReply::Other(reply) => replies.push(answered(asked, reply.clone())),
            TakenReply::Miss => {}
        });
        if is_over {
            break;
        }
    }
    let are_values = |lines: &Bytes| lines.starts_with(b"VALUE ") && lines.ends_with(b"\r\n");
    assert!(values.iter().all(are_values), "values are passed on as they came");
    assert!(slots.is_empty(), "every request is answered once");
    Outcome {
        is_broken,
        left,
        abandoned,
        replies,
        values,
    }
}

/// Notes a key of a multi-get as a link does.
fn owe_key(
    in_flight: &mut InFlightQueue,
    options: Options,
    line: &mut Option<Command>,
    request: &Request<'_>,
    slots: &Rc<ReplyQueue>,
) {
    let before = line.replace(request.command);
    let place = match before == Some(request.command) {
        true => Framing::SameLine,
        false => Framing::NewLine,
    };
    slots.begin_multi_get(request.command, options.on_error);
    let key = NewKey {
        slot: (slots, slots.push_keys(1)),
        started: 0,
        deadline: DUE,
        is_sampled: false,
    };
    slots.end_multi_get();
    in_flight.push_key(request.command, request.key, place, key, 0);
}

/// Notes the request as a link does; the slot comes back where the dialect cannot say it.
fn owe(
    in_flight: &mut InFlightQueue,
    options: Options,
    line: &mut Option<Command>,
    request: &Request<'_>,
    slot: ReplySlot,
) -> Result<(), ReplySlot> {
    if options.dialect == Dialect::Classic && request.command.is_meta() {
        return match downgrade(request) {
            Some(classic) => owe(in_flight, options, line, &classic, slot),
            None => Err(slot),
        };
    }
    let pending = PendingReply {
        slot,
        operation: Operation::of(request),
        started: 0,
        deadline: DUE,
        is_retry: false,
        is_sampled: false,
    };
    let before = line.replace(request.command);
    let place = match place(options, request.command) {
        Framing::NewLine if options.joins && before == Some(request.command) => Framing::SameLine,
        place => place,
    };
    in_flight.push(request, place, pending, 0);
    Ok(())
}

/// Every read of classic text stands in a line; where the letter `l` says so, gets do so whatever the node knows.
fn place(options: Options, command: Command) -> Framing {
    let is_get = matches!(command, Command::Get | Command::Gets);
    match options.dialect {
        Dialect::Classic if command.is_read() => Framing::NewLine,
        Dialect::Meta if is_get && options.joins => Framing::NewLine,
        _ => Framing::Own,
    }
}

fn receive(
    in_flight: &mut InFlightQueue,
    options: Options,
    pieces: &[&[u8]],
    shard: &NodeShard,
) -> Result<(), Desync> {
    let mut buffer = BytesMut::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let arrival = Arrival {
            now: 0,
            shard,
            noted_from: u64::MAX,
            traced_below: 0,
            end: 0,
            missed: &Missed::default(),
        };
        let is_answered = in_flight.receive(&mut buffer, options.dialect, options.max_value, &arrival)?;
        assert!(!(is_answered && options.expires), "nobody waits for an answer");
    }
    Ok(())
}
