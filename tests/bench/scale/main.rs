//! How long large pools take: building the snapshot of a pool of up to a thousand nodes, and what a client of another
//! pool on the same worker feels while such a pool is reloaded, or its discovered nodes change. Prints tables; judges
//! nothing.

use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use ringway::client::session::Session;
use ringway::config::{self, Config, Node, Origin};
use ringway::control::reload::{MembersTaken, Reloader};
use ringway::diff;
use ringway::net::stream::Stream;
use ringway::net::unix::UnixSocket;
use ringway::runtime::clock;
use ringway::snapshot::Snapshot;
use ringway::state::State;
use ringway::worker::context::WorkerContext;
use tokio::runtime::{Builder, LocalOptions};

/// Changes of each kind that are measured.
const CHANGES: usize = 20;
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
    for distribution in ["ketama", "ringway"] {
        discover(1000, distribution);
    }
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
    let mut client = Client::of(&state);
    let calm = client.calm();
    let (reloads, busy) = client.during(|n| {
        let config = config_of(nodes - n % 2);
        let start = Instant::now();
        let previous = state.snapshot.load_full();
        state.publish(Snapshot::build(config, Some(&previous)));
        start.elapsed()
    });
    println!(
        "\nA reload of {nodes} nodes, build and publish: {}.\n",
        spread(&reloads)
    );
    print_latencies(&[("nothing is reloaded", calm), ("during reloads", busy)]);
}

/// The members after the change with this number, of so many nodes.
type Next = fn(usize, usize) -> Vec<Node>;

/// Changes a pool of so many discovered nodes, while a client of the other pool asks.
fn discover(nodes: usize, distribution: &str) {
    let text = format!(
        "listeners: [{{bind: '127.0.0.1:11211', route: small}}]\npools:\n  \
         large: {{distribution: {distribution}, discover: {{from: file+/nodes}}}}\n  \
         small: {{nodes: [{{name: here, embedded: 1MiB}}]}}"
    );
    let config = config::parse(&text, "bench").expect("a good configuration");
    let state = Arc::new(State::new(Snapshot::build(config, None)));
    let discover = state.snapshot.load().config.pools["large"].discover.clone();
    let discover = discover.expect("it discovers its nodes");
    let reloader = Reloader::new(None, state.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an event loop");
    let publish = |members: Vec<Node>| {
        let (start, worked) = (Instant::now(), time_of_thread());
        let taken = runtime.block_on(reloader.take_members("large", &discover, members));
        assert_eq!(taken, MembersTaken::Applied);
        (start.elapsed(), time_of_thread() - worked)
    };
    let mut client = Client::of(&state);
    let calm = client.calm();
    println!("\n{nodes} discovered nodes, distribution: {distribution}\n");
    println!(
        "| change | publish: median, longest | of that processor time | compare with max_moved |\n|---|---|---|---|"
    );
    let mut latencies = vec![("nothing changes".to_owned(), calm)];
    let kinds: [(&str, Next); 3] = [
        ("one node leaves or joins", |nodes, n| members(0..nodes - n % 2)),
        ("a tenth leaves or joins", |nodes, n| {
            members(0..nodes - n % 2 * nodes / 10)
        }),
        ("all are replaced", |nodes, n| members(n * nodes..(n + 1) * nodes)),
    ];
    for (what, kind) in kinds {
        let next = |n| kind(nodes, n);
        publish(next(0));
        let before = state.snapshot.load().pools["large"].clone();
        let compare = median(|| {
            let mut after = before.settings.clone();
            after.set_discovered(next(1));
            diff::moved(&before.settings, &after, Some(&before.ring));
        });
        let mut worked = Vec::new();
        let (changes, busy) = client.during(|n| {
            let (took, work) = publish(next(n + 1));
            worked.push(work);
            took
        });
        worked.sort();
        let (changes, worked) = (spread(&changes), spread(&worked));
        println!("| {what} | {changes} | {worked} | {} |", shown(compare));
        latencies.push((what.to_owned(), busy));
    }
    println!();
    print_latencies(&latencies);
}

/// How long this thread has run, without what other processes had the processor for.
fn time_of_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// The discovered nodes with these numbers.
fn members(numbers: Range<usize>) -> Vec<Node> {
    let origin = Arc::new(Origin {
        from: "file+/nodes".to_owned(),
        zone: None,
        resolver: None,
    });
    let node = |n: usize| {
        let target = format!("10.{}.{}.{}:11211", n / 62_500, n / 250 % 250, n % 250 + 1);
        config::discovered(&target, None, None, &origin).expect("an address")
    };
    numbers.map(node).collect()
}

/// A client of a worker's session.
struct Client(UnixStream);

impl Client {
    fn of(state: &Arc<State>) -> Client {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        serve(state.clone(), theirs);
        Client(ours)
    }

    /// How long its answers take while nothing happens, sorted.
    fn calm(&mut self) -> Vec<Duration> {
        pings(&mut self.0, &AtomicBool::new(false), Some(20_000))
    }

    /// Makes `change` again and again while the client asks. Returns how long the changes took, and the answers, both
    /// sorted.
    fn during(&mut self, mut change: impl FnMut(usize) -> Duration) -> (Vec<Duration>, Vec<Duration>) {
        let is_over = AtomicBool::new(false);
        let (mut changes, answers) = thread::scope(|scope| {
            let pings = scope.spawn(|| pings(&mut self.0, &is_over, None));
            let made = |n| {
                let took = change(n);
                thread::sleep(PAUSE);
                took
            };
            let changes: Vec<Duration> = (0..CHANGES).map(made).collect();
            is_over.store(true, Relaxed);
            (changes, pings.join().expect("every ping is answered"))
        });
        changes.sort();
        (changes, answers)
    }
}

/// The median and the longest of sorted times.
fn spread(times: &[Duration]) -> String {
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    format!("{}, {}", shown(median), shown(longest))
}

fn print_latencies(rows: &[(impl AsRef<str>, Vec<Duration>)]) {
    println!("| a client of another pool | requests | p50 | p99.9 | longest |\n|---|---|---|---|---|");
    for (what, times) in rows {
        println!(
            "| {} | {} | {} | {} | {} |",
            what.as_ref(),
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
