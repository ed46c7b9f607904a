//! Where and how the numbers came to be, printed above them: numbers without it convince nobody.

use std::fs;

use super::contender::Contender;
use super::nodes::Nodes;
use super::options::{Mode, Options};
use super::pace::Rate;

/// Machine, versions and method, as a list.
pub fn describe(contenders: &[Contender], options: &Options) -> String {
    let mut lines = vec![
        format!("machine: {} × {}, {} MiB", cpus(), cpu_model(), memory_mib()),
        format!("kernel: Linux {}", first_line("/proc/sys/kernel/osrelease")),
        format!("load average at the start: {}", first_line("/proc/loadavg")),
        format!("nodes: {}", Nodes::describe(options)),
    ];
    for contender in contenders {
        lines.push(format!("{}: {}", contender.name, contender.version()));
    }
    lines.push(format!(
        "CPUs: proxy alone on CPU {}, nodes and generator on CPU {}",
        options.proxy_cpu, options.load_cpu
    ));
    if options.mode == Mode::Load {
        let load = match options.rate {
            None => "closed loop".to_owned(),
            Some(Rate::Fixed(rate)) => {
                format!("fixed load of {rate} requests/s, latency from when a batch was due")
            }
            Some(Rate::Even) => {
                "fixed load of 60 % of what the slowest contender manages, latency from when a \
                                 batch was due"
                    .to_owned()
            }
        };
        lines.push(format!(
            "method: {load}, every value checked; {} interleaved rounds of {} s after warming up, medians; seed {}",
            options.rounds, options.seconds, options.seed
        ));
    }
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

fn cpus() -> usize {
    cpuinfo("processor").count()
}

fn cpu_model() -> String {
    cpuinfo("model name")
        .next()
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn cpuinfo(field: &'static str) -> impl Iterator<Item = String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let values: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.trim() == field)
        .map(|(_, value)| value.trim().to_owned())
        .collect();
    values.into_iter()
}

fn memory_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
