//! A whole session over an embedded cache, from the bytes that a client sends to those that it reads.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use ringway::client::replies::Replies;
use ringway::client::requests::Requests;
use ringway::config::{self, Config};
use ringway::net::outgoing::Outgoing;
use ringway::reply::queue::ReplyQueue;
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;

use super::answers::{flush, whole};

/// A longer line ends the session.
const MAX_LINE: usize = 16 << 10;

/// Whatever else a client announces, no more than these many bytes are held for it.
const MAX_VALUE: usize = 16 << 10;

const CONFIG: &str = "pools: {main: {nodes: [{name: cache, embedded: 1MiB}], max_value_size: 16KiB}}";

/// What came of it.
#[derive(Debug, PartialEq)]
struct Outcome {
    answers: Vec<u8>,
    is_over: bool,
    /// Bytes that are not taken yet.
    rest: Vec<u8>,
    /// Bytes of processor time in the answers.
    hidden: usize,
}

/// The bytes are what a client sends.
pub fn check(data: &[u8]) {
    let start = now();
    let at_once = converse(&[data]);
    are_whole(&at_once.answers);
    assert!(at_once.rest.len() <= MAX_VALUE + MAX_LINE || at_once.is_over);
    if data
        .split(|&byte| byte == b'\n')
        .any(|line| line.len() > MAX_LINE)
    {
        return;
    }
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    let (one, other) = data.split_at(data.len() / 2);
    let in_pieces = [converse(&bytes), converse(&[one, other])];
    // Answers tell of the time too, in seconds, and of processor time, which may have got a digit more.
    if now() == start && in_pieces.iter().all(|other| other.hidden == at_once.hidden) {
        assert_eq!(in_pieces[0], at_once, "byte by byte");
        assert_eq!(in_pieces[1], at_once, "in halves");
    }
}

/// One session, with a cache of its own.
fn converse(pieces: &[&[u8]]) -> Outcome {
    static PROVED: OnceLock<Config> = OnceLock::new();
    let config = PROVED.get_or_init(|| config::parse(CONFIG, "fuzz").expect("a good configuration"));
    let state = Arc::new(State::new(Snapshot::build(config.clone(), None)));
    let view = Rc::new(WorkerContext::new(state, 0));
    let slots = Rc::new(ReplyQueue::default());
    let mut requests = Requests::new(slots.clone(), &view);
    let (mut replies, mut out) = (Replies::default(), Outgoing::default());
    let mut buffer = BytesMut::new();
    for piece in pieces {
        if requests.is_over() {
            break;
        }
        buffer.extend_from_slice(piece);
        loop {
            requests.begin_turn();
            requests.take(&mut buffer, &view, &config.listeners[0].bind);
            loop {
                while let Some(()) = slots.take(|asked, reply| replies.write(asked, &reply, &mut out)) {}
                if !slots.take_keys(|asked, reply| replies.write_key(asked, &reply, &mut out)) {
                    break;
                }
            }
            assert!(slots.is_empty(), "an embedded cache answers at once");
            if requests.is_over() || !requests.may_go_on() {
                break;
            }
        }
    }
    view.leave(requests.session());
    let is_over = requests.is_over();
    // What follows the end is not read, and so comes down to how the bytes came.
    let rest = if is_over { Vec::new() } else { buffer.to_vec() };
    let mut answers = flush(&mut out);
    let hidden = hide_processor_time(&mut answers);
    Outcome {
        answers,
        is_over,
        rest,
        hidden,
    }
}

/// Puts zeros in place of the processor time that `stats` shows, which grows from one session to the next. Returns the
/// number of zeros.
fn hide_processor_time(answers: &mut [u8]) -> usize {
    let mut hidden = 0;
    for name in [&b"rusage_user"[..], b"rusage_system"] {
        let mut from = 0;
        while let Some(at) = answers[from..].windows(name.len()).position(|part| part == name) {
            from += at + name.len();
            let value = answers[from..].iter_mut().skip_while(|byte| **byte == b' ');
            value
                .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
                .for_each(|byte| {
                    *byte = b'0';
                    hidden += 1;
                });
        }
    }
    hidden
}

/// One answer after the other, nothing between them.
fn are_whole(answers: &[u8]) {
    let mut rest = answers;
    while !rest.is_empty() {
        let shown = rest.escape_ascii();
        let length = whole(rest).unwrap_or_else(|| panic!("{shown} begins with no answer"));
        rest = &rest[length..];
    }
}

fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.expect("after 1970").as_secs()
}
