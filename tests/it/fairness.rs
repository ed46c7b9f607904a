//! A client that asks without pause gets a bounded part of its worker between two requests of another client, whatever
//! it asks; and what arrives in pieces is looked through once. Work is counted here, not time.

use std::os::unix::net::UnixStream as Socket;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use ringway::client::replies::Replies;
use ringway::client::requests::Requests;
use ringway::client::session::Session;
use ringway::config;
use ringway::metrics::NodeShard;
use ringway::net::outgoing::Outgoing;
use ringway::net::stream::Stream;
use ringway::net::unix::UnixSocket;
use ringway::node::missed::Missed;
use ringway::protocol::{Command, Reply};
use ringway::reply::queue::ReplyQueue;
use ringway::runtime::turn::{COST, REQUEST};
use ringway::runtime::{clock, coalesce};
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, LocalOptions};

const CONFIG: &str = "pools: {main: {nodes: [{name: here, embedded: 64MiB}]}}";
/// Round trips of the other client.
const ROUND_TRIPS: usize = 30;
/// Turns that the greedy client has during one of them, at most: the event loop looks for events, and the greedy client
/// has a turn, before the request is read, before the answer is read, and perhaps before either is seen.
const TURNS: u64 = 6;

fn view() -> Rc<WorkerContext> {
    let config = config::parse(CONFIG, "test").expect("a good configuration");
    Rc::new(WorkerContext::new(
        Arc::new(State::new(Snapshot::build(config, None))),
        0,
    ))
}

/// A client of a new session of the worker with this `view`.
fn connect(view: &Rc<WorkerContext>) -> UnixStream {
    let (client, ours) = Socket::pair().expect("a pair of sockets");
    for socket in [&client, &ours] {
        socket.set_nonblocking(true).expect("a socket");
    }
    let bind = Arc::new(view.current().snapshot.listeners[0].settings.bind.clone());
    let stream = Stream::Unix(UnixSocket::new(ours).expect("an event loop"));
    tokio::task::spawn_local(Session::new(stream, bind, view.clone(), None).run());
    UnixStream::from_std(client).expect("an event loop")
}

/// How often `request` of a client that pipelines it without end is served while another client has one answer, at
/// most. All run in one thread, so that the event loop alone decides.
fn served_in_a_round_trip(request: &[u8]) -> u64 {
    let counted = [request, b"incr n 1 noreply\r\n"].concat().repeat(200);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .event_interval(256)
        .on_thread_unpark(clock::turn)
        .build_local(LocalOptions::default())
        .expect("an event loop");
    coalesce::allow(false);
    runtime.block_on(async {
        let view = view();
        let mut other = connect(&view);
        let large = format!("set large 0 0 1000000\r\n{}\r\n", "v".repeat(1_000_000));
        ask(&mut other, large.as_bytes(), b"STORED\r\n").await;
        ask(&mut other, b"set n 0 0 1\r\n0\r\n", b"STORED\r\n").await;
        let (mut reads, mut writes) = connect(&view).into_split();
        tokio::task::spawn_local(async move { while writes.write_all(&counted).await.is_ok() {} });
        tokio::task::spawn_local(async move {
            let mut answers = vec![0; 4 << 20];
            while reads.read(&mut answers).await.is_ok_and(|n| n > 0) {}
        });
        let (mut before, mut most) = (0, 0);
        while before == 0 {
            before = number(&mut other).await;
        }
        for _ in 0..ROUND_TRIPS {
            let now = number(&mut other).await;
            most = most.max(now - before);
            before = now;
        }
        most
    })
}

async fn ask(client: &mut UnixStream, request: &[u8], answer: &[u8]) {
    let (mut reads, mut writes) = client.split();
    let mut room = vec![0; answer.len()];
    let (written, read) = tokio::join!(writes.write_all(request), reads.read_exact(&mut room));
    written.expect("written");
    read.expect("answered");
    assert_eq!(room, answer);
}

async fn number(client: &mut UnixStream) -> u64 {
    client.write_all(b"get n\r\n").await.expect("written");
    let (mut answer, mut room) = (Vec::new(), [0; 100]);
    while !answer.ends_with(b"END\r\n") {
        let length = client.read(&mut room).await.expect("answered");
        answer.extend_from_slice(&room[..length]);
    }
    let text = String::from_utf8(answer).expect("text");
    text.lines()
        .nth(1)
        .expect("a value")
        .trim()
        .parse()
        .expect("a number")
}

#[test]
fn a_client_that_pipelines_is_served_a_bounded_part_of_a_turn_whatever_it_asks() {
    // Each counts itself by an incr behind it.
    let plain = (COST / REQUEST / 2) as u64;
    for (request, in_a_turn) in [
        (&b"stats\r\n"[..], 1),
        (b"stats nodes\r\n", 1),
        (b"stats settings\r\n", 1),
        (b"get large\r\n", 2),
        (b"gat 0 large\r\n", 2),
        (b"mg large v\r\n", 2),
        (b"get k\r\n", plain),
        (b"mn\r\n", plain),
        (b"x\r\n", plain),
        (b"verbosity 1 noreply\r\n", plain),
        (b"get k k k k k k k k k k\r\n", plain / 3),
    ] {
        let served = served_in_a_round_trip(request);
        let shown = request.escape_ascii();
        assert!(
            served <= TURNS * in_a_turn,
            "{served} times {shown} between two answers of another client, and {in_a_turn} are a turn"
        );
    }
}

