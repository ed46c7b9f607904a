//! A session whose client is a socket in the same thread, so that every run does the same in the same order.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use ringway::client::session::Session;
use ringway::config::{self, Bind, Config};
use ringway::net::stream::Stream;
use ringway::net::unix::UnixSocket;
use ringway::runtime::clock;
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::yield_now;

/// What sessions need of a process.
pub struct Process {
    context: Rc<WorkerContext>,
    bind: Arc<Bind>,
}

/// How the ring of a pool has changed.
#[derive(Clone, Copy)]
pub enum Change {
    /// The key that is asked for stays at its node.
    OfOtherKeys,
    /// It moves.
    OfTheKey,
}

/// The event loop of a worker.
pub fn event_loop() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_all()
        .event_interval(256)
        .on_thread_unpark(clock::turn)
        .build_local(LocalOptions::default())
        .expect("an event loop")
}

impl Process {
    /// A process whose route is `route` and whose pool `main` has the one node `address`. There is a second pool, which
    /// nobody asks.
    pub fn new(route: &str, address: &str) -> Process {
        let nodes = format!("'{address}'");
        Process::over(Snapshot::build(config(route, &nodes, ""), None))
    }

    /// A process whose pool `main` has three nodes. The one at `address` has the key that is asked for. With a `change`
    /// the ring has just grown from two nodes.
    pub fn of_three(address: &str, change: Option<Change>) -> Process {
        // By name, because a place in the ring must not depend on a path. Of these, `c` has the key.
        let asked = format!("{{name: c, address: '{address}'}}");
        let others = ["a", "b"].map(|name| format!("{{name: {name}, address: '{address}-{name}'}}"));
        let handover = "handover: {prepare: 0s, serve: 24h}, ";
        let build = |nodes: &[&str], previous: Option<&Snapshot>| {
            Snapshot::build(config("main", &nodes.join(", "), handover), previous)
        };
        let [a, b] = &others;
        let before = match change {
            None => return Process::over(build(&[a, b, &asked], None)),
            Some(Change::OfOtherKeys) => build(&[&asked, a], None),
            Some(Change::OfTheKey) => build(&[a, b], None),
        };
        let after = match change {
            Some(Change::OfOtherKeys) => build(&[&asked, a, b], Some(&before)),
            _ => build(&[a, b, &asked], Some(&before)),
        };
        let moving = after.pools["main"].handover.as_ref().expect("the ring changes");
        moving.progress.advance();
        // Nothing was left at the nodes before.
        (0..3).for_each(|node| moving.progress.set_mark(node, 0));
        Process::over(after)
    }

    fn over(snapshot: Snapshot) -> Process {
        let bind = Arc::new(snapshot.listeners[0].settings.bind.clone());
        let state = Arc::new(State::new(snapshot));
        Process {
            context: Rc::new(WorkerContext::new(state, 0)),
            bind,
        }
    }

    /// The client of a new session, which this thread's event loop runs.
    pub fn connect(&self) -> UnixStream {
        let (client, theirs) = UnixStream::pair().expect("a pair of sockets");
        client.set_nonblocking(true).expect("a socket");
        theirs.set_nonblocking(true).expect("a socket");
        let theirs = UnixSocket::new(theirs).expect("an event loop");
        let (bind, context) = (Arc::clone(&self.bind), Rc::clone(&self.context));
        tokio::task::spawn_local(Session::new(Stream::Unix(theirs), bind, context, None).run());
        client
    }
}

/// `more`: further settings of the pool `main`.
fn config(route: &str, nodes: &str, more: &str) -> Config {
    let text = format!(
        "listeners: [{{route: {route}}}]\npools: {{main: {{nodes: [{nodes}], {more}protocol: meta, \
         request_timeout: 10m}}, other: {{nodes: [a:1]}}}}"
    );
    config::parse(&text, "bench").expect("a good configuration")
}

/// Fills `room` from `stream`, while others run.
pub async fn read_exact(stream: &mut UnixStream, mut room: &mut [u8]) {
    while !room.is_empty() {
        yield_now().await;
        match stream.read(room) {
            Ok(n) => room = &mut room[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("a round breaks off: {error}"),
        }
    }
}
