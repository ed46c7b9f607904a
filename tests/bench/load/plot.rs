//! The figures as bars, in an SVG that stands by itself: for each workload a row of panels, a bar for each
//! contender.

use std::fmt::Write;

use super::measure::Sample;
use super::report::{Samples, median, proxy_median};
use super::workload::Workload;

const PANEL_WIDTH: f64 = 380.0;
/// The names, left of the bars.
const NAMES: f64 = 120.0;
/// Room for the figures behind the longest bar.
const FIGURE: f64 = 135.0;
const BAR: f64 = 20.0;
const ROW_HEAD: f64 = 56.0;
const MARGIN: f64 = 16.0;
/// What a bar consists of, from left to right.
const OTHERS: [&str; 3] = ["#8a9199", "#b9bec4", "#dde0e4"];
const RINGWAY: [&str; 3] = ["#1f6feb", "#86b4f7", "#c9defc"];

/// The lengths of the parts of a contender's bar; `None`: no such figure.
type Parts = fn(&Samples, &str) -> Option<Vec<f64>>;

const PANELS: [(&str, Parts); 5] = [
    ("requests/s (more is better)", |samples, name| {
        Some(vec![middle(samples, name, |sample| sample.requests_per_second)?])
    }),
    ("latency µs: p50, p99, p99.9", |samples, name| {
        let p50 = middle(samples, name, |sample| sample.p50_micros)?;
        let p99 = middle(samples, name, |sample| sample.p99_micros)?.max(p50);
        let p999 = middle(samples, name, |sample| sample.p999_micros)?.max(p99);
        Some(vec![p50, p99 - p50, p999 - p99])
    }),
    ("proxy CPU µs/request: user, all", |samples, name| {
        let rounds = samples.rounds(name);
        let user = proxy_median(rounds, |proxy| proxy.user_micros)?;
        Some(vec![user, proxy_median(rounds, |proxy| proxy.system_micros)?])
    }),
    ("proxy peak memory MiB", |samples, name| {
        Some(vec![proxy_median(samples.rounds(name), |proxy| proxy.peak_mib)?])
    }),
    ("proxy system calls/request", |samples, name| {
        Some(vec![samples.calls_per_request(name)?])
    }),
];

fn middle(samples: &Samples, name: &str, figure: fn(&Sample) -> f64) -> Option<f64> {
    median(samples.rounds(name).iter().map(figure))
}

/// The whole picture. A panel for which nobody has a figure is left out.
pub fn draw(all: &[(Workload, Samples)]) -> String {
    let has_figure =
        |parts: Parts, samples: &Samples| samples.measured().any(|(name, _)| parts(samples, name).is_some());
    let panels = PANELS
        .iter()
        .filter(|(_, parts)| all.iter().any(|(_, samples)| has_figure(*parts, samples)));
    let panels: Vec<_> = panels.collect();
    let width = 2.0 * MARGIN + PANEL_WIDTH * panels.len() as f64;
    let mut top = MARGIN;
    let mut body = String::new();
    for (workload, samples) in all {
        let bars = samples.measured().count();
        if bars == 0 {
            continue;
        }
        let title = format!("{}: {}", workload.name, workload.about);
        text(&mut body, MARGIN, top + 16.0, "font-weight=\"bold\"", &title);
        for (index, (heading, parts)) in panels.iter().enumerate() {
            let left = MARGIN + PANEL_WIDTH * index as f64;
            text(&mut body, left, top + 38.0, "fill=\"#57606a\"", heading);
            panel(&mut body, left, top + ROW_HEAD, samples, *parts);
        }
        top += ROW_HEAD + BAR * bars as f64 + MARGIN;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{top:.0}\" \
         viewBox=\"0 0 {width:.0} {top:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn panel(out: &mut String, left: f64, top: f64, samples: &Samples, parts: Parts) {
    let bars: Vec<(&str, Option<Vec<f64>>)> = samples
        .measured()
        .map(|(name, _)| (name, parts(samples, name)))
        .collect();
    let sum = |parts: &Option<Vec<f64>>| parts.iter().flatten().sum::<f64>();
    let longest = bars.iter().map(|(_, parts)| sum(parts)).fold(0.0, f64::max);
    let room = PANEL_WIDTH - NAMES - FIGURE - MARGIN;
    for (index, (name, parts)) in bars.iter().enumerate() {
        let y = top + BAR * index as f64;
        let baseline = y + BAR - 8.0;
        text(out, left, baseline, "", name);
        let Some(parts) = parts else {
            text(out, left + NAMES, baseline, "fill=\"#8a9199\"", "none");
            continue;
        };
        let colors = if *name == "ringway" { RINGWAY } else { OTHERS };
        let mut x = left + NAMES;
        for (part, color) in parts.iter().zip(colors) {
            let length = part / longest.max(f64::MIN_POSITIVE) * room;
            let height = BAR - 6.0;
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
            );
            x += length;
        }
        text(out, x + 4.0, baseline, "", &figures(parts));
    }
}

/// One figure, or the end of each part.
fn figures(parts: &[f64]) -> String {
    let mut end = 0.0;
    let all = parts.iter().map(|part| {
        end += part;
        if end >= 100.0 {
            format!("{end:.0}")
        } else {
            format!("{end:.2}")
        }
    });
    all.collect::<Vec<_>>().join(" / ")
}

fn text(out: &mut String, x: f64, y: f64, style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>");
}
