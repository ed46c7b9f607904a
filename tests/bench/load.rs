//! The load generator: drives the same closed-loop load through each contender in turn, checks every value it
//! reads, and prints throughput, latency, CPU per request and memory side by side. Started by `tests/bench/run`,
//! whose head says how it is used and how it measures. Nothing here passes or fails by a time.
//!
//! ```text
//!   options ─▶ for each workload, round, contender:
//!                contender   starts the proxy in front of the nodes, on a CPU of its own
//!                measure     preloads, warms up, opens the window, closes it
//!                  └─ connection × n   writes a batch, checks its replies, again
//!                accounting  asks the kernel what the processes used in the window
//!              report        medians over the rounds, then ratios
//! ```

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, Result};
use clap::Parser;

use load::contender::{self, Contender};
use load::dataset::Dataset;
use load::measure;
use load::nodes::Nodes;
use load::options::{Mode, Options};
use load::process::{self, Scratch};
use load::report::{self, Samples};
use load::workload::Workload;
use load::{idle, machine, relay, responder, self_check};

mod load {
    pub mod accounting;
    pub mod answers;
    pub mod checker;
    pub mod connection;
    pub mod contender;
    pub mod dataset;
    pub mod draw;
    pub mod idle;
    pub mod latency;
    pub mod machine;
    pub mod measure;
    pub mod node;
    pub mod nodes;
    pub mod options;
    pub mod peers;
    pub mod process;
    pub mod random;
    pub mod relay;
    pub mod report;
    pub mod responder;
    pub mod self_check;
    pub mod wire;
    pub mod workload;
}

fn main() -> ExitCode {
    let options = Options::parse();
    if matches!(options.mode, Mode::Load | Mode::Idle) {
        self_check::run();
    }
    if !options.bench {
        println!("self-check passed; the benchmark itself is started by tests/bench/run");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// True when every contender that was asked for could be measured.
fn run(options: &Options) -> Result<bool> {
    match options.mode {
        Mode::Relay => return relay::run(&options.doors, &options.to).map(|()| true),
        Mode::Responder => {
            let workloads = Workload::select(&options.workloads)?;
            let dataset = Dataset::new(workloads.first().context("the responder needs a workload")?);
            return responder::run(&options.doors, dataset).map(|()| true);
        }
        Mode::Load | Mode::Idle => process::pin_self(options.load_cpu)?,
    }
    let mut contenders = contender::select(options.only.as_deref())?;
    let scratch = Scratch::new()?;
    let mut nodes = Nodes::start(options, &scratch)?;
    machine::print(&contenders, options);
    // Who was asked for by name and is missing counts as a failure, anybody else is said to be missing above.
    contenders.retain(|contender| options.only.is_some() || contender.missing().is_none());
    if options.mode == Mode::Idle {
        idle::run(options, &contenders, &mut nodes, &scratch)
    } else {
        compare(options, &contenders, &mut nodes, &scratch)
    }
}

fn compare(
    options: &Options,
    contenders: &[Contender],
    nodes: &mut Nodes,
    scratch: &Scratch,
) -> Result<bool> {
    // Why a contender is left out, by its name.
    let mut absent: BTreeMap<&str, String> = BTreeMap::new();
    let mut all: Vec<(Workload, Rc<Dataset>, Samples)> = Workload::select(&options.workloads)?
        .into_iter()
        .map(|workload| {
            (
                workload,
                Rc::new(Dataset::new(&workload)),
                Samples::new(contenders),
            )
        })
        .collect();
    // Round by round, not one workload or contender after the other: what disturbs the machine for a while
    // disturbs all alike.
    for round in 0..options.rounds {
        for (workload, dataset, samples) in &mut all {
            for contender in contenders {
                if absent.contains_key(contender.name) || !contender.takes(workload, options.nodes) {
                    continue;
                }
                eprintln!(
                    "round {} of {}: {} through {}",
                    round + 1,
                    options.rounds,
                    workload.name,
                    contender.name
                );
                nodes.prepare(workload, options, scratch)?;
                let running = match contender.start(nodes, workload.workers, options, scratch) {
                    Ok(running) => running,
                    Err(error) => {
                        eprintln!("{} is left out: {error:#}", contender.name);
                        absent.insert(contender.name, format!("{error:#}"));
                        continue;
                    }
                };
                let seed = options.seed + u64::from(round);
                let sample = measure::run(workload, dataset, &running, nodes, options.window(), seed)
                    .with_context(|| {
                        format!(
                            "{} through {} ({})",
                            workload.name,
                            contender.name,
                            running.last_words()
                        )
                    })?;
                samples.push(contender.name, sample);
            }
        }
    }
    let all: Vec<(Workload, Samples)> = all
        .into_iter()
        .map(|(workload, _, samples)| (workload, samples))
        .collect();
    for (workload, samples) in &all {
        report::workload(workload, samples);
    }
    report::ratios(&all, contenders);
    report::protocols(&all);
    for (name, reason) in &absent {
        println!("\n{name} was not measured: {reason}");
    }
    Ok(absent.is_empty())
}
