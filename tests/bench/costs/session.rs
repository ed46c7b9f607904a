//! A session whose client is a socket in the same thread, so that every run does the same in the same order.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use ringway::client::session::Session;
use ringway::config::{self, Bind};
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
        let text = format!(
            "listeners: [{{route: {route}}}]\npools: {{main: {{nodes: ['{address}'], protocol: meta, \
             request_timeout: 10m}}, other: {{nodes: [a:1]}}}}"
        );
        let config = config::parse(&text, "bench").expect("a good configuration");
        let bind = Arc::new(config.listeners[0].bind.clone());
        let state = Arc::new(State::new(Snapshot::build(config, None)));
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
