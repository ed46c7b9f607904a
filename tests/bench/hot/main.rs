//! What the policies for hot keys save. Prints a table of the load that nodes and clients see under keys drawn by Zipf's
//! law and under one key with 30 % of the reads, and one of a stampede: 2000 clients that ask for one key whose value an
//! origin takes 100 ms to compute. Beside the slowest client stands what `stampede` promises it: `wait` and the time of the
//! origin. Judges nothing.

mod fleet;
#[path = "../program.rs"]
mod program;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fleet::{Client, Fleet, SIDECARS};

/// Clients that ask without a pause.
const CLIENTS: usize = 16;
/// Keys that are read.
const KEYS: usize = 10_000;
/// Of a hundred operations so many are sets.
const SETS: usize = 2;
/// Before the times are taken: a key must become hot.
const WARM_UP: Duration = Duration::from_secs(3);

/// Clients that ask for one key at the same moment.
const CROWD: usize = 2000;
/// How long the origin takes.
const ORIGIN: Duration = Duration::from_millis(100);
/// How long a reader waits for the one that calls the origin.
const WAIT: Duration = Duration::from_secs(2);
/// How often the key expires.
const EXPIRIES: usize = 5;
/// Small stacks: a client of the crowd is a thread.
const STACK: usize = 128 << 10;

const POLICIES: [(&str, &str); 5] = [
    ("none", "main"),
    ("single_flight", "{single_flight: main}"),
    ("hot_cache", "{hot_cache: {to: main, expiry: 1s}}"),
    ("spread", "{spread: {to: main, copies: 4}}"),
    (
        "hot_cache over spread",
        "{hot_cache: {to: {spread: {to: main, copies: 4}}, expiry: 1s}}",
    ),
];

/// With whether readers wait.
const CROWDS: [(&str, &str, bool); 3] = [
    ("none", "main", false),
    ("single_flight", "{single_flight: main}", false),
    ("stampede", "{stampede: {to: main, wait: WAIT}}", true),
];

/// A way to draw keys.
#[derive(Clone, Copy)]
enum Draw {
    Zipf,
    One,
}

fn main() {
    let seconds = std::env::var("HOT_SECONDS").map_or(Ok(5.0), |text| text.parse());
    let time = Duration::from_secs_f64(seconds.expect("HOT_SECONDS is a number"));
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let is_wanted = |policy: &str| words.is_empty() || words.iter().any(|word| word == policy);
    for (name, draw) in [
        ("Zipf 1.2", Draw::Zipf),
        ("one key with 30 % of the reads", Draw::One),
    ] {
        println!("\n{name}, {CLIENTS} clients, {SIDECARS} Ringways, {SETS} % sets:\n");
        println!(
            "| policy | reads a second | gets at nodes, of 100 reads | at the hottest node | its share of all nodes | p50 | p99 |"
        );
        println!("|---|---|---|---|---|---|---|");
        for (policy, route) in POLICIES.into_iter().filter(|(policy, _)| is_wanted(policy)) {
            println!("| {policy} {}", load(route, draw, time));
        }
    }
    println!(
        "\n{CROWD} clients, {SIDECARS} Ringways, a key that goes {EXPIRIES} times, an origin of {ORIGIN:?}:\n"
    );
    println!(
        "| policy | calls of the origin | the slowest client | `wait` + origin | gave a miss |\n|---|---|---|---|---|"
    );
    for (policy, route, waits) in CROWDS.into_iter().filter(|(policy, ..)| is_wanted(policy)) {
        println!("| {policy} {}", crowd(route, waits));
    }
}

