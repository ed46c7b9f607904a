//! Measures every kind of ring; `run` beside this file says what for. Each line of its tables is one distribution.
//!
//! - spread: keys of the fullest node over the mean. Keys are drawn, so that chance adds to it: some 3 % with a
//!   thousand nodes where there are 10 000 keys for each, and more where fewer were drawn because a pick is slow.
//! - added, removed: keys that move when a node comes to the end of the list, or the middle one goes, over the least
//!   that must: those that the new one takes, or that the old one had.
//! - build: milliseconds until the ring is there. memory: what it holds, in KiB.
//! - picks: millions a second, in one thread.

#[path = "../resident.rs"]
mod resident;

use std::hint::black_box;
use std::time::Duration;

use resident::resident_kib;
use ringway::ring::{Distribution, Member, Ring};

/// What is measured: a preset, or a kind.
const RULES: [&str; 13] = [
    "ringway",
    "ketama",
    "twemproxy",
    "memcached-proxy-ring",
    "consistent of 1024",
    "maglev",
    "dalli",
    "memcached-proxy",
    "mcrouter",
    "mcrouter-weighted",
    "mcrouter-rendezvous",
    "pymemcache",
    "gomemcache",
];

/// No measurement takes longer than about so long.
const LONGEST: Duration = Duration::from_secs(3);

fn main() {
    // Each is measured in a process of its own: what others gave back would hide what it takes.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [one, name, count] = &*words
        && one == "--one"
    {
        return measure(name, count.parse().expect("a number"));
    }
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let counts = if asked.is_empty() {
        vec![3, 10, 100, 1000]
    } else {
        asked
    };
    let program = std::env::current_exe().expect("its own path");
    for count in counts {
        println!("\n{count} nodes\n");
        println!("| distribution | spread | added | removed | build ms | memory KiB | picks M/s |");
        println!("|---|---:|---:|---:|---:|---:|---:|");
        for name in RULES {
            let mut one = std::process::Command::new(&program);
            let ended = one.args(["--one", name, &count.to_string()]).status();
            assert!(ended.is_ok_and(|status| status.success()), "{name}");
        }
    }
}

fn rule(name: &str) -> Distribution {
    if let Some(points) = name.strip_prefix("consistent of ") {
        let points = points.parse().expect("a number");
        return Distribution::kind("consistent")
            .expect("listed")
            .with_points(points);
    }
    let found = Distribution::preset(name).or_else(|| Distribution::kind(name));
    found.expect("a preset or a kind")
}

fn measure(name: &str, count: usize) {
    let rule = rule(name);
    let hosts: Vec<String> = (0..=count)
        .map(|n| format!("10.{}.{}.{}", n / 40_000, n / 200 % 200, n % 200))
        .collect();
    let members: Vec<Member<'_>> = hosts.iter().map(|host| member(host)).collect();
    let without: Vec<Member<'_>> = members[..count]
        .iter()
        .enumerate()
        .filter(|(n, _)| *n != count / 2)
        .map(|(_, m)| *m)
        .collect();

    let (ring, build, memory) = built(&rule, &members[..count]);
    let (more, less) = (
        Ring::build(&rule, None, &members),
        Ring::build(&rule, None, &without),
    );
    let speed = picks_a_second(&ring);
    let most = (speed * LONGEST.as_secs_f64()) as usize;

    let keys = (count * 10_000).max(200_000).min(most.max(20_000));
    let mut loads = vec![0usize; count];
    // Keys that moved, and those that had to.
    let (mut added, mut removed) = ([0usize; 2], [0usize; 2]);
    for number in 0..keys {
        let key = key(number as u64);
        let (now, then, after) = (ring.pick(&key), more.pick(&key), less.pick(&key));
        loads[now] += 1;
        added[0] += usize::from(now != then);
        added[1] += usize::from(then == count);
        // The nodes behind the one that went have moved up.
        let after = after + usize::from(after >= count / 2);
        removed[0] += usize::from(now != after);
        removed[1] += usize::from(now == count / 2);
    }
    let fullest = loads.iter().max().copied().unwrap_or_default();
    let spread = fullest as f64 * count as f64 / keys as f64;
    let times = |moved: [usize; 2]| moved[0] as f64 / moved[1].max(1) as f64;
    println!(
        "| {name} | {spread:.2} | {:.2} | {:.2} | {:.2} | {memory:.0} | {:.1} |",
        times(added),
        times(removed),
        build.as_secs_f64() * 1e3,
        speed / 1e6
    );
}

fn member(host: &str) -> Member<'_> {
    Member {
        name: None,
        host,
        port: Some(11211),
        weight: 1,
    }
}

/// The ring, how long it takes to build, and how many KiB it holds: as many are built as can be measured.
fn built(rule: &Distribution, members: &[Member<'_>]) -> (Ring, Duration, f64) {
    const ENOUGH_KIB: u64 = 32 << 10;
    let (before, start) = (resident_kib(), worked());
    let (mut rings, mut held) = (Vec::new(), 0);
    while rings.len() < 4 || (held < ENOUGH_KIB && worked() - start < LONGEST / 10) {
        rings.push(Ring::build(rule, None, members));
        held = resident_kib().saturating_sub(before);
    }
    let took = (worked() - start) / rings.len() as u32;
    let each = held as f64 / rings.len() as f64;
    (rings.pop().expect("some were built"), took, each)
}

/// How long this thread has had a processor: others that want one do not count.
fn worked() -> Duration {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = counts.split(' ').next().and_then(|count| count.parse().ok());
    Duration::from_nanos(first.expect("Linux counts a thread's time"))
}

fn picks_a_second(ring: &Ring) -> f64 {
    let keys: Vec<Vec<u8>> = (0..10_000).map(key).collect();
    let (start, mut picked) = (worked(), 0);
    for some in keys.chunks(500).cycle() {
        some.iter().for_each(|key| {
            black_box(ring.pick(black_box(key)));
        });
        picked += some.len();
        if worked() - start > LONGEST / 10 {
            break;
        }
    }
    picked as f64 / (worked() - start).as_secs_f64()
}

/// A key of 21 bytes, scattered.
fn key(number: u64) -> Vec<u8> {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("user:{:016x}", mixed ^ mixed >> 32).into_bytes()
}
