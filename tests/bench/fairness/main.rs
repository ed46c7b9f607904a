//! What other clients feel while one client keeps its worker busy. One client pipelines one kind of request as fast as
//! it is served, and reads the answers; two others on the same worker ask for a key, one request at a time. Prints a
//! table of their times, for an embedded node and for memcached; judges nothing.

mod cluster;
mod greedy;
#[path = "../program.rs"]
mod program;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use cluster::Cluster;
use greedy::{ROWS, Row};

/// Clients whose times are taken.
const OTHERS: usize = 2;
/// Before the times are taken.
const WARM_UP: Duration = Duration::from_millis(200);

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let seconds = std::env::var("FAIRNESS_SECONDS").map_or(Ok(1.0), |text| text.parse());
    let time = Duration::from_secs_f64(seconds.expect("FAIRNESS_SECONDS is a number"));
    let is_wanted = |row: &&Row| words.is_empty() || words.iter().any(|word| row.name.contains(&word[..]));

    let cluster = Cluster::new();
    println!("| the greedy client | embedded: p50 | p99.9 | memcached: p50 | p99.9 |\n|---|---|---|---|---|");
    let mut longest = Duration::ZERO;
    for row in ROWS.iter().filter(is_wanted) {
        print!("| {} ", row.name);
        for listener in [&cluster.embedded, &cluster.remote] {
            let times = measure(listener, row, time);
            let at = |share: usize| times.get(times.len() * share / 1000).copied();
            print!("| {} | {} ", shown(at(500)), shown(at(999)));
            longest = longest.max(at(500).unwrap_or(Duration::MAX));
        }
        println!("|");
    }
    println!("\nThe highest p50 is {}.", shown(Some(longest)));
}

/// How long the requests of the others took, sorted, while a client does what `row` says.
fn measure(listener: &Path, row: &Row, time: Duration) -> Vec<Duration> {
    let is_over = &AtomicBool::new(false);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let greedy = row.greedy();
        scope.spawn(move || greedy.run(listener, is_over));
        let others: Vec<_> = (0..OTHERS)
            .map(|_| scope.spawn(move || ask(listener, time)))
            .collect();
        let times = others.into_iter().map(|other| other.join().expect("answered"));
        let times = times.flatten().collect();
        is_over.store(true, Relaxed);
        times
    });
    times.sort();
    times
}

/// How long each get took. One that takes longer than the measurement counts with what it took.
fn ask(listener: &Path, time: Duration) -> Vec<Duration> {
    let mut client = UnixStream::connect(listener).expect("a listener");
    let began = Instant::now();
    let (mut times, mut answer) = (Vec::new(), [0; 4 << 10]);
    while times.is_empty() || began.elapsed() < WARM_UP + time {
        let start = Instant::now();
        client.write_all(b"get other\r\n").expect("written");
        let mut length = 0;
        while !answer[..length].ends_with(b"END\r\n") {
            length += client.read(&mut answer[length..]).expect("answered");
        }
        if began.elapsed() > WARM_UP {
            times.push(start.elapsed());
        }
    }
    times
}

fn shown(time: Option<Duration>) -> String {
    match time.map(|time| time.as_micros()) {
        None => "–".to_owned(),
        Some(micros @ 0..1000) => format!("{micros} µs"),
        Some(micros) => format!("{:.1} ms", micros as f64 / 1000.0),
    }
}
