//! What a change of the ring costs: hit ratio over time and times of reads, without handover, with it, and with `ringway
//! warm`. Prints a table and draws an SVG; judges nothing.

mod chart;
mod cluster;
mod load;
#[path = "../program.rs"]
mod program;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use ringway::config;
use ringway::route::Pool;

use cluster::Cluster;
use load::{Load, Read};

/// The time before the first change.
const BEFORE: Duration = Duration::from_secs(6);
/// The time from one change to the next: *serve*, *finish*, and the twelve seconds for which a further change waits.
const STEP: Duration = Duration::from_secs(48);
/// How long *serve* lasts: so long that clients read nearly every key in it.
pub const SERVE: Duration = Duration::from_secs(30);
/// The time before and after a change for which the table has the p99.
const NEAR: Duration = Duration::from_secs(5);
/// The length of a point of the figure.
const POINT: Duration = Duration::from_millis(500);

/// A ring: the weights of the first nodes.
type Weights = &'static [u32];

/// The rings, each with the change that leads to it.
const RINGS: [(&str, Weights); 5] = [
    ("", &[1; 4]),
    ("4 → 5 nodes", &[1; 5]),
    ("5 → 4 nodes", &[1; 4]),
    ("4 → 3 nodes", &[1; 3]),
    ("weight × 2", &[2, 1, 1]),
];

/// How ring changes are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    Off,
    /// With a handover.
    Handover,
    /// With a handover, and `ringway warm` in *serve*.
    Warm,
}

/// All modes, with their names.
const MODES: [(Mode, &str); 3] = [
    (Mode::Off, "no handover"),
    (Mode::Handover, "handover"),
    (Mode::Warm, "handover and ringway warm"),
];

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut out = PathBuf::from("target/elastic.svg");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--out" => out = words.next().expect("--out FILE").into(),
            other => panic!("{other}: the only option is --out FILE"),
        }
    }
    let rate = std::env::var("ELASTIC_RATE").map_or(Ok(3000), |text| text.parse());
    let rate = rate.expect("ELASTIC_RATE is a number");
    let runs: Vec<(&str, Vec<Read>)> = MODES
        .iter()
        .map(|&(mode, name)| (name, run(mode, name, rate)))
        .collect();
    let moved = moved();
    println!(
        "\n| change | keys that move | | misses | old values read | lowest hit ratio | p99 of moved keys, before | after |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (index, (change, _)) in RINGS.iter().enumerate().skip(1) {
        for (name, reads) in &runs {
            println!("| {change} | {} |", row(index, name, reads, &moved[index]));
        }
    }
    let lines: Vec<(&str, Vec<f64>)> = runs.iter().map(|(name, reads)| (*name, ratios(reads))).collect();
    let changes: Vec<(f64, &str)> = RINGS
        .iter()
        .enumerate()
        .skip(1)
        .map(|(index, (change, _))| (begin(index).as_secs_f64(), *change))
        .collect();
    let svg = chart::draw(&lines, &changes, POINT.as_secs_f64());
    std::fs::write(&out, svg).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
    println!("\nThe hit ratio over time: {}", out.display());
}

/// When the change to the ring with this index begins.
fn begin(index: usize) -> Duration {
    BEFORE + STEP * (index as u32 - 1)
}

/// Returns the reads of a whole run.
fn run(mode: Mode, name: &str, rate: u32) -> Vec<Read> {
    let cluster = Cluster::start(mode, RINGS[0].1);
    load::store_all(cluster.port);
    let load = Load::start(cluster.port, rate);
    let began = load.began;
    let mut told = Duration::ZERO;
    for (index, (change, weights)) in RINGS.iter().enumerate().skip(1) {
        wait(&load, &mut told, name, began + begin(index));
        println!("{name}: {change}");
        cluster.change(weights);
    }
    wait(&load, &mut told, name, began + begin(RINGS.len()));
    load.end()
}

/// Waits until `until`, and prints a line each second.
fn wait(load: &Load, told: &mut Duration, name: &str, until: Instant) {
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(50));
        let whole = Duration::from_secs(load.began.elapsed().as_secs());
        if whole > *told {
            *told = whole;
            let (reads, hits) = load.take();
            let ratio = hits as f64 * 100.0 / reads.max(1) as f64;
            println!(
                "{name}: {:3} s  {reads} reads  hit ratio {ratio:.1} %",
                whole.as_secs()
            );
        }
    }
}

/// For each ring, whether the key with an index has another node than before.
fn moved() -> Vec<Vec<bool>> {
    let nodes: Vec<String> = (1..=5).map(|port| format!("127.0.0.1:{port}")).collect();
    let places = |weights: &[u32]| -> Vec<usize> {
        let text = cluster::pool(Mode::Off, &nodes, weights);
        let config = config::parse(&text, "elastic").expect("a configuration");
        let ring = Pool::whole_ring(&config.pools["main"], None);
        (0..load::KEYS)
            .map(|key| ring.pick(load::key(key).as_bytes()))
            .collect()
    };
    let places: Vec<Vec<usize>> = RINGS.iter().map(|(_, weights)| places(weights)).collect();
    let mut moved = vec![vec![false; load::KEYS as usize]];
    for pair in places.windows(2) {
        moved.push(
            pair[0]
                .iter()
                .zip(&pair[1])
                .map(|(old, new)| old != new)
                .collect(),
        );
    }
    moved
}

fn row(index: usize, name: &str, reads: &[Read], moved: &[bool]) -> String {
    let change = begin(index);
    let within =
        |from: Duration, to: Duration| reads.iter().filter(move |read| (from..to).contains(&read.at));
    let share = moved.iter().filter(|&&moves| moves).count() as f64 / moved.len() as f64;
    let misses = within(change, change + STEP).filter(|read| !read.is_hit).count();
    let old = within(change, change + STEP).filter(|read| read.is_old).count();
    let first = (change.as_millis() / POINT.as_millis()) as usize;
    let points = &ratios(reads)[first..first + (STEP.as_millis() / POINT.as_millis()) as usize];
    let lowest = points.iter().copied().fold(1.0, f64::min);
    let p99 = |from, to| {
        let mut times: Vec<Duration> = within(from, to)
            .filter(|read| moved[read.key as usize])
            .map(|read| read.took)
            .collect();
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        format!("{:.2} ms", p99.as_secs_f64() * 1e3)
    };
    format!(
        "{:.1} % | {name} | {misses} | {old} | {:.1} % | {} | {}",
        share * 100.0,
        lowest * 100.0,
        p99(change - NEAR, change),
        p99(change, change + NEAR)
    )
}

/// The hit ratio of each point.
fn ratios(reads: &[Read]) -> Vec<f64> {
    let count = (begin(RINGS.len()).as_millis() / POINT.as_millis()) as usize;
    let mut sums = vec![(0_u32, 0_u32); count];
    for read in reads {
        if let Some((all, hits)) = sums.get_mut((read.at.as_millis() / POINT.as_millis()) as usize) {
            *all += 1;
            *hits += u32::from(read.is_hit);
        }
    }
    // A point without reads, as on a machine that stood still, is as the one before.
    let mut last = 1.0;
    let ratios = sums.iter().map(|&(all, hits)| {
        if all > 0 {
            last = f64::from(hits) / f64::from(all);
        }
        last
    });
    ratios.collect()
}
