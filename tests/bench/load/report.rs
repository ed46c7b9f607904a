//! Tables in Markdown: medians over the rounds, one table a workload, then what Ringway costs beside its peers.

use super::calls::Calls;
use super::contender::Contender;
use super::measure::{ProxySample, Sample};
use super::wire::Wire;
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

    fn rounds(&self, name: &str) -> &[Sample] {
        self.rounds
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(&[], |(_, rounds)| rounds)
    }

    /// Requests a second that were offered, where the load was fixed.
    fn offered(&self) -> Option<f64> {
        self.rounds.iter().find_map(|(_, rounds)| rounds.first()?.offered)
    }

    /// What Ringway used as a share of what `peer` used: the median of the ratios within each round, where both met
    /// the same disturbance. `None` when a figure is missing.
    fn ratio(&self, peer: &str, figure: fn(&Sample) -> Option<f64>) -> Option<f64> {
        let pairs = self.rounds("ringway").iter().zip(self.rounds(peer));
        median(pairs.filter_map(|(ringway, peer)| Some(figure(ringway)? / figure(peer)?)))
    }
}

/// Prints the table of one workload; nothing when nobody was measured.
pub fn workload(workload: &Workload, samples: &Samples) {
    if samples.rounds.iter().all(|(_, rounds)| rounds.is_empty()) {
        return;
    }
    println!("\n## {}: {}\n", workload.name, workload.about);
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
    for (name, rounds) in samples.rounds.iter().filter(|(_, rounds)| !rounds.is_empty()) {
        let of = |figure: fn(&Sample) -> f64| median(rounds.iter().map(figure));
        let of_proxy = |figure: fn(&ProxySample) -> f64| proxy_median(rounds, figure);
        table.row(vec![
            (*name).to_owned(),
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
    table.print();
    if let Some(offered) = samples.offered() {
        println!("\nOffered to all: {offered:.0} requests/s.");
        for (name, rounds) in &samples.rounds {
            if median(rounds.iter().map(|sample| sample.requests_per_second))
                .is_some_and(|rate| rate < offered * KEEPS_UP)
            {
                println!("{name} did not keep up: its latencies are those of a queue that grows.");
            }
        }
    }
}

/// Prints the system calls per request, where they were counted.
pub fn calls(all: &[(Workload, Samples)]) {
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
    if table.rows.len() > 1 {
        println!(
            "\n## System calls per request of the proxy, counted under strace in a round of their own\n"
        );
        table.print();
    }
}

/// Prints what Ringway costs as a share of what its peers cost.
pub fn ratios(all: &[(Workload, Samples)], contenders: &[Contender]) {
    let has = |name: &str| contenders.iter().any(|contender| contender.name == name);
    if !has("ringway") {
        return;
    }
    println!("\n## Ratios of CPU per request (below 1: Ringway needs less)\n");
    let mut table = Table::new(&[
        "workload",
        "ringway / nutcracker, proxy",
        "ringway / ringway-base, proxy",
        "ringway / direct, proxy and nodes",
    ]);
    for (workload, samples) in all {
        let proxy = |sample: &Sample| sample.proxy.map(|proxy| proxy.total_micros());
        let total = |sample: &Sample| Some(sample.total_micros());
        table.row(vec![
            workload.name.to_owned(),
            cell(samples.ratio("nutcracker", proxy), 2),
            cell(samples.ratio("ringway-base", proxy), 2),
            cell(samples.ratio("direct", total), 2),
        ]);
    }
    table.print();
}

/// Prints what the other protocols cost Ringway as a share of what the same load in classic text costs it.
pub fn protocols(all: &[(Workload, Samples)]) {
    let rounds_of = |name: &str| {
        all.iter()
            .find(|(workload, _)| workload.name == name)
            .map_or(&[][..], |(_, samples)| samples.rounds("ringway"))
    };
    let classic = rounds_of("W2");
    let mut table = Table::new(&["workload", "ringway / ringway in W2, proxy"]);
    for (workload, _) in all.iter().filter(|(workload, _)| workload.wire != Wire::Classic) {
        let pairs = rounds_of(workload.name).iter().zip(classic);
        let ratio = median(pairs.filter_map(|(other, classic)| {
            Some(other.proxy?.total_micros() / classic.proxy?.total_micros())
        }));
        if ratio.is_some() {
            table.row(vec![workload.name.to_owned(), cell(ratio, 2)]);
        }
    }
    if table.rows.len() > 1 {
        println!("\n## Ratios of CPU per request, other protocols to classic text\n");
        table.print();
    }
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

    /// Prints it to stdout.
    pub fn print(&self) {
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
            let mut line = format!("| {:<1$} |", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line.push_str(&format!(" {cell:>width$} |"));
            }
            println!("{line}");
            if index == 0 {
                let rule = widths[1..]
                    .iter()
                    .map(|width| format!("{}:|", "-".repeat(width + 1)));
                println!("|{}|{}", "-".repeat(widths[0] + 2), rule.collect::<String>());
            }
        }
    }
}

fn cell(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or("–".to_owned(), |figure| format!("{figure:.decimals$}"))
}

fn proxy_median(rounds: &[Sample], figure: impl Fn(&ProxySample) -> f64) -> Option<f64> {
    median(
        rounds
            .iter()
            .filter_map(|sample| sample.proxy.as_ref())
            .map(figure),
    )
}

/// The middle one, or the mean of the two in the middle; of none, none.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        count if count % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}