/// The asking side of a session, without a socket.
struct Bare {
    view: Rc<WorkerContext>,
    slots: Rc<ReplyQueue>,
    requests: Requests,
    buffer: BytesMut,
}

impl Bare {
    fn new() -> Bare {
        let view = view();
        let slots = Rc::new(ReplyQueue::default());
        Bare {
            requests: Requests::new(slots.clone(), &view),
            view,
            slots,
            buffer: BytesMut::new(),
        }
    }

    /// `bytes` arrive; returns what is answered.
    fn arrive(&mut self, bytes: &[u8]) -> String {
        self.buffer.extend_from_slice(bytes);
        let bind = self.view.current().snapshot.listeners[0].settings.bind.clone();
        self.requests.begin_turn();
        self.requests.take(&mut self.buffer, &self.view, &bind);
        let (mut replies, mut out) = (Replies::default(), Outgoing::default());
        while let Some(()) = self
            .slots
            .take(|asked, reply| replies.write(asked, &reply, &mut out))
        {}
        let pieces = out.take_until(out.end());
        String::from_utf8_lossy(&pieces.concat()).into_owned()
    }
}

fn in_an_event_loop(test: impl FnOnce()) {
    let runtime = Builder::new_current_thread()
        .build_local(LocalOptions::default())
        .expect("an event loop");
    runtime.block_on(async { test() });
}

#[test]
fn the_end_of_a_line_is_not_looked_for_again_where_it_was_not() {
    in_an_event_loop(|| {
        let mut session = Bare::new();
        assert_eq!(session.arrive(b"get key"), "");
        // Were these bytes looked at once more, the line would end here.
        session.buffer[5] = b'\n';
        assert_eq!(session.arrive(b" other"), "");
        session.buffer[5] = b'e';
        assert_eq!(session.arrive(b"\r\n"), "END\r\n");
        assert_eq!(
            session.arrive(b"mn\r\nget k"),
            "MN\r\n",
            "the next line begins anew"
        );
        assert_eq!(session.arrive(b"\r\n"), "END\r\n");
    });
}

#[test]
fn the_line_of_a_set_is_not_read_again_for_each_piece_of_its_data_block() {
    in_an_event_loop(|| {
        let mut session = Bare::new();
        assert_eq!(session.arrive(b"set key 0 0 10\r\n01"), "");
        // Were the line read once more, it would be no command.
        session.buffer[0] = b'x';
        for piece in [&b"2"[..], b"3456789", b"\r"] {
            assert_eq!(session.arrive(piece), "");
        }
        session.buffer[0] = b's';
        assert_eq!(
            session.arrive(b"\nget key\r\n"),
            "STORED\r\nVALUE key 0 10\r\n0123456789\r\nEND\r\n"
        );
    });
}

#[test]
fn the_header_of_a_packet_is_not_read_again_for_each_piece_of_its_value() {
    in_an_event_loop(|| {
        let mut session = Bare::new();
        let mut packet = crate::support::binary::packet(0x01, &[0; 8], "key", b"0123456789");
        let last = packet.split_off(packet.len() - 3);
        assert_eq!(session.arrive(&packet), "");
        session.buffer[1] = 0x0a;
        assert_eq!(session.arrive(&last[..2]), "");
        session.buffer[1] = 0x01;
        assert!(!session.arrive(&last[2..]).is_empty(), "stored");
    });
}

#[test]
fn the_line_of_a_value_from_a_node_is_not_read_again_for_each_piece_of_it() {
    use ringway::link::entry::Framing;
    use ringway::link::in_flight::InFlightQueue;
    use ringway::link::pending_reply::PendingReply;
    use ringway::link::receive::Arrival;
    use ringway::protocol::Request;
    use ringway::protocol::dialect::Dialect;
    use ringway::protocol::operation::Operation;

    let (slot, answer) = ringway::reply::slot::pending();
    let request = Request::new(Command::Get, b"key");
    let pending = PendingReply {
        slot,
        operation: Operation::of(&request),
        started: 0,
        deadline: 1,
        is_retry: false,
        is_sampled: false,
    };
    let mut in_flight = InFlightQueue::default();
    in_flight.push(&request, Framing::Own, pending, 0);
    let (shard, missed) = (NodeShard::default(), Missed::default());
    let mut buffer = BytesMut::from(&b"VA 10 kkey f0\r\n01"[..]);
    let mut receive = |buffer: &mut BytesMut| {
        let arrival = Arrival {
            now: 0,
            shard: &shard,
            noted_from: u64::MAX,
            traced_below: 0,
            end: 0,
            missed: &missed,
        };
        in_flight.receive(buffer, Dialect::Meta, 100, &arrival)
    };
    assert_eq!(receive(&mut buffer), Ok(false));
    // Were the line read once more, it would be no reply.
    buffer[0] = b'x';
    buffer.extend_from_slice(b"23456789\r");
    assert_eq!(receive(&mut buffer), Ok(false));
    buffer[0] = b'V';
    buffer.extend_from_slice(b"\n");
    assert_eq!(receive(&mut buffer), Ok(true));
    let runtime = Builder::new_current_thread().build().expect("an event loop");
    let Reply::Value(item) = runtime.block_on(answer) else {
        panic!("no value")
    };
    assert_eq!(item.data(), b"0123456789");
}
