//! How long large pools take: building the snapshot of a pool of up to a thousand nodes, and what a client of another
//! pool on the same worker feels while such a pool is reloaded. Prints a table; judges nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use ringway::client::session::Session;
use ringway::config::{self, Config};
use ringway::net::stream::Stream;
use ringway::net::unix::UnixSocket;
use ringway::runtime::clock;
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;
use tokio::runtime::{Builder, LocalOptions};

/// Reloads that are measured.
const RELOADS: usize = 20;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(50);

fn main() {
    println!("| nodes | read the file | build the snapshot |\n|---|---|---|");
    for nodes in [3, 10, 100, 1000] {
        let read = median(|| drop(config_of(nodes)));
        let config = config_of(nodes);
        let build = median(|| drop(Snapshot::build(config.clone(), None)));
        println!("| {nodes} | {} | {} |", shown(read), shown(build));
    }
    reload(1000);
}

/// A pool of so many nodes, and one that a session on the listener uses.
fn config_of(nodes: usize) -> Config {
    let nodes: Vec<String> = (0..nodes)
        .map(|n| format!("'10.0.{}.{}:11211'", n / 250, n % 250 + 1))
        .collect();
    let text = format!(
        "listeners: [{{bind: '127.0.0.1:11211', route: small}}]\npools:\n  large: {{nodes: [{}]}}\n  \
         small: {{nodes: [{{name: here, embedded: 1MiB}}]}}",
        nodes.join(", ")
    );
    config::parse(&text, "bench").expect("a good configuration")
}

fn median(mut measured: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let start = Instant::now();
            measured();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Reloads a pool of so many nodes, each time without another one, while a client of the other pool asks.
fn reload(nodes: usize) {
    let state = Arc::new(State::new(Snapshot::build(config_of(nodes), None)));
    let (mut client, theirs) = UnixStream::pair().expect("a pair of sockets");
    serve(state.clone(), theirs);
    let calm = pings(&mut client, &AtomicBool::new(false), Some(20_000));
    let is_over = AtomicBool::new(false);
    let (mut reloads, busy) = thread::scope(|scope| {
        let pings = scope.spawn(|| pings(&mut client, &is_over, None));
        let reloads: Vec<Duration> = (0..RELOADS)
            .map(|n| {
                let config = config_of(nodes - n % 2);
                let start = Instant::now();
                let previous = state.snapshot.load_full();
                state.publish(Snapshot::build(config, Some(&previous)));
                let took = start.elapsed();
                thread::sleep(PAUSE);
                took
            })
            .collect();
        is_over.store(true, Relaxed);
        (reloads, pings.join().expect("every ping is answered"))
    });
    reloads.sort();
    println!(
        "\nA reload of {nodes} nodes, build and publish: median {}, longest {}.\n",
        shown(reloads[RELOADS / 2]),
        shown(reloads[RELOADS - 1])
    );
    println!("| a client of another pool | requests | p50 | p99.9 | longest |\n|---|---|---|---|---|");
    for (what, times) in [("nothing is reloaded", calm), ("during reloads", busy)] {
        println!(
            "| {what} | {} | {} | {} | {} |",
            times.len(),
            shown(times[times.len() / 2]),
            shown(times[times.len() * 999 / 1000]),
            shown(times[times.len() - 1])
        );
    }
}

/// A worker with one session, in a thread of its own.
fn serve(state: Arc<State>, socket: UnixStream) {
    thread::spawn(move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .event_interval(256)
            .on_thread_unpark(clock::turn)
            .build_local(LocalOptions::default())
            .expect("an event loop");
        runtime.block_on(async {
            let bind = Arc::new(state.snapshot.load().listeners[0].settings.bind.clone());
            let view = Rc::new(WorkerContext::new(state.clone(), 0));
            socket.set_nonblocking(true).expect("a socket");
            let stream = UnixSocket::new(socket).expect("an event loop");
            tokio::task::spawn_local(Session::new(Stream::Unix(stream), bind, view.clone(), None).run());
            let mut changed = state.changed.subscribe();
            while changed.changed().await.is_ok() {
                view.current();
                view.wake_sessions();
            }
        });
    });
}

/// How long each answer took, sorted.
fn pings(client: &mut UnixStream, is_over: &AtomicBool, most: Option<usize>) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut answer = [0; 5];
    while !is_over.load(Relaxed) && most.is_none_or(|most| times.len() < most) {
        let start = Instant::now();
        client.write_all(b"get k\r\n").expect("written");
        client.read_exact(&mut answer).expect("answered");
        assert_eq!(&answer, b"END\r\n");
        times.push(start.elapsed());
    }
    times.sort();
    times
}

fn shown(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1000.0),
    }
}
