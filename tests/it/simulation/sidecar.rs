//! One Ringway in simulated time: a worker with its links, and the control tasks that keep its nodes and rings.

use std::rc::Rc;
use std::sync::Arc;

use ringway::client::session::Session;
use ringway::config;
use ringway::control::{prober, rehash, replay};
use ringway::net::stream::Stream;
use ringway::net::unix::UnixSocket;
use ringway::runtime::clock;
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, LocalOptions};

/// Runs `future` in simulated time: the clock jumps to the next timer as soon as nothing else can happen. `seed` gives
/// Ringway its random numbers.
pub fn simulate<T>(seed: u64, future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_unpark(clock::turn)
        .build_local(LocalOptions::default())
        .expect("an event loop");
    fastrand::seed(seed);
    runtime.block_on(future)
}

/// The configuration that `yaml` says.
pub fn config(yaml: &str) -> config::Config {
    config::parse(yaml, "simulation").unwrap_or_else(|error| panic!("{error}"))
}

/// A Ringway without listeners.
pub struct Sidecar {
    pub state: Arc<State>,
    context: Rc<WorkerContext>,
}

impl Sidecar {
    /// Starts one.
    pub fn start(config: config::Config) -> Sidecar {
        let state = Arc::new(State::new(Snapshot::build(config, None)));
        let context = Rc::new(WorkerContext::new(state.clone(), 0));
        tokio::spawn(prober::run(state.clone()));
        tokio::spawn(rehash::run(state.clone()));
        tokio::spawn(replay::run(state.clone()));
        follow(&context);
        Sidecar { state, context }
    }

    /// A client's side of a new session.
    pub fn connect(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let bind = Arc::new(self.state.snapshot.load().listeners[0].settings.bind.clone());
        let theirs = theirs.into_std().and_then(UnixSocket::new).expect("a socket");
        let session = Session::new(Stream::Unix(theirs), bind, self.context.clone(), None);
        tokio::task::spawn_local(session.run());
        ours
    }

    /// Runs another configuration from now on.
    pub fn reload(&self, config: config::Config) {
        let previous = self.state.snapshot.load_full();
        self.state.publish(Snapshot::build(config, Some(&previous)));
    }
}

/// What a worker does when a snapshot is published.
fn follow(context: &Rc<WorkerContext>) {
    let (context, mut changed) = (context.clone(), context.state.changed.subscribe());
    tokio::task::spawn_local(async move {
        while changed.changed().await.is_ok() {
            context.current();
            context.wake_sessions();
        }
    });
}
