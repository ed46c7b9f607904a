//! What README.md says of the cost of a request: one line for each of five loads.

use std::fs;

use anyhow::{Context, Result};

use super::measure::{ProxySample, Sample};
use super::report::{Samples, median, proxy_median};
use super::workload::Workload;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
/// What stands above the lines.
const HEAD: &str = "| load | proxy CPU for each request: twemproxy / memcached's proxy → Ringway | requests a second |\n\
                    |---|---|---|\n";
/// The workloads that have a line, and what it calls them.
const LINES: [(&str, &str); 5] = [
    ("W1", "50 clients, one request at a time"),
    ("W2", "50 clients, 16 requests in a pipeline"),
    ("W4", "multi-get of 100 keys"),
    ("W5", "values of 100 KiB"),
    ("W6", "1000 clients"),
];
/// Who is in a line, in its order.
pub const CONTENDERS: [&str; 3] = ["nutcracker", "memcached-proxy", "ringway"];

/// The names of the workloads that have a line.
pub fn workloads() -> Vec<String> {
    LINES.map(|(name, _)| name.to_owned()).into()
}

/// Puts what was measured into README.md.
///
/// # Errors
/// A contender that was not measured, or a README without the table.
pub fn write(all: &[(Workload, Samples)]) -> Result<()> {
    let lines = all.iter().map(|(workload, samples)| line(workload, samples));
    let lines = lines.collect::<Result<String>>()?;
    let text = fs::read_to_string(FILE).with_context(|| format!("read {FILE}"))?;
    let (before, after) = text.split_once(HEAD).context("README.md has no such table")?;
    let (_, after) = after.split_once("\n\n").context("README.md ends in the table")?;
    fs::write(FILE, format!("{before}{HEAD}{lines}\n{after}")).with_context(|| format!("write {FILE}"))
}

/// The line of one workload.
///
/// # Errors
/// A contender that was not measured.
pub fn line(workload: &Workload, samples: &Samples) -> Result<String> {
    let about = LINES.iter().find(|(name, _)| *name == workload.name);
    let (_, about) = about.context("a workload without a line")?;
    let costs = figures(samples, |rounds| {
        proxy_median(rounds, ProxySample::total_micros).map(micros)
    })?;
    let rates = figures(samples, |rounds| {
        median(rounds.iter().map(|sample| sample.requests_per_second)).map(rate)
    })?;
    Ok(format!("| {about} | {costs} µs | {rates} |\n"))
}

/// The figures of all contenders, as a line has them.
fn figures(samples: &Samples, figure: impl Fn(&[Sample]) -> Option<String>) -> Result<String> {
    let of = |name: &str| figure(samples.rounds(name)).with_context(|| format!("{name} was not measured"));
    let [nutcracker, memcached, ringway] = CONTENDERS.map(of);
    Ok(format!("{} / {} → {}", nutcracker?, memcached?, ringway?))
}

/// Microseconds, with two digits that count if they are few.
fn micros(cost: f64) -> String {
    match cost {
        ..1.0 => format!("{cost:.2}"),
        ..10.0 => format!("{cost:.1}"),
        _ => format!("{cost:.0}"),
    }
}

/// Requests a second, rounded, with a blank before each three digits.
fn rate(rate: f64) -> String {
    let step = if rate < 100_000.0 { 100.0 } else { 1000.0 };
    let rounded = (rate / step).round() as u64 * step as u64;
    match (rounded / 1_000_000, rounded / 1000 % 1000, rounded % 1000) {
        (0, thousands, rest) => format!("{thousands} {rest:03}"),
        (millions, thousands, rest) => format!("{millions} {thousands:03} {rest:03}"),
    }
}