/// Runs one load, and returns the cells of its row.
fn load(route: &str, draw: Draw, time: Duration) -> String {
    let fleet = Fleet::start(route);
    let mut client = Client::connect(&fleet.listeners[0]);
    (0..KEYS).for_each(|key| client.set(&name(key), 0, &"v".repeat(100)));
    let shares = zipf(1.2);
    let begun = Instant::now();
    let mut before = Vec::new();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (listener, shares) = (&fleet.listeners[number % SIDECARS], &shares);
                scope.spawn(move || ask(listener, number as u64, draw, shares, begun, time))
            })
            .collect();
        thread::sleep(WARM_UP.saturating_sub(begun.elapsed()));
        before = fleet.gets();
        let times = clients.into_iter().map(|client| client.join().expect("answered"));
        times.flatten().collect()
    });
    let gets: Vec<u64> = fleet
        .gets()
        .iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect();
    times.sort();
    let (all, hottest) = (gets.iter().sum::<u64>(), gets.iter().max().copied().unwrap_or(0));
    let of_reads = |gets: u64| 100.0 * gets as f64 / times.len() as f64;
    let at = |permille: usize| times[times.len() * permille / 1000].as_micros();
    format!(
        "| {:.0} | {:.1} | {:.1} | {:.0} % | {} µs | {} µs |",
        times.len() as f64 / time.as_secs_f64(),
        of_reads(all),
        of_reads(hottest),
        100.0 * hottest as f64 / all.max(1) as f64,
        at(500),
        at(990)
    )
}

/// How long each read of one client took, after the warm-up.
fn ask(
    listener: &Path,
    seed: u64,
    draw: Draw,
    shares: &[f64],
    begun: Instant,
    time: Duration,
) -> Vec<Duration> {
    let mut client = Client::connect(listener);
    let (mut random, mut times) = (fastrand::Rng::with_seed(seed), Vec::new());
    while begun.elapsed() < WARM_UP + time {
        let key = match draw {
            Draw::Zipf => {
                let drawn = random.f64();
                shares.partition_point(|&share| share < drawn).min(KEYS - 1)
            }
            Draw::One if random.usize(..100) < 30 => 0,
            Draw::One => random.usize(..KEYS),
        };
        // The hottest keys of a cache change seldom.
        if random.usize(..100) < SETS && key >= 10 {
            client.set(&name(key), 0, &"v".repeat(100));
            continue;
        }
        let start = Instant::now();
        assert!(client.get(&name(key)), "{key} is missing");
        if begun.elapsed() > WARM_UP {
            times.push(start.elapsed());
        }
    }
    times
}

/// Lets the crowd ask for a key that is gone, a few times; returns the cells of the row.
fn crowd(route: &str, waits: bool) -> String {
    let fleet = Fleet::start(&route.replace("WAIT", &format!("{}s", WAIT.as_secs())));
    let (calls, slowest) = (AtomicUsize::new(0), Mutex::new(Duration::ZERO));
    let start = Barrier::new(CROWD + 1);
    thread::scope(|scope| {
        for number in 0..CROWD {
            let (listener, calls, slowest, start) =
                (&fleet.listeners[number % SIDECARS], &calls, &slowest, &start);
            let client = move || {
                let mut client = Client::connect(listener);
                for _ in 0..EXPIRIES {
                    start.wait();
                    let began = Instant::now();
                    if !client.get("key") {
                        calls.fetch_add(1, SeqCst);
                        thread::sleep(ORIGIN);
                        client.set("key", 0, "value");
                    }
                    let took = began.elapsed();
                    let mut slowest = slowest.lock().expect("no holder panics");
                    *slowest = took.max(*slowest);
                    drop(slowest);
                    start.wait();
                }
            };
            let thread = thread::Builder::new().stack_size(STACK);
            thread.spawn_scoped(scope, client).expect("a thread");
        }
        let mut client = Client::connect(&fleet.listeners[0]);
        for _ in 0..EXPIRIES {
            client.delete("key");
            start.wait();
            start.wait();
        }
    });
    let calls = calls.load(SeqCst);
    let slowest = slowest.lock().expect("no holder panics").as_millis();
    let promised = match waits {
        true => format!("{} ms", (WAIT + ORIGIN).as_millis()),
        false => "–".to_owned(),
    };
    format!(
        "| {calls}: {:.1} each time | {slowest} ms | {promised} | {:.2} % of the reads |",
        calls as f64 / EXPIRIES as f64,
        100.0 * calls as f64 / (CROWD * EXPIRIES) as f64
    )
}

fn name(key: usize) -> String {
    format!("key:{key}")
}

/// Cumulated shares of keys whose popularity follows Zipf's law.
fn zipf(exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    sums.iter().map(|part| part / sum).collect()
}
