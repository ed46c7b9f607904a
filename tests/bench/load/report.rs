//! Tables in Markdown: medians over the rounds, one table a workload.

use std::fmt;

use super::calls::{Calls, Counter};
use super::contender::Contender;
use super::measure::{ProxySample, Sample};
use super::workload::Workload;

/// Who answers less than this share of what is offered falls behind.
const KEEPS_UP: f64 = 0.98;

/// The rounds of each contender, in the order of the contenders.
#[derive(Debug)]
pub struct Samples {
    rounds: Vec<(&'static str, Vec<Sample>)>,
    calls: Vec<(&'static str, Calls)>,
}

impl Samples {
    /// No rounds yet.
    pub fn new(contenders: &[Contender]) -> Self {
        let names = contenders.iter().map(|contender| contender.name);
        Self {
            rounds: names.map(|name| (name, Vec::new())).collect(),
            calls: Vec::new(),
        }
    }

    /// Adds a round.
    pub fn push(&mut self, name: &str, sample: Sample) {
        if let Some((_, rounds)) = self.rounds.iter_mut().find(|(known, _)| *known == name) {
            rounds.push(sample);
        }
    }

    /// Adds the system calls of a round of their own.
    pub fn push_calls(&mut self, name: &'static str, calls: Calls) {
        self.calls.push((name, calls));
    }

    /// The rounds of one contender; none where it was not measured.
    pub fn rounds(&self, name: &str) -> &[Sample] {
        self.rounds
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(&[], |(_, rounds)| rounds)
    }

    /// The system calls of one contender for each request, of all kinds together, if they were counted.
    pub fn calls_per_request(&self, name: &str) -> Option<f64> {
        let (_, calls) = self.calls.iter().find(|(known, _)| *known == name)?;
        Some(calls.iter().map(|(_, count)| count).sum())
    }

    /// The contenders that were measured, in their order, with their rounds.
    pub fn measured(&self) -> impl Iterator<Item = (&'static str, &[Sample])> {
        let all = self.rounds.iter().map(|(name, rounds)| (*name, &rounds[..]));
        all.filter(|(_, rounds)| !rounds.is_empty())
    }

    /// Requests a second that were offered, where the load was fixed.
    fn offered(&self) -> Option<f64> {
        self.rounds.iter().find_map(|(_, rounds)| rounds.first()?.offered)
    }
}

/// The table of one workload; nothing when nobody was measured.
pub fn workload(workload: &Workload, samples: &Samples) -> String {
    if samples.measured().next().is_none() {
        return String::new();
    }
    let mut table = Table::new(&[
        "contender",
        "requests/s",
        "values/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "proxy CPU µs/request",
        "user",
        "system",
        "nodes CPU µs/request",
        "proxy busy",
        "peak RSS MiB",
        "misses",
        "errors",
    ]);
    for (name, rounds) in samples.measured() {
        let of = |figure: fn(&Sample) -> f64| median(rounds.iter().map(figure));
        let of_proxy = |figure: fn(&ProxySample) -> f64| proxy_median(rounds, figure);
        table.row(vec![
            name.to_owned(),
            cell(of(|sample| sample.requests_per_second), 0),
            cell(of(|sample| sample.hits_per_second), 0),
            cell(of(|sample| sample.p50_micros), 0),
            cell(of(|sample| sample.p99_micros), 0),
            cell(of(|sample| sample.p999_micros), 0),
            cell(of_proxy(ProxySample::total_micros), 2),
            cell(of_proxy(|proxy| proxy.user_micros), 2),
            cell(of_proxy(|proxy| proxy.system_micros), 2),
            cell(of(|sample| sample.nodes_micros), 2),
            of_proxy(|proxy| proxy.busy * 100.0)
                .map_or("–".to_owned(), |percent| format!("{percent:.0} %")),
            cell(of_proxy(|proxy| proxy.peak_mib), 1),
            rounds.iter().map(|sample| sample.misses).sum::<u64>().to_string(),
            rounds.iter().map(|sample| sample.errors).sum::<u64>().to_string(),
        ]);
    }
    let mut text = format!("\n## {}: {}\n\n{table}", workload.name, workload.about);
    if let Some(offered) = samples.offered() {
        text.push_str(&format!("\nOffered to all: {offered:.0} requests/s.\n"));
        for (name, rounds) in &samples.rounds {
            let rate = median(rounds.iter().map(|sample| sample.requests_per_second));
            if rate.is_some_and(|rate| rate < offered * KEEPS_UP) {
                text.push_str(&format!(
                    "{name} did not keep up: its latencies are those of a queue that grows.\n"
                ));
            }
        }
    }
    text
}

/// The system calls per request, and what counted them.
pub fn calls(all: &[(Workload, Samples)], counter: Counter) -> String {
    let mut table = Table::new(&["workload, contender", "calls/request", "which"]);
    for (workload, samples) in all {
        for (name, calls) in &samples.calls {
            // Rarer ones belong to connections and timers, not to requests.
            let each = calls.iter().filter(|(_, count)| *count >= 0.005);
            let each: Vec<String> = each.map(|(name, count)| format!("{name} {count:.2}")).collect();
            table.row(vec![
                format!("{}, {name}", workload.name),
                cell(Some(calls.iter().map(|(_, count)| count).sum()), 2),
                each.join(", "),
            ]);
        }
    }
    if table.is_empty() {
        return String::new();
    }
    let how = counter.describe();
    format!("\n## System calls per request of the proxy, {how}, in a round of their own\n\n{table}")
}

/// Rows under headings, columns as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns; the first is a name, the others numbers.
    pub fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(ToString::to_string).collect()],
        }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len());
        self.rows.push(cells);
    }

    /// Whether there are only headings.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            write!(out, "| {:<1$} |", row[0], widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(out, " {cell:>width$} |")?;
            }
            writeln!(out)?;
            if index == 0 {
                let rule = widths[1..]
                    .iter()
                    .map(|width| format!("{}:|", "-".repeat(width + 1)));
                writeln!(out, "|{}|{}", "-".repeat(widths[0] + 2), rule.collect::<String>())?;
            }
        }
        Ok(())
    }
}

/// A figure, or a dash where there is none.
pub fn cell(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or("–".to_owned(), |figure| format!("{figure:.decimals$}"))
}

/// The median of a figure of the proxy, if there is one.
pub fn proxy_median(rounds: &[Sample], figure: impl Fn(&ProxySample) -> f64) -> Option<f64> {
    median(
        rounds
            .iter()
            .filter_map(|sample| sample.proxy.as_ref())
            .map(figure),
    )
}

/// The middle one, or the mean of the two in the middle; of none, none.
pub fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        count if count % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}
