//! What Ringway costs and does as a share of what others cost and do. A ratio is the median of the ratios within each
//! round, if both met the same disturbance.

use super::measure::Sample;
use super::report::{Samples, Table, cell, median};
use super::wire::Wire;
use super::workload::Workload;

/// The peers of which the better is the mark.
const PEERS: [&str; 2] = ["nutcracker", "memcached-proxy"];

/// Whom Ringway stands beside if clients encrypt, too.
const BOTH_SIDES: [&str; 1] = ["both:nutcracker+stunnel"];

/// At most so much may a policy or a pool of Redis nodes cost, as a share of what a plain pool of memcached costs; others
/// have no bound.
const BOUNDS: [(&str, f64); 5] = [
    ("prefix", 1.03),
    ("failover", 1.3),
    ("replicate", 2.2),
    ("lazy_fill", 1.2),
    ("redis", 1.25),
];

type Figure = fn(&Sample) -> Option<f64>;

/// The tables of ratios to the other contenders; columns of those who are not there are left out.
pub fn contenders(all: &[(Workload, Samples)]) -> String {
    let proxy: Figure = |sample| sample.proxy.map(|proxy| proxy.total_micros());
    let total: Figure = |sample| Some(sample.total_micros());
    let speed: Figure = |sample| Some(sample.requests_per_second);
    let (least, most): (Better, Better) = (f64::min, f64::max);
    let cost = table(
        all,
        &[
            ("nutcracker, proxy", &PEERS[..1], proxy, least),
            (
                "the better of nutcracker and memcached-proxy, proxy",
                &PEERS,
                proxy,
                least,
            ),
            ("nutcracker+stunnel, proxy", &["nutcracker+stunnel"], proxy, least),
            (
                "nutcracker+stunnel on both sides, proxy",
                &BOTH_SIDES,
                proxy,
                least,
            ),
            ("mcrouter, proxy", &["mcrouter"], proxy, least),
            ("relay, proxy", &["relay"], proxy, least),
            ("ringway-base, proxy", &["ringway-base"], proxy, least),
            ("direct, proxy and nodes", &["direct"], total, least),
        ],
    );
    let speed = table(
        all,
        &[
            ("nutcracker", &PEERS[..1], speed, most),
            (
                "the better of nutcracker and memcached-proxy",
                &PEERS,
                speed,
                most,
            ),
            ("nutcracker+stunnel", &["nutcracker+stunnel"], speed, most),
            ("nutcracker+stunnel on both sides", &BOTH_SIDES, speed, most),
            ("mcrouter", &["mcrouter"], speed, most),
            ("relay", &["relay"], speed, most),
            ("ringway-base", &["ringway-base"], speed, most),
            ("direct", &["direct"], speed, most),
        ],
    );
    let mut text = String::new();
    for (title, table) in [
        ("CPU per request (below 1: Ringway needs less)", cost),
        ("requests/s (above 1: Ringway answers more)", speed),
    ] {
        if let Some(table) = table {
            text.push_str(&format!("\n## Ringway's ratios of {title}\n\n{table}"));
        }
    }
    text
}

/// What policies, and Redis nodes, cost Ringway as a share of what a plain pool of memcached costs it.
pub fn routes(all: &[(Workload, Samples)]) -> String {
    let proxy: Figure = |sample| sample.proxy.map(|proxy| proxy.total_micros());
    let mut table = Table::new(&["policy or nodes, workload", "to a plain pool, proxy", "at most"]);
    for (workload, samples) in all {
        let plain = samples.rounds("ringway");
        let policies = samples.measured().filter_map(|(name, rounds)| {
            let policy = name.strip_prefix("ringway-").filter(|&policy| policy != "base")?;
            Some((policy, rounds))
        });
        for (policy, rounds) in policies {
            let pairs = rounds.iter().zip(plain);
            let ratio = median(pairs.filter_map(|(one, plain)| Some(proxy(one)? / proxy(plain)?)));
            let bound = BOUNDS.iter().find(|(name, _)| *name == policy);
            table.row(vec![
                format!("{policy}, {}", workload.name),
                cell(ratio, 2),
                cell(bound.map(|(_, most)| *most), 2),
            ]);
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!("\n## Ratios of CPU per request, to a plain pool of memcached\n\n{table}")
}

/// What the other protocols cost Ringway as a share of what the same load in classic text costs it.
pub fn protocols(all: &[(Workload, Samples)]) -> String {
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
    if table.is_empty() {
        return String::new();
    }
    format!("\n## Ratios of CPU per request, other protocols to classic text\n\n{table}")
}

/// Which of two figures is the better one.
type Better = fn(f64, f64) -> f64;
/// Beside whom, by which figure.
type Column<'a> = (&'a str, &'a [&'a str], Figure, Better);

/// A row for each workload; `None` if there is nothing to say.
fn table(all: &[(Workload, Samples)], columns: &[Column<'_>]) -> Option<Table> {
    let ratios = |column: &Column<'_>| -> Vec<Option<f64>> {
        all.iter().map(|(_, samples)| ratio(samples, column)).collect()
    };
    let columns: Vec<(&str, Vec<Option<f64>>)> = columns
        .iter()
        .map(|column| (column.0, ratios(column)))
        .filter(|(_, ratios)| ratios.iter().any(Option::is_some))
        .collect();
    if columns.is_empty() {
        return None;
    }
    let headings: Vec<String> = columns.iter().map(|(name, _)| format!("to {name}")).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut table = Table::new(&[&["workload"], &headings[..]].concat());
    for (index, (workload, _)) in all.iter().enumerate() {
        let cells = columns.iter().map(|(_, ratios)| cell(ratios[index], 2));
        table.row([workload.name.to_owned()].into_iter().chain(cells).collect());
    }
    Some(table)
}

/// Ringway's figure as a share of the best of those in the column, all of whom must have been measured.
fn ratio(samples: &Samples, (_, peers, figure, better): &Column<'_>) -> Option<f64> {
    let ringway = match *peers == BOTH_SIDES {
        true => samples.rounds("both:ringway"),
        false => samples.rounds("ringway"),
    };
    let ratios = ringway.iter().enumerate().filter_map(|(round, sample)| {
        let mut best: Option<f64> = None;
        for peer in *peers {
            let other = figure(samples.rounds(peer).get(round)?)?;
            best = Some(best.map_or(other, |best| better(best, other)));
        }
        Some(figure(sample)? / best?)
    });
    median(ratios)
}
